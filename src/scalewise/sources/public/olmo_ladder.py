"""The OLMo task-scaling ladder: five sizes by six token budgets, losses and task scores."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, listed_files

if TYPE_CHECKING:
    import polars as pl

WIDTHS = MappingProxyType({"190M": 768, "370M": 1024, "760M": 1536, "1B": 2048, "3B": 3328})
"""Width of each size, from the run names' model configurations."""

PARAMS = MappingProxyType(
    {"190M": 190_354_176, "370M": 371_262_464, "760M": 758_220_288,
     "1B": 1_279_395_840, "3B": 3_169_537_280}
)  # fmt: skip
"""The paper's N: the blocks and one vocabulary matrix."""

VOCABULARY = 100_352
"""Rows of that matrix; taken off for ``params_nonembed``."""

CONTEXT = 2048
"""Tokens per sequence, from the ladder's configurations."""

SIZES = tuple(PARAMS)
GROUPS = MappingProxyType(
    {"eval/downstream_bpb/": "bpb/", "eval/downstream/": "acc/",
     "eval/downstream_soft/": "soft/", "eval/downstream_soft_log/": "softlog/"}
)  # fmt: skip
LOSS = re.compile(r"eval/(?P<corpus>.+)-validation/CrossEntropyLoss")


def _checkpoints(files: Mapping[str, Path]) -> Iterator[pl.DataFrame]:
    """Each run's table as published, with what its name says of it in front."""
    import polars as pl

    for name, path in sorted(files.items()):
        stem = name.rsplit("/", 1)[-1].removesuffix(".csv")
        size, budget = stem.split("-")[:2]
        params = PARAMS[size]
        raw = pl.read_csv(path, infer_schema_length=None).with_columns(pl.col("_step").cast(float))
        yield raw.with_columns(
            run_id=pl.lit(f"olmo-{stem}"),
            family=pl.lit("olmo-ladder"),
            params=pl.lit(params, pl.Int64),
            params_nonembed=pl.lit(params - VOCABULARY * WIDTHS[size], pl.Int64),
            tokens=pl.col("throughput/total_tokens").cast(pl.Float64),
            step=pl.col("_step"),
            batch_tokens=pl.col("batch_size_in_tokens").cast(pl.Int64),
            context_length=pl.lit(CONTEXT, pl.Int64),
            lr=pl.col("learning_rate_peak"),
            schedule=pl.lit("cosine to 10% (paper)"),
            flops=pl.col("throughput/total_training_Gflops") * 1e9,
            data=pl.lit("OLMo-mix-1124"),
            is_final=pl.col("_step") == pl.col("_step").max(),
            size=pl.lit(size),
            lr_now=pl.col("optim/learning_rate_group0"),
            chinchilla_multiple=pl.lit(float(budget.removesuffix("xC"))),
        )


_FIRST = ("run_id", "family", "params", "params_nonembed", "tokens", "step", "batch_tokens",
          "context_length", "lr", "schedule")  # fmt: skip
_LAST = ("data", "is_final", "size", "lr_now", "chinchilla_multiple")


def _losses(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per run, corpus and checkpoint."""
    import polars as pl

    tables = []
    for run in _checkpoints(files):
        found = [(match["corpus"], match.string) for match in map(LOSS.fullmatch, run.columns)
                 if match]  # fmt: skip
        tables += [
            run.with_columns(loss=pl.col(column), eval_set=pl.lit(corpus)).select(
                *_FIRST, "loss", "eval_set", "flops", *_LAST
            )
            for corpus, column in found
        ]
    return pl.concat(tables)


def _downstream(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per run and checkpoint, one column per task and measure."""
    import polars as pl

    tables = []
    for run in _checkpoints(files):
        tasks = [
            pl.col(column).alias(short + column.removeprefix(folder))
            for folder, short in GROUPS.items()
            for column in run.columns
            if column.startswith(folder)
        ]
        c4 = pl.col("eval/c4_en-validation/CrossEntropyLoss").alias("loss_c4")
        tables.append(run.select(*_FIRST, "flops", *_LAST, *tasks, c4))
    return pl.concat(tables)


DATA = PublicData(
    key="olmo_ladder",
    title="OLMo task-scaling ladder, 190M to 3B",
    citation=(
        "Bhagia et al. (2024), Establishing Task Scaling Laws via Compute-Efficient Model "
        "Ladders, arXiv:2412.04403"
    ),
    url="https://github.com/allenai/OLMo-ladder",
    licence="Apache-2.0",
    permissive=True,
    units=(
        "params: the blocks and one vocabulary matrix; loss: nats/token of the OLMo 2 tokenizer; "
        "bpb: bits per byte of the right answer"
    ),
    files=listed_files(
        "allenai/OLMo-ladder", "67a3f440f787d020da35e3ca8eeae475fae754f5", "olmo_ladder"
    ),
    tables={
        "losses": Table(parse=_losses, rows=39_259, runs=30),
        "downstream": Table(parse=_downstream, rows=3_569, runs=30, mapping={"loss": "loss_c4"}),
    },
    default_table="losses",
    notes=(
        "params counts one vocabulary matrix, so it is neither the total nor the non-embedding "
        "count.",
        "A run's last row is annealed to a tenth of the peak rate; the rows before it are not.",
        "The -rerun runs repeat 1xC with denser evaluations: use one of the two.",
        "loss is measured on eleven corpora: choose one eval_set before fitting.",
    ),
)
