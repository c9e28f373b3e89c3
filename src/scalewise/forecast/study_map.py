"""Maps of a study: held-out error over two properties of a design, with lines of equal compute."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, isclose, log10
from statistics import median
from typing import Literal

from scalewise.core.errors import UnfitDataError
from scalewise.forecast.study import Setting, Study
from scalewise.forecast.study_cell import Cell

Rows = Literal["share", "scale_up"]

_MOST_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualCompute:
    """Where on a map designs cost equally much; ``points`` are (column, row), from 0."""

    flops: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMap:
    """Mean absolute held-out error by number of models, along a row, and share or scale-up.

    ``errors[row][column]`` is None where nothing could be scored, and ``identified`` says whether
    the data determine the constants behind it (of several families, of most of them). Rows run
    from the design nearest to the target to the farthest. ``families`` holds more than one name
    where errors are medians.
    """

    families: tuple[str, ...]
    setting: Setting
    by: Rows
    models: tuple[int, ...]
    rows: tuple[float, ...]
    errors: tuple[tuple[float | None, ...], ...]
    identified: tuple[tuple[bool, ...], ...]
    lines: tuple[EqualCompute, ...] = ()


def error_map(study: Study, setting: Setting, family: str | None = None, *, by: Rows) -> ErrorMap:
    """The map of one family, or of the median over all, under one law, objective and policy.

    Rows are shares of training, or scale-up factors at the largest share. Lines of equal compute
    belong to one family, whose models cost what they do. Raises UnfitDataError if it is empty.
    """
    cells = [cell for cell in study.of(family, setting).cells if cell.mean_abs_error is not None]
    if by == "scale_up":
        most = max(study.shares, default=1.0)
        cells = [cell for cell in cells if cell.share == most]
    if not cells:
        raise UnfitDataError(
            f"No cell of {family or 'the study'} was scored under {', '.join(setting)}.",
            hint="See the reasons in the table.",
        )
    models = tuple(sorted({cell.models for cell in cells}))
    rows = tuple(sorted({_row(cell, by) for cell in cells}, reverse=by == "share"))
    places: dict[tuple[int, int], list[Cell]] = {}
    for cell in cells:
        at = rows.index(_row(cell, by)), models.index(cell.models)
        places.setdefault(at, []).append(cell)
    errors = tuple(
        tuple(_median(places.get((i, j), [])) for j in range(len(models))) for i in range(len(rows))
    )
    identified = tuple(
        tuple(_mostly_identified(places.get((i, j), [])) for j in range(len(models)))
        for i in range(len(rows))
    )
    families = tuple(dict.fromkeys(cell.family for cell in cells))
    alone = len(families) == 1
    return ErrorMap(
        families=families,
        setting=setting,
        by=by,
        models=models,
        rows=rows,
        errors=errors,
        identified=identified,
        lines=_lines(places, len(models)) if alone else (),
    )


def maps_of(study: Study, setting: Setting, *, most: int) -> tuple[tuple[ErrorMap, ...], ...]:
    """The maps worth drawing under a setting: by share, and by scale-up where windows vary it.

    Of several families first the median over all, then each, up to ``most``.
    """
    scored = [c for c in study.of(None, setting).cells if c.mean_abs_error is not None]
    families = tuple(dict.fromkeys(cell.family for cell in scored))
    few = families[:most]
    found = []
    if len({cell.share for cell in scored}) > 1 and study.order == "smallest":
        whole = (error_map(study, setting, by="share"),) if len(families) > 1 else ()
        found.append((*whole, *(error_map(study, setting, name, by="share") for name in few)))
    if study.order == "windows" and few:
        found.append(tuple(error_map(study, setting, name, by="scale_up") for name in few))
    return tuple(found)


def _row(cell: Cell, by: Rows) -> float:
    return cell.share if by == "share" else float(f"{cell.scale_up or 1.0:.4g}")


def _median(cells: list[Cell]) -> float | None:
    return (
        median(c.mean_abs_error for c in cells if c.mean_abs_error is not None) if cells else None
    )


def _mostly_identified(cells: list[Cell]) -> bool:
    return 2 * sum(cell.is_identified for cell in cells) > len(cells)


def _lines(places: dict[tuple[int, int], list[Cell]], columns: int) -> tuple[EqualCompute, ...]:
    """Lines at round numbers of FLOPs, interpolated in logarithms down each column."""
    spent = {at: cells[0].fitted_flops or 0.0 for at, cells in places.items()}
    found = []
    for flops in _levels([value for value in spent.values() if value > 0]):
        points = [
            (float(j), at)
            for j in range(columns)
            if (at := _crossing(sorted((i, v) for (i, k), v in spent.items() if k == j), flops))
            is not None
        ]
        if len(points) > 1:
            found.append(EqualCompute(flops=flops, points=tuple(points)))
    return tuple(found)


def _levels(spent: list[float]) -> list[float]:
    """Round numbers of FLOPs within the range, fewer where it is wide."""
    low, high = min(spent), max(spent)
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    for digits in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        levels = [float(f"{d}e{k}") for k in decades for d in digits]
        inside = [level for level in levels if low < level < high]
        if len(inside) <= _MOST_LINES:
            return inside
    return inside[:: ceil(len(inside) / _MOST_LINES)]


def _crossing(column: list[tuple[int, float]], flops: float) -> float | None:
    """The row, between two neighbours, at which a column costs so much."""
    for (upper, most), (lower, least) in pairwise(column):
        if lower == upper + 1 and least <= flops <= most and not isclose(least, most):
            return upper + log10(most / flops) / log10(most / least)
    return None
