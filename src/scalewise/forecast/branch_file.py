"""Branched training as a file: the records of ``train.branches.BranchedBatch`` as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scalewise.core.errors import RunDataError
from scalewise.core.records import atomic_write, to_json

_ENDS = ("low_tokens", "high_tokens")
_MOST = 1e300  # steps or tokens; nothing trains for longer
_MAX_BYTES = 10_000_000
_HINT = "Write it with write_branches, from what train.branches.branched_batch returned."


def write_branches(found: object, path: str | Path) -> None:
    """Write a list of branched batches as JSON, all at once or not at all."""
    atomic_write(Path(path), to_json(found, indent=1) + "\n")


def read_branches(path: str | Path) -> tuple[dict[str, Any], ...]:
    """Branched batches with run_id, step, low_tokens and high_tokens, infinite where it was null.

    Raises RunDataError for a file that is missing or holds something else.
    """
    name = Path(path).name
    try:
        if Path(path).stat().st_size > _MAX_BYTES:
            raise RunDataError(f"{name} is too large for a file of branches.", hint=_HINT)
        read = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunDataError(f"{path} cannot be read as branches: {error}.", hint=_HINT) from error
    records = read if isinstance(read, list) else [read]
    if not records:
        raise RunDataError(f"{name} holds no branches.", hint=_HINT)
    return tuple(_record(each, f"Entry {i + 1} of {name}") for i, each in enumerate(records))


def _record(record: Any, which: str) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise RunDataError(f"{which} is no record of a branched batch.", hint=_HINT)
    lacking = [name for name in ("run_id", "step", *_ENDS) if name not in record]
    if lacking:
        raise RunDataError(f"{which} has no {', '.join(lacking)}.", hint=_HINT)
    if not isinstance(record["run_id"], str):
        raise RunDataError(f"{which} has run_id={str(record['run_id'])[:40]}.", hint=_HINT)
    # JSON has no infinity: branches that all kept up have no upper end.
    ends = {**record, "high_tokens": _infinite_if_none(record["high_tokens"])}
    for name in ("step", *_ENDS):
        value = ends[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        is_open = name == "high_tokens" and value == float("inf")
        if not (is_number and (0 < value <= _MOST or is_open)):
            raise RunDataError(f"{which} has {name}={_shown(value)}.", hint=_HINT)
    if ends["low_tokens"] > ends["high_tokens"]:
        raise RunDataError(
            f"{which} has low_tokens={ends['low_tokens']:g} above "
            f"high_tokens={ends['high_tokens']:g}.",
            hint=_HINT,
        )
    return ends


def _shown(value: Any) -> str:
    # Python refuses to write out whole numbers of more than some thousand digits.
    too_long = isinstance(value, int) and abs(value) > _MOST
    return f"a whole number of {value.bit_length()} bits" if too_long else str(value)[:40]


def _infinite_if_none(value: Any) -> Any:
    return float("inf") if value is None else value
