"""Train the batch-size experiment: a scan of batch sizes, a ladder of sizes, one held-out model.

    python benchmarks/batch_ladder.py tune FOLDER        # learning rates, by short runs
    python benchmarks/batch_ladder.py train FOLDER       # the runs to fit on
    python benchmarks/batch_ladder.py held-out FOLDER    # the larger model; tells no losses
    python benchmarks/batch_ladder.py table FOLDER --out FILE.csv

Every part may be stopped and repeated. FOLDER/fit holds the runs to fit on and FOLDER/held_out
the others, so that a forecast can be written before anybody has seen what it forecasts.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import sys
from pathlib import Path

from scalewise.runs.spec import RunSpec
from scalewise.train.executor import train_all
from scalewise.train.progress import Progress
from scalewise.train.rates import tune_rates
from scalewise.train.run_folder import finished_rows
from scalewise.train.shape import shape_from_width

SCAN_WIDTH = 48
SCAN = {  # batch_tokens -> tokens; the largest batches need more to come to the same losses
    256: 4_000_000,
    512: 5_000_000,
    1024: 8_000_000,
    2048: 8_000_000,
    4096: 9_000_000,
    8192: 9_400_000,
    16384: 9_400_000,
}
SIZES_BATCH, SIZES_TOKENS = 1024, 8_000_000
SIZES = (16, 20, 24, 32, 40, 64)
SECOND_SEED = ((24, 1024), (48, 1024), (48, 4096))
SECOND_SCAN_WIDTH, SECOND_SCAN = 24, (256, 4096, 16384)
HELD_OUT_WIDTH, HELD_OUT_BATCH, HELD_OUT_TOKENS = 192, 1536, 8_000_000


def run(width: int, batch_tokens: int, tokens: int, *, seed: int = 0) -> RunSpec:
    """One run at constant rate, measured at 50 steps evenly spaced in their logarithm."""
    return RunSpec(
        run_id=f"batch-d{width}-b{batch_tokens}-s{seed}",
        shape=shape_from_width(width, n_layer=2),
        token_budgets=(tokens // batch_tokens * batch_tokens,),
        batch_tokens=batch_tokens,
        lr_peak=0.008 * min(2.0, (batch_tokens / 1024) ** 0.5),  # where the search begins
        schedule="constant",
        warmup_steps=40,
        weight_decay=0.0,
        beta2=0.99,
        averaging=0.1,
        seed=seed,
        family="batch",
        eval_tokens=65_536,
        eval_points=50,
    )


def fitted() -> tuple[RunSpec, ...]:
    """The runs to fit on, the rates not yet tuned."""
    scan = [run(SCAN_WIDTH, batch, tokens) for batch, tokens in SCAN.items()]
    sizes = [run(width, SIZES_BATCH, SIZES_TOKENS) for width in SIZES]
    return (*scan, *sizes)


def repeated() -> tuple[RunSpec, ...]:
    """Further runs to fit on: second seeds, and a scan at another size."""
    seeds = [run(width, batch, SCAN[batch], seed=1) for width, batch in SECOND_SEED]
    second = [run(SECOND_SCAN_WIDTH, batch, SCAN[batch]) for batch in SECOND_SCAN]
    return (*seeds, *second)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("tune", "train", "repeat", "held-out", "table"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.part == "table":
        write_table(options.folder, options.out or options.folder / "runs.csv")
        return 0
    search = tune_rates(
        fitted(), options.folder / "tuning", workers=options.workers, on_progress=tell
    )
    if options.part == "tune":
        for cell in search.cells:
            print(cell)
        print(search.rule)
        return 0
    specs, place = {
        "train": (fitted(), "fit"),
        "repeat": (repeated(), "fit"),
        "held-out": ((run(HELD_OUT_WIDTH, HELD_OUT_BATCH, HELD_OUT_TOKENS),), "held_out"),
    }[options.part]
    result = train_all(
        search.ruled(specs),
        options.folder / place,
        workers=options.workers,
        on_progress=tell_no_loss if options.part == "held-out" else tell,
    )
    return 1 if result.unfinished else 0


def tell(event: Progress) -> None:
    loss = "" if event.loss is None else f" loss {event.loss:.4f}"
    clock = dt.datetime.now(dt.UTC).strftime("%H:%M:%S")
    share = event.updates / event.total_updates
    print(f"{clock} {event.run_id} {event.status} {share:.0%}{loss} {event.detail}", flush=True)


def tell_no_loss(event: Progress) -> None:
    if event.loss is None:
        tell(event)


def write_table(folder: Path, path: Path) -> None:
    """All finished runs below a queue folder, as one CSV."""
    rows = finished_rows(folder)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
