"""What ``--json`` prints for each kind of result: fields by name, nothing computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalewise.fit.prediction import Prediction
    from scalewise.forecast.backtest import Backtest, LawScore
    from scalewise.forecast.downstream import ErrorForecast
    from scalewise.forecast.downstream_backtest import DownstreamBacktest
    from scalewise.forecast.holdout import HeldOutForecast
    from scalewise.forecast.splits import Split
    from scalewise.forecast.task_backtest import TaskBacktest, TaskScore
    from scalewise.laws.law import Law, Published
    from scalewise.plan.allocate import Allocation, Interval
    from scalewise.plan.overfitting import Overfit
    from scalewise.runs.health import Finding
    from scalewise.runs.table import RunTable


def prediction_data(prediction: Prediction, given: Mapping[str, float]) -> dict[str, Any]:
    """A prediction: the quantity under its own name, its interval, how far it reaches."""
    return {
        prediction.quantity: prediction.value,
        "interval": _interval(prediction.low, prediction.high, prediction.runs),
        "level": prediction.level,
        "extrapolation": dict(prediction.extrapolation),
        "runs": prediction.runs,
        "rests_on": list(prediction.rests_on),
        "given": dict(given),
    }


def error_forecast_data(forecast: ErrorForecast, given: Mapping[str, float]) -> dict[str, Any]:
    """A downstream error: as any prediction, with the loss on the way and what each step adds."""
    through = forecast.loss
    ends = [None, None] if through is None else _interval(through.low, through.high, through.runs)
    return {
        **prediction_data(forecast.prediction, given),
        "task": forecast.task,
        "law": forecast.law,
        "through": {"loss": forecast.at_loss, "interval": ends, "stated": through is None},
        "parts": {"loss": list(forecast.from_loss), "error_law": list(forecast.from_error)},
    }


def downstream_backtest_data(backtest: DownstreamBacktest) -> dict[str, Any]:
    """Forecasts of a task's error beside the truth."""
    return {
        "summary": backtest.summary,
        "level": backtest.level,
        "mean_abs_error": backtest.mean_abs_error,
        "mean_abs_error_at_true_loss": backtest.mean_abs_error_at_true_loss,
        "coverage": backtest.coverage,
        "cancelling": [point.run_id for point in backtest.cancelling],
        "points": [
            asdict(point)
            | {
                "loss_error": point.loss_error,
                "relative_error": point.relative_error,
                "from_law": point.from_law,
                "from_loss": point.from_loss,
                "inside": point.inside,
                "cancels": point.cancels,
            }
            for point in backtest.points
        ],
        "warnings": list(backtest.warnings),
    }


def _interval(low: Any, high: Any, runs: int) -> list[Any]:
    """Both ends; null where no runs stand behind them, as with published constants."""
    return [low, high] if runs else [None, None]


def allocation_data(allocation: Allocation) -> dict[str, Any]:
    """An allocation: each quantity with its interval."""
    quantities = ("params", "tokens", "tokens_per_param", "loss")
    return {
        "flops": {"value": allocation.flops, "interval": [allocation.flops] * 2},
        **{q: _with_interval(getattr(allocation, q), allocation.runs) for q in quantities},
        "size": allocation.size,
        "level": allocation.level,
        "law": allocation.law,
        "extrapolation": {"flops": allocation.extrapolation},
        "runs": allocation.runs,
        "rests_on": list(allocation.rests_on),
    }


def _with_interval(interval: Interval, runs: int) -> dict[str, Any]:
    return {"value": interval.value, "interval": _interval(interval.low, interval.high, runs)}


def overfit_data(found: Overfit) -> dict[str, Any]:
    """What a size needs and what a data set costs it, each with its interval."""
    quantities = ("tokens_needed", "excess", "loss")
    stop = found.early_stop
    return {
        found.size: found.params,
        "tokens": found.tokens,
        "tolerance": found.tolerance,
        **{q: _with_interval(getattr(found, q), found.runs) for q in quantities},
        "early_stop": None if stop is None else {
            "steps_min": _with_interval(stop.steps_min, found.runs),
            "steps": _with_interval(stop.steps, found.runs),
            "batch_tokens": stop.batch_tokens,
        },
        "level": found.level,
        "law": found.law,
        "extrapolation": dict(found.extrapolation),
        "runs": found.runs,
    }  # fmt: skip


def backtest_data(backtest: Backtest) -> dict[str, Any]:
    """A backtest: every law and naive rule with its held-out points."""
    return {
        "recommended": backtest.recommended,
        "policy": backtest.policy,
        "level": backtest.level,
        "splits": [_split_data(split) for split in backtest.splits],
        "scores": [_score_data(score) for score in backtest.scores],
    }


def task_backtest_data(backtest: TaskBacktest) -> dict[str, Any]:
    """A backtest of tasks: each with its verdict, reason and scores."""
    return {
        "level": backtest.level,
        "splits": [_split_data(split) for split in backtest.splits],
        "spreads": {method: list(values) for method, values in backtest.spreads.items()},
        "tasks": [
            {
                "task": outcome.task.name,
                "columns": list(outcome.task.columns),
                "chance": outcome.task.chance,
                "items": outcome.items,
                "verdict": outcome.verdict.value,
                "why": outcome.why,
                "scores": [_task_score_data(score) for score in outcome.scores],
            }
            for outcome in backtest.outcomes
        ],
    }


def _task_score_data(score: TaskScore) -> dict[str, Any]:
    return {
        "method": score.method,
        "status": score.status,
        "mean_abs_error": score.mean_abs_error,
        "bias": score.bias,
        "naive_error": score.naive_error,
        "coverage": score.coverage,
        "mean_width": score.mean_width,
        "interval_score": score.interval_score,
        "points": [
            asdict(point) | {"off_by": point.off_by, "inside": point.inside}
            for point in score.points
        ],
    }


def _split_data(split: Split) -> dict[str, Any]:
    return {
        "label": split.label,
        "fitted_runs": split.fitted.run_count,
        "fitted_points": len(split.fitted),
        "held_out_points": len(split.held_out),
        "max_fitted_flops": split.max_fitted_flops,
        "max_target_flops": split.max_target_flops,
    }


def _score_data(score: LawScore) -> dict[str, Any]:
    return {
        "law": score.law,
        "title": score.title,
        "status": score.status,
        "splits": score.splits,
        "mean_abs_error": score.mean_abs_error,
        "worst_error": score.worst_error,
        "bias": score.bias,
        "coverage": score.coverage,
        "mean_width": score.mean_width,
        "interval_score": score.interval_score,
        "points": [
            asdict(point) | {"relative_error": point.relative_error, "inside": point.inside}
            for point in score.points
        ],
    }


def held_out_data(forecast: HeldOutForecast) -> dict[str, Any]:
    """A forecast of runs that were set aside, beside what they reached."""
    return {
        "held_out_sizes": list(forecast.held_out_sizes),
        "fitted_sizes": list(forecast.fitted_sizes),
        "level": forecast.level,
        "seed_noise": forecast.seed_noise,
        "auto": _score_data(forecast.auto),
        "scores": [_score_data(score) for score in forecast.scores],
    }


def runs_data(table: RunTable, findings: tuple[Finding, ...]) -> dict[str, Any]:
    """A run table: how it was read and what the checks found."""
    return {
        "source": table.source,
        "rows": len(table),
        "runs": table.run_count,
        "columns": list(table.columns),
        "mapping": dict(table.mapping),
        "assumptions": list(table.assumptions),
        "findings": [asdict(finding) for finding in findings],
    }


def law_data(law: Law) -> dict[str, Any]:
    """A law in full."""
    from scalewise.laws.latex import latex

    return {
        "law": law.key,
        "title": law.title,
        "formula": law.formula,
        "latex": latex(law),
        "variables": dict(law.variables),
        "quantity": law.quantity,
        "use_when": law.use_when,
        "source": str(law.source) if law.source else None,
        "constants": [
            {
                "name": constant.name,
                "unit": law.unit(constant.name),
                "role": constant.role,
                "meaning": constant.meaning,
                "bounds": list(constant.bounds),
            }
            for constant in law.constants
        ],
        "published": [_published_data(published) for published in law.published],
    }


def _published_data(published: Published) -> dict[str, Any]:
    return {
        "name": published.key,
        "theta": dict(published.theta),
        "source": str(published.source),
        "note": published.note,
    }
