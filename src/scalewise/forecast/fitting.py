"""The door to every fit: one law, a law of curves in stages, or all that the runs can carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scalewise.core.errors import UsageError
from scalewise.fit.engine import DEFAULT_BOOTSTRAP
from scalewise.fit.engine import fit as fit_law
from scalewise.fit.points import Rows
from scalewise.fit.priors import Prior
from scalewise.fit.result import FitResult
from scalewise.forecast.backtest import Policy
from scalewise.forecast.choose import AUTO, choose
from scalewise.forecast.policy import EstimationPolicy, policy_named
from scalewise.forecast.staged_fit import TRAJECTORY_AUTO, fit_in_stages, forms_of
from scalewise.laws.catalogue import law_from
from scalewise.laws.law import Law
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]


def fit(
    law: Law | str,
    runs: object,
    *,
    objective: str | None = None,
    delta: float | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    fixed: Mapping[str, float | str] | None = None,
    priors: Mapping[str, Prior] | None = None,
    weights: str | Array | None = None,
    rows: Rows | None = None,
    policy: EstimationPolicy | str | None = None,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    seed: int = 0,
) -> FitResult:
    """Fit one law, or with ``law="auto"`` all that the runs can carry, combined by backtest.

    ``policy`` says which checkpoints enter and how much each counts: an ``EstimationPolicy`` or
    the name of one (default, finals, choshen2024). Without one, a named law is fitted to finished
    models, and ``auto`` takes checkpoints as well where finished models all saw as many tokens.
    The laws of whole curves (trajectory, trajectory-floor, trajectory-tokens) are estimated by the
    stages of ``fit_trajectory``, which ``FitResult.stages`` tells; ``law="trajectory-auto"`` leaves
    the choice among them to held-out curves. ``rows="all"`` fits every row at once instead.
    Otherwise as ``scalewise.fit.engine.fit``, with finished models unless ``rows`` says otherwise.
    Bounds, fixed constants, priors, weights and checkpoints belong to one law and are refused with
    ``auto``.
    """
    if policy is not None:
        return _fit_under(
            policy_named(policy), law, runs, objective=objective, delta=delta, bounds=bounds,
            fixed=fixed, priors=priors, weights=weights, rows=rows, bootstrap=bootstrap, seed=seed,
        )  # fmt: skip
    if forms_of(law) and (rows is None or law == TRAJECTORY_AUTO):
        return fit_in_stages(
            law, runs, rows=rows, objective=objective, delta=delta, bounds=bounds, fixed=fixed,
            priors=priors, weights=weights, bootstrap=bootstrap, seed=seed,
        )  # fmt: skip
    if law != AUTO:
        return fit_law(
            law,
            runs,
            objective=objective,
            delta=delta,
            bounds=bounds,
            fixed=fixed,
            priors=priors,
            weights=weights,
            rows=rows or "finals",
            bootstrap=bootstrap,
            seed=seed,
        )
    given = {"bounds": bounds, "fixed": fixed, "priors": priors, "weights": weights}
    refused = [name for name, value in given.items() if value is not None]
    if rows not in (None, "finals"):
        refused.append(f"rows={rows!r}")
    if refused:
        raise UsageError(
            f"{', '.join(refused)} cannot be used with law 'auto'.", hint="Name one law."
        )
    comparison = Policy(objective=objective, delta=delta, seed=seed)
    return choose(runs, policy=comparison, bootstrap=bootstrap)


def _fit_under(
    policy: EstimationPolicy,
    law: Law | str,
    runs: object,
    *,
    objective: str | None,
    delta: float | None,
    bounds: Mapping[str, tuple[float, float]] | None,
    rows: Rows | None,
    weights: str | Array | None,
    bootstrap: int,
    seed: int,
    **known: Any,
) -> FitResult:
    """Fit as a policy says; an objective that is given, or bounds, take its own's place."""
    chosen: dict[str, object] = {"rows": rows, "weights": weights}
    if law == AUTO:
        chosen |= {"bounds": bounds, **known}
    if refused := [name for name, value in chosen.items() if value is not None]:
        raise UsageError(
            f"{', '.join(refused)} cannot be used beside policy {policy.name!r}"
            f"{' and law auto' if law == AUTO else ''}.",
            hint="Leave it out: the policy says it. In Python, dataclasses.replace(policy, ...) "
            "makes another.",
        )
    if law == AUTO:
        comparison = Policy(estimation=policy, objective=objective, delta=delta, seed=seed)
        return choose(runs, policy=comparison, bootstrap=bootstrap)
    law = law_from(law) if isinstance(law, str) else law
    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    result = fit_law(
        law,
        policy.points(law, table),
        objective=objective or policy.objective,
        delta=delta if objective else delta or policy.delta,
        bounds=policy.bounds_of(law) | dict(bounds or {}),
        bootstrap=bootstrap,
        seed=seed,
        **known,
    )
    return replace(result, policy=str(policy))
