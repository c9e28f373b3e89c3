"""Data sets of the Hugging Face hub, through the package ``datasets``; only when asked by name."""

from __future__ import annotations

import hashlib
from typing import Any

from scalewise.core.errors import RunDataError, UsageError
from scalewise.core.optional import require
from scalewise.train.corpus.files import FIELD
from scalewise.train.corpus.split import Corpus, corpus_from_documents

PREFIX = "hf:"
MOST_BYTES = 2**30  # documents are held in memory, and no ladder of small models reads more


def corpus_from_hub(name: str) -> Corpus:
    """The ``train`` split of ``hf:NAME`` or ``hf:OWNER/NAME``, a config after a colon.

    Rows are streamed until a gigabyte is read; each is a document named by its contents, so equal
    rows count once, and the split into train and validation is by that name.
    Raises MissingExtraError without the package ``datasets``, UsageError when it cannot load the
    data set, RunDataError when rows have no text.

    ``hf:roneneldan/TinyStories`` and ``hf:wikitext:wikitext-2-raw-v1`` are such names.
    """
    datasets = require("datasets", extra="data", why=f"to read the corpus {name!r}")
    path, _, config = name.removeprefix(PREFIX).partition(":")
    if not path:
        raise UsageError(f"{name!r} names no data set.", hint="Write hf:OWNER/NAME.")
    try:
        rows = datasets.load_dataset(path, config or None, split="train", streaming=True)
    except Exception as error:  # every loader of the hub raises errors of its own
        raise UsageError(
            f"The data set {path!r} cannot be loaded: {type(error).__name__}: {error}",
            hint="Check the name and the network, or give a local JSONL or Parquet file.",
        ) from error
    documents: dict[str, bytes] = {}
    total = 0
    for row in rows:
        text = _text(row, name).encode()
        if text:
            documents[hashlib.sha256(text).hexdigest()] = text
            total += len(text)
        if total >= MOST_BYTES:
            break
    return corpus_from_documents(name, documents)


def _text(row: dict[str, Any], name: str) -> str:
    if not isinstance(row.get(FIELD), str):
        raise RunDataError(
            f"A row of {name!r} has no text field {FIELD!r}; it has {', '.join(row)}.",
            hint=f"Choose a data set, or a config of it, whose rows hold {FIELD!r}.",
        )
    return str(row[FIELD])
