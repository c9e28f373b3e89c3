"""Results and samples of lm-evaluation-harness, in its old and new style."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.lm_eval import LmEvalReader
from scalewise.sources.logs.lm_eval_samples import gold_of
from scalewise.sources.logs.log import Log
from scalewise.sources.logs.read import read_logs

WHEN = "2026-11-22T06-02-17.585259"
# EleutherAI/pythia, evals/pythia-v1/pythia-160m/zero-shot/160m_step128.json, shortened.
PYTHIA = {
    "results": {
        "lambada_openai": {"ppl": 1504708.0320040016, "ppl_stderr": 117864.0, "acc": 0.0},
        "arc_easy": {"acc": 0.26430976430976433, "acc_stderr": 0.009, "acc_norm": 0.27062289562},
    },
    "versions": {"lambada_openai": 0, "arc_easy": 0},
    "config": {
        "model": "hf-causal", "num_fewshot": 0,
        "model_args": "use_accelerate=True,pretrained=EleutherAI/pythia-v1.1-160m,revision=step128",
    },
}  # fmt: skip


def sample(doc: int, scores: list[float], gold: int | str, **more: Any) -> dict[str, Any]:
    choices = [" blue", " green as grass", " red"][: len(scores)]
    asked = {f"gen_args_{i}": {"arg_0": "The sky is", "arg_1": c} for i, c in enumerate(choices)}
    return {
        "doc_id": doc, "target": str(gold), "arguments": asked, "filter": "none",
        "resps": [[[repr(score), "False"]] for score in scores], **more,
    }  # fmt: skip


def results(folder: Path, held: dict[str, Any], name: str = f"results_{WHEN}.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(held))
    return path


def samples(folder: Path, task: str, *rows: dict[str, Any]) -> Path:
    path = folder / f"samples_{task}_{WHEN}.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def one(path: Path) -> Log:
    reader = LmEvalReader()
    assert reader.units(path) == [path]
    (log,) = reader.read(path)
    return log


def test_pythias_old_results_have_their_step_in_the_revision(tmp_path: Path) -> None:
    log = one(results(tmp_path, PYTHIA, "160m_step128.json"))
    assert (log.run_id, log.name) == ("EleutherAI/pythia-v1.1-160m", "pythia-v1.1-160m")
    assert log.points["step"].to_list() == [128]
    assert log.points["arc_easy/acc"].to_list() == [0.26430976430976433]
    assert log.meanings["arc_easy/acc"].column == "accuracy"
    assert log.meanings["lambada_openai/ppl"].column == "answer_perplexity"
    assert "arc_easy/acc_stderr" not in log.points.columns


def test_without_a_model_the_name_of_the_file_tells_run_and_step(tmp_path: Path) -> None:
    held = {"results": PYTHIA["results"]}
    for step in (128, 1000):
        results(tmp_path, held, f"160m_step{step}.json")
    table = read_logs(tmp_path, mapping={"constants": {"batch_tokens": 2097152}})
    assert table.frame["run_id"].unique().to_list() == ["160m"]
    assert table.column("tokens").tolist() == [128 * 2097152, 1000 * 2097152]


def test_new_results_name_metric_and_filter(tmp_path: Path) -> None:
    held = {
        "results": {
            "arc_easy": {"alias": "arc_easy", "acc,none": 0.5, "acc_stderr,none": 0.1},
            "gsm8k": {"exact_match,strict-match": 0.1, "exact_match,flexible-extract": 0.2},
            "wikitext": {"bits_per_byte,none": 0.9, "word_perplexity,none": 30.0},
        },
        "n-shot": {"gsm8k": 5}, "versions": {"gsm8k": 3.0},
        "configs": {"arc_easy": {"doc_to_choice": ["a", "b", "c", "d"]}},
        "config": {
            "model_args": {"pretrained": "out/checkpoint-1000"}, "model_num_parameters": 7872,
        },
    }  # fmt: skip
    log = one(results(tmp_path, held))
    told = {name: (m.column, m.eval_set) for name, m in log.meanings.items()}
    assert told == {
        "arc_easy/acc,none": ("accuracy", "arc_easy"),
        "arc_easy/chance": ("chance", "arc_easy"),
        "gsm8k/exact_match,strict-match": ("accuracy", "gsm8k 5-shot"),
        "gsm8k/exact_match,flexible-extract": ("exact_match_flexible-extract", "gsm8k 5-shot"),
        "wikitext/bits_per_byte,none": ("bits_per_byte", "wikitext"),
    }
    assert log.points["arc_easy/chance"].to_list() == [0.25]
    assert log.facts["params"].value == 7872
    assert (log.run_id, log.points["step"].to_list()) == ("out", [1000])
    assert "gsm8k is version 3.0" in log.notes


def test_samples_give_bits_per_byte_of_the_right_answer_and_chance(tmp_path: Path) -> None:
    path = results(tmp_path, {"results": {"sky": {"acc,none": 0.5}}})
    beside = samples(tmp_path, "sky", sample(0, [-1.0, -3.0], 0), sample(1, [-1.0, -2.0, -5.0], 1))
    log = one(path)
    bits = (1.0 / len("blue") + 2.0 / len("green as grass")) / 2 / math.log(2)
    assert log.points["sky/gold_bits_per_byte"].to_list() == [pytest.approx(bits)]
    assert log.points["sky/chance"].to_list() == [pytest.approx((1 / 2 + 1 / 3) / 2)]
    assert "mean over 2 samples" in log.meanings["sky/gold_bits_per_byte"].note
    assert LmEvalReader().units(beside) == [beside]
    assert LmEvalReader().read(beside) == []
    table = read_logs(tmp_path, mapping={"constants": {"params": "160M"}})
    assert table.frame["bits_per_byte_sky"].to_list() == [pytest.approx(bits)]


def test_a_document_that_filters_repeat_counts_once(tmp_path: Path) -> None:
    rows = [sample(0, [-1.0, -3.0], 0, filter=name) for name in ("strict", "flexible")]
    gold = gold_of(samples(tmp_path, "sky", *rows), {})
    assert gold.counted == 1
    assert gold.bits_per_byte == pytest.approx(1.0 / 4 / math.log(2))


def test_old_samples_keep_pairs_and_answers_may_be_text(tmp_path: Path) -> None:
    pairs = [["The sky is", " blue"], ["The sky is", " red"]]
    row = sample(0, [-1.0, -3.0], "red", arguments=pairs)
    gold = gold_of(samples(tmp_path, "sky", row), {})
    assert gold.bits_per_byte == pytest.approx(3.0 / 3 / math.log(2))


def test_an_answer_that_is_not_told_and_damaged_lines_are_counted(tmp_path: Path) -> None:
    path = samples(tmp_path, "sky", sample(0, [-1.0, -3.0], "grey"), sample(1, [-1.0, -2.0], 9))
    path.write_text(path.read_text() + '{"doc_id": 2}\n[]\n{"doc_id": 3, "resps"')
    lost: dict[str, int] = {}
    gold = gold_of(path, lost)
    assert (gold.counted, gold.untold, gold.bits_per_byte) == (0, 2, None)
    assert lost == {"unreadable records": 3}


def test_generated_answers_have_no_likelihood(tmp_path: Path) -> None:
    path = samples(tmp_path, "gen", sample(0, [-1.0], 0, resps=[["lol"]]))
    with pytest.raises(RunDataError, match="tells no likelihood of a right answer"):
        LmEvalReader().read(path)


def test_samples_without_their_results_are_read_alone(tmp_path: Path) -> None:
    log = one(samples(tmp_path, "arc_easy", sample(0, [-1.0, -3.0], 0)))
    assert log.points["arc_easy/chance"].to_list() == [0.5]
    assert log.notes == ("the results file of these samples is missing",)


@pytest.mark.parametrize("text", ['{"results": {', '{"results": {}}', '{"results": {"a": 3}}'])
def test_results_that_are_damaged_or_empty_are_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(RunDataError, match=r"is not whole JSON|holds no number of any task"):
        LmEvalReader().read(path)
