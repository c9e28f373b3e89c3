"""What a client may ask to be computed: a reading of uploads, or a fit. Never a path.

A question is plain data. Equal questions have the same key, under which the answer is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scalewise.core.records import sha256_of_json
from scalewise.runs.quote import quoted
from scalewise.web.refusals import RefusalError

_LONGEST = 1000  # of a formula or a condition
_MOST = 20_000  # runs left out, sources joined
_SEEDS = 2**31
_DRAWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadQuestion:
    """Sources to be read as one run table; ``mapping`` is the text of a mapping file.

    ``watched`` stands for the watched folder, with the fingerprint that it had.
    """

    sources: tuple[str, ...] = ()
    mapping: str = ""
    watched: str = ""

    @property
    def record(self) -> dict[str, Any]:
        """The question as JSON can hold it."""
        return {"kind": "read", **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitQuestion:
    """A fit to a run table that was read: law, rows, and how it is drawn."""

    runs: str
    law: str = "auto"
    where: str = ""
    without: tuple[str, ...] = ()
    seed: int = 0
    bootstrap: int = 300
    level: float = 0.9

    @property
    def record(self) -> dict[str, Any]:
        """The question as JSON can hold it."""
        return {"kind": "fit", **asdict(self)}


Question = ReadQuestion | FitQuestion


def key_of(question: Question) -> str:
    """The key of the answer: the same question to the same program has the same."""
    from scalewise import __version__

    return sha256_of_json({**question.record, "version": __version__})


def question_from(fields: Mapping[str, Any]) -> Question:
    """What was asked, from a form or a JSON body. Raises RefusalError for what is not a question.

    >>> question_from({"kind": "fit", "runs": "ab", "seed": "3"}).seed
    3
    """
    kind = fields.get("kind")
    readers = _READ if kind == "read" else _FIT if kind == "fit" else None
    if readers is None:
        raise RefusalError(
            f"A job of kind {quoted(kind)} is not known.", hint="Kinds: 'read' and 'fit'."
        )
    if unknown := sorted(set(map(str, fields)) - {"kind", *readers}):
        raise RefusalError(
            f"A job of kind {kind!r} has no field {quoted(unknown[0])}.",
            hint=f"Fields: {', '.join(readers)}.",
        )
    given: dict[str, Any] = {
        name: read(name, fields[name]) for name, read in readers.items() if name in fields
    }
    wanted = "sources" if kind == "read" else "runs"
    if not given.get(wanted):
        raise RefusalError(
            f"The job names no {wanted}.", hint=f"Give {wanted!r}: keys of this project."
        )
    return ReadQuestion(**given) if kind == "read" else FitQuestion(**given)


def question_of(record: Mapping[str, Any]) -> Question:
    """A question from the record that was kept of it."""
    fields: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in record.items() if k != "kind"
    }
    return ReadQuestion(**fields) if record["kind"] == "read" else FitQuestion(**fields)


def _text(longest: int) -> Callable[[str, object], str]:
    def read(name: str, value: object) -> str:
        if not isinstance(value, str) or len(value) > longest:
            raise RefusalError(
                f"{name} is {quoted(value)}, not a text of at most {longest} characters.",
                hint=f"Give {name} as text.",
            )
        return value.strip()

    return read


def _texts(name: str, value: object) -> tuple[str, ...]:
    """A set of names, in an order of its own so that equal sets are equal."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)) or not all(isinstance(v, str) for v in values):
        raise RefusalError(f"{name} is {quoted(value)}, not a list of names.", hint="Give a list.")
    if len(values) > _MOST:
        raise RefusalError(
            f"{name} has {len(values)} names.", hint=f"At most {_MOST} are accepted."
        )
    return tuple(sorted(set(values)))


def _number(low: float, high: float, kind: type) -> Callable[[str, object], Any]:
    def read(name: str, value: object) -> Any:
        try:
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                raise ValueError
            number = kind(value)
            if number != float(value) or not low <= number <= high:
                raise ValueError
        except (ValueError, OverflowError):
            whole = "a whole number" if kind is int else "a number"
            raise RefusalError(
                f"{name} is {quoted(value)}, not {whole} from {low:g} to {high:g}.",
                hint=f"Give another {name}.",
            ) from None
        return number

    return read


_READ = {"sources": _texts, "mapping": _text(1_000_000)}
_FIT = {
    "runs": _text(64),
    "law": _text(_LONGEST),
    "where": _text(_LONGEST),
    "without": _texts,
    "seed": _number(0, _SEEDS, int),
    "bootstrap": _number(0, _DRAWS, int),
    "level": _number(0.01, 0.99, float),
}
