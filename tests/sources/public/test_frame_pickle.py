"""Pickled tables are held, never run."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.public.frame_pickle import Column, Frame, read_frame_pickle


def read(content: object, protocol: int = pickle.DEFAULT_PROTOCOL) -> object:
    return read_frame_pickle(io.BytesIO(pickle.dumps(content, protocol)), "made.pkl")


def frame() -> pd.DataFrame:
    made = pd.DataFrame({"n": [1.5, 2.5], "k": [1, 2]})
    made["cell"] = pd.Series([{"a": 1}, None], dtype=object)
    made.columns = pd.Index(["n", "k", "cell"], dtype=object)
    return made


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_table_of_pandas_is_read_without_pandas(protocol: int) -> None:
    got = read(frame(), protocol)
    assert isinstance(got, Frame)
    assert list(got.rows()) == [
        {"n": 1.5, "k": 1, "cell": {"a": 1}},
        {"n": 2.5, "k": 2, "cell": None},
    ]


def test_tables_and_columns_within_cells_are_read_too() -> None:
    inner = pd.DataFrame({"x": [1.0]})
    inner.columns = pd.Index(["x"], dtype=object)
    got = read({"inner": inner, "column": pd.Series([3.0, 4.0]), "array": np.arange(2)})
    assert isinstance(got, dict)
    assert isinstance(got["inner"], Frame)
    assert isinstance(got["column"], Column)
    assert list(got["column"].values) == [3.0, 4.0]
    assert got["array"].tolist() == [0, 1]


def test_a_table_in_the_state_that_older_pandas_wrote_is_read() -> None:
    made = Frame.__new__(Frame)
    axes = [type("Labels", (), {"values": ["a", "b"]})()]
    from scalewise.sources.public.frame_pickle import _Manager

    manager = _Manager()
    blocks = [{"values": np.array([[1.0, 2.0], [3.0, 4.0]]), "mgr_locs": slice(0, 2, 1)}]
    manager.take(([], [], [], {"0.14.1": {"axes": axes, "blocks": blocks}}))
    made.take({"_data": manager})
    assert [list(column) for column in made.columns.values()] == [[1.0, 2.0], [3.0, 4.0]]


class Mischief:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (os.mkdir, (os.fspath(self.path),))


def test_a_pickle_that_would_run_something_is_refused_before_it_does(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    with pytest.raises(RunDataError, match=r"made.pkl asks for .*mkdir"):
        read({"rows": Mischief(trap)})
    assert not trap.exists()


@pytest.mark.parametrize("name", ["builtins\neval", "builtins\ngetattr", "os\nsystem"])
def test_builtins_that_run_code_are_not_let_through(name: str) -> None:
    content = b"c" + name.encode() + b"\n."
    with pytest.raises(RunDataError, match="Nothing of it was run"):
        read_frame_pickle(io.BytesIO(content), "made.pkl")


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps(frame())[:-40]])
def test_what_is_no_whole_pickle_is_refused(content: bytes) -> None:
    with pytest.raises(RunDataError, match="is not a stored table of a known layout"):
        read_frame_pickle(io.BytesIO(content), "made.pkl")
