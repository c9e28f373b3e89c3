"""What all text logs share: lines without colours, attempts, half-written ends."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.text_log import Attempts, identity, is_text_log, lines, number

SIGN = re.compile(r"step \d+ loss")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,234", 1234.0), ("2.5B", 2.5e9), ("1.04E+01", 10.4), ("-3", -3.0), ("12ms", None),
     ("", None), ("1e999", float("inf")), (",", None)],
)  # fmt: skip
def test_numbers_are_read_as_tools_print_them(text: str, value: float | None) -> None:
    assert number(text) == value


def test_colours_and_carriage_returns_are_taken_off(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"\x1b[31mstep 1 loss 2\x1b[0m\rstep 2 loss 1\r\n\xff\xfe\n")
    told = list(lines(log, {}))
    assert told[:2] == ["step 1 loss 2", "step 2 loss 1"]
    assert is_text_log(log, SIGN)


def test_a_line_without_its_end_may_hold_half_a_number_and_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"step 1 loss 2.345\nstep 2 loss 2.3")
    lost: dict[str, int] = {}
    assert list(lines(log, lost)) == ["step 1 loss 2.345"]
    assert lost == {"truncated bytes": 15}


def test_a_line_of_any_length_is_read_in_bounded_pieces(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 200_000 + b"\nstep 1 loss 2\n")
    assert max(map(len, lines(log, {}))) <= 8 * 2**10
    assert len(next(lines(log, {}, 2**20))) == 200_000


def test_a_sign_late_in_a_long_file_is_found_and_binary_files_are_none(tmp_path: Path) -> None:
    late, binary, code = (tmp_path / name for name in ("a.log", "b.log", "c.py"))
    late.write_bytes(b"warning\n" * 50_000 + b"step 1 loss 2\n")
    binary.write_bytes(b"step 1 loss 2\n\0")
    code.write_bytes(b"step 1 loss 2\n")
    assert [is_text_log(path, SIGN) for path in (late, binary, code)] == [True, False, False]


def test_a_step_that_comes_again_begins_a_new_attempt() -> None:
    attempts = Attempts(None)
    for step in (1, 2, 3, 2, 3):
        attempts.train(step, {"loss": 4.0 - step + len(attempts) / 10})
    first, second = attempts.logs(
        lost={"truncated bytes": 3}, run_id="r", name="r", kind="k", source="s"
    )
    assert first.points["step"].to_list() == [1, 2, 3]
    assert first.restart_step is None
    assert second.points["step"].to_list() == [2, 3]
    assert second.restart_step == 2
    assert (first.lost, second.lost) == ({}, {"truncated bytes": 3})


def test_what_is_measured_just_before_a_restart_belongs_to_the_new_attempt() -> None:
    attempts = Attempts(None)
    attempts.train(499, {"loss": 3.0})
    attempts.measure(500, {"val": 2.0})
    attempts.train(500, {"loss": 2.9})
    attempts.measure(500, {"val": 2.0})
    attempts.train(500, {"loss": 2.8})
    first, second = attempts.logs(lost={}, run_id="r", name="r", kind="k", source="s")
    assert first.points["val"].to_list() == [None, 2.0]
    assert second.points.rows() == [(500, 2.0, 2.8)]


def test_of_several_ranks_the_first_is_kept() -> None:
    attempts = Attempts(None)
    for rank in (3, 0, 7):
        attempts.train(1, {"loss": float(rank)}, line=f"[rank{rank}]: step 1")
    (log,) = attempts.logs(lost={}, run_id="r", name="r", kind="k", source="s")
    assert log.points["loss"].to_list() == [3.0]


def test_only_metrics_that_are_wanted_or_known_are_kept() -> None:
    attempts = Attempts(lambda name: name == "loss", {"core"})
    attempts.train(1, {"loss": 1.0, "core": 2.0, "grad_norm": 3.0})
    (log,) = attempts.logs(lost={}, run_id="r", name="r", kind="k", source="s")
    assert log.points.columns == ["step", "loss", "core"]


def test_a_missing_file_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(RunDataError, match=r"no\.log cannot be read"):
        list(lines(tmp_path / "no.log", {}))
    assert identity(tmp_path / "d12.log") == ((tmp_path / "d12").as_posix(), "d12")
