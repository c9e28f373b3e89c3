"""Which tasks of public evaluations can be forecast; all: ``benchmarks/downstream_sets.py``."""

from __future__ import annotations

import numpy as np
from benchmarks.downstream_sets import items_of, observed, olmo, pythia, scored

from scalewise.forecast.task_backtest import TaskBacktest
from scalewise.forecast.task_methods import DIRECT, TWO_STEP
from scalewise.forecast.task_verdict import Verdict
from tests.shared_data import shared_table


def names(found: TaskBacktest, verdict: Verdict) -> set[str]:
    return {outcome.task.name for outcome in found.with_verdict(verdict)}


def test_the_items_of_a_task_follow_from_the_steps_of_its_accuracy() -> None:
    (ladder,) = olmo(shared_table("olmo_ladder/downstream_ladder.parquet"))
    found = {c[4:].partition("_rc")[0]: n for c, n in ladder.items.items()}
    # The sizes of the public splits.
    public = {
        "hellaswag_val": 10042, "arc_easy_test": 2376, "arc_challenge_test": 1172,
        "boolq_val": 3270, "csqa_val": 1221, "openbookqa_test": 500, "piqa_val": 1838,
        "socialiqa_val": 1954, "winogrande_val": 1267,
    }  # fmt: skip
    assert {name: found[name] for name in public} == public
    assert items_of(np.array([0.1, np.sqrt(0.02)]), most=2000) is None


def test_pythia_guesses_in_two_tasks_of_nine() -> None:
    tables = [*pythia(shared_table("pythia_evals/evals.parquet"))]
    assert len(tables) == 4
    found = scored(next(t for t in tables if t.name == "pythia zero-shot"), bootstrap=60)
    assert names(found, Verdict.AT_CHANCE) == {"acc_logiqa", "acc_wsc"}
    assert {"acc_lambada_openai", "acc_arc_challenge"} <= names(found, Verdict.FORECASTABLE)
    points = [p for o in found.outcomes for p in o.score_of(TWO_STEP).points]
    assert len(points) == 14  # the 6.9B and 12B models in seven tasks
    assert np.mean([p.inside for p in points]) >= 0.85


def test_across_families_compute_alone_forecasts_little() -> None:
    (table,) = observed(shared_table("observational_llms/benchmarks.parquet"))
    found = scored(table, bootstrap=60)
    assert names(found, Verdict.NON_MONOTONE) == {"acc_TruthfulQA"}
    assert "acc_MMLU" in names(found, Verdict.NOT_BETTER)
    assert "acc_HumanEval" in names(found, Verdict.FORECASTABLE)
    assert not any(outcome.score_of(TWO_STEP).points for outcome in found.outcomes)
    points = [p for outcome in found.outcomes for p in outcome.score_of(DIRECT).points]
    assert np.mean([point.inside for point in points]) >= 0.85
