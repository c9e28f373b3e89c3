"""Loss curves of three sizes under nine learning-rate schedules (the multi-power law's data)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, listed_files

if TYPE_CHECKING:
    import polars as pl

TRAINED_ON = frozenset({"cosine_24000", "constant_24000", "wsdcon_9"})
"""The curves the authors fit; the other six are their test."""

TOTAL_STEPS = MappingProxyType({"24000": 24_000.0, "72000": 72_000.0})


def _curve(name: str, path: Path) -> pl.DataFrame:
    import polars as pl

    size, schedule = PurePosixPath(name).parent.name.removeprefix("csv_"), PurePosixPath(name).stem
    raw = pl.read_csv(path, schema_overrides={"lr": pl.Float64, "loss": pl.Float64})
    step = pl.col("step").cast(pl.Int64)
    planned = TOTAL_STEPS.get(schedule.rsplit("_", 1)[-1])
    return raw.select(
        run_id=pl.lit(f"mpl-{size}M-{schedule}"),
        family=pl.lit("mpl"),
        params=pl.lit(float(size) * 1e6),
        tokens=pl.lit(None, pl.Float64),
        step=step,
        batch_tokens=pl.lit(None, pl.Float64),
        lr=pl.lit(3e-4),
        schedule=pl.lit(schedule),
        loss=pl.col("loss"),
        eval_set=pl.lit("train/val as logged (paper: validation)"),
        data=pl.lit("FineWeb"),
        is_final=step == step.max(),
        lr_now=pl.col("lr"),
        split=pl.lit("train" if schedule in TRAINED_ON else "test"),
        # A two-stage run states no horizon: it has its last logged step.
        total_steps=pl.lit(planned) if planned else step.max().cast(pl.Float64),
    )


def _curves(files: Mapping[str, Path]) -> pl.DataFrame:
    """All 27 curves, one after another."""
    import polars as pl

    return pl.concat([_curve(name, path) for name, path in sorted(files.items())])


DATA = PublicData(
    key="mpl_schedules",
    title="Loss curves under nine learning-rate schedules, 25M to 400M",
    citation=(
        "Luo et al. (2025), A Multi-Power Law for Loss Curve Prediction Across Learning Rate "
        "Schedules, ICLR, arXiv:2503.12811"
    ),
    url="https://github.com/thu-yao-01-luo/MultiPowerLaw",
    licence="MIT",
    permissive=True,
    units="params: nominal (25M, 100M, 400M); loss: nats/token; no token counts",
    files=listed_files(
        "thu-yao-01-luo/MultiPowerLaw", "8da9f1902602f3391b971a811e3cc51604541769", "mpl_schedules"
    ),
    tables={"curves": Table(parse=_curves, rows=6_265, runs=27)},
    default_table="curves",
    notes=(
        "The repository states no batch size in tokens: tokens and batch_tokens are empty.",
        "Rows start after a linear warm-up of 2160 steps to the peak rate of 3e-4.",
        "split is the authors' own: three schedules to fit, six to predict.",
        "Curves of one size share their constant part row for row: they are not independent runs.",
    ),
)
