"""Train the batch-size experiment: a scan of batch sizes, a ladder of sizes, one held-out model.

    python benchmarks/batch_ladder.py tune FOLDER       # learning rates, by short runs
    python benchmarks/batch_ladder.py train FOLDER      # the runs to fit on
    python benchmarks/batch_ladder.py repeat FOLDER     # second seeds, a scan at another size
    python benchmarks/batch_ladder.py branch FOLDER     # local critical batches, from checkpoints
    python benchmarks/batch_ladder.py held-out FOLDER   # the larger model; tells no losses
    python benchmarks/batch_ladder.py table FOLDER      # tables and a card, into --out

Every part may be stopped and repeated, and needs `tune` before it. FOLDER/fit holds the runs to
fit on and FOLDER/held_out the others, so that a forecast can be written before anybody has seen
what it forecasts. About 70 minutes of CPU time.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import os
import platform
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from embedded_ladder import cpu_name, rounded, toml

from scalewise.core.records import atomic_write, to_json
from scalewise.runs.spec import RunSpec
from scalewise.train.branches import branched_batch
from scalewise.train.executor import train_all
from scalewise.train.progress import Progress
from scalewise.train.rates import RateSearch, tune_rates
from scalewise.train.run_folder import Row, finished_rows
from scalewise.train.shape import shape_from_width
from scalewise.train.tokenizer import load_tokens

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
SECOND_SEED = tuple((width, 1024) for width in (48, 24, 32, 40, 16, 20))
SECOND_SCAN_WIDTH, SECOND_SCAN = 24, (256, 4096)
HELD_OUT_WIDTH, HELD_OUT_BATCH, HELD_OUT_TOKENS = 192, 1536, 6_000_000
BRANCH_TOKENS, BRANCH_AT = 524_288, (500_000, 2_000_000)
BRANCHES = "branches.json"
TABLES = {"ladder": "fit", "held_out": "held_out", "rates": "tuning/rate-trials"}
DROPPED = ("flops_exact", "decay_fraction", "vocab_size", "bytes_per_token")  # say nothing here
PARTS = ("tune", "train", "repeat", "branch", "held-out", "table")


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
    """Further runs to fit on: second seeds with the gradient noise, and a scan at another size."""
    seeds = [run(width, batch, SCAN[batch], seed=1) for width, batch in SECOND_SEED]
    second = [run(SECOND_SCAN_WIDTH, batch, SCAN[batch]) for batch in SECOND_SCAN]
    return (*(replace(spec, noise_every=25) for spec in seeds), *second)


def held_out() -> tuple[RunSpec, ...]:
    """Nine times the largest fitted model, at a batch size that no other run has."""
    return (run(HELD_OUT_WIDTH, HELD_OUT_BATCH, HELD_OUT_TOKENS),)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="where `table` writes; FOLDER")
    options = parser.parse_args()
    folder: Path = options.folder
    if options.part == "table":
        write_tables(folder, options.out or folder)
        return 0
    search = tune_rates(fitted(), folder / "tuning", workers=options.workers, on_progress=tell)
    if options.part == "tune":
        print(to_json(search, indent=1))
    elif options.part == "branch":
        branch(search, folder)
    else:
        specs, place = {
            "train": (fitted(), "fit"),
            "repeat": (repeated(), "fit"),
            "held-out": (held_out(), "held_out"),
        }[options.part]
        told = tell_no_loss if options.part == "held-out" else tell
        result = train_all(
            search.ruled(specs), folder / place, workers=options.workers, on_progress=told
        )
        return 1 if result.unfinished else 0
    return 0


def branch(search: RateSearch, folder: Path) -> None:
    """Local critical batches at two moments of one run, each at the end of a run to there."""
    queue = folder / "branches"
    runs = [run(SCAN_WIDTH, SIZES_BATCH, tokens) for tokens in BRANCH_AT]
    named = [replace(spec, run_id=f"{spec.run_id}-t{spec.tokens}") for spec in runs]
    ruled = search.ruled(named)
    train_all(ruled, queue, on_progress=tell)
    tokens = load_tokens(queue / "tokens" / ruled[0].tokenizer)
    found = [
        branched_batch(spec, tokens, queue, branch_tokens=BRANCH_TOKENS, factors=(1, 2, 4, 8, 16))
        for spec in ruled
    ]
    atomic_write(folder / BRANCHES, to_json(found, indent=1))
    print(to_json(found, indent=1))


def tell(event: Progress) -> None:
    loss = "" if event.loss is None else f" loss {event.loss:.4f}"
    clock = dt.datetime.now(dt.UTC).strftime("%H:%M:%S")
    share = event.updates / event.total_updates
    print(f"{clock} {event.run_id} {event.status} {share:.0%}{loss} {event.detail}", flush=True)


def tell_no_loss(event: Progress) -> None:
    tell(replace(event, loss=None))


def write_tables(folder: Path, out: Path) -> None:
    """The finished runs of each queue as one CSV, and a card about all of them."""
    search = json.loads((folder / "tuning" / "rates.json").read_text())
    facts: dict[str, object] = {
        "command": "python benchmarks/batch_ladder.py PART FOLDER",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": f"{cpu_name()}, {os.cpu_count()} virtual cores, shared",
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "held_out": [spec.run_id for spec in held_out()],
        "note": "measured by the training room of this package; loss in nats per byte",
        "license": "Apache-2.0",
        "rate_rule": [f"{name} = {value:.6g}" for name, value in search["rule"].items()],
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, place in TABLES.items():
        rows = finished_rows(folder / place)
        ends = {row["run_id"]: row for row in rows}
        facts[f"{name}_runs"], facts[f"{name}_rows"] = len(ends), len(rows)
        facts[f"{name}_cpu_seconds"] = round(sum(row["cpu_seconds"] for row in ends.values()))
        if rows:
            write_table(rows, out / f"batch_{name}.csv")
            facts |= {key: rows[0][key] for key in ("corpus", "corpus_fingerprint")}
    if (folder / BRANCHES).exists():
        atomic_write(out / f"batch_{BRANCHES}", (folder / BRANCHES).read_bytes())
    text = "".join(f"{name} = {toml(value)}\n" for name, value in facts.items())
    atomic_write(out / "batch_ladder.toml", text)


def write_table(rows: list[Row], path: Path) -> None:
    names = [n for n in dict.fromkeys(name for row in rows for name in row) if n not in DROPPED]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=names, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: rounded(name, row[name]) for name in names if name in row})


if __name__ == "__main__":
    sys.exit(main())
