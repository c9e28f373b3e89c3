"""Train the embedded example and write its run table and card.

    python benchmarks/embedded_ladder.py FOLDER [--workers 2] [--out src/scalewise/runs/example]

FOLDER keeps the runs; the command may be stopped and repeated. About an hour of CPU time.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import os
import platform
import sys
import time
from pathlib import Path

from scalewise.core.records import atomic_write
from scalewise.train.executor import TrainingResult, train_all
from scalewise.train.ladder import pilot_ladder
from scalewise.train.progress import Progress

EXAMPLE = Path(__file__).resolve().parents[1] / "src" / "scalewise" / "runs" / "example"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=EXAMPLE)
    options = parser.parse_args()
    started = time.monotonic()
    result = train_all(pilot_ladder(), options.folder, workers=options.workers, on_progress=tell)
    for event in result.unfinished:
        print(f"unfinished: {event.run_id} {event.status} {event.detail}")
    if result.unfinished:
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    write_table(result, options.out / "ladder.csv")
    write_card(result, options.out / "ladder.toml", options.workers, time.monotonic() - started)
    print(f"wrote {options.out}")
    return 0


def tell(event: Progress) -> None:
    loss = "" if event.loss is None else f" loss {event.loss:.4f}"
    clock = dt.datetime.now(dt.UTC).strftime("%H:%M:%S")
    share = event.updates / event.total_updates
    print(f"{clock} {event.run_id} {event.status} {share:.0%}{loss} {event.detail}", flush=True)


def write_table(result: TrainingResult, path: Path) -> None:
    rows = [{name: rounded(name, value) for name, value in row.items()} for row in result.rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def rounded(name: str, value: object) -> object:
    """Seven digits of what was measured: more than the noise, enough to compare."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.1f}" if name == "cpu_seconds" else float(f"{value:.7g}")
    return value


def write_card(result: TrainingResult, path: Path, workers: int, wall_seconds: float) -> None:
    import numpy as np
    import torch

    last = {row["run_id"]: row for row in result.rows}
    facts = {
        "command": f"python benchmarks/embedded_ladder.py FOLDER --workers {workers}",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "runs": len(last),
        "rows": len(result.rows),
        "corpus": result.rows[0]["corpus"],
        "corpus_fingerprint": result.rows[0]["corpus_fingerprint"],
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in last.values())),
        "wall_seconds_of_last_call": round(wall_seconds),
        "machine": f"{cpu_name()}, {os.cpu_count()} virtual cores",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "held_out": ["pilot-d128-s0", "pilot-d176-s0"],
        "note": "measured by the training room of this package; loss in nats per byte",
        "license": "Apache-2.0",
    }
    lines = [f"{name} = {toml(value)}" for name, value in facts.items()]
    atomic_write(path, "\n".join(lines) + "\n")


def toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
