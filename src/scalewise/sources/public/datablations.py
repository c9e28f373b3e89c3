"""Data-constrained models: hundreds of runs that repeat their tokens, up to thousands of times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from scalewise.core.errors import RunDataError
from scalewise.sources.public.entry import GET_ANEW, PublicData, Table, github_file

if TYPE_CHECKING:
    import polars as pl

NOTEBOOK = github_file(
    "huggingface/datablations",
    "13701315b163f1c54642b94ad237b2699187c3ee",
    "utils/parametric_fit.ipynb",
    3_679_052,
    "6c65d270e70c944a9ac90f5f1213a4584e1ff9d6d2781cd86900663f4ab17db9",
)
CURVES = github_file(
    "IBM/ColPret",
    "16f23bbe054277ddc4afd07a972dd7cfbe3f48c3",
    "aggregated_eval/datablations_losses.csv",
    1_771_976,
    "b3c448c2cd1a17128e06ee3120a9c377c4e2bf649e09b2446db59f98ef957b48",
)

# The size word of a run's name -> params, as the authors' own table has it.
PARAMS = MappingProxyType({
    "7m": 7_098_752.0, "14m": 14.1e6, "20m": 19_703_712.0, "25m": 35.5e6, "44m": 44e6,
    "83m": 82.7e6, "146m": 146.5e6, "196m": 201_236_224.0, "220m": 220.5e6, "221m": 220.5e6,
    "280m": 281e6, "421m": 421.2e6, "574m": 573.7e6, "619m": 618.7e6, "1b1": 1096.3e6,
    "1b5": 1517.3e6, "2b2": 2_160_013_824.0, "2b8": 2.81e9, "3b9": 3_899_710_720.0,
    "4b2": 4246.5e6, "8b7": 8.67e9,
})  # fmt: skip

# 2b855b1b25c4seed1: 2.8B params, 55B tokens, 1.25B of them unique, seed 1.
NAME = re.compile(
    r"(?P<size>\d+m|\db\d)"
    r"(?P<tokens>\d{2,}b|\d+m|\db\d|\db)"
    r"(?P<unique>\db\d{2}|\d{2,}b|\d+m|\db\d|\db)"
    r"(?:c4)?(?:v2)?(?:opt\d*)?(?:seed(?P<seed>\d))?"
)
ENTRY = re.compile(r'\s*"(?P<name>\w+)":\s*(?P<loss>[-+.\dEe]+)')
ASSIGNED = re.compile(r"NAMES_TO_VAL_LOSSES\s*=\s*\{(.*?)^\s*\}", re.DOTALL | re.MULTILINE)


def count(text: str) -> float:
    """A token count as the names write it.

    >>> count("1b25"), count("55b"), count("400m")
    (1250000000.0, 55000000000.0, 400000000.0)
    """
    whole, unit, part = re.fullmatch(r"(\d+)([bm])(\d*)", text).groups()  # type: ignore[union-attr]
    return float(f"{whole}.{part or 0}") * {"b": 1e9, "m": 1e6}[unit]


def losses_by_name(notebook: str) -> list[dict[str, float]]:
    """Each table of final losses in the notebook's code; lines commented out are left out."""
    import json

    cells = json.loads(notebook)["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return [
        {entry["name"]: float(entry["loss"]) for entry in map(ENTRY.match, body.splitlines())
         if entry}
        for body in ASSIGNED.findall(code)
    ]  # fmt: skip


def final_points(files: Mapping[str, Path]) -> pl.DataFrame:
    """Final losses of the large set with seeds, then of the 182 points of the published fit."""
    import polars as pl

    tables = losses_by_name(files[NOTEBOOK.name].read_text("utf-8"))
    if not tables:
        raise RunDataError(f"{NOTEBOOK.name} has no table NAMES_TO_VAL_LOSSES.", hint=GET_ANEW)
    largest, smallest = max(tables, key=len), min(tables, key=len)
    rows = [*_rows("with_seeds", largest), *_rows("paper182", smallest)]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    params, tokens = pl.col("params"), pl.col("tokens")
    return frame.select(
        run_id=pl.format("{}-{}", "set", "name"),
        family=pl.lit("datablations"),
        params=params,
        tokens=tokens,
        batch_tokens=pl.lit(None, pl.Float64),
        context_length=pl.lit(2048, pl.Int64),
        schedule=pl.lit("cosine to horizon, 1% warm-up"),
        loss="loss",
        eval_set=pl.lit("C4 validation"),
        flops=6.0 * params * tokens,
        seed=pl.col("seed").cast(pl.Float64),
        data=pl.lit("C4"),
        is_final=pl.lit(value=True),
        name="name",
        unique_tokens="unique_tokens",
        dedup=pl.lit(value=False),
        set="set",
        epochs=tokens / pl.col("unique_tokens"),
    )


def _rows(label: str, losses: Mapping[str, float]) -> Iterator[dict[str, object]]:
    """Rows of one table; unfinished runs (loss 0) and deduplicated corpora are left out."""
    for name, loss in losses.items():
        found = NAME.fullmatch(name)
        if found and loss > 0:
            yield {
                "set": label,
                "name": name,
                "params": PARAMS[found["size"]],
                "tokens": count(found["tokens"]),
                "unique_tokens": count(found["unique"]),
                "seed": float(found["seed"]) if found["seed"] else None,
                "loss": loss,
            }


def trajectories(files: Mapping[str, Path]) -> pl.DataFrame:
    """Loss against tokens; FLOPs are counted here, those of the source are wrong."""
    import polars as pl

    raw = pl.read_csv(files[CURVES.name], infer_schema_length=None)
    named = raw.with_columns(
        run_id=pl.format("{}|{}|{}|ep{}", pl.col("checkpoint").str.split("/").list.last(),
                         "data", "num_params", "epochs"),
        params=pl.col("num_params").replace_strict(
            {"2.8B": PARAMS["2b8"], "4.2B": PARAMS["4b2"], "8.7B": PARAMS["8b7"]}
        ).cast(pl.Float64),
        tokens=pl.col("token_num").cast(pl.Int64),
        unique_tokens=pl.col("tokens_per_epoch").cast(pl.Float64),
    )  # fmt: skip
    tokens = pl.col("tokens")
    return named.select(
        run_id="run_id",
        family=pl.lit("datablations"),
        params="params",
        tokens=tokens,
        loss="loss",
        eval_set=pl.lit("train or validation as logged in TensorBoard (ColPret does not say)"),
        flops=6.0 * pl.col("params") * tokens,
        data="data",
        is_final=tokens == tokens.max().over("run_id"),
        max_epochs=pl.col("epochs").cast(pl.Int64),
        unique_tokens="unique_tokens",
        checkpoint="checkpoint",
        epochs_seen=tokens / pl.col("unique_tokens"),
    )


DATA = PublicData(
    key="datablations",
    title="Data-constrained models, 7M to 8.7B, up to 9000 epochs",
    citation="Muennighoff et al. (2023), Scaling Data-Constrained Language Models, NeurIPS, "
    "arXiv:2305.16264",
    url="https://github.com/huggingface/datablations",
    licence="Apache-2.0 (datablations), MIT (ColPret)",
    permissive=True,
    units="params: as the authors count them; loss: nats/token on C4; tokens: repeats included",
    files=(NOTEBOOK, CURVES),
    tables={
        "final_points": Table(parse=final_points, rows=478, runs=478, needs=(NOTEBOOK.name,)),
        "trajectories": Table(
            parse=trajectories,
            rows=9_261,
            runs=48,
            needs=(CURVES.name,),
            mapping={"epochs": "epochs_seen", "tokens_unique": "unique_tokens"},
        ),
    },
    default_table="final_points",
    notes=(
        "set is paper182 for the points of the published fit, with_seeds for the larger table; "
        "most of the former are in the latter too: fit one of them.",
        "Small models of thousands of epochs over-fit: their loss rises again.",
        "The source's own FLOPs of the trajectories are wrong and are counted anew.",
        "4b284b12bc4opt2 is read as 84B tokens, 12B unique, by the pattern of the other names.",
    ),
)
