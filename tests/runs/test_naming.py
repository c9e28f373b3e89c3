"""Foreign column names: which are known, which compete, and what a mapping may say."""

from __future__ import annotations

from typing import Any

import pytest

from scalewise.core.errors import RunDataError, UsageError
from scalewise.runs.columns import ALIASES, COLUMNS
from scalewise.runs.read import read_runs


def test_foreign_names_are_mapped_and_the_mapping_is_shown() -> None:
    runs = read_runs({"N": [1e6], "D": [2e7], "val_loss": [4.0], "note": ["a"]})
    assert runs.mapping == {"params": "N", "tokens": "D", "loss": "val_loss"}
    assert "params <- N" in runs.describe()
    assert "note" in runs.columns


@pytest.mark.parametrize(
    ("foreign", "canonical"),
    [
        ("n_params", "params"),
        ("num_params", "params"),
        ("model_size", "params"),
        ("parameters", "params"),
        ("non_embedding_params", "params_nonembed"),
        ("n_tokens", "tokens"),
        ("train_tokens", "tokens"),
        ("C", "flops"),
        ("compute", "flops"),
        ("valid_loss", "loss"),
        ("Eval/Loss", "loss"),
        ("validation_loss", "loss"),
        ("cross_entropy", "loss"),
        ("_step", "step"),
        ("data", "corpus"),
        ("seq_len", "context_length"),
    ],
)
def test_a_common_foreign_name_is_known(foreign: str, canonical: str) -> None:
    values: list[Any] = ["c4"] if COLUMNS[canonical].kind == "text" else [3.0]
    other = {"flops": [1e15]} if canonical != "flops" else {"params": [1e6]}
    assert read_runs({foreign: values, **other}).mapping[canonical] == foreign


def test_no_alias_leads_from_one_parameter_count_to_another() -> None:
    for alias, name in ALIASES.items():
        if "embed" in alias and "dim" not in alias:
            assert name == "params_nonembed"
        if name in ("params", "params_active"):
            assert "embed" not in alias


def test_two_candidates_for_the_loss_are_an_error_that_names_both() -> None:
    with pytest.raises(RunDataError, match=r"'val_loss', 'test_loss' could each be 'loss'") as e:
        read_runs({"N": [1e6], "val_loss": [3.0], "test_loss": [3.1]})
    assert "mapping={\"loss\": 'val_loss'}" in e.value.hint


def test_loss_beside_a_held_out_loss_may_be_the_training_loss_and_is_an_error() -> None:
    with pytest.raises(RunDataError, match="may be the training loss"):
        read_runs({"N": [1e6], "loss": [2.9], "eval_loss": [3.1]})


def test_an_explicit_mapping_wins_and_keeps_what_it_passes_over() -> None:
    source = {"N": [1e6], "loss": [2.9], "eval_loss": [3.1]}
    runs = read_runs(source, mapping={"loss": "eval_loss"})
    assert runs.column("loss").tolist() == [3.1]
    assert runs.column("loss_as_read").tolist() == [2.9]
    assert any("loss_as_read" in text for text in runs.assumptions)
    assert read_runs(runs.frame).column("loss").tolist() == [3.1]


def test_a_column_of_the_canonical_name_wins_over_its_aliases_and_that_is_recorded() -> None:
    runs = read_runs({"params": [1e6], "num_params": [9e5], "loss": [3.0]})
    assert runs.column("params").tolist() == [1e6]
    assert runs.column("num_params").tolist() == [9e5]
    assert any("'num_params' kept as extra" in text for text in runs.assumptions)


def test_params_are_never_taken_for_params_nonembed() -> None:
    runs = read_runs({"non_embedding_params": [1e6], "tokens": [2e7], "loss": [3.0]})
    assert runs.has("params_nonembed")
    assert not runs.has("params")
    assert not runs.has("flops")
    with pytest.raises(RunDataError, match="whose name says 'params_nonembed'"):
        read_runs({"params_nonembed": [1e6], "loss": [3.0]}, mapping={"params": "params_nonembed"})
    with pytest.raises(RunDataError, match="both 'params' and 'params_nonembed' from 'N'"):
        read_runs({"N": [1e6]}, mapping={"params": "N", "params_nonembed": "N"})


def test_the_user_may_say_what_a_loose_count_counts_and_it_is_recorded() -> None:
    runs = read_runs({"params": [1e6], "loss": [3.0]}, mapping={"params_nonembed": "params"})
    assert runs.column("params_nonembed").tolist() == [1e6]
    assert not runs.has("params")
    assert any("because the mapping says" in text for text in runs.assumptions)


def test_a_mapping_to_a_missing_column_lists_those_present() -> None:
    with pytest.raises(RunDataError, match="'n_parms', which is not a column") as error:
        read_runs({"n_params": [1e6], "loss": [3.0]}, mapping={"params": "n_parms"})
    assert "Did you mean 'n_params'?" in error.value.hint
    assert "'loss'" in error.value.hint


def test_a_mapping_of_an_unknown_word_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'params'"):
        read_runs({"x": [1e6]}, mapping={"parms": "x"})


def test_a_mapping_written_the_wrong_way_round_is_told_so() -> None:
    with pytest.raises(UsageError, match="other way round: params=x"):
        read_runs({"x": [1e6]}, mapping={"x": "params"})


@pytest.mark.parametrize(
    ("params", "tokens"),
    [("params_M", "tokens_B"), ("N (millions)", "D [B]"), ("Parameters (M)", "Tokens (billions)")],
)
def test_a_unit_in_the_name_of_a_count_is_applied_and_told(params: str, tokens: str) -> None:
    runs = read_runs({params: [0.07, 20], tokens: [0.5, 3000], "L (nats)": [3.0, 2.9]})
    assert runs.column("params").tolist() == [70_000, 20_000_000]
    assert runs.column("tokens").tolist() == [5e8, 3e12]
    assert runs.column("loss").tolist() == [3.0, 2.9]
    assert f"params = {params!r} * 1e+06" in runs.assumptions


def test_a_name_without_a_unit_comes_before_one_with_it() -> None:
    runs = read_runs({"params_M": [20.0], "params": [20e6], "tokens_max": [1.0], "loss": [3.0]})
    assert runs.column("params").tolist() == [20e6]
    assert runs.column("params_M").tolist() == [20.0]
    assert not runs.has("tokens")


def test_a_unit_in_the_name_yields_to_cells_that_are_counted_in_ones() -> None:
    written = read_runs({"params (M)": ["20M", "60M"], "loss": [3.0, 2.9]})
    assert written.column("params").tolist() == [20e6, 60e6]
    plain = read_runs({"params (M)": [20e6, 60e6], "loss": [3.0, 2.9]})
    assert plain.column("params").tolist() == [20e6, 60e6]
    assert any("is counted in ones" in text for text in plain.assumptions)
