"""Reading runs: every kind of source, foreign names, derived columns, and clear refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from scalewise.core.errors import RunDataError, UsageError
from scalewise.runs.columns import ALIASES, COLUMNS
from scalewise.runs.read import read_runs
from tests.shared_data import shared_table

COLUMNS_OF_THREE: dict[str, list[Any]] = {
    "N": [1_000_000, 2_000_000, 4_000_000],
    "D": [20_000_000, 40_000_000, 80_000_000],
    "val_loss": [4.0, 3.5, 3.0],
    "note": ["a", "b", None],
}


def records() -> list[dict[str, Any]]:
    names = list(COLUMNS_OF_THREE)
    return [
        dict(zip(names, row, strict=True)) for row in zip(*COLUMNS_OF_THREE.values(), strict=True)
    ]


def written(folder: Path, name: str) -> Path:
    path = folder / name
    frame = pl.DataFrame(COLUMNS_OF_THREE)
    match path.suffix:
        case ".csv":
            frame.write_csv(path)
        case ".tsv":
            frame.write_csv(path, separator="\t")
        case ".parquet":
            frame.write_parquet(path)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in records()))
        case _:
            path.write_text(json.dumps(records()))
    return path


def test_every_kind_of_source_gives_the_same_table(tmp_path: Path) -> None:
    frame = pl.DataFrame(COLUMNS_OF_THREE)
    sources: list[object] = [
        frame,
        frame.lazy(),
        pd.DataFrame(COLUMNS_OF_THREE),
        pa.table(COLUMNS_OF_THREE),
        {name: np.array(values) for name, values in COLUMNS_OF_THREE.items()},
        records(),
        *(written(tmp_path, f"runs.{kind}") for kind in ("csv", "tsv", "jsonl", "json", "parquet")),
        str(written(tmp_path, "again.csv")),
    ]
    hashes = {read_runs(source).sha256 for source in sources}
    assert len(hashes) == 1


def test_foreign_names_are_mapped_and_the_mapping_is_shown() -> None:
    runs = read_runs(COLUMNS_OF_THREE)
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
    assert "--map loss=val_loss" in e.value.hint


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


def test_perplexity_is_converted_and_recorded() -> None:
    runs = read_runs({"N": [1e6, 1e6, 1e6], "ppl": [20.0, None, float("inf")]})
    assert runs.column("loss")[0] == pytest.approx(np.log(20.0))
    assert runs.frame["loss"].null_count() == 1
    assert runs.column("loss")[2] == np.inf
    assert "loss = ln(perplexity)" in runs.assumptions


def test_a_perplexity_below_one_is_an_error() -> None:
    with pytest.raises(RunDataError, match=r"perplexity=0.5"):
        read_runs({"N": [1e6], "ppl": [0.5]})


def test_bits_per_byte_are_no_loss_without_bytes_per_token() -> None:
    runs = read_runs({"N": [1e6], "bits_per_byte": [1.0]})
    assert not runs.has("loss")
    assert any("takes a column bytes_per_token" in text for text in runs.assumptions)
    runs = read_runs({"N": [1e6], "bpb": [1.0], "bytes_per_token": [4.0]})
    assert runs.column("loss")[0] == pytest.approx(4.0 * np.log(2.0))


def test_accuracy_becomes_error() -> None:
    runs = read_runs({"N": [1e6], "accuracy": [0.7]})
    assert runs.column("error")[0] == pytest.approx(0.3)


def test_derived_columns_are_recorded_one_by_one() -> None:
    runs = read_runs({"params": [10**6], "step": [10], "batch_tokens": [2048], "loss": [5.0]})
    assert runs.column("tokens").tolist() == [20480.0]
    assert runs.column("flops").tolist() == [6e6 * 20480]
    assert runs.text("flop_rule") == ("6nd",)
    assert runs.column("tokens_per_param").tolist() == [0.02048]
    assert runs.text("eval_set") == ("unnamed",)
    assert set(runs.assumptions) >= {
        "tokens = step * batch_tokens",
        "flops = 6 * params * tokens",
        "tokens_per_param = tokens / params",
        "run_id: each row is its own run",
    }


def test_tokens_follow_from_flops_and_steps_from_tokens() -> None:
    runs = read_runs({"params": [1e6], "flops": [6e14], "batch_tokens": [1e4], "loss": [5.0]})
    assert runs.column("tokens").tolist() == [1e8]
    assert runs.column("step").tolist() == [1e4]


def test_epochs_follow_from_unique_tokens() -> None:
    runs = read_runs({"params": [1e6], "tokens": [4e8], "unique_tokens": [1e8], "loss": [5.0]})
    assert runs.column("epochs").tolist() == [4.0]


def test_empty_cells_are_filled_and_given_ones_left_alone() -> None:
    runs = read_runs({"params": [1e6, 1e6], "tokens": [1e8, 1e8], "flops": [7e14, None]})
    assert runs.column("flops").tolist() == [7e14, 6e14]
    assert "flops = 6 * params * tokens in the 1 rows that leave it empty" in runs.assumptions
    assert runs.text("flop_rule") == ("unstated", "unstated")


def test_integer_flops_do_not_overflow() -> None:
    runs = read_runs({"params": [70 * 10**9], "tokens": [14 * 10**11], "loss": [1.9]})
    assert runs.column("flops")[0] == pytest.approx(5.88e23)


def test_active_parameters_count_the_flops_of_a_mixture_of_experts() -> None:
    runs = read_runs({"params": [8e9], "active_params": [1e9], "tokens": [1e9], "loss": [3.0]})
    assert runs.column("flops").tolist() == [6e18]


def test_the_last_checkpoint_of_each_run_is_final_unless_said() -> None:
    runs = read_runs(
        {
            "run_id": ["a", "a", "b", "b", "a"],
            "params": [1e6] * 5,
            "tokens": [2e7, 1e7, 1e7, 3e7, 3e7],
            "loss": [4.0, 4.5, 4.4, 3.8, None],
        }
    )
    assert runs.column("is_final").tolist() == [1, 0, 0, 1, 0]


def test_numbers_may_be_written_as_people_write_them() -> None:
    runs = read_runs({"params": ["70M", "1,500,000", "2e9"], "loss": [3.0, 2.9, 2.8]})
    assert runs.column("params").tolist() == [70e6, 1.5e6, 2e9]
    assert any("'70M' were read as numbers" in text for text in runs.assumptions)


def test_a_decimal_comma_in_a_loss_is_not_a_thousand() -> None:
    with pytest.raises(RunDataError, match="comma may be a decimal point"):
        read_runs({"params": [1e6], "loss": ["2,500"]})


def test_a_cell_that_is_no_number_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("N,loss\n1e6,3.0\n2e6,oops\n")
    with pytest.raises(RunDataError, match="Column 'loss' has 'oops' in row 2, not a number"):
        read_runs(path)


def test_mixed_types_in_records_are_read_where_they_are_numbers() -> None:
    runs = read_runs([{"N": "1M", "loss": 3}, {"N": 2_000_000, "loss": "2.5"}, {"N": 3e6}])
    assert runs.column("params").tolist() == [1e6, 2e6, 3e6]
    assert runs.column("loss")[:2].tolist() == [3.0, 2.5]
    assert runs.frame["loss"].null_count() == 1


def test_a_mixed_pandas_column_is_read() -> None:
    runs = read_runs(pd.DataFrame({"N": [1_000_000, "2M"], "loss": [3.0, 2.9]}))
    assert runs.column("params").tolist() == [1e6, 2e6]


def test_huge_integers_become_floats() -> None:
    runs = read_runs([{"N": 10**6, "C": 10**25, "loss": 3.0}, {"N": 10**400, "loss": 3.0}])
    assert runs.column("flops")[0] == 1e25
    assert runs.column("params")[1] == np.inf
    unsigned = pl.DataFrame({"N": pl.Series([2**64 - 1], dtype=pl.UInt64), "loss": [3.0]})
    assert read_runs(unsigned).column("params")[0] == pytest.approx(2.0**64)


def test_missing_cells_are_missing_however_they_are_spelt(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("N,loss\n1e6,NA\n1e6,\n1e6,null\n1e6,nan\n1e6,3.5\n")
    loss = read_runs(path).frame["loss"]
    assert loss.null_count() == 3
    assert loss.is_nan().sum() == 1


def test_names_with_leading_zeros_stay_names(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("run_id,N,loss,job\n007,1e6,3.0,0012\n")
    runs = read_runs(path)
    assert runs.text("run_id") == ("007",)
    assert runs.text("job") == ("0012",)


def test_flags_are_read_in_any_spelling_and_others_refused() -> None:
    runs = read_runs({"N": [1e6] * 3, "loss": [3.0] * 3, "is_final": ["Yes", "0", None]})
    assert runs.frame["is_final"].to_list() == [True, False, False]
    with pytest.raises(RunDataError, match="'maybe' in row 1, neither true nor false"):
        read_runs({"N": [1e6], "loss": [3.0], "is_final": ["maybe"]})


def test_semicolons_marks_of_order_and_blank_lines_are_survived(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_bytes("\ufeffN;loss;corpus\r\n1e6;3.0;Größe 大\r\n\r\n2e6;2.9;x\r\n".encode())
    runs = read_runs(path)
    assert runs.column("loss").tolist() == [3.0, 2.9]
    assert runs.text("corpus")[0] == "Größe 大"
    assert "cells are separated by ';'" in runs.assumptions


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "is empty"),
        ("blank.jsonl", b"\n \n", "is empty"),
        ("header.csv", b"N,loss\n", "holds no rows: 'N', 'loss'"),
        ("noise.csv", bytes(range(256)) * 4, "not text in UTF-8|binary file"),
        ("nul.csv", b"N,loss\n1\x00,2\n", "NUL bytes"),
        ("noise.parquet", b"not parquet at all", "begins with b'not parq'"),
        ("cut.parquet", b"PAR1" + b"\x15" * 40, "damaged Parquet"),
        ("packed.csv", b"\x1f\x8b\x08" + b"x" * 20, "compressed"),
        ("wide.csv", b"N,loss\n1e6,3\n1e6,3,4\n", r"Line 3 of .* has 3 cells under 2 columns"),
        ("twice.csv", b"N,N\n1e6,3\n", "more than one column named 'N'"),
        ("quote.csv", b'N,loss\n1e6,"3\n', "odd number of quotation marks"),
        ("text.txt", b"dear reader,\nthis is a letter\n", "none of the columns of a run table"),
        ("bad.jsonl", b'{"N": 1}\n{"N": \n', "Line 2 of .* is not JSON"),
        ("list.jsonl", b"[1, 2]", "Record 1 of .* is 1, not an object"),
        ("deep.json", b"[" * 100_000, "is not JSON"),
        ("word.jsonl", b"hello", "holds no JSON object"),
    ],
)
def test_an_unreadable_file_is_a_clear_error(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RunDataError, match=message) as error:
        read_runs(path)
    assert error.value.hint


def test_a_file_under_a_wrong_extension_is_read_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    pl.DataFrame(COLUMNS_OF_THREE).write_parquet(path)
    runs = read_runs(path)
    assert len(runs) == 3
    assert any("was read as Parquet" in text for text in runs.assumptions)


def test_a_folder_a_missing_file_and_an_address_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text("N,loss\n1e6,3\n")
    with pytest.raises(RunDataError, match=r"is a folder. .*'runs.csv'"):
        read_runs(tmp_path)
    with pytest.raises(RunDataError, match=r"There is no file .*Tables in that folder: 'runs.csv'"):
        read_runs(tmp_path / "run.csv")
    with pytest.raises(RunDataError, match="is an address"):
        read_runs("https://example.org/runs.csv")


@pytest.mark.parametrize("source", [3, None, b"N,loss", {1, 2}])
def test_what_is_no_table_is_a_clear_error(source: object) -> None:
    with pytest.raises(RunDataError, match="Runs cannot be read from"):
        read_runs(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"N": 3.0}, "is one value, not a list"),
        ({"N": [1.0], "loss": [1.0, 2.0]}, "differ in length"),
        ([], "holds no rows"),
        ({}, "holds no rows and no columns"),
    ],
)
def test_a_malformed_mapping_is_a_clear_error(source: object, message: str) -> None:
    with pytest.raises(RunDataError, match=message):
        read_runs(source)


def test_one_row_is_a_table() -> None:
    runs = read_runs({"N": [1e6], "D": [2e7], "loss": [4.0]})
    assert len(runs) == runs.run_count == 1
    assert "in 1 runs, 1 sizes" in runs.describe()


def test_reading_leaves_the_source_untouched() -> None:
    frame = pl.DataFrame(COLUMNS_OF_THREE)
    before = frame.clone()
    read_runs(frame, where="params > 1M")
    assert frame.equals(before)


def test_importing_the_room_loads_no_polars() -> None:
    code = (
        "import sys, scalewise.runs.read, scalewise.runs.health, scalewise.runs.spec_file\n"
        "print([m for m in ('polars', 'pandas', 'pydantic', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "rows", "runs"),
    [
        ("chinchilla_epoch/points.parquet", 245, 245),
        ("gadre_overtraining/losses.parquet", 832, 104),
        ("steplaw/dense.parquet", 1911, 1911),
        ("clark_routing/curves.parquet", 5799, 223),
        ("large_runs_colpret/curves.parquet", 30640, 11),
    ],
)
def test_a_public_table_is_read_whole(name: str, rows: int, runs: int) -> None:
    table = read_runs(shared_table(name))
    assert (len(table), table.run_count) == (rows, runs)
    assert table.mapping["corpus"] == "data"
    assert np.isfinite(table.column("flops")).all()
