"""Charts exported as CSV from the W&B page: a column ``<run> - <metric>`` for each line.

The page samples long runs, and may drop steps; ``__MIN`` and ``__MAX`` beside a column tell that
its values are means of a bin.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare, quoted
from scalewise.sources.logs.limits import MAX_METRICS, head_of
from scalewise.sources.logs.log import Log, Wanted
from scalewise.sources.logs.points import Points
from scalewise.sources.logs.text_log import MOST_ROW, lines, nothing_in, number

_LINE = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<band>__MIN|__MAX)?")
_STEP = {"Step", "_step"}
_NOTE = "exported from a chart, which samples long runs: points may be missing"


class WandbCsvReader:
    """A chart's CSV export."""

    key = "wandb-csv"
    title = "W&B chart as CSV"

    def units(self, path: Path) -> list[Path]:
        """The file, if all columns but the first are lines of runs and some have a band."""
        if path.suffix != ".csv" or not path.is_file():
            return []
        header = _header(head_of(path, MOST_ROW).split(b"\n", 1)[0].decode("utf-8", "replace"))
        found = [_LINE.fullmatch(name) for name in header[1:]]
        is_chart = any(m and m["band"] for m in found) or header[:1] == ["Step"]
        return [path] if found and all(found) and is_chart else []

    def read(self, unit: Path, *, wanted: Wanted | None = None) -> list[Log]:
        """One log for each run of the chart. Raises RunDataError if it is not over steps."""
        lost: dict[str, int] = {}
        reader = csv.reader(lines(unit, lost, MOST_ROW))
        header = next(reader, [])[:MAX_METRICS]
        columns = [(index, match["run"], match["metric"]) for index, name in enumerate(header)
                   if (match := _LINE.fullmatch(name)) and not match["band"]]  # fmt: skip
        axes = _axes(unit, header, columns)
        runs: dict[str, Points] = {}
        for row in reader:
            cells = dict(enumerate(row[: len(header)]))
            for index, run, metric in columns:
                value = number(cells.get(index, ""))
                step = number(cells.get(axes[run], ""))
                if value is None or step is None or not 0 <= step < 2**53 or metric in _STEP:
                    continue
                if wanted is None or wanted(metric):
                    runs.setdefault(run, Points()).add(int(step), metric, value)
        if not runs:
            raise nothing_in(unit, "line of a run over steps")
        return [_log(unit, run, points, lost) for run, points in runs.items()]


def _log(unit: Path, run: str, points: Points, lost: dict[str, int]) -> Log:
    frame = points.frame()
    grouped = (f"{bare(run)} is the mean of a group of runs",) if run.startswith("Group: ") else ()
    return Log(
        run_id=run,
        name=run,
        kind=WandbCsvReader.key,
        source=str(unit),
        points=frame,
        notes=(_NOTE, *grouped),
        lost=lost | points.lost(),
    )


def _axes(unit: Path, header: list[str], columns: list[tuple[int, str, str]]) -> dict[str, int]:
    """The column that counts steps, by run: the first, or one of the run's own."""
    if header[:1] and header[0] in _STEP:
        return {run: 0 for _, run, _ in columns}
    own = {run: index for index, run, metric in columns if metric in _STEP}
    if {run for _, run, _ in columns} - own.keys():
        raise RunDataError(
            f"{bare(unit.name, 120)} is drawn over {quoted(header[0] if header else '')}, and "
            "has no steps.",
            hint="Export the chart again with Step as its x axis.",
        )
    return own


def _header(line: str) -> list[str]:
    try:
        return next(csv.reader([line.strip()]), [])
    except csv.Error:
        return []
