"""A mapping file that says what was understood, to be corrected and given back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping

from scalewise.runs.columns import COLUMNS
from scalewise.sources.logs.gather import Gathering
from scalewise.sources.logs.understand import Understanding, Understood

_CONSTANTS = ("params", "params_nonembed", "batch_tokens", "context_length", "bytes_per_token",
              "tokenizer", "corpus", "seed", "lr_peak")  # fmt: skip
_NEEDED = ("params", "batch_tokens")
_MOST = 40

_HEAD = """\
# What was understood of these logs. Correct it, take away the # where a line should count, and
# give it back with --mapping. Lines that are right may stay or go.
"""


def proposal(gathering: Gathering) -> str:
    """A mapping file (TOML) for logs; as it stands it changes nothing."""
    lines = [_HEAD, "[columns]  # a column of a run table, and the metric that it is"]
    lines += _columns(gathering)
    lines += ["", "[constants]  # what holds for every run", *_constants(gathering)]
    lines += ["", '# What holds for one run; numbers may be written "124M".']
    lines += _runs(gathering)
    return "\n".join(lines) + "\n"


def _columns(gathering: Gathering) -> Iterator[str]:
    counts = Counter(
        (choice.column, choice.from_, choice.confidence)
        for found in gathering.logs
        for choice in found.choices
        if choice.column in COLUMNS
        and choice.from_
        in (found.columns.get(choice.column), found.measures.get(("", choice.column)))
    )
    sets = sorted({c.column for f in gathering.logs for c in f.choices if " on " in c.column})
    # Naming one metric would leave out the other sets.
    done: set[str] = {name.partition(" on ")[0] for name in sets}
    # The mapping holds for the run tables among the logs as well, where a name may mean another.
    meant = {source: name for table in gathering.tables for name, source in table.mapping.items()}
    for (column, metric, confidence), count in counts.most_common():
        off = "# " if column in done or meant.get(metric, column) != column else ""
        done.add(column)
        yield f"{off}{column} = {_quoted(metric)}  # {confidence}, in {count} runs"
    if sets:
        yield f"# Measured on several sets: {_comment(', '.join(sets))}"
    for column in ("loss", "tokens"):
        if column not in done:
            yield f'# {column} = "..."'
    unused = sorted({name for found in gathering.logs for name in found.unused})
    if unused:
        more = f" and {len(unused) - _MOST} more" if len(unused) > _MOST else ""
        yield f"# Metrics not used: {_comment(', '.join(map(_quoted, unused[:_MOST])))}{more}"


def _constants(gathering: Gathering) -> Iterator[str]:
    for column in _CONSTANTS:
        values = {str(v): v for found in gathering.logs if (v := _value(found, column)) is not None}
        if len(values) == 1:
            value = next(iter(values.values()))
            yield f"# {column} = {_written(value)}  # {_how(gathering, column)}"
        elif column in _NEEDED and not values:
            yield f"# {column} = ...  # {COLUMNS[column].note}; unknown"


def _runs(gathering: Gathering) -> Iterator[str]:
    for found in gathering.logs:
        facts = [c for c in ("params", "params_nonembed", "batch_tokens") if _value(found, c)]
        missing = [] if any(c.startswith("params") for c in facts) else ["params"]
        if not facts and not missing:
            continue
        yield f"# [runs.{_quoted(found.log.run_id)}]"
        for column in facts:
            fact = found.facts[column]
            yield f"# {column} = {_written(fact.value)}  # {_comment(fact.how)}, {fact.confidence}"
        for column in missing:
            yield f"# {column} = ...  # {COLUMNS[column].note}; unknown"


def _value(found: Understood, column: str) -> float | str | None:
    fact = found.facts.get(column)
    return None if fact is None else fact.value


def _how(gathering: Gathering, column: str) -> str:
    told: Mapping[tuple[str, str], int] = Counter(
        (_comment(choice.how), choice.confidence)
        for choice in _choices(gathering)
        if choice.column == column
    )
    return "; ".join(f"{how}, {confidence}" for how, confidence in list(told)[:2])


def _choices(gathering: Gathering) -> Iterator[Understanding]:
    for found in gathering.logs:
        yield from found.choices


def _written(value: float | str) -> str:
    if isinstance(value, str):
        return _quoted(value)
    return f"{int(value)}" if value == int(value) and abs(value) < 1e15 else f"{value!r}"


def _quoted(text: str) -> str:
    """A TOML string; JSON escapes are among TOML's."""
    return json.dumps(text.encode("utf-8", "replace").decode())


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
