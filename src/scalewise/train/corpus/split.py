"""Documents -> train and validation bytes, split by the hash of each document's name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from scalewise.core.errors import RunDataError

SEPARATOR = b"\0"
VAL_ONE_IN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Text to train and to evaluate on, with the fingerprint that every run of it carries."""

    name: str
    train: bytes
    val: bytes
    documents: int
    fingerprint: str

    def __repr__(self) -> str:
        return (
            f"Corpus({self.name!r}, train={len(self.train):,} bytes, val={len(self.val):,} bytes,"
            f" documents={self.documents}, fingerprint={self.fingerprint!r})"
        )


def fingerprint_of(train: bytes, val: bytes) -> str:
    """Sixteen hex digits that differ as soon as one byte of either split does.

    >>> fingerprint_of(b"a", b"b") == fingerprint_of(b"a", b"c")
    False
    """
    digest = hashlib.sha256(len(train).to_bytes(8, "little"))
    digest.update(train)
    digest.update(val)
    return digest.hexdigest()[:16]


def name_hash(name: str) -> int:
    """The number that decides both the split and the order of a document."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest(), "big")


def corpus_from_documents(name: str, documents: Mapping[str, bytes]) -> Corpus:
    """Split named documents: ``sha256(name) % 20 == 0`` validates, the rest trains.

    The order is that of the hash, so a document added or removed leaves all others where they
    were. With fewer than twenty documents the one with the smallest remainder validates.
    Raises RunDataError when there are fewer than two documents.
    """
    if len(documents) < 2:
        raise RunDataError(
            f"Corpus {name!r} has {len(documents)} document(s); it takes two to train on one "
            "and validate on another.",
            hint="Give more files, or a JSONL or Parquet file with one document per row.",
        )
    ordered = sorted(documents, key=name_hash)
    held_out = {key for key in ordered if name_hash(key) % VAL_ONE_IN == 0}
    if not held_out or len(held_out) == len(ordered):
        held_out = {min(ordered, key=lambda key: name_hash(key) % VAL_ONE_IN)}
    train = SEPARATOR.join(documents[key] for key in ordered if key not in held_out)
    val = SEPARATOR.join(documents[key] for key in ordered if key in held_out)
    return Corpus(
        name=name,
        train=train,
        val=val,
        documents=len(documents),
        fingerprint=fingerprint_of(train, val),
    )
