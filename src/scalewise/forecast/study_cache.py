"""What was computed of a study stays computed: chunks by content, each in a file of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scalewise.core.errors import UsageError
from scalewise.core.records import atomic_write, sha256_of_json, to_json
from scalewise.core.version import version
from scalewise.forecast.mappers import Mapper
from scalewise.forecast.study_cell import Chunk, cells_of

FORMAT = 2  # goes up when the same input would give other numbers
Rows = list[dict[str, Any]]


def answers(
    chunks: Sequence[Chunk],
    mapper: Mapper,
    folder: str | Path | None,
    on_chunk: Callable[[int, int], None] | None,
) -> tuple[list[Rows], int]:
    """The cells of every chunk in order, and how many chunks had to be computed.

    With a folder, each answer is written there as soon as it comes in, so that a study that was
    stopped goes on where it was.
    """
    names = [fingerprint(chunk) for chunk in chunks] if folder is not None else []
    paths = [Path(folder or "") / f"{name}.json" for name in names]
    found: dict[int, Rows] = {}
    for index, path in enumerate(paths):
        if (rows := _read(path, names[index])) is not None:
            found[index] = rows
    if paths:
        _make_folder(paths[0].parent)
    missing = [index for index in range(len(chunks)) if index not in found]
    if on_chunk:
        on_chunk(len(found), len(chunks))
    for position, text in mapper(cells_of, [chunks[index] for index in missing]):
        index = missing[position]
        found[index] = json.loads(text)
        if paths:
            atomic_write(paths[index], to_json({"chunk": names[index], "cells": found[index]}))
        if on_chunk:
            on_chunk(len(found), len(chunks))
    return [found[index] for index in range(len(chunks))], len(missing)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The cache {str(folder)!r} cannot be made a folder: {error.strerror or error}.",
            hint="Name a folder that can be written, or leave the cache away.",
        ) from error


def fingerprint(chunk: Chunk) -> str:
    """SHA-256 of all that the cells of a chunk follow from."""
    law = chunk.law
    return sha256_of_json(
        {
            "format": FORMAT,
            "scalewise": version(),
            "family": chunk.family,
            "table": chunk.table.sha256,
            "size": chunk.size_column,
            "law": [law.key, law.formula, law.variables, [str(c) for c in law.constants]],
            "objective": [chunk.objective, chunk.delta],
            "policy": [repr(getattr(chunk.policy, name)) for name in _fields(chunk.policy)],
            "bounds": chunk.bounds,
            "designs": chunk.designs,
            "tail": chunk.tail,
            "fixed": chunk.fixed,
            "effort": chunk.effort,
        }
    )


def _fields(value: Any) -> list[str]:
    return [name for name in value.__dataclass_fields__ if name != "bounds"]


def _read(path: Path, name: str) -> Rows | None:
    """The cells in a file, or None if it is absent or not what it should be."""
    try:
        whole = json.loads(path.read_bytes())
        return list(whole["cells"]) if whole["chunk"] == name else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
