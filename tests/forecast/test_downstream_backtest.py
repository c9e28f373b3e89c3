from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import RunDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.storage import published_fit
from scalewise.forecast.downstream import fit_tasks
from scalewise.forecast.downstream_backtest import (
    DownstreamBacktest,
    ErrorPoint,
    backtest_downstream,
    rank_correlation,
)
from tests.forecast.test_downstream import error_of, loss_at, pilots

RESULT = fit("chinchilla", pilots(), bootstrap=0, objective="ls")
RESULT = fit_tasks(RESULT, pilots(), ["err_quiz"], bootstrap=0)


def targets(*, off: float = 1.0, error_off: float = 0.0, **more: Any) -> dict[str, Any]:
    """Two large models whose loss is ``off`` times the law and whose error is off by a step."""
    N = np.array([5e9, 7e9])
    D = np.array([1e11, 1.4e11])
    loss = loss_at(N, D) * off
    error = error_of(loss) + error_off
    names = ["large", "larger"]
    return {"run_id": names, "params": N, "tokens": D, "loss": loss, "err_quiz": error, **more}


def point(**changes: Any) -> ErrorPoint:
    made = ErrorPoint(
        run_id="r", params=1e9, tokens=2e10, measured_loss=2.5, predicted_loss=2.5,
        measured_error=0.5, predicted_error=0.5, error_at_true_loss=0.5, low=0.4, high=0.6,
        seen=False,
    )  # fmt: skip
    return replace(made, **changes)


def test_runs_on_both_laws_are_forecast_exactly() -> None:
    backtest = backtest_downstream(RESULT, targets(), "err_quiz")
    assert [p.run_id for p in backtest.points] == ["large", "larger"]
    assert backtest.mean_abs_error == pytest.approx(0.0, abs=1e-4)
    assert backtest.points[0].params == 5e9


def test_the_two_parts_add_up_to_the_whole() -> None:
    backtest = backtest_downstream(RESULT, targets(off=1.04, error_off=-0.01), "err_quiz")
    for p in backtest.points:
        assert p.from_law + p.from_loss == pytest.approx(p.relative_error)
        assert p.from_law == pytest.approx(0.01 / p.measured_error, rel=1e-2)
        assert p.loss_error == pytest.approx(1 / 1.04 - 1, rel=1e-3)
        assert p.from_loss < 0


def test_a_good_number_out_of_two_errors_that_cancel_is_told() -> None:
    runs = targets(off=1.04)
    runs["err_quiz"] = runs["err_quiz"] - 0.04
    backtest = backtest_downstream(RESULT, runs, "err_quiz")
    assert {p.run_id for p in backtest.cancelling} == {"large", "larger"}
    assert "rests on two errors that cancel: a loss that is off by -3.8%" in backtest.summary
    assert str(backtest) == backtest.summary


@pytest.mark.parametrize(
    ("predicted", "at_true", "cancels"),
    [
        (0.51, 0.55, True),  # +10 % and -8 %
        (0.49, 0.45, True),
        (0.53, 0.55, False),  # +10 % and -4 %: the sum is more than half of the larger
        (0.58, 0.55, False),  # both too high
        (0.5, 0.5, False),
    ],
)
def test_errors_cancel_if_opposite_and_their_sum_is_under_half_of_the_larger(
    predicted: float, at_true: float, cancels: bool
) -> None:
    assert point(predicted_error=predicted, error_at_true_loss=at_true).cancels is cancels


def test_runs_that_a_law_has_seen_are_marked_and_count_for_nothing() -> None:
    seen, unseen = pilots(), targets()
    names = [*(f"pilot-{i}" for i in range(15)), *unseen["run_id"]]
    runs = {c: np.concatenate([seen[c], unseen[c]]) for c in seen}
    backtest = backtest_downstream(RESULT, {"run_id": names, **runs}, "err_quiz")
    assert [p.seen for p in backtest.points] == [True] * 15 + [False] * 2
    assert [p.run_id for p in backtest.held_out] == ["large", "larger"]


def test_nothing_but_seen_runs_is_refused() -> None:
    with pytest.raises(RunDataError, match="All 15 runs with loss and err_quiz were in the fit"):
        backtest_downstream(RESULT, pilots(), "err_quiz")


def test_runs_without_truth_are_left_out_and_counted() -> None:
    runs = targets()
    runs["err_quiz"] = [None, 0.5]
    backtest = backtest_downstream(RESULT, runs, "err_quiz")
    assert [p.run_id for p in backtest.points] == ["larger"]
    assert backtest.warnings == ("1 runs lack loss, err_quiz or size; left out.",)
    with pytest.raises(RunDataError, match="No run has a value of task 'err_quiz'"):
        backtest_downstream(RESULT, targets(err_quiz=[None, None]), "err_quiz")


def test_a_mean_is_tested_on_its_columns() -> None:
    runs = targets()
    runs |= {"acc_a": 1 - runs["err_quiz"] - 0.1, "err_b": runs.pop("err_quiz") - 0.1}
    renamed = replace(RESULT, tasks={"mean": RESULT.tasks["err_quiz"]})
    backtest = backtest_downstream(renamed, runs, "mean", columns=["acc_a", "err_b"])
    assert backtest.mean_abs_error == pytest.approx(0.0, abs=1e-4)
    with pytest.raises(UsageError, match="no task 'err_quiz'"):
        backtest_downstream(renamed, targets(), "err_quiz")


def test_published_constants_have_seen_nothing() -> None:
    result = fit_tasks(published_fit("besiroglu2024"), pilots(), ["err_quiz"], bootstrap=0)
    backtest = backtest_downstream(result, targets(), "err_quiz")
    assert len(backtest.held_out) == 2


def test_the_summary_counts_what_lies_inside_and_tells_the_worst_that_cancel() -> None:
    lucky = [
        point(run_id=f"lucky-{i}", predicted_error=0.501, error_at_true_loss=0.51 + i / 100)
        for i in range(5)
    ]
    backtest = DownstreamBacktest(task="quiz", points=(*lucky, point(low=0.51)), level=0.9)
    assert backtest.coverage == pytest.approx(5 / 6)
    text = backtest.summary
    assert "quiz: error of 6 held-out runs forecast to 0.17% on average" in text
    assert "5 of 6 inside the 90% interval" in text
    assert text.index("lucky-4") < text.index("lucky-3") < text.index("lucky-2")
    assert text.endswith("So do 2 more.")


def test_rank_correlation_is_that_of_ranks_with_ties_shared() -> None:
    measured = (0.5, 0.4, 0.4, 0.2)
    points = [
        point(measured_error=m, predicted_error=p)
        for m, p in zip(measured, (0.9, 0.8, 0.3, 0.1), strict=True)
    ]
    # Ranks 4, 2.5, 2.5, 1 against 4, 3, 2, 1.
    assert rank_correlation(points) == pytest.approx(np.sqrt(0.9))
