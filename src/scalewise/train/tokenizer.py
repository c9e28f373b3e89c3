"""Corpus -> token arrays: bytes as they are, or byte-pair encoding trained on the spot."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalewise.core.errors import UsageError
from scalewise.core.optional import require
from scalewise.core.records import atomic_write, to_json
from scalewise.train.batches import Tokens
from scalewise.train.corpus import Corpus
from scalewise.train.corpus.split import SEPARATOR

READY = "tokens-"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenizedCorpus:
    """Both splits as tokens, and what is needed to compare losses between tokenizers."""

    name: str
    fingerprint: str
    tokenizer: str
    vocab_size: int
    bytes_per_token: float | None  # of the validation split; None where nobody knows
    train: Tokens
    val: Tokens


def vocab_size_of(tokenizer: str) -> int:
    """The size that a tokenizer's name promises: 256 for ``bytes``, V for the others.

    >>> vocab_size_of("bpe-4096")
    4096
    """
    if tokenizer == "bytes":
        return 256
    trained = re.fullmatch(r"bpe-(\d{3,5})", tokenizer)
    if trained and 256 < int(trained[1]) <= 65536:
        return int(trained[1])
    ready = re.fullmatch(rf"{READY}(\d{{1,7}})", tokenizer)
    if ready and int(ready[1]) > 1:
        return int(ready[1])
    raise UsageError(
        f"No tokenizer named {tokenizer!r}.",
        hint="Known: 'bytes'; 'bpe-V' with 256 < V <= 65536, such as 'bpe-4096', trained on the "
        "corpus; 'tokens-V' for a folder of ready tokens.",
    )


def tokenize(corpus: Corpus, tokenizer: str) -> TokenizedCorpus:
    """Turn both splits into tokens; a byte-pair encoding is trained on the train split alone."""
    vocab_size = vocab_size_of(tokenizer)
    if tokenizer == "bytes":
        train, val = (np.frombuffer(text, np.uint8) for text in (corpus.train, corpus.val))
    else:
        encoder = train_bpe(corpus.train, vocab_size)
        train, val = (encode_bpe(encoder, text) for text in (corpus.train, corpus.val))
    return TokenizedCorpus(
        name=corpus.name,
        fingerprint=corpus.fingerprint,
        tokenizer=tokenizer,
        vocab_size=vocab_size,
        bytes_per_token=len(corpus.val) / len(val),
        train=train,
        val=val,
    )


def train_bpe(text: bytes, vocab_size: int) -> Any:
    """A byte-level byte-pair tokenizer of ``vocab_size`` tokens, the same for the same text."""
    tokenizers = require("tokenizers", extra="train", why="for byte-pair encoding")
    encoder = tokenizers.Tokenizer(tokenizers.models.BPE())
    encoder.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        show_progress=False,
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
    )
    encoder.train_from_iterator(_documents(text), trainer)
    if encoder.get_vocab_size() < vocab_size:
        raise UsageError(
            f"The corpus yields {encoder.get_vocab_size()} tokens, fewer than bpe-{vocab_size}.",
            hint="Ask for fewer tokens, or give more text.",
        )
    return encoder


def encode_bpe(encoder: Any, text: bytes) -> Tokens:
    """Tokens of a split, documents parted by the token of a NUL byte, as uint16."""
    (separator,) = encoder.encode(SEPARATOR.decode()).ids
    pieces: list[int] = []
    for encoding in encoder.encode_batch(list(_documents(text))):
        pieces += encoding.ids
        pieces.append(separator)
    return np.array(pieces[:-1], np.uint16)


def _documents(text: bytes) -> Iterable[str]:
    return (document.decode("utf-8", "replace") for document in text.split(SEPARATOR))


def save_tokens(tokens: TokenizedCorpus, folder: Path) -> None:
    """Write the arrays so that worker processes can map them into memory."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, values in (("train", tokens.train), ("val", tokens.val)):
        partial = folder / f".{secrets.token_hex(8)}.partial.npy"  # others may write theirs
        try:
            np.save(partial, values, allow_pickle=False)
            partial.replace(folder / f"{split}.npy")
        finally:
            partial.unlink(missing_ok=True)
    facts = {
        name: getattr(tokens, name)
        for name in ("name", "fingerprint", "tokenizer", "vocab_size", "bytes_per_token")
    }
    atomic_write(folder / "tokens.json", to_json(facts))


def load_tokens(folder: Path) -> TokenizedCorpus:
    """Map what `save_tokens` wrote."""
    facts = json.loads((folder / "tokens.json").read_text())
    arrays = {split: np.load(folder / f"{split}.npy", mmap_mode="r") for split in ("train", "val")}
    return TokenizedCorpus(**facts, **arrays)
