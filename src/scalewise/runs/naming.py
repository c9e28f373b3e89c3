"""Which source column becomes which canonical column, decided once and told to the user."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scalewise.core.errors import RunDataError, UsageError
from scalewise.runs.columns import ALIASES, COLUMNS, PARAM_COUNTS, canonical_name, nearest
from scalewise.runs.quote import listed, quoted

# Words that people use for any of the parameter counts; only an explicit mapping may say which.
_LOOSE_COUNTS = ("params", *(a for a in COLUMNS["params"].aliases if "total" not in a))


_COUNTS = (*PARAM_COUNTS, "tokens", "tokens_unique", "batch_tokens")
_TIMES = {"k": 1e3, "m": 1e6, "b": 1e9, "bn": 1e9, "t": 1e12, "thousand": 1e3, "million": 1e6,
          "billion": 1e9, "trillion": 1e12}  # fmt: skip
_WITH_UNIT = re.compile(r"(?P<name>.+?)(?:[\s_/.-]+|(?=[\[(]))(?P<open>[\[(]?)\s*"
                        r"(?P<unit>[a-z]+(?:[ /][a-z ]+)?)\s*[\])]?", re.IGNORECASE)  # fmt: skip
_NATS = ("nats", "nats/token", "nats/tok", "nats per token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """The outcome: canonical name -> source name, columns to rename besides, and why.

    ``scales`` has the unit of a count whose source names one: 1e6 for ``params_M``.
    """

    mapping: Mapping[str, str]
    renamed: Mapping[str, str]
    notes: tuple[str, ...]
    scales: Mapping[str, float] = field(default_factory=dict)


def name_columns(columns: Sequence[str], explicit: Mapping[str, str] | None = None) -> Naming:
    """Match source columns to canonical ones.

    An explicit choice wins; then a column that already has the canonical name; then the one
    column whose name is an alias. Raises RunDataError if two aliases compete or an explicit
    choice is not there, UsageError if an explicit choice is malformed.

    >>> name_columns(["N", "D", "val_loss", "note"]).mapping
    {'params': 'N', 'tokens': 'D', 'loss': 'val_loss'}
    """
    explicit = dict(explicit or {})
    _check_explicit(explicit, columns)
    mapping = dict(explicit)
    notes = [_told(name, source) for name, source in explicit.items() if name != source]
    left = [column for column in columns if column not in explicit.values()]
    rivals: dict[str, list[str]] = {}
    for column in left:
        name = canonical_name(column)
        if name is not None:
            rivals.setdefault(name, []).append(column)
    for column in left:
        name, _ = counted_in(column)
        # A name without a unit comes first; this one stays an extra column beside it.
        if name and name not in rivals and name not in explicit:
            rivals[name] = [c for c in left if counted_in(c)[0] == name]
    renamed: dict[str, str] = {}
    for name, sources in rivals.items():
        if name in explicit:
            # Under a name that no alias knows, the passed-over column stays an extra one for
            # whoever reads the written table again.
            renamed |= {source: _free(source, columns) for source in sources}
            notes.append(f"{listed(sources)} kept as {listed(renamed[s] for s in sources)}")
            continue
        mapping[name] = _only(name, sources)
        if others := [source for source in sources if source != mapping[name]]:
            notes.append(f"{name} is the column of that name; {listed(others)} kept as extra")
    ordered = {name: mapping[name] for name in COLUMNS if name in mapping}
    scales = {name: counted_in(source)[1] for name, source in ordered.items()}
    return Naming(
        mapping=ordered,
        renamed=renamed,
        notes=tuple(notes),
        scales={name: scale for name, scale in scales.items() if scale != 1.0},
    )


def counted_in(column: str) -> tuple[str | None, float]:
    """What a column with a unit in its name counts, and in what; else None and 1.

    >>> counted_in("params_M"), counted_in("Tokens (billions)"), counted_in("loss_m")
    (('params', 1000000.0), ('tokens', 1000000000.0), (None, 1.0))
    """
    found = None if canonical_name(column) else _WITH_UNIT.fullmatch(column.strip())
    if found is None or (len(found["name"]) == 1 and not found["open"]):
        return None, 1.0
    name, unit = canonical_name(found["name"]), found["unit"].casefold()
    if name == "loss" and unit in _NATS:
        return name, 1.0
    scale = _TIMES.get(unit) or _TIMES.get(unit.removesuffix("s"))
    return (name, scale) if scale and name in _COUNTS else (None, 1.0)


def _only(name: str, sources: list[str]) -> str:
    """The one source of a canonical column, or an error that names the rivals."""
    if name == "loss" and name in sources and len(sources) > 1:
        raise RunDataError(
            f"The columns {listed(sources)} could each be the held-out loss; beside the others, "
            "'loss' may be the training loss.",
            hint=f'Say which: mapping={{"loss": {quoted(_held_out(sources))}}}.',
        )
    if name in sources:
        return name
    if len(sources) > 1:
        raise RunDataError(
            f"The columns {listed(sources)} could each be {name!r} ({COLUMNS[name].note}).",
            hint=f'Say which: mapping={{"{name}": {quoted(sources[0])}}}.',
        )
    return sources[0]


def _held_out(sources: list[str]) -> str:
    return next(source for source in sources if source != "loss")


def _free(source: str, columns: Sequence[str]) -> str:
    name = f"{source}_as_read"
    while name in columns:
        name += "_"
    return name


def _told(name: str, source: str) -> str:
    meant = canonical_name(source)
    if meant in PARAM_COUNTS and name in PARAM_COUNTS and meant != name:
        return f"{name} is {quoted(source)} because the mapping says that it counts so"
    return f"{name} is {quoted(source)} as the mapping says"


def _check_explicit(explicit: Mapping[str, str], columns: Sequence[str]) -> None:
    taken: dict[str, str] = {}
    for name, source in explicit.items():
        if name not in COLUMNS:
            swapped = source in COLUMNS and name in columns
            raise UsageError(
                f"The mapping names {quoted(name)}, which is no column of a run table.",
                hint=f"Write it the other way round: {source}={name}."
                if swapped
                else f"{nearest(name, [*COLUMNS])}Known: {', '.join(COLUMNS)}.",
            )
        if source not in columns:
            raise RunDataError(
                f"The mapping takes {name!r} from {quoted(source)}, which is not a column.",
                hint=f"{nearest(source, [*columns])}Columns present: {listed(columns, 30)}.",
            )
        if source in taken:
            raise RunDataError(
                f"The mapping takes both {taken[source]!r} and {name!r} from {quoted(source)}.",
                hint="One column is one quantity; params and params_nonembed are never the same.",
            )
        taken[source] = name
        _check_count(name, source)


def _check_count(name: str, source: str) -> None:
    meant = canonical_name(source)
    if name in PARAM_COUNTS and meant in PARAM_COUNTS and meant != name:
        loose = source in _LOOSE_COUNTS or ALIASES.get(source) == "params"
        if not loose or meant != "params":
            raise RunDataError(
                f"The mapping takes {name!r} from {quoted(source)}, whose name says {meant!r}.",
                hint=f"They are different counts ({COLUMNS[name].note}; {COLUMNS[meant].note}). "
                "Fit with the one you have, or rename the column if its name is wrong.",
            )
