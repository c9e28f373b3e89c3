"""Texts to train on: the embedded one, and the user's own files."""

from __future__ import annotations

from pathlib import Path

from scalewise.train.corpus.split import Corpus

__all__ = ["Corpus", "load_corpus"]


def load_corpus(name: str) -> Corpus:
    """The corpus of a name: ``stdlib`` is the embedded one, anything else a file or folder.

    Raises UsageError when there is no such path, RunDataError when it holds no text.
    """
    if name == "stdlib":
        from scalewise.train.corpus.embedded import embedded_corpus

        return embedded_corpus()
    from scalewise.train.corpus.files import corpus_from_path

    return corpus_from_path(Path(name))
