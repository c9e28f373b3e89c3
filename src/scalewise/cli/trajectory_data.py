"""What ``--json`` prints for curves and batches: fields by name, nothing computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalewise.cli.plan_data import interval_data

if TYPE_CHECKING:
    from scalewise.fit.prediction import Prediction
    from scalewise.forecast.loss_curve import LossCurve
    from scalewise.forecast.on_track import OnTrack
    from scalewise.plan.batch import BatchPoint, BatchTradeoff, Doubling
    from scalewise.plan.cheapest_batch import CheapestBatch
    from scalewise.plan.reachable import Unreachable


def tradeoff_data(found: BatchTradeoff, *, runs: int) -> dict[str, Any]:
    """Steps, tokens and time to a loss, by batch."""
    known = found.floor.low < found.floor.high
    quantities = (
        "floor", "steps_min", "tokens_min", "flops_min", "critical_batch_tokens",
        "local_critical_batch_tokens",
    )  # fmt: skip
    return {
        "reachable": True,
        "params_nonembed": found.params_nonembed,
        "loss": found.loss,
        **{name: interval_data(getattr(found, name), known=known) for name in quantities},
        "at_critical": _point_data(found.at_critical, known=known),
        "at_batch": None if found.at_batch is None else _point_data(found.at_batch, known=known),
        "doubling": _doubling_data(found.doubling, known=known),
        "frontier": [_point_data(point, known=known) for point in found.frontier],
        "unreached": found.unreached,
        "level": found.level,
        "extrapolation": dict(found.extrapolation),
        "runs": runs,
        "source": found.source,
    }


def unreachable_data(found: Unreachable, *, runs: int) -> dict[str, Any]:
    """A loss out of reach, and why."""
    return {
        "reachable": False,
        "params_nonembed": found.params_nonembed,
        "loss": found.loss,
        "floor": interval_data(found.floor, known=found.floor.low < found.floor.high),
        "smallest_size": found.smallest_size,
        "reached": found.reached,
        "level": found.level,
        "extrapolation": dict(found.extrapolation),
        "runs": runs,
        "source": found.source,
    }


def cheapest_data(found: CheapestBatch) -> dict[str, Any]:
    """The batch of least cost."""
    known = found.batch_tokens.low < found.batch_tokens.high
    return {
        "batch_tokens": interval_data(found.batch_tokens, known=known),
        "at_batch": _point_data(found.point, known=known),
        "least_days": interval_data(found.least_days, known=known),
        "cost_with_waiting": interval_data(found.total, known=known),
        "days": found.days,
        "day_price": found.day_price,
    }


def curve_data(curve: LossCurve) -> dict[str, Any]:
    """The loss along a run, with its band."""

    def ends(i: int) -> list[float | None]:
        return [float(curve.low[i]), float(curve.high[i])] if curve.known else [None, None]

    low, floor, high = curve.floor
    return {
        "params_nonembed": curve.params_nonembed,
        "schedule": [{"batch_tokens": batch, "steps": steps} for batch, steps in curve.stages],
        "loss": float(curve.loss[-1]),
        "interval": ends(-1),
        "floor": {"value": floor, "interval": [low, high] if low < high else [None, None]},
        "curve": [
            {
                "step": float(curve.step[i]),
                "batch_tokens": float(curve.batch_tokens[i]),
                "tokens": float(curve.tokens[i]),
                "loss": float(curve.loss[i]),
                "interval": ends(i),
            }
            for i in range(len(curve.step))
        ],
        "level": curve.level,
        "extrapolation": dict(curve.extrapolation),
        "runs": curve.runs,
        "source": curve.source,
    }


def on_track_data(found: OnTrack) -> dict[str, Any]:
    """A live run against its band."""
    return {
        "left_for_good": found.has_left,
        "first_departure": found.first_departure,
        "left_at": found.left_at,
        "side": found.side or None,
        "false_alarm": found.false_alarm,
        "until": found.until,
        "planned": _loss_data(found.planned),
        "projected": _loss_data(found.projected),
        "points": [
            {
                "step": float(found.step[i]),
                "loss": float(found.loss[i]),
                "predicted": float(found.predicted[i]),
                "interval": [float(found.low[i]), float(found.high[i])],
                "outside": bool(found.outside[i]),
            }
            for i in range(len(found.step))
        ],
        "left_out": list(found.left_out),
        "level": found.level,
    }


def _loss_data(prediction: Prediction) -> dict[str, Any]:
    return {
        "loss": float(prediction.value),
        "interval": [float(prediction.low), float(prediction.high)],
    }


def _point_data(point: BatchPoint, *, known: bool) -> dict[str, Any]:
    timed = {
        name: None if value is None else interval_data(value, known=known)
        for name, value in (("days", point.days), ("cost", point.cost))
    }
    return {
        "batch_tokens": point.batch_tokens,
        "over_critical": point.relative,
        "steps": interval_data(point.steps, known=known),
        "tokens": interval_data(point.tokens, known=known),
        "flops": interval_data(point.flops, known=known),
        "gpus": point.gpus,
        **timed,
    }


def _doubling_data(found: Doubling, *, known: bool) -> dict[str, Any]:
    return {
        "batch_tokens": found.batch_tokens,
        "time_saved": interval_data(found.time_saved, known=known),
        "flops_added": interval_data(found.flops_added, known=known),
    }
