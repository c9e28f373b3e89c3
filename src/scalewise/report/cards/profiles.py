"""What the data say about each constant and about the forecast, one at a time: profiles, told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalewise.core.quantities import level_text
from scalewise.fit.profile import Profile
from scalewise.report.card import Axis, Card, Cell, Column, FigureSpec, Panel, Series, Table
from scalewise.report.cards.shades import floats
from scalewise.report.formats import counted, listed

_SHOWN = 8  # panels
_TALLEST = 4.0  # of the figure, in rises that end the interval


def profiles_card(profiles: Sequence[Profile], *, skipped: Sequence[str] = ()) -> Card:
    """The profile interval of each number, and which numbers have no limit."""
    level = level_text(profiles[0].level)
    rows: list[tuple[Cell, ...]] = [
        (p.name, p.unit, p.best, p.low, p.high, p.verdict) for p in profiles
    ]
    return Card(
        title="Profiles",
        conclusion=_conclusion(profiles, level),
        table=Table(
            (
                Column("number"), Column("unit"), Column("best", format="number"),
                Column(f"{level} low", format="number"), Column(f"{level} high", format="number"),
                Column("the data say"),
            ),
            tuple(rows),
        ),
        figure=FigureSpec(
            "Profiles",
            "Each curve is the least objective with that number held there, above the fit's own; "
            f"where it stays below the dashed line is the {level} interval.",
            tuple(_panel(profile) for profile in profiles[:_SHOWN]),
        ),
        caveats=(
            "A profile interval is for the law's own value; a new run scatters around it.",
            *skipped,
        ),
    )  # fmt: skip


def _conclusion(profiles: Sequence[Profile], level: str) -> str:
    loose = [p for p in profiles if "open" in (p.low_end, p.high_end)]
    first = profiles[0]
    text = f"{first.name}: {first.verdict} ({level} profile). "
    if not loose:
        return f"{text}All {counted(len(profiles), 'number')} have limits on both sides."
    return f"{text}Without a limit on one side or both: {listed([p.name for p in loose])}."


def _panel(profile: Profile) -> Panel:
    scale = profile.threshold - profile.least
    rise = (profile.objective - profile.least) / (scale if scale > 0 else 1.0)
    seen = np.isfinite(rise) & (rise <= _TALLEST) & np.isfinite(profile.values)
    values = profile.values[seen]
    log = bool(np.all(values > 0)) and len(values) > 1 and values[-1] > 10 * values[0]
    ends = (float(values[0]), float(values[-1])) if len(values) else (0.0, 1.0)
    unit = "" if profile.unit == "1" else profile.unit
    return Panel(
        profile.name,
        Axis(profile.name, unit, "log" if log else "linear", "number"),
        Axis("objective above its least, 1 = end of the interval"),
        (
            Series(mark="line", x=floats(values), y=floats(rise[seen]), label="objective",
                   group="objective"),
            Series(mark="line", x=ends, y=(1.0, 1.0), label="end of the interval",
                   group="end", role="reference"),
        ),
        height="short",
    )  # fmt: skip
