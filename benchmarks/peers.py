"""Fits of the same 240 points by others: CPU time, and the objective that each reaches.

    python benchmarks/peers.py [--sample 450]

Every method that can is run under every objective, in one process on one machine:

- ours: the point fit, and 1000 resamples of it.
- SciPy's L-BFGS-B from the 4500 starts of Hoffmann et al. 2022 (sec. D.3), with finite
  differences, as Besiroglu et al. 2024 repeated it; each resample by BFGS with the analytic
  gradient, from the optimum.
- SciPy's ``least_squares`` from the same starts, with the analytic Jacobian.
- the packages chinchilla, simple-scaling-laws and vpnls, where ``pip install`` brings them.

``--sample`` runs a random part of the starts, and the time of all is extrapolated from it. Every
set of constants is scored here by the same formula, whatever the package says it reached.
Methods are helped where that is easy: objectives are scaled to be large against the tolerances,
drawing is left out, and refits of resamples begin at the optimum.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from fit_speed import cpu, machine, points
from scipy.optimize import least_squares, minimize

from scalewise.fit.engine import fit
from scalewise.runs.read import read_runs

Array = np.ndarray[Any, np.dtype[Any]]

GRID = ((0, 5, 10, 15, 20, 25), (0, 5, 10, 15, 20, 25), (-1, -0.5, 0, 0.5, 1),
        (0, 0.5, 1, 1.5, 2), (0, 0.5, 1, 1.5, 2))  # fmt: skip
STARTS = 4500
AT_OPTIMUM = 1e-4  # share by which an objective may exceed the best to count as having reached it
TIMES = 9
RESAMPLES, REFITS = 1000, 50  # resamples asked of everyone, and refitted where one costs much
NEARLY_ABSOLUTE = 1e-4  # threshold of the Huber loss that stands for |r|; at less it gets stuck
PACKAGES = {
    "chinchilla": "pip install chinchilla",
    # It asks for Python 3.12 and runs on 3.11 too.
    "simple-scaling-laws": "pip install --ignore-requires-python simple-scaling-laws pyyaml",
    "vpnls": "pip install vpnls",
}


@dataclass(frozen=True, slots=True)
class Goal:
    """What is minimised: the sum of Huber's function of the residuals, of logs or of losses."""

    name: str
    delta: float
    in_logs: bool

    def rho(self, residuals: Array) -> Array:
        """What each residual adds."""
        size = np.abs(residuals)
        if self.delta == 0:
            return size
        if np.isinf(self.delta):
            return size * size
        inside = np.minimum(size, self.delta)
        return inside * (size - inside / 2)

    def total(self, residuals: Array) -> float:
        """The sum over residuals."""
        return float(self.rho(residuals).sum())

    def slope(self, residuals: Array) -> Array:
        """Its derivative by each residual."""
        if self.delta == 0:
            return np.sign(residuals)
        if np.isinf(self.delta):
            return 2 * residuals
        return np.clip(residuals, -self.delta, self.delta)


GOALS = (
    Goal("huber-log", 1e-3, in_logs=True),
    Goal("lad-log", 0.0, in_logs=True),
    Goal("ls-log", np.inf, in_logs=True),
    Goal("ls", np.inf, in_logs=False),
)


@dataclass(frozen=True, slots=True)
class Row:
    """What one method did under one objective; times in CPU seconds."""

    who: str
    goal: str
    reached: float
    seconds: float
    resampling: float
    note: str = ""


class Problem:
    """The points as the authors' code sees them: x = (log A, log B, log E, alpha, beta)."""

    def __init__(self, runs: Mapping[str, Array], goal: Goal) -> None:
        self.runs, self.goal = runs, goal
        self.log_n, self.log_d, self.log_loss = (
            np.log(runs[c]) for c in ("params", "tokens", "loss")
        )

    def residuals(self, x: Array, rows: Any = slice(None)) -> Array:
        """Predicted minus observed logs, or losses, of the rows."""
        total = self._terms(x)[1]
        if self.goal.in_logs:
            return (total - self.log_loss)[rows]
        return (np.exp(total) - self.runs["loss"])[rows]

    def jacobian(self, x: Array, rows: Any = slice(None)) -> Array:
        """Derivatives of the residuals by x, shape (n, 5)."""
        terms, total = self._terms(x)
        by_n, by_d, by_e = np.exp(terms - (total if self.goal.in_logs else 0.0))
        columns = (by_n, by_d, by_e, -by_n * self.log_n, -by_d * self.log_d)
        return np.stack(columns, axis=1)[rows]

    def value(self, x: Array) -> float:
        """The sum that is minimised."""
        return self.goal.total(self.residuals(x))

    def value_and_gradient(self, x: Array, rows: Array) -> tuple[float, Array]:
        """The sum over the rows, with its derivatives."""
        residuals = self.residuals(x, rows)
        return self.goal.total(residuals), self.goal.slope(residuals) @ self.jacobian(x, rows)

    def reached(self, theta: Mapping[str, float]) -> float:
        """The objective at constants given by name, in params and tokens."""
        logs = [np.log(theta[name]) for name in ("A", "B", "E")]
        return self.value(np.array([*logs, theta["alpha"], theta["beta"]]))

    def _terms(self, x: Array) -> tuple[Array, Array]:
        a, b, e, alpha, beta = x
        terms = np.stack(
            [a - alpha * self.log_n, b - beta * self.log_d, np.full_like(self.log_n, e)]
        )
        top = terms.max(axis=0)
        return terms, top + np.log(np.exp(terms - top).sum(axis=0))


def ours(problem: Problem) -> Row:
    table, objective = read_runs(dict(problem.runs)), problem.goal.name

    def run(count: int) -> Any:
        return fit("chinchilla", table, objective=objective, bootstrap=count)

    run(0)
    times = [cpu(lambda: run(0))[0] for _ in range(TIMES)]
    spent, result = cpu(lambda: run(RESAMPLES))
    return Row(
        "scalewise", objective, problem.reached(result.theta), median(times), spent - median(times),
        f"{result.certificate.agreeing} of {result.certificate.refined} descents agree",
    )  # fmt: skip


def starts(sample: int) -> Array:
    every = np.array(list(product(*GRID)), dtype=float)
    if sample >= STARTS:
        return every
    return every[np.random.default_rng(0).choice(STARTS, sample, replace=False)]


def drawn(count: int) -> Iterator[Array]:
    rng = np.random.default_rng(42)
    return (rng.integers(240, size=240) for _ in range(count))


def grid_of_starts(problem: Problem, begin: Array, best: Array) -> Row:
    scale = 1.0 if problem.goal.delta != 0 else 1e-3

    def value(x: Array) -> float:
        return scale * problem.value(x)

    def refits() -> None:
        for rows in drawn(REFITS):
            minimize(problem.value_and_gradient, best, args=(rows,), jac=True, method="BFGS")

    spent, ends = cpu(lambda: [minimize(value, x, method="L-BFGS-B").x for x in begin])
    resampling, _ = cpu(refits)
    return _summary("SciPy L-BFGS-B, 4500 starts", problem, spent, ends, resampling)


def least_squares_starts(problem: Problem, begin: Array, best: Array) -> Row:
    delta = problem.goal.delta or NEARLY_ABSOLUTE
    unit = 1.0 if np.isinf(delta) else delta

    def solve(x: Array, rows: Any = slice(None)) -> Any:
        return least_squares(
            lambda y: problem.residuals(y, rows) / unit,
            x,
            lambda y: problem.jacobian(y, rows) / unit,
            loss="linear" if np.isinf(delta) else "huber",
            x_scale="jac",
        ).x

    def tried(x: Array) -> Any:
        try:
            return solve(x)
        except ValueError:  # the start, or a step from it, overflows
            return x

    spent, ends = cpu(lambda: [tried(x) for x in begin])
    resampling, _ = cpu(lambda: [solve(best, rows) for rows in drawn(REFITS)])
    return _summary("SciPy least_squares, 4500 starts", problem, spent, ends, resampling)


def _summary(who: str, problem: Problem, spent: float, ends: list[Array], resampling: float) -> Row:
    reached = np.array([problem.value(x) for x in ends])
    best = float(np.nanmin(reached))
    share = float(np.mean(reached <= best * (1 + AT_OPTIMUM)))
    note = f"{share:.1%} of starts reach its best"
    if len(ends) < STARTS:
        note += f"; from {len(ends)} starts"
    return Row(
        who, problem.goal.name, best, spent / len(ends) * STARTS,
        resampling / REFITS * RESAMPLES, f"{note}; from {REFITS} resamples",
    )  # fmt: skip


def chinchilla_package(problem: Problem, sample: int, best: Mapping[str, float]) -> Row:
    """The package ``chinchilla``, with the grid of its README and a scaled objective.

    Its objective is a mean: of Huber's function at 1e-3 it is 4e-6, at which BFGS stops at once
    (it then ends 8 % above the optimum). A factor in front mends that.
    """
    per_axis = min(5, max(2, round((sample / STARTS * 5**5) ** 0.2)))
    spans = {"E": (1, 2), "a": (1, 10), "b": (1, 10), "alpha": (0.1, 0.7), "beta": (0.1, 0.7)}
    grid = {name: tuple(np.linspace(*span, per_axis)) for name, span in spans.items()}
    at_best = {
        "E": (best["E"],), "a": (np.log(best["A"]),), "b": (np.log(best["B"]),),
        "alpha": (best["alpha"],), "beta": (best["beta"],),
    }  # fmt: skip

    goal = problem.goal
    scale = 240 / (goal.delta if 0 < goal.delta < np.inf else 1.0)

    def loss(observed: Array, predicted: Array) -> Array:
        if goal.in_logs:
            observed, predicted = np.log(observed), np.log(predicted)
        return scale * goal.rho(predicted - observed)

    def run(grid: Mapping[str, Any], rows: Any = slice(None)) -> tuple[float, dict[str, float]]:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            N, D, L = (problem.runs[c][rows] for c in ("params", "tokens", "loss"))
            frame = pl.DataFrame({"C": 6 * N * D, "N": N, "D": D, "loss": L})
            frame.write_csv(Path(folder) / "df.csv")
            package = import_module("chinchilla")
            fitter = package.Chinchilla(folder, param_grid=grid, loss_fn=loss, log_level=50)
            fitter.visualizer.optim = lambda *_, **__: None
            spent, _ = cpu(lambda: fitter.fit(parallel=False))
            return spent, {name: float(value) for name, value in fitter.params.items()}

    spent, theta = run(grid)
    refits = [run(at_best, rows)[0] for rows in drawn(REFITS // 5)]
    return Row(
        "chinchilla, 3125 starts", goal.name, problem.reached(theta),
        spent * (5 / per_axis) ** 5, float(np.mean(refits)) * RESAMPLES,
        f"from {per_axis**5} starts; from {len(refits)} resamples",
    )  # fmt: skip


def simple_scaling_laws(problem: Problem) -> Row:
    """The package ``simple-scaling-laws``, which fits losses by least squares."""
    package = import_module("simple_scaling_laws")
    N, D, L = (problem.runs[c] for c in ("params", "tokens", "loss"))
    frame = pl.DataFrame({
        "training_run_id": [f"run-{i}" for i in range(len(L))], "model_size__params": N,
        "dataset_size__tokens": D, "test_loss__nats": L,
    })  # fmt: skip

    def run(count: int) -> Any:
        return package.fit(frame, law="separable-power", n_draws=count, seed=0)

    run(1)
    one = median([cpu(partial(run, 1))[0] for _ in range(TIMES)])
    spent, model = cpu(partial(run, RESAMPLES))
    theta = model.params("test_loss__nats")
    # Its predictors are divided by their geometric means.
    theta["A"] *= np.exp(np.mean(np.log(N))) ** theta["alpha"]
    theta["B"] *= np.exp(np.mean(np.log(D))) ** theta["beta"]
    return Row("simple-scaling-laws", "ls", problem.reached(theta), one, spent - one)


def vpnls(problem: Problem) -> Row:
    """The package ``vpnls``, which minimises least squares of losses, by its L-BFGS-B solver."""
    package = import_module("vpnls.api")
    N, D, L = (problem.runs[c] for c in ("params", "tokens", "loss"))

    def run(rows: Any = slice(None)) -> Any:
        return package.fit_vpnls(N[rows] / 1e6, D[rows] / 1e9, L[rows], method="scipy")

    one = median([cpu(run)[0] for _ in range(TIMES)])
    found = run()
    theta = {name: float(getattr(found, name)) for name in ("E", "A", "B", "alpha", "beta")}
    theta["A"] *= 1e6 ** theta["alpha"]
    theta["B"] *= 1e9 ** theta["beta"]
    resampling, _ = cpu(lambda: [run(rows) for rows in drawn(REFITS)])
    return Row(
        "vpnls", "ls", problem.reached(theta), one, resampling / REFITS * RESAMPLES,
        f"from {REFITS} resamples",
    )  # fmt: skip


def installed(package: str) -> str:
    """Its version, or an empty text."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def rows_of(runs: Mapping[str, Array], goal: Goal, sample: int) -> Iterator[Row]:
    problem, begin = Problem(runs, goal), starts(sample)
    yield ours(problem)
    theta = fit("chinchilla", dict(runs), objective=goal.name, bootstrap=0).theta
    best = np.array([*(np.log(theta[n]) for n in ("A", "B", "E")), theta["alpha"], theta["beta"]])
    with np.errstate(all="ignore"):
        yield grid_of_starts(problem, begin, best)
        yield least_squares_starts(problem, begin, best)
        if installed("chinchilla"):
            yield chinchilla_package(problem, sample, theta)
    if goal.name == "ls" and installed("simple-scaling-laws"):
        yield simple_scaling_laws(problem)
    if goal.name == "ls" and installed("vpnls"):
        yield vpnls(problem)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sample", type=int, default=450, help="of the 4500 starts, to run")
    options = parser.parse_args()
    runs, source = points()
    print(f"{source}; {machine()}; scipy {version('scipy')}")
    for package, command in PACKAGES.items():
        print(f"{package} {installed(package) or f'not installed: {command}'}")
    print(f"\n| objective | method | reached | above ours | fit, s | {RESAMPLES} resamples, s | |")
    print("|---|---|---|---|---|---|---|")
    for goal in GOALS:
        least = np.nan
        for row in rows_of(runs, goal, options.sample):
            least = row.reached if row.who == "scalewise" else least
            print(
                f"| {row.goal} | {row.who} | {row.reached:.12g} | {row.reached / least - 1:+.1e} | "
                f"{row.seconds:.3g} | {row.resampling:.3g} | {row.note} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
