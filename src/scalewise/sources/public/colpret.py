"""ColPret's loss curves of model families, under the one score that its authors fitted."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from scalewise.sources.public import chinchilla_epoch, datablations, gpt3_curves
from scalewise.sources.public.entry import PublicData, Table, github_file, listed_files
from scalewise.sources.public.large_runs_colpret import size_of

if TYPE_CHECKING:
    import polars as pl

OPT = github_file(
    "IBM/ColPret",
    "16f23bbe054277ddc4afd07a972dd7cfbe3f48c3",
    "aggregated_eval/opt_trajectories.csv",
    10_044,
    "c3a53ccc7a412f0caff4179ce484acf1c2aab36b25677473658f094362449ff5",
)
PYTHIA_NAME = re.compile(
    r"evals/pythia-v1/pythia-(?P<size>[\d.]+[mb])(?P<kind>-deduped|-bf16)?/zero-shot/"
    r".*step(?P<step>\d+)\.json"
)
PYTHIA = tuple(
    replace(file, name=f"pythia/{file.name}")
    for file in listed_files(
        "EleutherAI/pythia", "a19eecb807ec2c79a39ebf18108816e6ffffc1d5", "pythia_evals"
    )
    if PYTHIA_NAME.fullmatch(file.name)
)
PYTHIA_BATCH = 2_097_152

# The names the authors gave models, for the acceptance figures to be found by them.
OPT_NAMES = MappingProxyType({
    "125m": "OPT-0.12B", "1.3b": "OPT-1.30B", "6.7b": "OPT-6.70B", "13b": "OPT-13.00B",
    "30b": "OPT-30.00B", "175b": "OPT-0.17T",
})  # fmt: skip
GPT3_NAMES = MappingProxyType({
    "small": "Small", "medium": "Medium", "large": "Large", "xl": "XL", "2.7b": "2.7B",
    "6.7b": "6.7B", "13b": "13B", "175b": "175B or “GPT-3”",
})  # fmt: skip
COLUMNS = ("family", "model", "params", "tokens", "flops", "perf", "unit", "loss")


def perf(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per checkpoint: ``perf`` as the authors fit it, ``loss`` in nats.

    ``perf`` is a loss in nats, a perplexity or the log2 of one, as ``unit`` says; models are
    ordered as the authors order them, by family and name.
    """
    import polars as pl

    parts = (_opt(files), _gpt3(files), _chinchilla(files), _gpt2(files), _pythia(files))
    nats = {"nats": pl.col("perf"), "perplexity": pl.col("perf").log(),
            "log2 perplexity": pl.col("perf") * math.log(2.0)}  # fmt: skip
    frame = pl.concat(parts).with_columns(
        flops=6.0 * pl.col("params") * pl.col("tokens"),
        loss=pl.coalesce(
            pl.when(pl.col("unit") == unit).then(value) for unit, value in nats.items()
        ),
    )
    return frame.select(COLUMNS).sort("family", "model", "tokens", maintain_order=True)


def _part(frame: pl.DataFrame, unit: str, **columns: pl.Expr) -> pl.DataFrame:
    import polars as pl

    return frame.select(
        *(columns[name].alias(name) for name in ("family", "model", "params", "tokens", "perf")),
        pl.lit(unit).alias("unit"),
    )


def _opt(files: Mapping[str, Path]) -> pl.DataFrame:
    import polars as pl

    raw = pl.read_csv(files[OPT.name])
    params = size_of(pl.col("model_size"))
    return _part(
        raw,
        "perplexity",
        family=pl.lit("OPT"),
        model=pl.col("model_size").replace_strict(OPT_NAMES),
        params=params,
        tokens=10.0 ** pl.col("num_token"),
        perf=pl.col("ppl"),
    )


def _gpt3(files: Mapping[str, Path]) -> pl.DataFrame:
    import polars as pl

    points = gpt3_curves.raw(files).filter(pl.col("eval_set") == "val")
    return _part(
        points,
        "nats",
        family=pl.lit("gpt3"),
        model=pl.format("GPT-3 {}", pl.col("model").replace_strict(GPT3_NAMES)),
        params=pl.col("params"),
        tokens=pl.col("tokens"),
        perf=pl.col("loss"),
    )


def _chinchilla(files: Mapping[str, Path]) -> pl.DataFrame:
    import polars as pl

    points = chinchilla_epoch.points(files)
    params = (pl.col("params") / 1e7).round() * 1e7
    return _part(
        points,
        "nats",
        family=pl.lit("chinchilla"),
        model=pl.format("chin{}", params.cast(pl.Int64)),
        params=params,
        tokens=pl.col("flops") / (6.0 * params),
        perf=pl.col("loss"),
    )


def _gpt2(files: Mapping[str, Path]) -> pl.DataFrame:
    """The data-constrained models, by corpus and epochs, under nominal sizes."""
    import polars as pl

    raw = pl.read_csv(files[datablations.CURVES.name], infer_schema_length=None)
    epochs = pl.col("epochs").cast(pl.Float64)
    billions = pl.col("num_params").str.strip_suffix("B")
    return _part(
        raw,
        "nats",
        family=pl.format("GPT2-{}-{}", "data", epochs),
        model=pl.format("GPT2-{}0B-{}-{}", billions, "data", epochs),
        params=billions.cast(pl.Float64) * 1e9,
        tokens=pl.col("token_num").cast(pl.Float64),
        perf=pl.col("loss"),
    )


def _pythia(files: Mapping[str, Path]) -> pl.DataFrame:
    """Perplexity of LAMBADA's last word; the untrained model is left out."""
    import polars as pl

    rows = []
    for file in PYTHIA:
        found = PYTHIA_NAME.fullmatch(file.name.removeprefix("pythia/"))
        if found is None or int(found["step"]) == 0:
            continue
        results = json.loads(files[file.name].read_text("utf-8"))["results"]
        rows.append({
            "size": found["size"],
            "kind": found["kind"] or "",
            "step": int(found["step"]),
            "ppl": float(results["lambada_openai"]["ppl"]),
        })  # fmt: skip
    kind = pl.col("kind")
    bf16 = pl.format("pythia-bf16-{}", "size")
    return _part(
        pl.DataFrame(rows, infer_schema_length=None),
        "log2 perplexity",
        family=pl.concat_str(pl.lit("pythia"), kind),
        model=pl.when(kind == "-bf16").then(bf16).otherwise(pl.format("pythia-{}{}", "size", kind)),
        params=size_of(pl.col("size")),
        tokens=pl.col("step").cast(pl.Float64) * PYTHIA_BATCH,
        perf=pl.col("ppl").log(2.0),
    )


DATA = PublicData(
    key="colpret",
    title="ColPret's families under one score: OPT, GPT-3, Chinchilla, GPT-2, Pythia",
    citation="Choshen, Zhang & Andreas (2024), A Hitchhiker's Guide to Scaling Law Estimation, "
    "arXiv:2410.11840",
    url="https://github.com/IBM/ColPret",
    licence="MIT (ColPret), Apache-2.0 (Pythia); Chinchilla's points: none stated",
    permissive=False,
    units="params: nominal, defined differently by source; loss: nats, but per word of LAMBADA "
    "for pythia; perf: the authors' score, in the unit that unit says",
    files=(OPT, gpt3_curves.FILE, chinchilla_epoch.FILE, datablations.CURVES, *PYTHIA),
    tables={"perf": Table(parse=perf, rows=16_570, runs=121, mapping={"run_id": "model"})},
    default_table="perf",
    notes=(
        "perf has no one unit: errors of a perplexity are about loss times those of its log.",
        "Of the authors' 46 families these are the ones whose raw files are pinned here; the "
        "others (Pile, SlimPajama, olmo, redPajama, t5-pile, bloom, opt and Pythia's variants) "
        "have no checksum to verify a download by.",
        "Pythia's evaluations are those of a later commit than the authors'.",
    ),
)
