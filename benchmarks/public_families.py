"""Which rows of the public tables are one family of comparable runs, for the other scripts here.

Tables lie in ``../shared/data`` beside the checkout, or in the folder ``SCALEWISE_PUBLIC`` names.
Families of one ``group`` share runs or come from one laboratory's recipe, and count as one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

FOLDER = Path(
    os.environ.get("SCALEWISE_PUBLIC", Path(__file__).resolve().parents[2] / "shared/data")
)
FINAL = pl.col("is_final")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicFamily:
    """Comparable rows of one file. ``counted`` says what params counts: total, nonembed, ...

    ``best_of`` names the columns that a tuned setting is unique by: the best run stands for it.
    ``is_curve`` says that the rows are checkpoints of runs, not finished models. ``apart`` says
    why the numbers are no losses of a language model; such a family teaches no prior.
    """

    name: str
    group: str
    file: str
    rows: pl.Expr
    citation: str
    counted: str = "total"
    best_of: tuple[str, ...] = ()
    is_curve: bool = False
    apart: str = ""


def _gadre(corpus: str) -> PublicFamily:
    return PublicFamily(
        name=f"gadre-{corpus.removesuffix('_original')}",
        group="gadre",
        file="gadre_overtraining/losses.parquet",
        # Five tokens per param are off trend in the paper, which leaves them out as well.
        rows=(pl.col("data") == corpus)
        & (pl.col("eval_set") == "c4_val")
        & (pl.col("token_multiplier") >= 10),
        citation="Gadre et al. 2024, arXiv:2403.08540",
    )


def _isoflop(experiment: str, name: str, group: str, citation: str) -> PublicFamily:
    return PublicFamily(
        name=name,
        group=group,
        file="isoflops_openathena/compiled.parquet",
        rows=pl.col("experiment").str.starts_with(experiment) & ~pl.col("outlier"),
        citation=f"{citation}, as compiled by Open Athena",
    )


def _xlstm(subset: str, name: str) -> PublicFamily:
    rows = (pl.col("subset") == subset) & pl.col("completed") & (pl.col("seed") == 0)
    return PublicFamily(
        name=name,
        group="xlstm",
        file="xlstm_isoflop/runs.parquet",
        rows=rows & (pl.col("loss") < 5),  # three runs diverged, at 7.6 and more
        citation="Beck et al. 2025, arXiv:2510.02228",
        best_of=("params", "tokens"),
    )


def _porian(corpus: str) -> PublicFamily:
    return PublicFamily(
        name=f"porian-{corpus}",
        group="porian",
        file="porian_isoflop/isoflop_points.parquet",
        rows=FINAL & (pl.col("config") == f"{corpus}/base/short/chinchilla/standard/val"),
        citation="Porian et al. 2024, arXiv:2406.19146",
    )


def _repeats(corpus: str) -> PublicFamily:
    return PublicFamily(
        name=f"datablations-{corpus}-curves",
        group="datablations",
        file="datablations/trajectories.parquet",
        rows=(pl.col("max_epochs") == 1) & (pl.col("data") == corpus),
        citation="Muennighoff et al. 2023, arXiv:2305.16264",
        counted="nominal",
        is_curve=True,
    )


def _mixture(name: str, set_: str, weights: str) -> PublicFamily:
    return PublicFamily(
        name=f"mixinglaws-{name}",
        group="mixinglaws",
        file="mixinglaws/losses.parquet",
        rows=(pl.col("set") == set_)
        & pl.col("mix_weights").str.starts_with(weights)
        & (pl.col("eval_set") == "Pile-CC")
        & (pl.col("tokens") > 0),
        citation="Ye et al. 2024, arXiv:2403.16952",
        counted="nominal",
        is_curve=True,
    )


def _colpret(family: str, *, group: str, apart: str = "", citation: str = "") -> PublicFamily:
    return PublicFamily(
        name=family,
        group=group,
        file="colpret/perf_slim.csv.gz",
        rows=pl.col("family") == family,
        citation=citation or "Biderman et al. 2023, arXiv:2304.01373, as compiled by ColPret",
        counted="nominal",
        is_curve=True,
        apart=apart,
    )


_LAMBADA = "log2 of the perplexity on LAMBADA, not a loss of the training text"
_EPOCH = "Hoffmann et al. 2022, arXiv:2203.15556, digitised by Besiroglu et al."

FAMILIES = (
    PublicFamily(
        name="gpt3", group="gpt3", file="gpt3_curves/curves.parquet",
        rows=pl.col("eval_set") == "val", counted="nominal", is_curve=True,
        citation="Brown et al. 2020, arXiv:2005.14165, digitised by ColPret",
    ),
    PublicFamily(
        name="opt", group="opt", file="large_runs_colpret/curves.parquet",
        rows=pl.col("family") == "opt", counted="nominal", is_curve=True,
        citation="Zhang et al. 2022, arXiv:2205.01068, curves of Xia et al. 2023",
    ),
    PublicFamily(
        name="chinchilla", group="chinchilla", file="chinchilla_epoch/points.parquet",
        rows=pl.col("loss") < 3.446,  # the five points that the replication leaves out
        counted="nominal", citation=_EPOCH,
    ),
    _isoflop("epochai_chinchilla", "chinchilla-isoflop", "chinchilla", _EPOCH),
    _isoflop("ml_scalefit", "chinchilla-scalefit", "chinchilla",
             "Hoffmann et al. 2022, arXiv:2203.15556, digitised by ml-scalefit"),
    _isoflop("llama_3__exp_loss", "llama3", "llama3", "Dubey et al. 2024, arXiv:2407.21783"),
    _isoflop("marin_202603__nemotron", "marin-nemotron", "marin", "Marin project"),
    _isoflop("marin_202603__comma", "marin-comma", "marin", "Marin project"),
    _isoflop("marin_202603__dclm", "marin-dclm", "marin", "Marin project"),
    _isoflop("misfitting", "misfitting-isoflop", "misfitting",
             "Li, Kudugunta & Zettlemoyer 2025, arXiv:2502.18969"),
    *(_gadre(corpus) for corpus in ("c4_original", "rpj", "rw_original")),
    PublicFamily(
        name="olmo-ladder", group="olmo-ladder", file="olmo_ladder/losses_ladder.parquet",
        rows=FINAL & (pl.col("eval_set") == "c4_en") & ~pl.col("run_id").str.ends_with("-1xC"),
        counted="blocks and one vocabulary matrix",
        citation="Bhagia et al. 2024, arXiv:2412.04403",
    ),
    PublicFamily(
        name="clark-dense", group="clark-dense", file="clark_routing/curves.parquet",
        rows=(pl.col("router_type") == "Dense") & (pl.col("flop_increase") == 1)
        & (pl.col("step") > 0),
        is_curve=True, citation="Clark et al. 2022, arXiv:2202.01169",
    ),
    PublicFamily(
        name="gemstones", group="gemstones", file="gemstones/losses.parquet",
        rows=pl.col("subset") == "hot_100b+_477", is_curve=True,
        citation="McLeish et al. 2025, arXiv:2502.06857",
    ),
    PublicFamily(
        name="gemstones-cooled", group="gemstones", file="gemstones/losses.parquet",
        rows=FINAL & (pl.col("subset") == "cool_end"),
        citation="McLeish et al. 2025, arXiv:2502.06857",
    ),
    PublicFamily(
        name="misfitting", group="misfitting", file="misfitting/runs_v2.parquet", rows=FINAL,
        best_of=("params", "tokens"),
        citation="Li, Kudugunta & Zettlemoyer 2025, arXiv:2502.18969",
    ),
    PublicFamily(
        name="misfitting-v1", group="misfitting", file="misfitting/runs_v1.parquet", rows=FINAL,
        best_of=("params", "tokens"),
        citation="Li, Kudugunta & Zettlemoyer 2025, arXiv:2502.18969",
    ),
    PublicFamily(
        name="datablations", group="datablations", file="datablations/final_points.parquet",
        rows=(pl.col("epochs") <= 1) & (pl.col("set") == "paper182"), counted="nominal",
        citation="Muennighoff et al. 2023, arXiv:2305.16264",
    ),
    _repeats("c4"),
    _repeats("oscar"),
    PublicFamily(
        name="steplaw", group="steplaw", file="steplaw/dense.parquet", rows=FINAL,
        best_of=("params", "tokens_nominal"), counted="nonembed",
        citation="Li et al. 2025, arXiv:2503.04715",
    ),
    _porian("owt2"),
    _porian("rw"),
    _xlstm("isoflop_llama_ctx2048", "xlstm-llama-2048"),
    _xlstm("isoflop_llama_ctx8192", "xlstm-llama-8192"),
    _xlstm("isoflop_llama_ctx16384", "xlstm-llama-16384"),
    _xlstm("isoflop_mlstm_ctx16384", "xlstm-mlstm-16384"),
    _xlstm("isoflop_mlstm_ctx8192_large_gbs256", "xlstm-mlstm-8192"),
    _mixture("redpajama", "RedPajama", "0.66796875"),
    _mixture("pile", "5Mix", "0.25-0.1875"),
    PublicFamily(
        name="olmo1", group="olmo1", file="large_runs_colpret/curves.parquet",
        rows=(pl.col("family") == "olmo1") & (pl.col("eval_set") == "pile")
        & (pl.col("run_id") != "OLMo-7B-Twin-2T"),
        counted="nominal", is_curve=True, citation="Groeneveld et al. 2024, arXiv:2402.00838",
    ),
    PublicFamily(
        name="redpajama", group="redpajama", file="colpret/perf_slim.csv.gz",
        rows=pl.col("family") == "redPajama", counted="nominal", is_curve=True,
        citation="Together 2023, digitised by ColPret",
    ),
    PublicFamily(
        name="k2", group="k2", file="large_runs_colpret/curves.parquet",
        rows=pl.col("run_id") == "k2-65b", counted="nominal", is_curve=True,
        citation="Liu et al. 2025, arXiv:2501.07124",
    ),
    PublicFamily(
        name="mamba", group="mamba", file="large_runs_colpret/curves.parquet",
        rows=pl.col("run_id") == "llm360-mamba-3b", counted="nominal", is_curve=True,
        citation="LLM360, CrystalMamba",
    ),
    *(
        _colpret(name, group="pythia", apart=_LAMBADA)
        for name in (
            "pythia", "pythia-deduped", "pythia-v0", "pythia-deduped-v0",
            "pythia-intervention-deduped",
        )
    ),
    _colpret(
        "t5-pile", group="t5-pile", citation="EleutherAI, as compiled by ColPret",
        apart="of masked spans and near 0.1 bits: not a loss of next tokens",
    ),
)  # fmt: skip


def is_present(family: PublicFamily) -> bool:
    return (FOLDER / family.file).exists()


def runs_of(family: PublicFamily) -> RunTable:
    """The family's comparable rows under canonical names, without those that lack a number."""
    path = FOLDER / family.file
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path).filter(family.rows)
    else:
        frame = pl.read_csv(path, infer_schema_length=None).filter(family.rows)
        frame = frame.rename({"N": "params", "D": "tokens", "model": "run_id", "perf": "loss"})
    frame = frame.with_columns(pl.col("loss").cast(pl.Float64).fill_nan(None)).drop_nulls(
        ["params", "tokens", "loss"]
    )
    if family.best_of:
        frame = frame.sort("loss").unique(list(family.best_of), keep="first", maintain_order=True)
    frame = frame.select("run_id", "params", "tokens", "loss").sort("params", "tokens")
    if not family.is_curve:  # one row a run: every row is a finished model
        names = pl.int_range(pl.len()).cast(pl.String).str.zfill(4)
        frame = frame.with_columns(run_id=names, is_final=pl.lit(value=True))
    return read_runs(frame)
