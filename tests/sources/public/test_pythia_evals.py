"""Pythia's evaluations: one JSON per model, step and number of shots."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.public.pythia_evals import DATA, SCORES
from tests.sources.public.rebuilt import assert_same, shared, written

# Scores of 1.4b-1MtokBS_step126000.json (Apache-2.0), with two of its 57 subjects.
NAME = "evals/pythia-v1/pythia-1.4b-1MtokBS/1.4b-1MtokBS_step126000.json"
PUBLISHED: dict[str, Any] = {
    "results": {
        "hendrycksTest-anatomy": {"acc": 0.25925925925925924, "acc_norm": 0.25925925925925924},
        "hendrycksTest-virology": {"acc": 0.26506024096385544, "acc_norm": 0.25903614457831325},
        "arc_easy": {"acc": 0.6081649831649831, "acc_norm": 0.6026936026936027},
        "piqa": {"acc": 0.6996735582154516, "acc_norm": 0.7013057671381937},
        "logiqa": {"acc": 0.22887864823348694, "acc_norm": 0.25806451612903225},
        "arc_challenge": {"acc": 0.2593856655290102, "acc_norm": 0.28754266211604096},
        "sciq": {"acc": 0.927, "acc_norm": 0.926},
        "lambada_openai": {"ppl": 9.918444341698642, "acc": 0.5121288569765186},
        "wsc": {"acc": 0.36538461538461536},
        "winogrande": {"acc": 0.5556432517758485},
    },
    "config": {"model_args": "pretrained=EleutherAI/pythia-v1.1-1.4b-1MtokBS", "num_fewshot": 5},
}
# The tidied table takes the folder's word, and these runs lie in no folder of shots.
FOLDERLESS = ["pythia-1.4b-1MtokBS", "pythia-160m-0.5MtokBS", "pythia-410m-0.5MtokBS"]


def read(folder: Path, name: str = NAME, content: dict[str, Any] = PUBLISHED) -> dict[str, Any]:
    files = {name: written(folder, name, json.dumps(content))}
    return DATA.tables["evals"](files).row(0, named=True)


def test_an_excerpt_reads_as_the_row_of_the_tidied_table(tmp_path: Path) -> None:
    got = read(tmp_path)
    tidy = shared("pythia_evals/evals.parquet").filter(
        pl.col("run_id") == "pythia-1.4b-1MtokBS", pl.col("step") == 126_000
    )
    expected = tidy.row(0, named=True)
    assert got.keys() == expected.keys()
    differing = {name for name in got if got[name] != expected[name]}
    # Two subjects of 57 give another mean; the shots are those the file states.
    assert differing == {"mmlu/acc", "shots"}
    assert got["shots"] == "five-shot"


def test_mmlu_is_the_mean_over_subjects(tmp_path: Path) -> None:
    assert read(tmp_path)["mmlu/acc"] == pytest.approx(0.2621597501, abs=1e-10)


def test_the_batch_and_the_tokens_come_from_the_variants_name(tmp_path: Path) -> None:
    row = read(tmp_path)
    assert (row["batch_tokens"], row["tokens"]) == (1_048_576, 126_000 * 1_048_576)
    plain = "evals/pythia-v1/pythia-12b-deduped/zero-shot/12b-deduped_step143000.json"
    row = read(tmp_path, plain, PUBLISHED | {"config": {"num_fewshot": 0}})
    assert (row["batch_tokens"], row["is_final"], row["shots"]) == (2_097_152, True, "zero-shot")
    assert row["data"] == "The Pile (deduplicated)"


def test_step_zero_is_a_row_without_tokens_or_compute(tmp_path: Path) -> None:
    row = read(tmp_path, "evals/pythia-v1/pythia-70m/zero-shot/70m_step0.json")
    assert (row["tokens"], row["flops"], row["is_final"]) == (0, 0.0, False)


def test_compute_of_the_largest_model_does_not_overflow(tmp_path: Path) -> None:
    row = read(tmp_path, "evals/pythia-v1/pythia-12b/five-shot/12b-5shot_step143000.json")
    assert row["flops"] == 6.0 * 11_846_072_320 * 299_892_736_000


def test_a_name_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunDataError, match=r"notes\.json names no Pythia checkpoint"):
        read(tmp_path, "evals/pythia-v1/pythia-70m/notes.json")


def test_files_rebuilt_from_the_tidied_table_read_back_the_same(tmp_path: Path) -> None:
    evals = shared("pythia_evals/evals.parquet").with_columns(
        shots=pl.when(pl.col("run_id").is_in(FOLDERLESS))
        .then(pl.lit("five-shot"))
        .otherwise("shots")
    )
    files = {}
    for file, row in zip(DATA.files, evals.iter_rows(named=True), strict=True):
        results: dict[str, dict[str, float]] = {"hendrycksTest-mean": {"acc": row["mmlu/acc"]}}
        for task, score in SCORES:
            results.setdefault(task, {})[score] = row[f"{task}/{score}"]
        shots = {"zero-shot": 0, "five-shot": 5}[row["shots"]]
        content = {"results": results, "config": {"num_fewshot": shots}}
        files[file.name] = written(tmp_path, file.name, json.dumps(content))
    assert_same(DATA, "evals", files, evals)
    assert math.isclose(
        evals["lambada_openai/ppl"].log().sum(), evals["lambada_nll_per_word"].sum()
    )
