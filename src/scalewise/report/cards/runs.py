"""A run table, told: what was read, how it was understood, what it spans."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scalewise.core.quantities import format_count, format_flops
from scalewise.report.card import Card, Cell, Column, Fact, FigureSpec, Format, Panel, Table
from scalewise.report.cards.fit_figure import column_axis
from scalewise.report.cards.shades import by_size
from scalewise.report.formats import clean, counted, factor
from scalewise.runs.columns import COLUMNS
from scalewise.runs.table import SIZES, RunTable

_SIZES_SHOWN = 40
_SPANS: tuple[tuple[str, Format], ...] = (("tokens", "count"), ("flops", "flops"), ("loss", "loss"))


def runs_card(table: RunTable) -> Card:
    """One row per model size: its runs and the ranges of tokens, FLOPs and loss."""
    return Card(
        title="Runs",
        conclusion=_conclusion(table),
        facts=_facts(table),
        table=_table(table),
        figure=_figure(table),
    )


def _conclusion(table: RunTable) -> str:
    parts = []
    for name, write in (
        (_size(table), format_count), ("tokens", format_count), ("flops", format_flops),
        ("loss", lambda v: f"{v:.3f}"),
    ):  # fmt: skip
        if span := _span(table, name, write):
            parts.append(span)
    data = f"{counted(len(table), 'row')} of {counted(table.run_count, 'run')}"
    return f"{data}: {', '.join(parts)}." if parts else f"{data}."


def _span(table: RunTable, name: str, write: Callable[[float], str]) -> str:
    if not name or not table.has(name):
        return ""
    values = table.column(name)
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    unit = " nats/token" if name == "loss" else ""
    if low == high:
        return f"{name} {write(low)}{unit}"
    grown = f" ({factor(high / low)})" if low > 0 and name != "loss" else ""
    return f"{name} {write(low)} to {write(high)}{unit}{grown}"


def _size(table: RunTable) -> str:
    return next((name for name in SIZES if table.has(name)), "")


def _facts(table: RunTable) -> tuple[Fact, ...]:
    renamed = [
        f"{clean(name, 40)} from {clean(source, 40)}"
        for name, source in table.mapping.items()
        if name != source
    ]
    facts = [Fact("source", table.source), Fact("sha256", table.sha256, "code")]
    facts.append(Fact("columns", ", ".join(renamed) or "as named in the source"))
    if table.assumptions:
        facts.append(Fact("assumed", "; ".join(table.assumptions)))
    for name in ("corpus", "tokenizer", "eval_set", "flop_rule", "schedule"):
        if table.has(name):
            values = sorted({text for text in table.text(name) if text})
            more = f" and {len(values) - 3} more" if len(values) > 3 else ""
            facts.append(Fact(name, ", ".join(clean(v, 60) for v in values[:3]) + more))
    return tuple(facts)


def _table(table: RunTable) -> Table:
    size = _size(table)
    spans = [(name, form) for name, form in _SPANS if table.has(name)]
    columns = [Column(size or "runs", format="count"), Column("runs", format="integer"),
               Column("rows", format="integer")]  # fmt: skip
    for name, form in spans:
        unit = COLUMNS[name].unit if name == "loss" else ""
        columns += [Column(f"{name} from", unit, form), Column(f"{name} to", unit, form)]
    if not size:
        columns[0] = Column("table")
        return Table(tuple(columns), (_row(table, "all", np.ones(len(table), bool), spans),))
    values = table.column(size)
    levels = np.unique(values[np.isfinite(values)])
    if len(levels) > _SIZES_SHOWN:
        columns[0] = Column(f"{size} up to", format="count")
        edges = np.unique(np.quantile(levels, np.linspace(0, 1, 11)[1:], method="higher"))
        floor = -np.inf
        rows = []
        for edge in edges:
            rows.append(_row(table, float(edge), (values > floor) & (values <= edge), spans))
            floor = edge
        return Table(tuple(columns), tuple(rows))
    rows = [_row(table, float(level), values == level, spans) for level in levels]
    return Table(tuple(columns), tuple(rows))


def _row(
    table: RunTable, head: Cell, mask: np.ndarray, spans: list[tuple[str, Format]]
) -> tuple[Cell, ...]:
    ids = np.asarray(table.text("run_id"))
    cells: list[Cell] = [head, len(set(ids[mask])), int(mask.sum())]
    for name, _ in spans:
        values = table.column(name)[mask]
        values = values[np.isfinite(values)]
        cells += [float(values.min()), float(values.max())] if len(values) else [None, None]
    return tuple(cells)


def _figure(table: RunTable) -> FigureSpec | None:
    """The design of the runs: which sizes met how many tokens."""
    size = _size(table)
    if not size or not table.has("tokens"):
        return None
    finals = table.finals()
    params, tokens = finals.column(size), finals.column("tokens")
    good = (params > 0) & (tokens > 0)
    if not good.any():
        return None
    count = counted(int(good.sum()), "finished model")
    return FigureSpec(
        "Which models were trained on how much",
        f"{count} span {factor(params[good].max() / params[good].min())} in {size} and "
        f"{factor(tokens[good].max() / tokens[good].min())} in tokens.",
        (
            Panel(
                "Size and tokens of each finished model",
                column_axis(size),
                column_axis("tokens"),
                by_size(params[good], params[good], tokens[good], labelled=False),
            ),
        ),
    )
