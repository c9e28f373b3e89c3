"""Corpora that are tokens already: ``train.bin`` and ``val.bin``, mapped where they lie.

The files hold bare little-endian integers without a header, uint16 up to 65536 tokens and uint32
beyond, as nanoGPT's ``prepare.py`` writes them. The tokenizer of such a run is ``tokens-V``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from scalewise.core.errors import RunDataError, UsageError
from scalewise.core.records import atomic_write, sha256_of_bytes, sha256_of_file, to_json
from scalewise.train.batches import Tokens
from scalewise.train.tokenizer import TokenizedCorpus, vocab_size_of

TRAIN, VAL = "train.bin", "val.bin"
CHECKED = 2**20  # tokens of each split that are looked at for being in the vocabulary


def map_bins(folder: Path, tokenizer: str) -> TokenizedCorpus:
    """Map both splits of a folder; the fingerprint is that of the files' contents.

    Raises UsageError when a file is missing, RunDataError when it holds other numbers than tokens.
    """
    mapped = _corpus(folder, tokenizer, fingerprint="")
    sums = "".join(sha256_of_file(folder / name) for name in (TRAIN, VAL))
    return replace(mapped, fingerprint=sha256_of_bytes(sums.encode())[:16])


def _corpus(folder: Path, tokenizer: str, fingerprint: str) -> TokenizedCorpus:
    return TokenizedCorpus(
        name=str(folder),
        fingerprint=fingerprint,
        tokenizer=tokenizer,
        vocab_size=vocab_size_of(tokenizer),
        bytes_per_token=None,
        train=_mapped(folder / TRAIN, tokenizer),
        val=_mapped(folder / VAL, tokenizer),
    )


def _mapped(file: Path, tokenizer: str) -> Tokens:
    vocab_size = vocab_size_of(tokenizer)
    dtype = np.dtype("<u2" if vocab_size <= 65536 else "<u4")
    if not file.exists() or file.stat().st_size == 0:
        raise UsageError(
            f"No tokens in {str(file)!r}.",
            hint="A corpus of ready tokens is a folder with train.bin and val.bin.",
        )
    if file.stat().st_size % dtype.itemsize:
        raise RunDataError(
            f"{file.name} has {file.stat().st_size} bytes, no whole number of {dtype.name} tokens.",
            hint=f"Tokens of {tokenizer} are {dtype.name} without a header.",
        )
    tokens = np.memmap(file, dtype, mode="r")
    highest = int(tokens[:CHECKED].max())
    if highest >= vocab_size:
        raise RunDataError(
            f"{file.name} holds token {highest}, outside of {tokenizer}.",
            hint="Name the size of the vocabulary that the tokens were made with.",
        )
    return tokens


def refer_to_bins(tokens: TokenizedCorpus, folder: Path) -> None:
    """Note in ``folder`` where the tokens lie, instead of copying them."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {name: getattr(tokens, name) for name in ("name", "fingerprint", "tokenizer")}
    atomic_write(folder / "bins.json", to_json(facts))


def follow_reference(folder: Path) -> TokenizedCorpus:
    """Map what `refer_to_bins` noted; the contents were checked when it was written."""
    facts = json.loads((folder / "bins.json").read_text(encoding="utf-8"))
    return _corpus(Path(facts["name"]), facts["tokenizer"], facts["fingerprint"])
