"""The user's own texts: files or folders of text, JSONL (``text``) and Parquet (``text``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from scalewise.core.errors import RunDataError, UsageError
from scalewise.train.corpus.split import VAL_ONE_IN, Corpus, corpus_from_documents

FIELD = "text"
BLOCKS = 100  # a text in one piece is cut into this many, so that a twentieth can validate


def corpus_from_path(path: Path) -> Corpus:
    """Read a file, or every file below a folder; hidden files are left out.

    A text file is a document named by its path in the folder; a row of JSONL or Parquet is a
    document named by its contents, so equal rows count once. With fewer than twenty documents
    each is cut into blocks at line ends, and blocks are split instead.
    Raises UsageError when there is no such path, RunDataError when there is no text in it.
    """
    if not path.exists():
        raise UsageError(
            f"No corpus {str(path)!r}: it is neither 'stdlib' nor a file or folder.",
            hint="Give a text, JSONL or Parquet file, or a folder of them.",
        )
    documents = {name: text for file in _files(path) for name, text in _documents(file, path)}
    if not documents:
        raise RunDataError(f"Corpus {str(path)!r} holds no text.", hint="Give files with text.")
    if len(documents) < VAL_ONE_IN:
        documents = {
            f"{name}#{number}": block
            for name, text in documents.items()
            for number, block in enumerate(_blocks(text))
        }
    return corpus_from_documents(str(path), documents)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    below = (file for file in path.rglob("*") if file.is_file())
    return sorted(
        file
        for file in below
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
    )


def _documents(file: Path, root: Path) -> Iterator[tuple[str, bytes]]:
    if file.suffix in (".jsonl", ".ndjson"):
        rows = _jsonl_rows(file)
    elif file.suffix == ".parquet":
        rows = _parquet_rows(file)
    else:
        text = file.read_bytes()
        if text:
            yield (file.name if file == root else file.relative_to(root).as_posix()), text
        return
    for row in rows:
        if row:
            text = row.encode()
            yield hashlib.sha256(text).hexdigest(), text


def _jsonl_rows(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                text = row[FIELD]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise RunDataError(
                    f"{file.name}, line {number}: no JSON object with a field {FIELD!r}.",
                    hint=f'Each line should read {{"{FIELD}": "..."}}.',
                ) from error
            yield str(text)


def _parquet_rows(file: Path) -> Iterator[str]:
    import polars as pl

    columns = pl.read_parquet_schema(file)
    if FIELD not in columns:
        raise RunDataError(
            f"{file.name} has no column {FIELD!r}; it has {', '.join(columns)}.",
            hint=f"Rename the column that holds the documents to {FIELD!r}.",
        )
    yield from (
        text or "" for text in pl.read_parquet(file, columns=[FIELD])[FIELD].cast(pl.String)
    )


def _blocks(text: bytes) -> Iterator[bytes]:
    """Pieces of about a hundredth of the text each, cut after a line end where there is one."""
    size = max(1, len(text) // BLOCKS)
    start = 0
    while start < len(text):
        end = text.find(b"\n", start + size)
        end = len(text) if end < 0 else end + 1
        yield text[start:end]
        start = end
