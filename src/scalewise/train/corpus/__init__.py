"""Texts to train on: the embedded one, and the user's own files."""

from __future__ import annotations

from pathlib import Path

from scalewise.train.corpus.split import Corpus

__all__ = ["Corpus", "is_named", "load_corpus"]


def is_named(name: str) -> bool:
    """Whether a corpus is known by name, and is not a path."""
    return name in ("stdlib", "interpreter") or name.startswith("hf:")


def load_corpus(name: str) -> Corpus:
    """The corpus of a name or path.

    ``stdlib`` is the embedded one, the same everywhere. ``interpreter`` is the standard library
    of the running interpreter, which differs between versions. ``hf:NAME`` or ``hf:NAME/CONFIG``
    is a Hugging Face data set. Anything else is a file or folder.
    Raises UsageError when there is no such corpus, RunDataError when it holds no text,
    MissingExtraError when the package ``datasets`` is needed and absent.
    """
    if name == "stdlib":
        from scalewise.train.corpus.embedded import embedded_corpus

        return embedded_corpus()
    if name == "interpreter":
        from scalewise.train.corpus.build import interpreter_corpus

        return interpreter_corpus()
    if name.startswith("hf:"):
        from scalewise.train.corpus.hub import corpus_from_hub

        return corpus_from_hub(name)
    from scalewise.train.corpus.files import corpus_from_path

    return corpus_from_path(Path(name))
