"""Forecast the held-out run of the embedded batch experiment, then compare.

    python benchmarks/batch_forecast.py [--out forecast.json] [--oracle]

The forecast of the whole curve of a model nine times larger than the largest fitted one, at a batch
size that no fitted run has, is written before the measured curve is read. With --oracle follows
what the form of the law could reach at best (see batch_oracle.py), which uses the measured curve
and so is no forecast.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from batch_oracle import oracle

import scalewise
from scalewise.core.records import atomic_write, to_json
from scalewise.forecast.curves import read_curves
from scalewise.forecast.estimate import FORMS, fit_trajectory
from scalewise.runs.example.batch import batch_held_out_runs, batch_runs

PARAMS_NONEMBED, BATCH_TOKENS, STEPS, WARMUP = 885_696.0, 1536.0, 3906, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("forecast.json"))
    parser.add_argument("--oracle", action="store_true", help="also what could be had at best")
    options = parser.parse_args()
    step = np.unique(np.geomspace(2 * WARMUP, STEPS, 200).round())
    place = {"params_nonembed": PARAMS_NONEMBED, "batch_tokens": BATCH_TOKENS}
    chosen = fit_trajectory(batch_runs(), bootstrap=300)
    fits = {"chosen": chosen.result}
    fits |= {form: fit_trajectory(batch_runs(), forms=(form,)).result for form in FORMS}
    curves = {name: fit.predict(step=step, **place) for name, fit in fits.items()}
    written = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "scalewise": scalewise.__version__,
        "law": chosen.result.law.key,
        "step": step,
        **{name: {"loss": c.value, "low": c.low, "high": c.high} for name, c in curves.items()},
    }
    atomic_write(options.out, to_json(written, indent=1))
    print(f"wrote {options.out}; chosen form {chosen.result.law.key}")
    for score in chosen.forms:
        errors = ", ".join(f"{name} {error:.2%}" for name, error in score.errors.items())
        print(f"  {score.law:18} held-out curves among the fitted: {errors}")

    measured = read_curves(batch_held_out_runs()).table
    at, loss = measured.column("step"), measured.column("loss")
    print(f"{len(at)} measured points after warm-up")
    for name, curve in curves.items():
        predicted, low, high = (
            np.exp(np.interp(np.log(at), np.log(step), np.log(np.asarray(edge))))
            for edge in (curve.value, curve.low, curve.high)
        )
        error = predicted / loss - 1
        inside = np.mean((loss >= low) & (loss <= high))
        print(
            f"  {name:18} median |error| {np.median(np.abs(error)):.2%}, end {error[-1]:+.2%}, "
            f"inside the 90% band {inside:.0%}, band {np.median((high - low) / loss):.1%} wide"
        )
    if options.oracle:
        oracle(chosen)


if __name__ == "__main__":
    main()
