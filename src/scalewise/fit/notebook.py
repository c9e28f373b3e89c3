"""A fit as a few lines of HTML, for notebooks that show a value by itself."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from scalewise.core.quantities import level_text

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult

_LEVEL = 0.9
_LONGEST = 200


def fit_html(result: FitResult) -> str:
    """The formula, each constant with its 90 % interval and unit, and every warning."""
    edges = result.intervals(_LEVEL)
    rows = []
    for name, value in result.theta.items():
        known = name in edges and name not in result.fixed
        interval = f"{edges[name][0]:.4g} to {edges[name][1]:.4g}" if known else "&ndash;"
        cells = (escape(name), f"{value:.5g}", interval, escape(result.law.unit(name)))
        rows.append(f"<tr><th>{cells[0]}</th>{''.join(f'<td>{c}</td>' for c in cells[1:])}</tr>")
    head = "".join(
        f"<th>{text}</th>" for text in ("", "value", f"{level_text(_LEVEL)} interval", "unit")
    )
    behind = f"{result.points} points of {result.runs} runs" if result.points else "published"
    key = escape(result.law.key[:_LONGEST])
    formula = escape(f"{result.law.quantity} = {result.law.formula}"[:_LONGEST])
    told = (*result.warnings, *result.interval_doubts)
    doubts = "".join(f"<li>{escape(text)}</li>" for text in told)
    return (
        f"<div><p><b>{key}</b> <code>{formula}</code><br>{behind}, {result.status.name}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"{f'<ul>{doubts}</ul>' if doubts else ''}</div>"
    )
