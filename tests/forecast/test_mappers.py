from __future__ import annotations

import os
from pathlib import Path

import pytest

from scalewise.core.errors import UsageError
from scalewise.forecast.mappers import map_here, map_processes
from tests.forecast.study_families import count, die_always, die_once


def test_processes_answer_as_this_process_does() -> None:
    assert sorted(map_processes(2)(count, range(7))) == list(map_here(count, range(7)))


def test_nothing_to_do_is_done_at_once() -> None:
    assert list(map_processes(2)(count, [])) == []


def test_a_worker_that_dies_is_replaced_and_its_item_taken_up_again(tmp_path: Path) -> None:
    items = [(str(tmp_path), number) for number in range(6)]
    found = dict(map_processes(2)(die_once, items))
    assert found == {number: str(10 * number) for number in range(6)}
    assert (tmp_path / "died").exists()


def test_an_item_that_always_kills_its_worker_is_told_after_the_others_are_done(
    tmp_path: Path,
) -> None:
    answers = map_processes(1)(die_always, [(str(tmp_path), n) for n in range(5)])
    found = [next(answers) for _ in range(4)]
    assert sorted(found) == [(n, str(10 * n)) for n in (0, 1, 2, 4)]
    with pytest.raises(UsageError, match="died 3 times in a row, with 1 of 5 parts still to do"):
        next(answers)


def test_the_threads_of_this_process_are_its_own_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    assert list(map_processes(1)(os.getenv, ["OMP_NUM_THREADS"])) == [(0, "1")]  # type: ignore[arg-type]
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_fewer_than_one_worker_is_refused() -> None:
    with pytest.raises(UsageError, match="workers=0 is below 1"):
        map_processes(0)
