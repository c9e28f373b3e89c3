"""What the health checks found, told."""

from __future__ import annotations

from collections.abc import Sequence

from scalewise.report.card import Card, Column, Table
from scalewise.report.formats import clean, counted, listed
from scalewise.runs.health import CHECKS, Finding
from scalewise.runs.table import RunTable

_ROWS_SHOWN = 6


def health_card(table: RunTable, findings: Sequence[Finding]) -> Card:
    """The findings of ``check_health`` with the rows concerned and the mend of each."""
    return Card(
        title="Health of the runs",
        conclusion=_conclusion(table, findings),
        table=Table(
            (Column("severity"), Column("finding"), Column("rows"), Column("fact"), Column("mend")),
            tuple((f.severity, f.name, _rows(f.rows), f.fact, f.mend) for f in findings),
        ),
        caveats=tuple(f"{f.name}: {f.fact}" for f in findings if f.severity == "error"),
    )


def _conclusion(table: RunTable, findings: Sequence[Finding]) -> str:
    data = f"{counted(len(table), 'row')} of {counted(table.run_count, 'run')}"
    if not findings:
        return f"All {len(CHECKS)} checks passed on {data}."
    counts = [
        counted(sum(f.severity == severity for f in findings), severity)
        for severity in ("error", "warning", "note")
        if any(f.severity == severity for f in findings)
    ]
    told = f"{len(CHECKS)} checks on {data} found {listed(counts)}"
    if any(f.severity == "error" for f in findings):
        return f"{told}; mend the errors before you trust a fit."
    return f"{told}; none would by itself make a fit wrong."


def _rows(rows: tuple[int, ...]) -> str:
    if not rows:
        return "table"
    shown = ", ".join(str(row) for row in rows[:_ROWS_SHOWN])
    more = len(rows) - _ROWS_SHOWN
    return clean(f"{shown} and {more:,} more" if more > 0 else shown)
