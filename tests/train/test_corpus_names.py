from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from scalewise.core.errors import MissingExtraError, RunDataError, UsageError
from scalewise.train.corpus import is_named, load_corpus
from scalewise.train.corpus.build import interpreter_corpus


def hub(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """A stand-in for the package ``datasets`` that records how it was asked."""
    asked: list[tuple[Any, ...]] = []

    def load_dataset(
        path: str, config: str | None, *, split: str, streaming: bool
    ) -> Iterator[dict[str, Any]]:
        asked.append((path, config, split, streaming))
        if path == "no/such":
            raise ConnectionError("no route to the hub")
        return iter(rows)

    module = ModuleType("datasets")
    module.__dict__["load_dataset"] = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    return asked


def test_names_are_told_from_paths() -> None:
    assert is_named("stdlib")
    assert is_named("interpreter")
    assert is_named("hf:owner/name")
    assert not is_named("texts/stdlib")


def test_a_data_set_of_the_hub_is_streamed_and_split_by_content(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [{"text": f"story {number}"} for number in range(200)]
    asked = hub(monkeypatch, [*rows, *rows[:50], {"text": ""}])
    corpus = load_corpus("hf:owner/stories:small")
    assert asked == [("owner/stories", "small", "train", True)]
    assert corpus.documents == 200
    assert b"story 7" in corpus.train + corpus.val
    hub(monkeypatch, list(reversed(rows)))
    assert load_corpus("hf:owner/stories:small").fingerprint == corpus.fingerprint


def test_rows_without_text_are_refused_with_their_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, [{"content": "a"}, {"content": "b"}])
    with pytest.raises(RunDataError, match="no text field 'text'; it has content"):
        load_corpus("hf:owner/name")


def test_what_the_hub_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, [])
    with pytest.raises(UsageError, match="'no/such' cannot be loaded: ConnectionError: no route"):
        load_corpus("hf:no/such")
    with pytest.raises(UsageError, match="names no data set"):
        load_corpus("hf:")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"scalewise\[data\]"):
        load_corpus("hf:owner/name")


def test_the_library_of_the_running_interpreter_is_a_corpus_of_its_own() -> None:
    corpus, embedded = interpreter_corpus(), load_corpus("stdlib")
    assert corpus.name == "interpreter"
    assert len(corpus.train) > 5_000_000
    assert b"def " in corpus.val
    assert corpus.fingerprint == load_corpus("interpreter").fingerprint
    assert abs(len(corpus.train) / len(embedded.train) - 1) < 0.3


def test_a_corpus_that_is_neither_name_nor_path_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither 'stdlib' nor a file or folder"):
        load_corpus(str(tmp_path / "absent"))
