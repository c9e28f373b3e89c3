"""Small results made by hand, so that what is rendered does not move with the fitting engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from scalewise.fit.objective import objective_named
from scalewise.fit.prediction import Prediction
from scalewise.fit.result import FitResult, FitStatus, Rival
from scalewise.fit.search import Basin, Certificate
from scalewise.forecast.backtest import Backtest, HeldOutPoint, LawScore, score
from scalewise.forecast.holdout import HeldOutForecast
from scalewise.forecast.splits import split_at
from scalewise.laws.catalogue import LAWS
from scalewise.plan.allocate import Allocation, Frontier, Interval
from scalewise.report.card import Card
from scalewise.report.cards.allocation import allocation_card, frontier_card
from scalewise.report.cards.backtest import backtest_card
from scalewise.report.cards.fit import fit_card
from scalewise.report.cards.health import health_card
from scalewise.report.cards.held_out import held_out_card, held_out_scores_card
from scalewise.report.cards.laws import law_card, laws_card
from scalewise.report.cards.prediction import prediction_card
from scalewise.report.cards.residuals import residuals_card
from scalewise.report.cards.runs import runs_card
from scalewise.runs.health import Finding
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

CHINCHILLA = LAWS["chinchilla"]
TRUTH = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37}
HOSTILE = "<script>alert('x')</script>\n\"&\u202egnp\x1b[31m"


def runs(name: str = "pilot") -> RunTable:
    """Five sizes by three token budgets, with losses off the truth by a fixed pattern."""
    rows = []
    for i, params in enumerate((1e7, 3e7, 1e8, 3e8, 1e9)):
        for j, tokens in enumerate((4e8, 2e9, 1e10)):
            loss = float(CHINCHILLA.value(TRUTH, N=params, D=tokens))
            off = 0.004 * ((3 * i + 5 * j) % 7 - 3) / 3
            rows.append({
                "run_id": f"{name}-{i}", "params": params, "tokens": tokens,
                "loss": loss * (1 + off), "is_final": True, "is_annealed": True,
                "eval_set": "held-out", "family": "pilot",
            })  # fmt: skip
    return replace(read_runs(rows), source="pilots.csv")


def result(**changes: Any) -> FitResult:
    """A Chinchilla fit of ``runs`` with five resamples."""
    table = runs()
    values = np.array([TRUTH[name] for name in CHINCHILLA.constant_names])
    shifts = np.linspace(-0.04, 0.04, 5)[:, None] * np.array([0.2, 4.0, 4.0, 0.5, 0.5])
    correlation = np.eye(5)
    correlation[1, 3] = correlation[3, 1] = 0.9871
    made = FitResult(
        law=CHINCHILLA,
        theta=dict(TRUTH),
        status=FitStatus.CONVERGED,
        objective=objective_named("huber-log"),
        objective_value=0.00101827402,
        certificate=Certificate(
            screened=256, refined=16, agreeing=14,
            basins=(Basin(objective=0.00101827402 * 1.031, theta=dict(TRUTH)),),
        ),
        points=len(table),
        runs=table.run_count,
        ranges={"params": (1e7, 1e9), "tokens": (4e8, 1e10), "flops": (2.4e16, 6e19)},
        noise=0.0031,
        draws=values * (1 + shifts),
        resampling="wild cluster bootstrap by run",
        seed=0,
        correlation=correlation,
        inputs={"N": table.column("params"), "D": table.column("tokens")},
        observed=table.column("loss"),
        sha256=table.sha256,
        source=table.source,
    )  # fmt: skip
    return replace(made, **changes)


def combined() -> FitResult:
    """The same fit leading a combination, with doubts of every kind."""
    rival = result(
        law=LAWS["overtraining"],
        theta={"E": 1.8, "A": 480.0, "B": 2000.0, "eta": 0.18},
        draws=np.empty((0, 4)),
        correlation=np.eye(4),
        warnings=("eta stopped at its bound.",),
    )
    return replace(
        result(status=FitStatus.AT_BOUND, at_bound=("E",), fixed=("beta",), spread=1.4),
        warnings=("E stopped at its bound.",),
        weight=0.62,
        rivals=(Rival(weight=0.38, result=rival),),
    )


def prediction() -> Prediction:
    """A forecast 41 times beyond the fitted compute."""
    return Prediction(
        quantity="loss", value=2.2141, low=2.196, high=2.236, level=0.9,
        extrapolation={"params": 7.0, "flops": 41.3}, runs=5,
        rests_on=("chinchilla (62%)", "overtraining (38%)"),
    )  # fmt: skip


def _points(error: float, *, interval: bool = True) -> tuple[HeldOutPoint, ...]:
    points = []
    for i, tokens in enumerate((2e9, 1e10)):
        measured = 2.8 - 0.2 * i
        forecast = measured * (1 + error * (1 + i))
        width = 0.03 if interval else 0.0
        points.append(
            HeldOutPoint(
                run_id=f"large-{i}", params=1e9, tokens=tokens, flops=6e9 * tokens,
                measured=measured, predicted=forecast,
                low=forecast * (1 - width), high=forecast * (1 + width),
            )
        )  # fmt: skip
    return tuple(points)


def scores() -> tuple[LawScore, ...]:
    """Two laws, the combination, a naive rule, and a law that failed."""
    made = [
        score("auto", "combined", _points(0.008), level=0.9, splits=2),
        score("chinchilla", "Chinchilla", _points(-0.012), level=0.9, splits=2),
        score("power", "Power law", _points(0.04), level=0.9, splits=2),
        score("best seen", "lowest loss", _points(0.11, interval=False), level=0.9, splits=2),
        score("kaplan-overfit", "Kaplan", (), level=0.9, splits=2, status="no params_nonembed."),
    ]
    return tuple(made)


def backtest() -> Backtest:
    """Two splits, five scores."""
    table = runs()
    return Backtest(
        scores=scores(), splits=(split_at(table, 1e8), split_at(table, 3e8)), level=0.9,
        recommended="auto", warnings=("Only two splits.",),
    )  # fmt: skip


def held_out() -> HeldOutForecast:
    """The largest size forecast from the other four."""
    return HeldOutForecast(
        result=combined(), split=split_at(runs(), 3e8), auto=scores()[0], scores=scores(),
        held_out_sizes=(1e9,), fitted_sizes=(1e7, 3e7, 1e8, 3e8), level=0.9, seed_noise=0.0021,
    )  # fmt: skip


def allocation() -> Allocation:
    """A budget far beyond the runs."""
    return Allocation(
        flops=1e24, size="params",
        params=Interval(value=7.1e10, low=5.2e10, high=9.9e10),
        tokens=Interval(value=2.35e12, low=1.7e12, high=3.2e12),
        tokens_per_param=Interval(value=33.1, low=17.0, high=61.6),
        loss=Interval(value=1.9312, low=1.9011, high=1.9688),
        level=0.9, law="chinchilla", extrapolation=16_700.0, runs=5,
        rests_on=("chinchilla (100%)",), warnings=(),
    )  # fmt: skip


def frontier() -> Frontier:
    """Nine budgets with a tenth of uncertainty."""
    flops = np.geomspace(1e17, 1e21, 9)
    params, loss = np.sqrt(flops / 120), 1.8 + 40 * flops**-0.09

    def band(values: Any) -> Any:
        return values * 0.9, values, values * 1.1

    return Frontier(flops=flops, params=band(params), tokens=band(flops / 6 / params),
                    loss=band(loss), size="params", level=0.9)  # fmt: skip


def findings() -> tuple[Finding, ...]:
    """One finding of each severity."""
    return (
        Finding(severity="error", name="perplexity as loss", rows=(3, 4, 5, 6, 7, 8, 9, 12),
                fact="loss is 16.4 in row 3; a uniform guess reaches 12.5 nats/token.",
                mend="Convert it with loss_from_perplexity()."),
        Finding(severity="warning", name="duplicate rows", rows=(2,),
                fact="1 row repeats a later row.", mend=".deduplicated() keeps the last."),
        Finding(severity="note", name="no seeds", rows=(),
                fact="No two runs differ in their seed only.", mend="Repeat one run."),
    )  # fmt: skip


def cards() -> dict[str, Card]:
    """Every kind of card, by name."""
    return {
        "health": health_card(runs(), findings()),
        "runs": runs_card(runs()),
        "laws": laws_card((CHINCHILLA, LAWS["power"])),
        "law": law_card(CHINCHILLA),
        "fit": fit_card(result()),
        "fit-combined": fit_card(combined()),
        "residuals": residuals_card(result()),
        "prediction": prediction_card(prediction(), {"params": 7e9, "tokens": 2e12}),
        "backtest": backtest_card(backtest()),
        "held-out": held_out_card(held_out()),
        "held-out-scores": held_out_scores_card(held_out()),
        "allocation": allocation_card(allocation()),
        "frontier": frontier_card(frontier(), runs()),
    }
