"""The run table: its columns, its subsets, its fingerprint and what it tells of itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from scalewise.core.errors import RunDataError
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable


def curves() -> RunTable:
    return read_runs(
        {
            "run_id": ["a", "a", "a", "b", "b"],
            "params": [1_000_000] * 3 + [2_000_000] * 2,
            "tokens": [10_000_000, 20_000_000, 20_000_000, 10_000_000, 20_000_000],
            "loss": [5.0, 4.0, 3.9, 4.5, 3.5],
            "is_final": [False, True, True, False, False],
            "is_annealed": [False, False, True, False, False],
        }
    )


def test_a_column_is_an_array_of_floats() -> None:
    column = curves().column("is_final")
    assert column.dtype == np.float64
    assert column.tolist() == [0, 1, 1, 0, 0]


def test_a_table_tells_of_itself_in_a_line_and_shows_its_rows_in_a_notebook() -> None:
    table = dataclasses.replace(curves(), source="<b>\x1b[2J")
    assert repr(table) == "<RunTable 5 rows of 2 runs from <b>\\x1b[2J>"
    shown = table._repr_html_()
    assert "5 rows of 2 runs from &lt;b&gt;" in shown
    assert "<table" in shown


def test_an_absent_column_names_the_nearest_and_those_present() -> None:
    with pytest.raises(RunDataError, match="no column 'tokns'") as error:
        curves().column("tokns")
    assert "Did you mean 'tokens'?" in error.value.hint
    assert "'is_annealed'" in error.value.hint


def test_a_text_column_is_no_array() -> None:
    with pytest.raises(RunDataError, match="holds text, such as 'a'"):
        curves().column("run_id")
    assert curves().text("run_id") == ("a", "a", "a", "b", "b")


def test_has_means_holding_anything() -> None:
    runs = read_runs({"params": [1e6], "loss": [3.0], "seed": [None]})
    assert runs.has("params")
    assert not runs.has("seed")
    assert not runs.has("lr")


def test_finals_are_the_rows_marked_so_and_the_runs_left_out_are_counted() -> None:
    finals = curves().finals()
    assert finals.column("loss").tolist() == [4.0, 3.9]
    assert finals.assumptions[-1] == "finals: 2 of 5 rows kept; 1 runs have no finished model"


def test_without_marked_finals_the_last_checkpoints_stand_in() -> None:
    finals = curves().without(["a"]).finals()
    assert finals.column("loss").tolist() == [3.5]
    assert "the last checkpoints, 1 rows, stand in" in finals.assumptions[-1]


def test_finals_of_finals_are_the_same_table() -> None:
    finals = curves().finals()
    assert finals.finals() is finals


def test_leaving_out_an_unknown_run_is_an_error() -> None:
    with pytest.raises(RunDataError, match=r"There is no run 'c'. .*Runs: 'a', 'b'"):
        curves().without(["c"])
    assert curves().without("a").run_count == 1


def test_deduplication_keeps_the_last_written_and_counts_the_rest() -> None:
    runs = read_runs(
        {
            "run_id": ["a"] * 4,
            "params": [1e6] * 4,
            "step": [1, 2, 2, 3],
            "batch_tokens": [1024] * 4,
            "loss": [5.0, 4.0, 4.1, 3.9],
        }
    )
    once = runs.deduplicated()
    assert len(runs) == 4
    assert once.column("loss").tolist() == [5.0, 4.1, 3.9]
    assert once.assumptions[-1] == (
        "deduplicated by run_id, tokens, eval_set: 1 earlier rows dropped"
    )
    assert once.deduplicated() is once


def test_a_decayed_end_and_its_trunk_are_no_duplicates() -> None:
    assert not curves().overwritten().any()


def test_rows_of_unknown_progress_are_no_duplicates() -> None:
    runs = read_runs({"run_id": ["a", "a", "b"], "loss": [4.0, 3.0, 3.0], "tokens": [None] * 3})
    assert len(runs.deduplicated()) == 3
    steps = read_runs(
        {"run_id": ["a"] * 3, "loss": [4.0, 3.0, 2.9], "tokens": [None, None, 1e6],
         "step": [1, 2, 2]}
    )  # fmt: skip
    assert not steps.overwritten().any()


def test_the_table_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        curves().source = "elsewhere"  # type: ignore[misc]


def test_the_fingerprint_is_of_the_content_as_read() -> None:
    ints = read_runs({"params": [1, 2], "loss": [3.0, 2.0]})
    floats = read_runs({"loss": [3, 2], "params": [1.0, 2.0]})
    turned = read_runs({"params": [2, 1], "loss": [2.0, 3.0]})
    other = read_runs({"params": [1, 2], "loss": [3.0, 2.0000001]})
    assert ints.sha256 == floats.sha256
    assert len({ints.sha256, turned.sha256, other.sha256}) == 3


def test_a_missing_cell_and_a_zero_have_different_fingerprints() -> None:
    zero = read_runs({"params": [1, 2], "seed": [0, 1]})
    missing = read_runs({"params": [1, 2], "seed": [None, 1]})
    assert zero.sha256 != missing.sha256


def test_text_cells_cannot_flow_into_each_other_in_the_fingerprint() -> None:
    one = read_runs({"params": [1, 2], "note": ["ab", "c"]})
    other = read_runs({"params": [1, 2], "note": ["a", "bc"]})
    assert one.sha256 != other.sha256


def test_the_description_tells_source_sizes_ranges_mapping_and_assumptions() -> None:
    runs = read_runs({"N": [7e9, 1e6, None], "D": [2e12, 1e9, 1e9], "val_loss": [2.0, 4.0, np.inf]})
    told = runs.describe()
    assert "mapping of columns" in told
    assert "3 in 3 runs" in told
    assert "params <- N" in told
    assert "1M to 7B, 1 missing" in told
    assert "1B to 2T tokens" in told
    assert "2 to 4 nats/token, 1 not finite" in told
    assert "flops = 6 * params * tokens" in told


def test_hostile_names_reach_no_terminal_as_they_are() -> None:
    names = ["\x1b[31mred\x1b[0m", "=cmd()", "two\nlines", "\u202eright to left"]
    runs = read_runs(
        {"run_id": names, "N": [1e6] * 4, "loss": [3.0] * 4, "\x1b]0;title\x07": [1] * 4}
    )
    told = runs.describe()
    assert not any(bad in told for bad in ("\x1b", "\x07", "\u202e", "two\nlines"))
    assert runs.text("run_id") == tuple(names)


def test_measured_rows_have_finite_positive_numbers_and_the_others_are_counted() -> None:
    table = read_runs({"tokens": [1e9, 2e9, 3e9, None], "loss": [3.0, float("inf"), -1.0, 2.0]})
    assert table.measured("loss").column("tokens")[0] == 1e9
    kept = table.measured("loss", "tokens")
    assert kept.column("loss").tolist() == [3.0]
    assert kept.assumptions[-1] == "measured loss, tokens: 1 of 4 rows kept"
    assert kept.measured("loss") is kept
    with pytest.raises(RunDataError, match="finite number above 0 in loss; the table has 1"):
        table.where("loss < 0").measured("loss")
    with pytest.raises(RunDataError, match="holds text"):
        table.measured("run_id")
