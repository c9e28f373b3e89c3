"""The figures of cards as data that the page's own charts draw."""

from __future__ import annotations

from math import isfinite
from typing import Any

from scalewise.report.card import Axis, FigureSpec, Panel, Series
from scalewise.report.html import drawn_figure, safe_text
from scalewise.report.thinning import thinned

_DIGITS = 6


class CardFigures:
    """Collects the figures of a page's cards; what the charts cannot draw is drawn at once."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def __call__(self, spec: FigureSpec, name: str) -> str:
        """The place of a figure in the document."""
        if any(_is_map(panel) for panel in spec.panels):
            return drawn_figure(spec, name)
        self.found.append(_figure(thinned(spec), name))
        caption = safe_text(spec.conclusion, 4000)
        return f'<figure data-figure="{name}"><figcaption>{caption}</figcaption></figure>'


def _is_map(panel: Panel) -> bool:
    return panel.x.scale == "category" or any(s.mark == "tiles" for s in panel.series)


def _figure(spec: FigureSpec, name: str) -> dict[str, Any]:
    alone = len(spec.panels) == 1
    shown = spec.panels[0].title if alone and spec.panels[0].title != spec.title else ""
    said = f"{shown}. {spec.conclusion}" if shown else spec.conclusion
    return {
        "name": name,
        "conclusion": said,
        "panels": [
            {
                "title": spec.title if alone else _titled(spec.title, panel.title),
                "x": _axis(panel.x),
                "y": _axis(panel.y),
                "series": [_series(series) for series in panel.series],
                "short": panel.height == "short",
            }
            for panel in spec.panels
        ],
    }


def _titled(whole: str, part: str) -> str:
    """The title of one chart of several, which must be told apart where each stands alone."""
    return f"{whole}: {part}" if part and part != whole else whole


def _axis(axis: Axis) -> dict[str, Any]:
    told = {"title": axis.title, "unit": axis.unit, "scale": axis.scale, "format": axis.format}
    return told | ({"categories": list(axis.categories)} if axis.scale == "category" else {})


def _series(series: Series) -> dict[str, Any]:
    """The fields that say something; a page holds thousands of these."""
    told: dict[str, Any] = {"mark": series.mark}
    told |= {name: _short(getattr(series, name)) for name in ("x", "y")}
    if series.low:
        told |= {name: _short(getattr(series, name)) for name in ("low", "high")}
        told["spans"] = series.spans
    told |= {k: v for k in ("label", "group") if (v := getattr(series, k))}
    told |= {} if series.role == "series" else {"role": series.role}
    told |= {} if series.shade is None else {"shade": series.shade}
    told |= {"hollow": True} if series.hollow else {}
    return told | ({"tag": series.texts[0]} if series.texts else {})


def _short(values: tuple[float, ...]) -> list[float | None]:
    return [float(f"{v:.{_DIGITS}g}") if isfinite(v) else None for v in values]
