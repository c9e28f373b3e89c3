"""IsoFLOP points of six studies, as Open Athena compiled them, with Marin's own exports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, github_files

if TYPE_CHECKING:
    import polars as pl

COMPILED = "data/isoflops/transform/isoflops.csv"
MIXES = ("comma", "dclm", "nemotron")
MARIN = tuple(f"data/isoflops/extract/marin_202603/raw/isoflop-{mix}.csv" for mix in MIXES)


def compiled(files: Mapping[str, Path]) -> pl.DataFrame:
    """Points of all studies with the budget each was assigned to and Open Athena's own flags."""
    import polars as pl

    raw = pl.read_csv(files[COMPILED], infer_schema_length=None)
    order = pl.int_range(pl.len()).over("experiment")
    return raw.select(
        run_id=pl.format("{}-{}", "experiment", order),
        family="source",
        params=pl.col("params").cast(pl.Float64),
        tokens=pl.col("tokens").cast(pl.Float64),
        loss="loss",
        eval_set=pl.when(pl.col("source").str.starts_with("marin"))
        .then(pl.lit("paloma macro"))
        .otherwise(pl.lit("as in source")),
        flops=pl.col("budget").cast(pl.Float64),
        data="dataset",
        is_final=pl.lit(value=True),
        source="source",
        model="model",
        condition="condition",
        experiment="experiment",
        outlier="outlier",
        reason="reason",
    )


def marin_raw_grid(files: Mapping[str, Path]) -> pl.DataFrame:
    """Marin's exports; runs of the validation ladder are left out."""
    import polars as pl

    return pl.concat([
        _marin(files[name], mix) for name, mix in zip(MARIN, MIXES, strict=True)
    ])  # fmt: skip


def _marin(path: Path, mix: str) -> pl.DataFrame:
    import polars as pl

    raw = pl.read_csv(path, infer_schema_length=None).filter(
        pl.col("Name").str.starts_with("isoflop-")
    )
    tokens, steps = pl.col("throughput/total_tokens"), pl.col("trainer.num_train_steps")
    batch = pl.col("trainer.train_batch_size")
    return raw.select(
        run_id="Name",
        family=pl.lit("marin-isoflop"),
        params="parameter_count",
        tokens=tokens,
        step=steps,
        batch_tokens=tokens / steps,
        context_length=tokens / (steps * batch),
        # One export leaves the rate out, as an empty quotation.
        lr=pl.col("optimizer.learning_rate").cast(pl.Float64, strict=False),
        schedule=pl.lit("WSD/cosine per Marin recipe"),
        loss="eval/paloma/macro_loss",
        eval_set=pl.lit("paloma macro"),
        flops=pl.col("throughput/total_gflops") * 1e9,
        data=pl.lit(mix),
        is_final=pl.lit(value=True),
        batch_seqs=batch,
        d_model="model.hidden_dim",
        n_layers="model.num_layers",
        mix=pl.lit(mix),
        is_validation=pl.lit(value=False),
        flops_budget=pl.col("Name").str.extract(r"^isoflop-([0-9.e+]+)-").cast(pl.Float64),
    )


DATA = PublicData(
    key="isoflops_openathena",
    title="IsoFLOP points of Chinchilla, Llama 3, Marin and others",
    citation="Open Athena (2026), scaling-law-analysis; points of Hoffmann et al. (2022), Llama "
    "Team (2024), Marin and Li, Kudugunta & Zettlemoyer (2025)",
    url="https://github.com/Open-Athena/scaling-law-analysis",
    licence="none stated in the repository",
    permissive=False,
    units="params: as each source counts them (Marin: all); loss: nats/token, but llama_3 unclear",
    files=github_files(
        "Open-Athena/scaling-law-analysis",
        "3e0656ee3dce1a2c89aa67691920f5eb9d30f0fc",
        (
            (COMPILED, 127_708, "b04d611253611490c5cc339fb95cb28d4f38f279a97438cb804a80f03171caa0"),
            (MARIN[0], 14_293, "0b352c08b3c96d97ef3d7534becbc0a2918493e6e37961943b022056277e4406"),
            (MARIN[1], 13_355, "8a75a0fbc7b34250501de17ab336fdf99d6bee67e44f62b8bed4b81fb9f033af"),
            (MARIN[2], 14_398, "5e615183ba71083721a5bc169adf7c9c997c4820fd69f383f108e0a4ca3ea375"),
        ),
    ),
    tables={
        "compiled": Table(parse=compiled, rows=947, runs=947, needs=(COMPILED,)),
        "marin_raw_grid": Table(parse=marin_raw_grid, rows=258, runs=258, needs=MARIN),
    },
    default_table="compiled",
    notes=(
        "llama_3 stands twice: its axis as drawn (raw_loss) and exponentiated (exp_loss); never "
        "mix the two.",
        "flops of compiled is the budget a point was assigned to; outlier and reason are Open "
        "Athena's.",
        "Chinchilla's points are digitised twice over (epochai_chinchilla, ml_scalefit).",
    ),
)
