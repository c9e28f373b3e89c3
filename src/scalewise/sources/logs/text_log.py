"""Text logs: which file is one, its lines without colours, and the attempts that it tells of."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare
from scalewise.sources.logs.limits import MAX_FILE_BYTES, MAX_HEAD_BYTES, head_of, size_of
from scalewise.sources.logs.log import Log, State, Wanted
from scalewise.sources.logs.points import Points

ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
RANK = re.compile(r"^\[(?:rank|default)?(\d+)\]:?\s*|^(\d{1,5}):\s")
FAILED = "Traceback (most recent call last)"

MOST_ROW = 4 * 2**20  # of a table, which may have a column for each of many runs

_MOST_LINE = 8 * 2**10  # patterns may take time that grows with its square
_NO_LOG = {".py", ".md", ".rst", ".json", ".jsonl", ".csv", ".tsv", ".ipynb", ".html", ".yaml",
           ".yml", ".toml", ".sh", ".js", ".parquet", ".safetensors", ".pt", ".bin"}  # fmt: skip
_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_NUMBER = re.compile(r"([+-]?(?:[\d,]*\.?\d+|\d[\d,]*\.?)(?:[eE][+-]?\d+)?|[+-]?nan|[+-]?inf)"
                     r"([KMBT]?)", re.IGNORECASE)  # fmt: skip


def is_text_log(path: Path, sign: re.Pattern[str]) -> bool:
    """Whether a text file has a line with ``sign`` near its beginning or its end."""
    if path.suffix.lower() in _NO_LOG or not path.is_file():
        return False
    head = head_of(path)
    if not head or b"\0" in head:
        return False
    near = (head, _tail(path, len(head)))
    found = (_text(line[:_MOST_LINE]) for part in near for line in part.splitlines())
    return any(sign.search(ANSI.sub("", line)) for line in found)


def lines(path: Path, lost: dict[str, int], most: int = _MOST_LINE) -> Iterator[str]:
    """Lines without colours, longer ones in pieces; carriage returns end a line too.

    A last line without its end may be half a number: it is left out and counted as truncated.
    Raises RunDataError if the file cannot be read or is too large.
    """
    size_of(path, MAX_FILE_BYTES)
    try:
        with path.open("rb") as file:
            while raw := file.readline(most):
                if not raw.endswith(b"\n") and len(raw) < most:
                    lost["truncated bytes"] = len(raw)
                    break
                for part in raw.split(b"\r"):
                    yield ANSI.sub("", _text(part)).rstrip()
    except OSError as error:
        raise RunDataError(
            f"{bare(str(path), 200)} cannot be read: {bare(str(error), 120)}.",
            hint="Check its permissions.",
        ) from error


def number(text: str) -> float | None:
    """A logged number, thousands separated or with a unit such as M, or None if it is none.

    >>> number("1,234"), number("2.5B"), number("nan") != number("nan"), number("12ms")
    (1234.0, 2500000000.0, True, None)
    """
    match = _NUMBER.fullmatch(text.strip())
    return float(match[1].replace(",", "")) * _UNITS[match[2].upper()] if match else None


class Attempts:
    """The attempts at one run: a training step that comes again begins a new one.

    Of lines that several ranks print, those of the first rank that is seen are kept.
    """

    def __init__(self, wanted: Wanted | None, known: Container[str] = ()) -> None:
        """``wanted`` says which metrics to keep beside those that are ``known``."""
        self.last_step = -1
        self._wanted, self._known = wanted, known
        self._last: Mapping[str, float] = {}
        self._rank: str | None = None
        self._points = [Points()]
        self._starts: list[int | None] = [None]
        self._measured: list[tuple[int, Mapping[str, float]]] = []  # since the last training line
        self._is_failed = False

    def __len__(self) -> int:
        return sum(map(len, self._points)) + len(self._measured)

    def train(self, step: int, values: Mapping[str, float], *, line: str = "") -> None:
        """What a line tells of a training step."""
        if not self._is_first_rank(line) or (step == self.last_step and values == self._last):
            return
        again = step <= self.last_step
        # What was measured just before a run took up its work again belongs to the new attempt.
        anew = [m for m in self._measured if again and m[0] == step]
        self._flush([m for m in self._measured if m not in anew])
        if again:
            self._points.append(Points())
            self._starts.append(step)
        self._flush(anew)
        self.last_step, self._last, self._is_failed = step, values, False
        self._add(step, values)

    def measure(self, step: int, values: Mapping[str, float], *, line: str = "") -> None:
        """What a line tells of an evaluation; it may look back and begins no new attempt."""
        if values and self._is_first_rank(line):
            self._measured.append((step, values))

    def fail(self) -> None:
        """An error was printed; training that goes on takes it back."""
        self._is_failed = True

    def state(self, *, is_finished: bool) -> State:
        """How the last attempt ended."""
        if is_finished:
            return "finished"
        return "failed" if self._is_failed else "running or crashed"

    def logs(self, *, lost: Mapping[str, int], **about: Any) -> list[Log]:
        """One log for each attempt; ``lost`` of the file is told with the last."""
        self._flush(self._measured)
        logs = []
        for index, (points, start) in enumerate(zip(self._points, self._starts, strict=True)):
            frame = points.frame()
            told = lost if index == len(self._points) - 1 else {}
            logs.append(
                Log(points=frame, restart_step=start, lost={**told, **points.lost()}, **about)
            )
        return logs

    def _flush(self, measured: list[tuple[int, Mapping[str, float]]]) -> None:
        for step, values in measured:
            self._add(step, values)
        self._measured = []

    def _is_first_rank(self, line: str) -> bool:
        match = RANK.match(line)
        if match is None:
            return True
        rank = match[1] or match[2]
        self._rank = rank if self._rank is None else self._rank
        return rank == self._rank

    def _add(self, step: int, values: Mapping[str, float]) -> None:
        for metric, value in values.items():
            if self._wanted is None or metric in self._known or self._wanted(metric):
                self._points[-1].add(step, metric, value)


def identity(unit: Path) -> tuple[str, str]:
    """``run_id`` and name of a run that only its file tells apart.

    >>> identity(Path("runs/d12.log"))
    ('runs/d12', 'd12')
    """
    return unit.with_suffix("").as_posix(), unit.stem


def nothing_in(unit: Path, what: str) -> RunDataError:
    """The error of a log without a single point."""
    return RunDataError(
        f"{bare(unit.name, 120)} holds no {what}.",
        hint="A log is read as soon as its first step is printed; check that this is the output "
        "of rank 0.",
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _tail(path: Path, after: int) -> bytes:
    """The last bytes of a file that its head does not show."""
    try:
        with path.open("rb") as file:
            file.seek(max(after, path.stat().st_size - MAX_HEAD_BYTES))
            return file.read(MAX_HEAD_BYTES)
    except OSError:
        return b""
