"""What ``--json`` prints for plans: fields by name, nothing computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalewise.plan.advice import Advice
    from scalewise.plan.allocate import Frontier, Interval
    from scalewise.plan.approaches import Approaches
    from scalewise.plan.compute_efficient import EfficientRun
    from scalewise.plan.conventions import Conventions
    from scalewise.plan.data_constrained import DataConstrained
    from scalewise.plan.inference import Choice, InferenceOptimum
    from scalewise.plan.isoflop import IsoFlop
    from scalewise.plan.serving import Bill


def interval_data(interval: Interval, *, known: bool = True) -> dict[str, Any]:
    """A value with both ends; null where no runs stand behind them, as with published constants."""
    ends = [interval.low, interval.high] if known else [None, None]
    return {"value": interval.value, "interval": ends}


def curve_data(curve: Frontier, runs: int) -> list[dict[str, Any]]:
    """The allocation at several budgets."""

    def at(band: Any, i: int) -> dict[str, Any]:
        low, value, high = (float(edge[i]) for edge in band)
        return {"value": value, "interval": [low, high] if runs else [None, None]}

    return [
        {
            "flops": float(flops),
            "params": at(curve.params, i),
            "tokens": at(curve.tokens, i),
            "tokens_per_param": at(curve.tokens_per_param, i),
            "loss": at(curve.loss, i),
        }
        for i, flops in enumerate(curve.flops)
    ]


def data_constrained_data(found: DataConstrained) -> dict[str, Any]:
    """What repeated tokens add to an allocation."""
    known = bool(found.allocation.runs)
    free = found.unlimited
    return {
        "tokens_unique": found.tokens_unique,
        "epochs": interval_data(found.epochs, known=known),
        "worth": None if found.worth is None else interval_data(found.worth, known=known),
        "next_epoch": (
            None if found.next_epoch is None else interval_data(found.next_epoch, known=known)
        ),
        "unlimited": {
            name: interval_data(getattr(free, name), known=known)
            for name in ("params", "tokens", "loss")
        },
    }


def efficient_data(run: EfficientRun) -> dict[str, Any]:
    """The compute-efficient run of a trajectory."""
    known = run.loss.low < run.loss.high
    named = ("params_nonembed", "loss", "batch_tokens", "steps_min", "tokens_min")
    return {
        "flops": run.flops,
        **{name: interval_data(getattr(run, name), known=known) for name in named},
        "exponents": dict(run.exponents),
        "excess": run.excess,
        "level": run.level,
        "extrapolation": dict(run.extrapolation),
    }


def inference_data(found: InferenceOptimum, paid: tuple[Bill, Bill] | None) -> dict[str, Any]:
    """The cheapest model to train and serve, and the compute-optimal one of its quality."""
    known = bool(found.runs)
    return {
        **_choice_data(found.cheapest, paid and paid[0], known=known),
        "loss": interval_data(found.loss, known=known),
        "saving": interval_data(found.saving, known=known),
        "compute_optimal": _choice_data(found.compute_optimal, paid and paid[1], known=known),
        "quality": found.quality,
        "inference_tokens": found.inference_tokens,
        "serving_cost_per_flop": found.serving.per_flop,
        "size": found.size,
        "level": found.level,
        "law": found.law,
        "rests_on": list(found.rests_on),
        "extrapolation": dict(found.extrapolation),
        "runs": found.runs,
    }


def _choice_data(choice: Choice, paid: Bill | None, *, known: bool) -> dict[str, Any]:
    bills = {}
    if paid is not None:
        bills = {
            "gpu_hours": {
                "training": interval_data(paid.training_hours, known=known),
                "serving": interval_data(paid.serving_hours, known=known),
            },
            "money": None if paid.money is None else interval_data(paid.money, known=known),
        }
    return {
        "params": interval_data(choice.params, known=known),
        "tokens": interval_data(choice.tokens, known=known),
        "tokens_per_param": interval_data(choice.tokens_per_param, known=known),
        "flops": interval_data(choice.training_flops, known=known),
        "serving_flops": interval_data(choice.serving_flops, known=known),
        "cost_flops": interval_data(choice.cost, known=known),
        **bills,
    }


def approaches_data(found: Approaches) -> dict[str, Any]:
    """Every approach that was run, what was not and why, and where they part."""
    from scalewise.plan.isoflop import IsoFlop

    return {
        "flops": found.flops,
        "size": found.size,
        "level": found.level,
        "runs": found.runs,
        "extrapolation": {"flops": found.extrapolation},
        "disagreement": found.disagreement,
        "approaches": [
            {
                "key": e.key,
                "title": e.title,
                "a": interval_data(e.a),
                "b": interval_data(e.b),
                "params": interval_data(e.params),
                "tokens": interval_data(e.tokens),
                "tokens_per_param": interval_data(e.tokens_per_param),
                "rests_on": e.points,
                "notes": list(e.notes),
            }
            for e in found.entries
        ],
        "not_run": [{"key": n.key, "title": n.title, "reason": n.reason} for n in found.not_run],
        "isoflop": {
            detail.method: _isoflop_data(detail)
            for detail in found.details
            if isinstance(detail, IsoFlop)
        },
    }


def _isoflop_data(found: IsoFlop) -> dict[str, Any]:
    return {
        "vertices": [
            {
                "flops": v.flops,
                "points": v.points,
                "params": interval_data(v.params),
                "tokens": interval_data(v.tokens),
                "loss": v.loss,
                "bracketed": v.bracketed,
            }
            for v in found.vertices
        ],
        "left_out": [
            {"flops": out.flops, "points": out.points, "reason": out.reason}
            for out in found.left_out
        ],
    }


def conventions_data(found: Conventions) -> dict[str, Any]:
    """The exponent by counting convention, and what the table has no columns for."""
    return {
        "rows": [
            {
                "key": row.key,
                "size": row.size,
                "flops": row.flops,
                "a": interval_data(row.a),
                "shift": interval_data(row.shift),
                "against": row.against,
                "budgets": row.budgets,
                "left_out": row.left_out,
                "reason": row.reason,
            }
            for row in found.rows
        ],
        "missing": list(found.missing),
        "method": found.method,
        "level": found.level,
        "runs": found.runs,
        "sizes": found.sizes,
    }


def advice_data(found: Advice) -> dict[str, Any]:
    """Advice: fields by name, with the sentences that its card concludes with."""
    return {
        "conclusion": str(found),
        "verdict": found.verdict,
        "would_help_most": found.help,
        "half_width": found.half_width,
        "limits": [asdict(one) for one in found.limits],
        "within_rule": [asdict(one) for one in found.clear],
        "unknown": dict(found.unknown),
        "one_more_run": [asdict(one) for one in found.added],
        "best": None if found.best is None else asdict(found.best),
    }


def checklist_data(items: tuple[Any, ...]) -> list[Mapping[str, Any]]:
    """The items of a checklist."""
    return [asdict(item) for item in items]
