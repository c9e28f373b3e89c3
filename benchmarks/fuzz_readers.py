"""10,000 damaged logs of every format: no crash, no hang, no file touched outside their folder.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/fuzz_readers.py [count] [seed]

Prints what went wrong with the seed that repeats it; a reading that takes 5 s counts as a hang.
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.sources.logs.damage import damaged, read_all, samples, watched

LIMIT_S = 5


def hung(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"no answer in {LIMIT_S} s")


def failure(folder: Path, name: str, data: bytes) -> str:
    """What went wrong in reading one damaged file; empty if nothing did."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    signal.alarm(LIMIT_S)
    try:
        with watched(folder) as touched:
            read_all(folder)
    except Exception:
        return traceback.format_exc(limit=-4)
    finally:
        signal.alarm(0)
    return f"touched {touched}" if touched else ""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, hung)
    intact = samples()
    names = sorted(intact)
    failures, slowest, began = 0, 0.0, time.process_time()
    for seed in range(first, first + count):
        chance = random.Random(seed)  # noqa: S311
        name = names[seed % len(names)]
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            told = failure(Path(folder), name, damaged(intact[name], chance))
        slowest = max(slowest, time.process_time() - start)
        if told:
            failures += 1
            print(f"seed {seed}, {name}:\n{told}")
    print(f"{count} damaged files of {len(names)} kinds: {failures} failures, slowest "
          f"{slowest:.2f} CPU-s, {time.process_time() - began:.0f} CPU-s in all")  # fmt: skip


if __name__ == "__main__":
    main()
