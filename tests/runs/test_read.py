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

from scalewise.core.errors import RunDataError
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


def test_columns_of_any_other_type_are_kept_as_numbers_or_text() -> None:
    frame = pl.DataFrame(
        {
            "N": pl.Series(["1.5", "2.5"]).cast(pl.Decimal(10, 1)),
            "loss": pl.Series([3.0, 2.5], dtype=pl.Float32),
            "corpus": pl.Series(["c4", "pile"], dtype=pl.Categorical),
            "took": pl.Series([1, 2]).cast(pl.Duration("ms")),
            "when": pl.Series([1, 2]).cast(pl.Datetime("ms")),
            "tags": [["a"], ["b", "c"]],
        }
    )
    runs = read_runs(frame)
    assert runs.column("params").tolist() == [1.5, 2.5]
    assert runs.text("corpus") == ("c4", "pile")
    assert {str(runs.frame.schema[name]) for name in ("took", "when", "tags")} == {"String"}


def test_a_dataframe_that_repeats_a_name_is_refused() -> None:
    frame = pd.DataFrame([[1e6, 2e6, 3.0]], columns=["N", "N", "loss"])
    with pytest.raises(RunDataError, match="more than one column named 'N'"):
        read_runs(frame)


def test_a_table_read_again_under_another_mapping_keeps_what_it_assumed() -> None:
    runs = read_runs({"N": [1e6], "D": [2e7], "loss": [3.0], "loss_b": [2.0]})
    again = read_runs(runs, mapping={"loss": "loss_b"})
    assert again.column("loss").tolist() == [2.0]
    assert again.source == runs.source
    assert again.assumptions[: len(runs.assumptions)] == runs.assumptions


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


def test_tokens_computed_from_flops_do_not_confirm_their_rule() -> None:
    runs = read_runs({"params": [1e6], "flops": [6e14], "loss": [5.0]})
    assert "flop_rule is '6nd', by which the tokens were computed" in runs.assumptions
    assert not any("the given flops are" in text for text in runs.assumptions)


def test_a_column_that_was_not_given_is_not_said_to_be_left_empty() -> None:
    runs = read_runs({"params": [1e6, 1e6], "tokens": [1e8, None], "loss": [5.0, 4.0]})
    assert "flops = 6 * params * tokens in the 1 rows that have both" in runs.assumptions
