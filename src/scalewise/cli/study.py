"""``scalewise backtest --study``: the twin of ``forecast.study.study``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options
from scalewise.cli.inputs import joined, runs_from
from scalewise.cli.output import Answer, tell, write_page
from scalewise.core.errors import UsageError
from scalewise.core.quantities import parse_count, parse_quantity

if TYPE_CHECKING:
    from scalewise.forecast.mappers import Mapper
    from scalewise.forecast.study import Setting, Study
    from scalewise.report.card import Card
    from scalewise.runs.table import RunTable

MOST_MAPS = 6  # families, and settings, that are drawn
_PAGE = (".html", ".htm")
_MOST_SIZES = 10_000  # no family has as many


def _models(text: str) -> tuple[int, ...]:
    """Whole numbers: 2..8, or 3,5,8.

    >>> _models("2..4,8")
    (2, 3, 4, 8)
    """
    found: list[int] = []
    for word in text.split(","):
        low, dots, high = word.strip().partition("..")
        first = parse_count(low, name="--models")
        last = parse_count(high, name="--models") if dots else first
        if not first <= last < first + _MOST_SIZES:
            raise UsageError(
                f"--models={word.strip()!r} is no range of up to {_MOST_SIZES:,} numbers.",
                hint="Write the smaller first: 2..8.",
            )
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found))


def _shares(text: str) -> tuple[float, ...]:
    """Shares of training: 0.3,0.5,1, or 0.1..1 in tenths.

    >>> _shares("0.8..1")
    (0.8, 0.9, 1.0)
    """
    found: list[float] = []
    for word in text.split(","):
        low, dots, high = word.strip().partition("..")
        first = parse_quantity(low, name="--share")
        last = parse_quantity(high, name="--share") if dots else first
        if dots and not first <= last <= 1:
            raise UsageError(
                f"--share={word.strip()!r} is not within training, the smaller share first.",
                hint="Write shares above 0 and up to 1: 0.3,0.5,1 or 0.1..1.",
            )
        found += [round(first + i / 10, 9) for i in range(int((last - first) * 10 + 1.5))]
    return tuple(dict.fromkeys(found))


STUDY_OPTIONS = (
    click.Option(
        ["--study"], is_flag=True,
        help="Forecast the largest model of every family from fewer, smaller and shorter runs, "
        "under every setting; the options below imply it.",
    ),
    options.listed("--models", _models, "Numbers of models to fit: 2..8. All if absent.",
                   metavar="K,..."),
    options.listed("--share", _shares, "Shares of their training to use: 0.3,0.5,1.",
                   name="shares", metavar="SHARE,..."),
    click.Option(
        ["--order"], type=click.Choice(("smallest", "windows", "own")),
        help="Which models: the smallest, every window of neighbours, or the target's own "
        "beginning, by the law power-tokens.",
    ),
    options.names("--policy", "Which checkpoints count: default,finals,choshen2024.",
                  name="policies"),
    options.names("--objective", "What is minimised, instead of the policy's own: ls,huber-log.",
                  name="objectives"),
    options.quantity("--tail", "Share of the target's training from which it is scored; 0.7 if "
                     "absent."),
    click.Option(["--family"], metavar="COLUMN",
                 help="The column that tells families apart; else 'family', or one per file."),
    click.Option(["--executor"], type=click.Choice(("local", "processes", "ray")),
                 help="Where it is computed; the answer is the same."),
    options.count("--workers", "Processes; 2 if absent."),
    click.Option(["--address"], metavar="auto|HOST:PORT",
                 help="The Ray cluster to use; without one, Ray is started on this machine."),
    click.Option(["--cache"], metavar="FOLDER",
                 help="Keep what was computed here, and compute only what is new."),
    click.Option(["--out"], metavar="FILE",
                 help="Write every cell as .parquet, .csv or .jsonl, or all cards as .html."),
)  # fmt: skip


def study_answer(
    sources: Sequence[str],
    *,
    laws: tuple[str, ...] | None,
    mapping: Mapping[str, str] | None,
    where: str | None,
    family: str | None,
    executor: str | None,
    workers: int | None,
    address: str | None,
    out: str | None,
    tail: float | None,
    order: str | None,
    **asked: Any,
) -> Answer:
    """Study the families of some sources, as the options say."""
    from scalewise.forecast.study import study

    chosen = {name: value for name, value in asked.items() if value is not None}
    chosen |= {} if tail is None else {"tail": tail}
    chosen |= {} if order is None else {"order": order}
    chosen |= {} if laws is None else {"laws": laws}
    mapper = _mapper(executor or "local", workers, address)
    families = _families([runs_from(source, mapping, where) for source in sources], family)
    found = study(families, mapper=mapper, **chosen)
    if chosen.get("cache"):
        tell(f"{found.computed} parts were computed, the others were in the cache.")

    def cards() -> list[Card]:
        return study_cards(found)

    if out is not None:
        _write(found, out, cards)
    return Answer(
        data=study_data(found),
        cards=cards,
        warnings=(
            *found.warnings,
            *(f"{name} is left out: {why}" for name, why in found.skipped.items()),
        ),
        data_sha256=found.sha256,
    )


def _families(tables: Sequence[RunTable], column: str | None) -> dict[str, RunTable]:
    """By a column, or one family per file where there are several and none is named."""
    from scalewise.forecast.study import families_of

    if column is not None:
        return families_of(joined(list(tables)), column)
    found: dict[str, RunTable] = {}
    for table in tables:
        parts = families_of(table)
        own = Path(table.source).stem
        for name, part in parts.items():
            label = own if len(parts) == 1 and len(tables) > 1 else name
            label = f"{own}: {label}" if label in found else label
            if label in found:
                raise UsageError(
                    f"Two sources have a family {label!r}.", hint="Rename a file, or use --family."
                )
            found[label] = part
    return found


def _mapper(executor: str, workers: int | None, address: str | None) -> Mapper:
    from scalewise.forecast.mappers import map_here, map_processes

    if address is not None and executor != "ray":
        raise UsageError(
            f"--address {address!r} is that of a Ray cluster, and the executor is {executor!r}.",
            hint="Add --executor ray.",
        )
    if executor == "local":
        if workers is not None:
            raise UsageError(
                f"--workers {workers} does not go with this process alone.",
                hint="Add --executor processes.",
            )
        return map_here
    if executor == "processes":
        return map_processes(workers or 2)
    from scalewise.train.ray_cluster import RayCluster
    from scalewise.train.ray_map import map_ray

    return map_ray(RayCluster(address=address), workers=workers or 2)


def _write(found: Study, out: str, cards: Any) -> None:
    if Path(out).suffix.casefold() in _PAGE:
        write_page(cards(), out, title="Backtest at scale", sha256=found.sha256)
    else:
        from scalewise.runs.write import write_frame

        write_frame(found.frame, out, what="Cells")
        tell(f"Wrote {out}.")


def study_cards(found: Study) -> list[Card]:
    """The cards of a study; maps where a map has something to show."""
    from scalewise.report.cards.study import cheapest_card, means_card, study_card

    return [
        study_card(found),
        *_map_cards(found),
        cheapest_card(found, found.cheapest()),
        means_card(found, found.macro("models"), found.macro("scale_up")),
    ]


def _map_cards(found: Study) -> list[Card]:
    from scalewise.forecast.study_map import maps_of
    from scalewise.report.cards.study import setting_name
    from scalewise.report.cards.study_maps import map_card

    return [
        map_card(maps, setting_name(found, setting))
        for setting in found.settings[:MOST_MAPS]
        for maps in maps_of(found, setting, most=MOST_MAPS)
    ]


def study_data(found: Study) -> dict[str, Any]:
    """A study: every cell, what was left out, and what follows from them."""

    def setting(of: Setting) -> dict[str, str]:
        return dict(zip(("law", "objective", "policy"), of, strict=True))

    return {
        "cells": list(found.cells),
        "skipped": dict(found.skipped),
        "settings": [setting(s) for s in found.settings],
        "policies": {policy.name: str(policy) for policy in found.policies},
        "cheapest": list(found.cheapest()),
        "means": [*found.macro("models"), *found.macro("scale_up")],
        "tail": found.tail,
        "order": found.order,
        "computed": found.computed,
    }
