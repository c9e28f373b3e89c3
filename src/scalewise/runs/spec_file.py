"""Planned runs as a TOML file: one ``[[run]]`` table each, its model under ``[run.shape]``.

Every key is checked by name and by type, and an unknown one is an error, because a misspelt
setting that is passed over trains the wrong model.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from scalewise.core.errors import RunDataError, UsageError
from scalewise.core.shape import ModelShape
from scalewise.runs.columns import nearest
from scalewise.runs.quote import bare, listed, quoted
from scalewise.runs.spec import RunSpec


def read_specs(path: str | Path) -> tuple[RunSpec, ...]:
    """The planned runs of a TOML file.

    Raises RunDataError if there is no such file or it is not TOML, UsageError if a key is
    unknown, missing or of the wrong type, or two runs share a run_id.
    """
    name = bare(str(path), 200)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise RunDataError(f"There is no file {name}.", hint="Check the path.") from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise RunDataError(
            f"{name} cannot be read: {bare(str(error), 120)}.", hint="Give a TOML file in UTF-8."
        ) from error
    return specs_from_toml(text, name=name)


def specs_from_toml(text: str, *, name: str = "The text") -> tuple[RunSpec, ...]:
    """The planned runs of a TOML text; raises as `read_specs` does."""
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RunDataError(
            f"{name} is not TOML: {bare(str(error), 120)}.", hint="Each run is a table [[run]]."
        ) from error
    _refuse_unknown(content, ["run"], name)
    tables = content.get("run", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"In {name}, 'run' is one table.", hint="Write [[run]], in two brackets.")
    if not tables:
        raise RunDataError(f"{name} plans no runs.", hint="Each run is a table [[run]].")
    specs = tuple(_spec(table, f"run {n} of {name}") for n, table in enumerate(tables, start=1))
    names = [spec.run_id for spec in specs]
    if repeated := sorted({run_id for run_id in names if names.count(run_id) > 1}):
        raise UsageError(
            f"{name} has more than one run {listed(repeated)}.", hint="Give each its own run_id."
        )
    return specs


def specs_to_toml(specs: Iterable[RunSpec]) -> str:
    """The planned runs as TOML that `specs_from_toml` reads back to equal ones."""
    return "\n".join(_table(spec) for spec in specs)


def _table(spec: RunSpec) -> str:
    values = asdict(spec)
    shape = values.pop("shape")
    lines = ["[[run]]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    lines += ["", "[run.shape]", *(f"{key} = {_toml(value)}" for key, value in shape.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, str):
        # JSON's escapes are TOML's, except that TOML also forbids a bare delete character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value).lower() if isinstance(value, bool) else repr(value)


def _spec(table: Mapping[str, Any], where: str) -> RunSpec:
    content = dict(table)
    shape = content.get("shape")
    if not isinstance(shape, dict):
        raise UsageError(f"{where} has no shape.", hint="Describe its model under [run.shape].")
    content["shape"] = ModelShape(**_checked(ModelShape, shape, f"the shape of {where}"))
    return RunSpec(**_checked(RunSpec, content, where))


def _checked(kind: type, content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields of a dataclass from a TOML table, each of its declared type."""
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    _refuse_unknown(content, list(known), where)
    required = [n for n, f in known.items() if f.default is MISSING and n not in content]
    if required:
        raise UsageError(f"{where} lacks {', '.join(required)}.", hint="Add the keys.")
    return {key: _typed(value, hints[key], key, where) for key, value in content.items()}


def _refuse_unknown(content: Mapping[str, Any], known: list[str], where: str) -> None:
    for key in content:
        if key not in known:
            raise UsageError(
                f"{where} has the unknown key {quoted(key)}.",
                hint=f"{nearest(key, known)}Known: {', '.join(known)}.",
            )


def _typed(value: Any, hint: Any, key: str, where: str) -> Any:
    """The value if it is of the type; a whole number passes for a float, 1e6 for an int."""
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_typed(item, get_args(hint)[0], key, where) for item in value)
    if (
        isinstance(hint, type)
        and isinstance(value, hint)
        and isinstance(value, bool) <= (hint is bool)
    ):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        if hint is float:
            return float(value)
        if hint is int and value == value // 1 and abs(value) < 2**53:
            return int(value)
    choices = get_args(hint)
    if get_origin(hint) is not tuple and value in choices:
        return value
    wanted = listed(choices) if choices and get_origin(hint) is not tuple else _named(hint)
    raise UsageError(f"{where} has {key} = {quoted(value)}.", hint=f"It must be {wanted}.")


def _named(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return names.get(hint, "a list of whole numbers")
