"""The critical batch by every method that measured it, told in one table."""

from __future__ import annotations

from scalewise.core.quantities import level_text
from scalewise.forecast.batch_methods import BatchMeasurement, Method, MethodComparison
from scalewise.report.card import Axis, Card, Cell, Column, FigureSpec, Panel, Series, Table
from scalewise.report.formats import factor, listed

MEASURES: dict[Method, str] = {
    "contours": (
        "contours: batches that ran all the way to the loss, so a global number; the rate must "
        "have been tuned at each batch."
    ),
    "noise scale": (
        "noise scale: raw gradients at one moment, a local number that knows no optimizer; under "
        "Adam it can lie orders of magnitude too low (Merrill et al. 2025), so read its trend, "
        "not its size."
    ),
    "branches": (
        "branches: further training from a checkpoint, a local number that holds for its rule of "
        "rates and its tolerance in loss."
    ),
}


def batch_methods_card(found: MethodComparison, *, level: float = 0.9) -> Card:
    """Each measured critical batch beside the joint fit's number of the same kind."""
    share = level_text(level)
    rows: list[tuple[Cell, ...]] = [
        (
            m.method, "global" if m.is_global else "local", m.loss, m.params_nonembed,
            m.critical_batch_tokens, m.low, m.high, float(expected), float(ratio),
        )
        for m, expected, ratio in zip(
            found.measurements, found.expected, found.ratios, strict=True
        )
    ]  # fmt: skip
    ratios = [f"{name} {factor(found.median_ratio(name))}" for name in found.methods]
    return Card(
        title="Critical batch by method",
        conclusion=(
            "Measured over the joint fit's number of the same kind, in the median: "
            f"{listed(ratios)}."
        ),
        table=Table(
            (
                Column("method"),
                Column("kind"),
                Column("loss", "nats/token", "number"),
                Column("params_nonembed", format="count"),
                Column("measured", format="count"),
                Column(f"{share} low", format="count"),
                Column(f"{share} high", format="count"),
                Column("joint fit", format="count"),
                Column("over fit", format="factor"),
            ),
            tuple(rows),
        ),
        figure=FigureSpec(
            "Critical batch by method against loss",
            "Points are measured, lines are the joint fit: one for the global critical batch, one "
            "for the local. Points of a kind belong to the line of that kind.",
            (
                Panel(
                    "Critical batch by the loss reached",
                    Axis("loss", "nats/token", "log", "number"),
                    Axis("critical batch", "tokens", "log", "count"),
                    (*_lines(found), *(_points(found, name) for name in found.methods)),
                ),
            ),
        ),
        caveats=(*(MEASURES[name] for name in found.methods), *found.lacking),
    )


def _lines(found: MethodComparison) -> list[Series]:
    """The joint fit at the measured losses, by kind; local ones differ by size too."""
    lines = []
    for is_global, label in ((True, "fit, global"), (False, "fit, local")):
        at = [
            (m, float(e))
            for m, e in zip(found.measurements, found.expected, strict=True)
            if m.is_global is is_global
        ]
        for i, size in enumerate(sorted({m.params_nonembed for m, _ in at})):
            mine = sorted((m.loss, e) for m, e in at if m.params_nonembed == size)
            lines.append(
                Series(
                    mark="line",
                    x=tuple(loss for loss, _ in mine),
                    y=tuple(value for _, value in mine),
                    label="" if i else label,
                    group=label,
                    hollow=not is_global,
                )
            )
    return lines


def _points(found: MethodComparison, method: Method) -> Series:
    mine: list[BatchMeasurement] = [m for m in found.measurements if m.method == method]
    return Series(
        mark="intervals",
        x=tuple(m.loss for m in mine),
        y=tuple(m.critical_batch_tokens for m in mine),
        low=tuple(m.low for m in mine),
        # An end that was not found is drawn no further than the value.
        high=tuple(m.high if m.high < float("inf") else m.critical_batch_tokens for m in mine),
        label=method,
        group=method,
        hollow=not mine[0].is_global,
    )
