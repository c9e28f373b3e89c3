"""Per-domain losses of models on many data mixtures (data mixing laws)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from scalewise.sources.public.entry import PublicData, Table, listed_files

if TYPE_CHECKING:
    import polars as pl

PARAMS = MappingProxyType({"70M": 7e7, "160M": 1.6e8, "305M": 3.05e8, "410M": 4.1e8, "1B": 1e9})
"""Nominal sizes: the files' names."""

BATCH_TOKENS = 1024 * 1024
"""Tokens per step: the paper's batch of a million; the files give steps only."""

SETS = ("2Mix", "3Mix", "5Mix", "RedPajama", "ct")


def _line(text: str) -> tuple[str, int | None, str, float]:
    r"""Mixture, step, validation domain and loss of one line.

    >>> _line("a/base2//70M_1-0.25-0.75/27000/\tb/pythia-pile.valid.Github.bin\t1.4")
    ('70M_1-0.25-0.75', 27000, 'Github', 1.4)
    """
    checkpoint, domain, loss = text.split("\t")
    parts = PurePosixPath(checkpoint).parts
    # A folder that is no number is a finished model, whose step the file does not give.
    step = int(parts[-1]) if parts[-1].isdecimal() else None
    mixture = parts[-1] if step is None else parts[-2]
    named = PurePosixPath(domain).name.removesuffix(".bin").removeprefix("pythia-pile.valid.")
    return mixture, step, named, float(loss)


def _rows(name: str, path: Path) -> list[dict[str, Any]]:
    kind, size = PurePosixPath(name).parts[-2], PurePosixPath(name).stem
    rows = []
    for text in path.read_text("utf-8").splitlines():
        if not text.strip():
            continue
        mixture, step, domain, loss = _line(text)
        weights = mixture.split("-", 1)[1] if "-" in mixture else None
        rows.append(
            {
                "run_id": f"{kind}-{size}-{mixture}",
                "params": PARAMS[size],
                "step": None if step is None else float(step),
                "loss": loss,
                "eval_set": domain,
                "set": kind,
                "size": size,
                "mix_name": mixture,
                "mix_weights": weights,
            }
        )
    return rows


def _losses(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per run, step and validation domain."""
    import polars as pl

    def place(name: str) -> tuple[int, float]:
        path = PurePosixPath(name)
        return SETS.index(path.parts[-2]), PARAMS[path.stem]

    rows = [row for name in sorted(files, key=place) for row in _rows(name, files[name])]
    raw = pl.DataFrame(rows, infer_schema_length=None)
    last = pl.col("step") == pl.col("step").max().over("run_id")
    return raw.select(
        "run_id",
        pl.lit("mixinglaws").alias("family"),
        "params",
        (pl.col("step") * BATCH_TOKENS).alias("tokens"),
        "step",
        pl.lit(BATCH_TOKENS, pl.Int64).alias("batch_tokens"),
        pl.lit(4096, pl.Int64).alias("context_length"),
        pl.lit("cosine").alias("schedule"),
        "loss",
        "eval_set",
        last.fill_null(value=False).alias("is_final"),
        "set",
        "size",
        "mix_name",
        "mix_weights",
    )


DATA = PublicData(
    key="mixinglaws",
    title="Data mixing laws: per-domain losses on many mixtures, 70M to 1B",
    citation=(
        "Ye et al. (2025), Data Mixing Laws: Optimizing Data Mixtures by Predicting Language "
        "Modeling Performance, ICLR, arXiv:2403.16952"
    ),
    url="https://github.com/yegcjs/mixinglaws",
    licence="none stated",
    permissive=False,
    units="params: nominal; loss: nats/token of one validation domain",
    files=listed_files(
        "yegcjs/mixinglaws", "8ad3e1244b53294ded55a96ae325f4112ce3bc63", "mixinglaws"
    ),
    tables={"losses": Table(parse=_losses, rows=61_430, runs=276)},
    default_table="losses",
    notes=(
        "tokens assume a batch of 1,048,576 tokens: the paper's figure, not in the files.",
        "Rows without a step are models named by no step: run_id -last does not say which mixture.",
        "Choose one eval_set before fitting: each checkpoint is scored on up to 23 domains.",
        "Intermediate checkpoints of a cosine are not annealed.",
    ),
)
