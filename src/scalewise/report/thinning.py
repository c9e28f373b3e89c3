"""Figures of more points than a screen can tell apart, drawn by an even part of them."""

from __future__ import annotations

from dataclasses import replace

from scalewise.report.card import FigureSpec, Panel, Series

MOST_POINTS = 3000  # of one panel
_SAID = f" At most {MOST_POINTS} of its points are drawn, evenly taken."
_SCATTERED = ("points", "intervals")


def thinned(spec: FigureSpec) -> FigureSpec:
    """The figure as it is drawn: of crowded panels every so many points, which its text says."""
    if all(_each(panel) == 1 for panel in spec.panels):
        return spec
    panels = tuple(
        replace(panel, series=tuple(_part(series, _each(panel)) for series in panel.series))
        for panel in spec.panels
    )
    return replace(spec, conclusion=spec.conclusion + _SAID, panels=panels)


def _each(panel: Panel) -> int:
    """Of how many points one is drawn."""
    return -(-sum(len(s.x) for s in panel.series if s.mark in _SCATTERED) // MOST_POINTS) or 1


def _part(series: Series, each: int) -> Series:
    if series.mark not in _SCATTERED:
        return series
    kept = {name: getattr(series, name)[::each] for name in ("x", "y", "low", "high")}
    return replace(series, **kept)
