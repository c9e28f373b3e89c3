"""What was understood of logs: every column, where it was taken from, and how sure that is."""

from __future__ import annotations

from collections import Counter

from scalewise.report.card import Card, Cell, Column, Fact, Table
from scalewise.report.formats import clean, counted, listed
from scalewise.sources.logs.read import Reading
from scalewise.sources.logs.readers import reader_named
from scalewise.sources.logs.understand import Confidence

_BADGES: dict[Confidence, str] = {
    "told": "● told",
    "logged": "● logged",
    "named": "● named",
    "derived": "◐ derived",
    "assumed": "○ assumed",
    "unknown": "✕ unknown",
}
_FIRST = ("tokens", "loss", "params", "params_nonembed", "batch_tokens", "train_loss")
_ROWS_SHOWN = 60


def logs_card(reading: Reading) -> Card:
    """One row per choice and kind of log, with the number of runs it was made for."""
    return Card(
        title="What was understood",
        conclusion=_conclusion(reading),
        facts=_facts(reading),
        table=_table(reading),
        caveats=_caveats(reading),
    )


def _conclusion(reading: Reading) -> str:
    kinds = Counter(found.log.kind for found in reading.logs)
    parts = [f"{counted(n, 'run')} ({reader_named(k).title})" for k, n in kinds.items()]
    if reading.tables:
        parts.append(counted(len(reading.tables), "run table"))
    unsure = sum(_confidence(reading, "tokens", c) for c in ("assumed", "unknown"))
    told = f"{listed(parts)}."
    if unsure:
        runs = counted(len(reading.logs), "run")
        return f"{told} Tokens are assumed or unknown in {unsure} of {runs}."
    return f"{told} Tokens are known in every run." if reading.logs else told


def _confidence(reading: Reading, column: str, confidence: str) -> int:
    return sum(
        any(c.column == column and c.confidence == confidence for c in found.choices)
        for found in reading.logs
    )


def _facts(reading: Reading) -> tuple[Fact, ...]:
    states = Counter(found.log.state for found in reading.logs)
    facts = [Fact("ends", ", ".join(f"{n} {state}" for state, n in states.items()))]
    if reading.notes:
        facts.append(Fact("lost and left out", clean("; ".join(reading.notes), 2000)))
    return tuple(fact for fact in facts if fact.text)


def _table(reading: Reading) -> Table:
    counts = Counter(
        (found.log.kind, c.column, _source(c.from_, c.how), c.confidence, c.how)
        for found in reading.logs
        for c in found.choices
    )
    order = {name: place for place, name in enumerate(_FIRST)}
    rows: list[tuple[Cell, ...]] = [
        (kind, clean(column, 60), clean(from_, 60), clean(how, 100), _BADGES[confidence], n)
        for (kind, column, from_, confidence, how), n in sorted(
            counts.items(), key=lambda item: (item[0][0], order.get(item[0][1], len(order)))
        )
    ]
    if len(rows) > _ROWS_SHOWN:
        rows = [*rows[:_ROWS_SHOWN], ("", f"and {len(rows) - _ROWS_SHOWN} more", "", "", "", None)]
    columns = (Column("logs"), Column("column"), Column("taken from"), Column("how"),
               Column("confidence"), Column("runs", format="integer"))  # fmt: skip
    return Table(columns, tuple(rows))


def _source(from_: str, how: str) -> str:
    """Values of settings differ from run to run; where they stand does not."""
    return "" if how.startswith(("setting ", "metric ", "the mapping", "shapes ")) else from_


def _caveats(reading: Reading) -> tuple[str, ...]:
    caveats = []
    if n := _confidence(reading, "tokens", "unknown"):
        caveats.append(
            f"{counted(n, 'run')} {'has' if n == 1 else 'have'} no tokens: give batch_tokens, or "
            "the metric that counts tokens, in a mapping file (--propose FILE writes one)."
        )
    if n := _confidence(reading, "tokens", "assumed"):
        caveats.append(f"Tokens of {counted(n, 'run')} rest on an assumption: check the batch.")
    return tuple(caveats)
