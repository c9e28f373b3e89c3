"""Lightning's ``metrics.csv``: a sparse table with one row for each call that logged."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from scalewise.sources.logs.limits import MAX_METRICS, head_of, read_bytes, size_of
from scalewise.sources.logs.log import Log, Wanted
from scalewise.sources.logs.plain_yaml import settings
from scalewise.sources.logs.points import Points
from scalewise.sources.logs.text_log import MOST_ROW, lines, nothing_in, number


class LightningReader:
    """``metrics.csv`` of the CSV logger, with ``hparams.yaml`` beside it."""

    key = "lightning"
    title = "Lightning CSV log"

    def units(self, path: Path) -> list[Path]:
        """The file, if it is called so and has the columns step and epoch."""
        if path.name != "metrics.csv" or not path.is_file():
            return []
        header = head_of(path).split(b"\n", 1)[0].strip().split(b",")
        return [path] if {b"step", b"epoch"} <= set(header) else []

    def read(self, unit: Path, *, wanted: Wanted | None = None) -> list[Log]:
        """The run of one version folder. Raises RunDataError if no row has a step."""
        points, lost, bad = Points(), dict[str, int](), 0
        for step, values in _rows(unit, lost):
            if step is None or not 0 <= step < 2**53:
                bad += 1
                continue
            for name, value in values.items():
                if wanted is None or wanted(name):
                    points.add(int(step), name, value)
        if not len(points):
            raise nothing_in(unit, "row with a step")
        beside = unit.with_name("hparams.yaml")
        is_there = beside.is_file() and not beside.is_symlink() and size_of(beside) < 2**20
        frame = points.frame()
        return [
            Log(
                run_id=unit.parent.as_posix(),
                name="/".join(unit.parent.parts[-2:]),
                kind=self.key,
                source=str(unit),
                points=frame,
                config=settings(read_bytes(beside, 2**20)) if is_there else {},
                lost=lost | points.lost() | ({"unreadable records": bad} if bad else {}),
            )
        ]


def _rows(unit: Path, lost: dict[str, int]) -> Iterator[tuple[float | None, dict[str, float]]]:
    reader = csv.reader(lines(unit, lost, MOST_ROW))
    header = next(reader, [])[:MAX_METRICS]
    for row in reader:
        cells = {name: value for name, cell in zip(header, row, strict=False)
                 if cell and (value := number(cell)) is not None}  # fmt: skip
        step = cells.pop("step", None)
        cells.pop("epoch", None)
        yield step, cells
