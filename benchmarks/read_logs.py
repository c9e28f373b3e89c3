"""CPU time and memory of reading 1,000,000 points: W&B offline, TensorBoard, JSONL.

The files are written here by the formats' own rules (a million points by the real tools would take
longer than the reading); that the real tools' files are read is for the tests. Each format is read
in a process of its own, whose peak memory is told.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/read_logs.py
"""

from __future__ import annotations

import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

from scalewise.sources.logs.masked_crc import masked_crc

POINTS = 1_000_000
STEPS = 100_000
METRICS = ["train/loss", "train/lr", "tokens", "val/loss", "perf/tps", "perf/mfu", "optim/norm",
           "optim/scale", "data/epoch", "data/wait"]  # fmt: skip


def values(step: int) -> dict[str, float]:
    loss = 2.0 + 10.0 / (step + 1) ** 0.3
    return {name: loss + place for place, name in enumerate(METRICS)} | {
        "tokens": 524288.0 * (step + 1)
    }


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def wandb_record(step: int) -> list[bytes]:
    row = {**values(step), "_step": step, "_timestamp": 1.7e9 + step}
    items = b"".join(
        field(1, field(2, key.encode()) + field(16, json.dumps(value).encode()))
        for key, value in row.items()
    )
    # The current SDK writes two summary records beside each row.
    return [field(2, items), field(3, items), field(3, items)]


def write_wandb(folder: Path) -> Path:
    path = folder / "offline-run-20261122_000000-bench000" / "run-bench000.wandb"
    path.parent.mkdir()
    out = bytearray(b":W&B\xe1\xbe\x00")
    for step in range(STEPS):
        for record in wandb_record(step):
            rest, first = record, True
            while True:
                room = 32768 - len(out) % 32768
                if room < 7:
                    out += b"\0" * room
                    continue
                piece, rest = rest[: room - 7], rest[room - 7 :]
                kind = (1 if first else 4) if not rest else (2 if first else 3)
                crc = zlib.crc32(bytes([kind]) + piece)
                out += struct.pack("<IHB", crc, len(piece), kind) + piece
                first = False
                if not rest:
                    break
    path.write_bytes(out)
    return path


def write_tensorboard(folder: Path) -> Path:
    path = folder / "events.out.tfevents.1700000000.bench"
    checks: dict[bytes, int] = {}
    with path.open("wb") as file:
        for step in range(STEPS):
            for name, value in values(step).items():
                scalar = field(1, name.encode()) + b"\x15" + struct.pack("<f", value)
                event = b"\x09" + struct.pack("<d", 1.7e9 + step) + b"\x10" + varint(step)
                event += field(5, field(1, scalar))
                head = struct.pack("<Q", len(event))
                if head not in checks:
                    checks[head] = masked_crc(head)
                file.write(head + struct.pack("<I", checks[head]) + event)
                file.write(struct.pack("<I", masked_crc(event)))
    return path


def write_jsonl(folder: Path) -> Path:
    path = folder / "metrics.jsonl"
    with path.open("w") as file:
        for step in range(STEPS):
            file.write(json.dumps({"step": step, **values(step)}) + "\n")
    return path


def read(path: str) -> None:
    from scalewise.sources.logs.gather import gather
    from scalewise.sources.logs.read import reading_of

    began = time.process_time()
    gathering = gather(path, every_metric=True)
    read_at = time.process_time()
    table = reading_of(gathering).table
    done = time.process_time()
    points = gathering.logs[0].log.points
    count = points.height * (points.width - 1) - sum(points.null_count().row(0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{count} points read in {read_at - began:.2f} CPU-s, {len(table)} rows of the table in "
          f"{done - read_at:.2f} more; peak {peak:.2f} GiB")  # fmt: skip


def main() -> None:
    if len(sys.argv) > 1:
        read(sys.argv[1])
        return
    for write in (write_wandb, write_tensorboard, write_jsonl):
        with tempfile.TemporaryDirectory() as folder:
            path = write(Path(folder))
            size = path.stat().st_size / 2**20
            print(f"{write.__name__.removeprefix('write_')}, {size:.0f} MiB:", flush=True)
            subprocess.run([sys.executable, __file__, folder], check=True)


if __name__ == "__main__":
    main()
