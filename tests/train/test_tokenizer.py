"""Bytes as they are, and byte pairs there and back again."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path

import numpy as np
import pytest

from scalewise.core.errors import MissingExtraError, UsageError
from scalewise.train.corpus import Corpus
from scalewise.train.corpus.split import corpus_from_documents
from scalewise.train.tokenizer import (
    encode_bpe,
    load_tokens,
    save_tokens,
    tokenize,
    train_bpe,
    vocab_size_of,
)

SENTENCES = (
    "The quick brown λ jumps over 數 lazy dogs.\n",
    "größere Zahlen ∞\t🙂\r\n",
    "def f(x):\n",
)


def corpus() -> Corpus:
    return corpus_from_documents(
        "texts", {f"{n}": "".join(SENTENCES * (n % 5 + 1)).encode() for n in range(80)}
    )


def test_bytes_are_their_own_tokens() -> None:
    text = corpus()
    tokens = tokenize(text, "bytes")
    assert tokens.train.tobytes() == text.train
    assert (tokens.vocab_size, tokens.bytes_per_token) == (256, 1.0)
    assert tokens.fingerprint == text.fingerprint


def test_byte_pairs_decode_to_the_text_they_came_from() -> None:
    text = corpus()
    encoder = train_bpe(text.train, 300)
    for split in (text.train, text.val):
        tokens = encode_bpe(encoder, split)
        assert tokens.max() < 300
        assert len(tokens) < len(split) / 1.5
        assert encoder.decode(tokens.tolist()) == split.decode()


def test_byte_pairs_are_the_same_each_time() -> None:
    one, two = (tokenize(corpus(), "bpe-300") for _ in range(2))
    assert np.array_equal(one.train, two.train)
    assert np.array_equal(one.val, two.val)
    assert one.bytes_per_token == len(corpus().val) / len(one.val) > 1.5


def test_text_that_is_not_utf8_is_read_with_replacements() -> None:
    encoder = train_bpe(corpus().train, 300)
    assert encoder.decode(encode_bpe(encoder, b"caf\xe9\0x").tolist()) == "caf\ufffd\0x"


def test_tokens_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    tokens = tokenize(corpus(), "bpe-300")
    save_tokens(tokens, tmp_path / "tokens")
    loaded = load_tokens(tmp_path / "tokens")
    assert isinstance(loaded.train, np.memmap)
    assert np.array_equal(loaded.train, tokens.train)
    assert (loaded.tokenizer, loaded.fingerprint) == (tokens.tokenizer, tokens.fingerprint)


@pytest.mark.parametrize(
    "name", ["words", "bpe", "bpe-12", "bpe-256", "bpe-100000", "bpe-1e3", "tokens-1"]
)
def test_an_unknown_tokenizer_is_named(name: str) -> None:
    with pytest.raises(UsageError, match=f"No tokenizer named '{name}'"):
        vocab_size_of(name)


def test_a_text_too_small_for_the_vocabulary_says_how_far_it_got() -> None:
    with pytest.raises(UsageError, match=r"yields \d+ tokens, fewer than bpe-5000"):
        tokenize(corpus(), "bpe-5000")


def test_without_the_tokenizers_package_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain_import = builtins.__import__

    def without(name: str, *args: object) -> object:
        if name.startswith("tokenizers"):
            raise ModuleNotFoundError(name)
        return plain_import(name, *args)  # type: ignore[arg-type]

    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"scalewise\[train\]"):
        tokenize(corpus(), "bpe-300")
