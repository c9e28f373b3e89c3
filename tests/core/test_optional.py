from __future__ import annotations

import sys

import pytest

from scalewise.core.errors import MissingExtraError
from scalewise.core.optional import require


def test_an_installed_package_is_handed_over() -> None:
    assert require("json", extra="train", why="to read") is sys.modules["json"]


def test_a_hidden_package_is_reported_with_reason_and_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # None in sys.modules makes an import fail exactly as if the package were absent.
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError) as caught:
        require("torch", extra="train", why="to train pilot runs")
    assert caught.value.message == "torch is needed to train pilot runs and is not installed."
    assert caught.value.hint == "Install it with: pip install 'scalewise[train]'"
    assert caught.value.exit_code == 2
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
