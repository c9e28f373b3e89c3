"""What the law of the batch experiment could reach at best, knowing what it was to forecast.

No forecast: the held-out curve is used. It tells an error of extrapolation, which other runs to fit
on could mend, from an error of the form, which none can. Called by `batch_forecast.py --oracle`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from scipy.optimize import least_squares

from scalewise.core.errors import ScalewiseError
from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult
from scalewise.forecast.curves import read_curves
from scalewise.forecast.estimate import DELTA, FORMS, TrajectoryFit, fit_trajectory
from scalewise.forecast.trajectory import Trajectory
from scalewise.laws.catalogue import LAWS
from scalewise.laws.law import Constant, Law
from scalewise.runs.example.batch import batch_held_out_runs, batch_runs
from scalewise.runs.read import read_runs

Array = np.ndarray[Any, np.dtype[Any]]
SYMBOLS = {"params_nonembed": "N", "step": "S", "batch_tokens": "B"}
TOKENS_PER_PARAM = (30.0, 100.0)  # bounds between the held-out range and all rows
WIDTH = 44
_PLAIN = LAWS["trajectory"]
_SIZE, _STEPS = "(N_c / N)**alpha_N", "(S_c / S * (1 + B_star / (B * L**(1 / alpha_B))))**alpha_S"
# Coupled as Kaplan et al. 2020, eq. 1.5, couple size and data: 1 adds the terms, more lets the
# greater of them rule.
COUPLED = replace(
    _PLAIN,
    key="coupled by a power",
    formula=f"(({_SIZE})**p + ({_STEPS})**p)**(1 / p)",
    constants=(*_PLAIN.constants, Constant("p", "exponent", "1 adds, more couples", (0.3, 10))),
    published=(),
)
SLOWER = replace(
    _PLAIN,
    key="steps needed grow with size",
    formula=f"{_SIZE} + {_STEPS} * N**g",
    constants=(*_PLAIN.constants, Constant("g", "exponent", "of size in the step term", (1e-4, 1))),
    published=(),
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Points of curves by column, to be fitted and forecast in parts."""

    columns: dict[str, Array]

    @property
    def size(self) -> Array:
        """Params without embeddings of every point."""
        return self.columns["params_nonembed"]

    @property
    def tokens_per_param(self) -> Array:
        """Tokens seen per parameter at every point."""
        return self.columns["step"] * self.columns["batch_tokens"] / self.size

    def where(self, keep: Array) -> Rows:
        """The points that a mask keeps."""
        return Rows({name: values[keep] for name, values in self.columns.items()})

    def fitted(
        self, form: str | Law, weights: Array | None = None, *, bootstrap: int = 0
    ) -> FitResult:
        """A joint fit, as the last stage of the shipped forecast makes it."""
        return fit(
            form, self.columns, rows="all", delta=DELTA, weights=weights, bootstrap=bootstrap
        )

    def missed(self, result: FitResult) -> Array:
        """Predicted over measured, less one."""
        asked: dict[str, Any] = {name: self.columns[name] for name in SYMBOLS}
        return np.asarray(result.predict(**asked).value) / self.columns["loss"] - 1


def oracle(chosen: TrajectoryFit) -> None:
    """Print the parts: known curve, sizes left out, range of tokens per param, other laws."""
    ladder = Rows(
        {name: chosen.result.inputs[symbol] for name, symbol in SYMBOLS.items()}
        | {"loss": chosen.result.observed, "run_id": chosen.result.cluster.astype(str)}
    )
    read = read_curves(batch_held_out_runs()).table
    held_out = Rows({name: read.column(name) for name in (*SYMBOLS, "loss")})
    print("\nwhat could be had at best: median |error| and error at the end of the curve")
    noise(chosen.result)
    heading("(a) the held-out curve")
    known_curve(ladder, held_out)
    heading("(b) sizes left out of the fit")
    sizes_left_out(ladder, held_out)
    heading("(c) held-out curve from rows of like tokens per param")
    like_tokens_per_param(ladder, held_out)
    seventh_constants(ladder, held_out)


def seventh_constants(ladder: Rows, held_out: Rows) -> None:
    """Laws in which size and steps do not just add up, and what hold-outs on the ladder say."""
    size, batch = ladder.size, ladder.columns["batch_tokens"]
    columns = ("forecast", "inside 90 %", "largest size", "furthest batch", "known")
    print(f"{'(d) a seventh constant':{WIDTH}}" + "".join(f"{what:>20}" for what in columns))
    for law in (LAWS["trajectory"], COUPLED, SLOWER):
        forecast = ladder.fitted(law, bootstrap=200)
        band = forecast.predict(**{name: held_out.columns[name] for name in SYMBOLS})
        loss = held_out.columns["loss"]
        inside = np.mean((loss >= band.low) & (loss <= band.high))
        left_out = []
        for out in (size == size.max(), batch == batch.max()):
            missed = ladder.where(out).missed(ladder.where(~out).fitted(law))
            left_out.append(f"{np.mean(np.abs(missed)):.2%}")
        together, _ = joined(ladder, held_out)
        known = held_out.missed(together.fitted(law))
        line(law.key, [held_out.missed(forecast), f"{inside:.0%}", *left_out, known])


def heading(title: str) -> None:
    print(f"{title:{WIDTH}}" + "".join(f"{form:>20}" for form in FORMS))


def line(label: str, errors: Iterable[Array | str]) -> None:
    cells = [
        e if isinstance(e, str) else f"{np.median(np.abs(e)):.2%} {e[-1]:+.2%}" for e in errors
    ]
    print(f"  {label:{WIDTH - 2}}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


def noise(result: FitResult) -> None:
    """What no law can mend: seeds, and how far the fitted rows lie off their own fit."""
    runs = read_curves(batch_runs()).table
    apart = []
    for name in dict.fromkeys(runs.text("run_id")):
        if name.endswith("-s1"):
            pair = [runs.where(f"run_id == '{name[:-1]}{seed}'").column("loss") for seed in (0, 1)]
            apart.append(float(np.median(np.abs(np.log(pair[0] / pair[1])))))
    own = float(np.median(np.abs(result.residuals)))
    print(f"two seeds of one run differ by {min(apart):.2%} to {max(apart):.2%} in the median")
    print(f"the fitted rows miss their own fit by {own:.2%} in the median, sd {result.noise:.2%}")


def known_curve(ladder: Rows, held_out: Rows) -> None:
    """The same laws when the held-out curve is among the fitted ones, and looser ones."""
    both = read_runs(
        pl.concat([batch_runs().frame, batch_held_out_runs().frame], how="diagonal_relaxed")
    )
    alone = [fit_trajectory(batch_runs(), forms=[f], bootstrap=0).result for f in FORMS]
    known = [fit_trajectory(both, forms=[f], bootstrap=0).result for f in FORMS]
    line("forecast, as shipped", [held_out.missed(result) for result in alone])
    line("refitted with it", [held_out.missed(result) for result in known])
    line("  irreducible loss of that fit", [f"E={f.theta.get('E', 0.0):.3g}" for f in known])
    heavy, floors, rest = [], [], []
    together, weights = joined(ladder, held_out)
    for form in FORMS:
        result = together.fitted(form, weights)
        heavy.append(held_out.missed(result))
        floors.append(f"E={result.theta.get('E', 0.0):.3g}")
        rest.append(f"{np.median(np.abs(ladder.missed(result))):.2%}")
    line("refitted, it weighing as much as all others", heavy)
    line("  irreducible loss of that fit", floors)
    line("  median error of the others then", rest)
    line("each size a floor of its own, one step law", [own_floors(known[0]), "", ""])
    line("its own floor and step law, no other run", [own_floors(known[0], alone=True), "", ""])


def joined(ladder: Rows, held_out: Rows) -> tuple[Rows, Array]:
    """Both, and weights by which each is half of the whole."""
    own = held_out.columns | {"run_id": np.full(len(held_out.size), "held out")}
    both = {name: np.append(values, own[name]) for name, values in ladder.columns.items()}
    share = len(ladder.size) / len(held_out.size)
    return Rows(both), np.where(both["run_id"] == "held out", share, 1.0)


def own_floors(result: FitResult, *, alone: bool = False) -> Array:
    """Errors on the largest size of L = L_inf[N] + (S_c/S_min)**alpha_S, robustly fitted.

    Steps are converted by the critical batch of the joint fit.
    """
    N, S, B = (result.inputs[symbol] for symbol in "NSB")
    largest = N.max() == N
    keep = largest | (not alone)
    loss, path = result.observed[keep], Trajectory.from_fit(result)
    sizes, which = np.unique(N[keep], return_inverse=True)
    fewest = np.log(np.asarray(path.steps_min_of(S[keep], B[keep], loss)))

    def residuals(q: Array) -> Array:
        predicted = np.exp(q[:-2])[which] + np.exp(q[-2] - np.exp(q[-1]) * fewest)
        return np.asarray(np.log(predicted) - np.log(loss))

    step_law = [float(path.alpha_S * np.log(path.S_c)), float(np.log(path.alpha_S))]
    start = np.concatenate([np.log(np.asarray(path.floor(sizes))), step_law])
    q = least_squares(residuals, start, loss="soft_l1", f_scale=DELTA, x_scale="jac").x
    return np.asarray(np.expm1(residuals(q))[largest[keep]])


def sizes_left_out(ladder: Rows, held_out: Rows) -> None:
    """Each size forecast from all others, then larger ones from the smallest of them only."""
    sizes = np.unique(ladder.size)
    usual = ladder.columns["batch_tokens"] == 1024
    for i, size in enumerate(sizes):
        near = sizes[i - 1 if i else 1]
        out = ladder.where((ladder.size == size) & usual)
        label = f"{size:,.0f} from all others, x{max(size / near, near / size):.1f}"
        line(label, [out.missed(f) for f in all_forms(ladder.where(ladder.size != size))])
    table = []
    for last in range(2, len(sizes)):
        rest = all_forms(ladder.where(ladder.size <= sizes[last]))
        for size in sizes[last + 1 :]:
            out = ladder.where((ladder.size == size) & usual)
            label = f"{size:,.0f} from up to {sizes[last]:,.0f}"
            table.append((size / sizes[last], label, [out.missed(f) for f in rest]))
        ratio = held_out.size[0] / sizes[last]
        label = f"held out from up to {sizes[last]:,.0f}"
        table.append((ratio, label, [held_out.missed(f) for f in rest]))
    for ratio, label, errors in sorted(table, key=lambda row: row[0]):
        line(f"{label}, x{ratio:.1f}", errors)


def like_tokens_per_param(ladder: Rows, held_out: Rows) -> None:
    """The held-out curve from fitted rows up to a bound of tokens per param."""
    low, high = held_out.tokens_per_param.min(), held_out.tokens_per_param.max()
    first, last = ladder.tokens_per_param.min(), ladder.tokens_per_param.max()
    print(
        f"  tokens per param: {low:.2f} to {high:.1f} held out, {first:.2f} to {last:,.0f} fitted"
    )
    for bound in (high, *TOKENS_PER_PARAM, np.inf):
        rows = ladder.where((ladder.tokens_per_param >= low) & (ladder.tokens_per_param <= bound))
        label = f"up to {bound:.3g} tokens per param, {len(rows.size)} rows"
        line(label, told(held_out, rows))
    edges = (0.0, 1.0, high, *TOKENS_PER_PARAM, np.inf)
    own = ladder.missed(ladder.fitted(FORMS[0]))
    parts = []
    for begin, end in pairwise(edges):
        mine = own[(ladder.tokens_per_param >= begin) & (ladder.tokens_per_param < end)]
        parts.append(f"{begin:.3g}-{end:.3g}: {np.median(np.abs(mine)):.1%} ({len(mine)})")
    print("  the fit of all rows misses its own rows, by tokens per param: " + ", ".join(parts))


def told(held_out: Rows, rows: Rows) -> list[Array | str]:
    """Errors by form; in brackets where the rows do not determine the constants."""
    found: list[Array | str] = []
    for form in FORMS:
        try:
            result = rows.fitted(form)
        except ScalewiseError:
            found.append("no fit")
            continue
        missed = held_out.missed(result)
        is_sound = result.status.name in ("CONVERGED", "AT_BOUND")
        text = f"({np.median(np.abs(missed)):.2%} {missed[-1]:+.2%})"
        found.append(missed if is_sound else text)
    return found


def all_forms(rows: Rows) -> Sequence[FitResult]:
    return [rows.fitted(form) for form in FORMS]
