"""Forecasts from runs of one size, with constants borrowed from other families of models.

One size tells nothing of how loss falls with size, so the size term is borrowed:

============  ==================================================================================
``families``  from all public families, as uncertain as they differ; the interval holds that
a name        of a public family or of published constants: held as if certain
choshen2024   as Choshen et al. (2024) do: A and alpha of Muennighoff et al. (2023), their cut
none          nothing: the rest of the run itself, ``E + B / D**beta``, at its own size
============  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from scalewise.core.errors import LawError, UnfitDataError, UsageError
from scalewise.core.quantities import check_level, format_count, level_text
from scalewise.fit.engine import fit
from scalewise.fit.points import Points
from scalewise.fit.prediction import UNIFORM_GUESS, Prediction, doubts_at, reach
from scalewise.fit.result import FitResult, FitStatus
from scalewise.forecast.families import Between, Library, law_constants, library
from scalewise.forecast.one_run import Posterior, one_run, posterior
from scalewise.forecast.policy import CHOSHEN2024, DEFAULT, EstimationPolicy, policy_named
from scalewise.laws.catalogue import PUBLISHED, law_from
from scalewise.laws.chinchilla import CHINCHILLA
from scalewise.runs.table import RunTable

FAMILIES = "families"
NOTHING = "none"
AUTHORS = "choshen2024"
_AUTHORS_SET = "muennighoff2023-single-epoch"  # whose A and alpha they fix

_OWN_CURVE = "E + B / D**beta"
_FREE = 3  # constants that are fitted beside a held size term
_RESAMPLES = 200  # of the constants beside a held size term
_DRAWS = 400  # of the borrowed constants
_OUTCOMES = 4000  # of the forecast loss
_FEW_EFFECTIVE = 20.0  # draws that carry the weight, below which the run contradicts the families
_TOLD = 0.5  # a constant whose prior the run narrows by less is hardly told by it


@dataclass(frozen=True, slots=True, kw_only=True)
class BorrowedForecast:
    """Loss of one new model, in nats/token, from runs of one size and borrowed constants.

    ``borrowed_share`` is the share of the variance of the log loss that the borrowed size term
    makes, None where it was held as if certain and the interval holds none of it. ``constants``
    are of ``E + A / N**alpha + B / D**beta``; ``provenance`` says where each comes from.
    ``impossible`` is the share of draws whose size term left no room for the observed loss.
    """

    loss: float
    low: float
    high: float
    level: float
    params: float
    tokens: float
    borrow: str
    borrowed_share: float | None
    constants: Mapping[str, float]
    provenance: Mapping[str, str]
    extrapolation: Mapping[str, float]
    policy: str
    runs: int
    points: int
    impossible: float = 0.0
    seed: int = 0
    sha256: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def prediction(self) -> Prediction:
        """The same without what was borrowed."""
        return Prediction(
            quantity="loss",
            value=self.loss,
            low=self.low,
            high=self.high,
            level=self.level,
            extrapolation=self.extrapolation,
            runs=self.runs,
            warnings=self.warnings,
        )

    def __str__(self) -> str:
        return (
            f"loss {self.loss:.4f} nats/token, {level_text(self.level)} interval "
            f"[{self.low:.4f}, {self.high:.4f}], borrowed from {self.borrow}, {self.runs} "
            f"run{'s' if self.runs > 1 else ''} of one size"
        )


def predict_from_one(
    runs: object,
    *,
    params: float,
    tokens: float,
    borrow: str = FAMILIES,
    policy: str | EstimationPolicy | None = None,
    level: float = 0.9,
    without: Sequence[str] = (),
    seed: int = 0,
) -> BorrowedForecast:
    """Predict the loss at ``params`` and ``tokens`` from runs of one size, or of a run's own start.

    ``runs`` is anything ``read_runs`` reads, with params, tokens and loss; checkpoints of one run,
    finished models of one size, or the first part of the run to be forecast. ``borrow`` is
    ``families``, ``choshen2024``, ``none``, or the name of a public family or published constants.
    ``without`` names public families that must not teach, with all of their group. The policy is
    the default one, with ``choshen2024`` theirs.

    Raises UnfitDataError for more than one size, a borrowed size term that alone exceeds the
    observed loss, or losses that can be none; UsageError for an unknown name. Choshen et al.
    2024, sec. 5, arXiv:2410.11840.

    >>> runs = {"params": [1e8] * 3, "tokens": [2e9, 4e9, 8e9], "loss": [3.6, 3.4, 3.25]}
    >>> found = predict_from_one(runs, params=1e9, tokens=2e10)
    >>> found.low < found.loss < found.high < 3.25
    True
    """
    chosen = policy_named(policy) if policy else CHOSHEN2024 if borrow == AUTHORS else DEFAULT
    asked = _Question(params, tokens, level, borrow, chosen, seed)
    points = _points(runs, chosen)
    size = _only_size(points)
    if borrow != AUTHORS:  # who fitted such losses too
        _require_nats(points)
    if borrow == FAMILIES:
        return _from_families(asked, points, size, library().between(without=without))
    if without:
        raise UsageError(
            f"without={', '.join(without)} leaves out what {borrow!r} does not use.",
            hint=f"Borrow from {FAMILIES!r}, or leave it away.",
        )
    _require_points(points)
    if borrow == NOTHING:
        return _held(asked, points, _own_curve(asked, points, size))
    held, source = _named(borrow, library())
    _require_room(held, points, size, borrow)
    result = fit(
        CHINCHILLA, points, objective=chosen.objective, delta=chosen.delta,
        bounds=chosen.bounds, fixed=held, bootstrap=_RESAMPLES, resampling="asymptotic", seed=seed,
    )  # fmt: skip
    return _held(asked, points, result, source)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked, checked."""

    params: float
    tokens: float
    level: float
    borrow: str
    policy: EstimationPolicy
    seed: int

    def __post_init__(self) -> None:
        for name in ("params", "tokens"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise UsageError(f"{name}={value:g} is not a count.", hint="Give one above 0.")
        check_level(self.level)


def drift_of(run: RunTable, between: Between, *, share: float, policy: EstimationPolicy) -> float:
    """Log measured over forecast of a run's last loss per e-fold, from its first ``share``.

    Raises UnfitDataError if the policy leaves nothing of that share.
    """
    points = policy.points(CHINCHILLA, run)
    tokens = points.inputs["D"]
    last = float(tokens.max())
    begin = points.take(tokens <= share * last)
    if not len(begin):
        raise UnfitDataError(f"No checkpoint lies in the first {share:.0%} of the run.")
    size = _only_size(begin)
    found = _posterior(begin, size, replace(between, drift=(0.0, 0.0)), 0)
    full, _ = found.log_losses(size, last, count=_OUTCOMES, seed=0)
    measured = float(np.log(np.median(points.observed[tokens >= 0.97 * last])))
    return float((measured - np.median(full)) / np.log(last / begin.inputs["D"].max()))


def _points(runs: object, policy: EstimationPolicy) -> Points:
    from scalewise.runs.read import read_runs

    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    return policy.points(CHINCHILLA, table)


def _only_size(points: Points) -> float:
    sizes = np.unique(points.inputs["N"])
    if len(sizes) > 1:
        shown = ", ".join(format_count(size) for size in sizes[:6])
        raise UnfitDataError(
            f"There are {len(sizes)} sizes: {shown}{' ...' if len(sizes) > 6 else ''}.",
            hint='Keep one, where="params == ...", or fit them all: scalewise fit.',
        )
    return float(sizes[0])


def _named(borrow: str, known: Library) -> tuple[dict[str, float], str]:
    """A and alpha to hold, and where they come from."""
    name = _AUTHORS_SET if borrow == AUTHORS else borrow
    if name in PUBLISHED:
        law, published = PUBLISHED[name]
        if law.formula != CHINCHILLA.formula:
            raise LawError(
                f"{borrow!r} holds constants of {law.key!r}, which has no size term to borrow.",
                hint=f"Borrow {FAMILIES!r}, or constants of chinchilla.",
            )
        return {c: published.theta[c] for c in ("A", "alpha")}, f"{name}, {published.source}"
    if name not in {family.name for family in known.families}:
        names = ", ".join(family.name for family in known.families)
        raise UsageError(
            f"There is nothing to borrow under the name {borrow!r}.",
            hint=f"There are {FAMILIES}, {AUTHORS}, {NOTHING}, the published constants of "
            f"chinchilla (scalewise laws chinchilla), and the public families {names}.",
        )
    family = known.named(name)
    source = f"public family {name}, {family.citation}; params counted {family.counted}"
    source += f"; its numbers are {family.apart}" if family.apart else ""
    return {c: family.theta[c] for c in ("A", "alpha")}, source


def _require_room(held: Mapping[str, float], points: Points, size: float, borrow: str) -> None:
    term, least = held["A"] / size ** held["alpha"], float(points.observed.min())
    if term >= least:
        raise UnfitDataError(
            f"The size term borrowed from {borrow!r} alone, {term:.3g} nats/token at "
            f"{format_count(size)} params, exceeds the observed loss, {least:.3g}.",
            hint="Is the loss in nats per token of next-token prediction? Otherwise no constant "
            "of such a family applies; or borrow another, or families.",
        )


def _own_curve(asked: _Question, points: Points, size: float) -> FitResult:
    if asked.params != size:
        raise UsageError(
            f"Without borrowing, a run of {format_count(size)} params says nothing of "
            f"{format_count(asked.params)}.",
            hint=f"Ask for its own size, or borrow {FAMILIES!r}.",
        )
    bounds = {name: ends for name, ends in asked.policy.bounds.items() if name == "beta"}
    return fit(
        law_from(_OWN_CURVE), replace(points, inputs={"D": points.inputs["D"]}),
        objective=asked.policy.objective, delta=asked.policy.delta, bounds=bounds,
        bootstrap=_RESAMPLES, resampling="asymptotic", seed=asked.seed,
    )  # fmt: skip


def _held(
    asked: _Question, points: Points, result: FitResult, source: str = ""
) -> BorrowedForecast:
    """A forecast in which what is borrowed, from ``source``, counts as certain."""
    loss, low, high = _interval(result, asked)
    warnings = [text for text in result.warnings if "value of params" not in text]
    if source:
        warnings.append(
            "The size term is held as if certain: the interval holds nothing of how families "
            f"differ. Borrowing {FAMILIES!r} shows that."
        )
    if result.status is not FitStatus.CONVERGED:
        warnings.append(f"{result.status.value} The forecast leans on its form.")
    provenance = dict.fromkeys(result.theta, "the run") | dict.fromkeys(result.fixed, source)
    if not source:
        provenance["E"] = "the run; holds the size term too, which one size cannot tell apart"
    provenance |= dict.fromkeys(result.at_bound, "the run; stopped at its bound")
    provenance |= dict.fromkeys(result.not_identified, "not told by the run")
    return BorrowedForecast(
        loss=loss,
        low=low,
        high=high,
        level=asked.level,
        params=asked.params,
        tokens=asked.tokens,
        borrow=asked.borrow,
        borrowed_share=None if source else 0.0,
        constants=dict(result.theta),
        provenance=provenance,
        extrapolation=_reach(points, asked),
        policy=str(asked.policy),
        runs=points.runs,
        points=len(points),
        seed=asked.seed,
        sha256=points.sha256,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _interval(result: FitResult, asked: _Question) -> tuple[float, float, float]:
    """Loss and interval, no narrower than the noise of one run of a public family.

    A curve of three points is followed exactly, which says nothing of the next run.
    """
    given = {column: getattr(asked, column) for column in result.law.columns}
    with np.errstate(all="ignore"):
        found = result.predict(level=asked.level, **given)
    loss, low, high = (np.float64(v) for v in (found.loss, found.low, found.high))
    if not (np.isfinite([loss, low, high]).all() and loss > 0):
        raise UnfitDataError(
            f"The run's curve has no token term to carry on: B = {result.theta['B']:.3g}, "
            f"beta = {result.theta['beta']:.3g}.",
            hint=f"Give a longer part of the run, or borrow {FAMILIES!r}.",
        )
    usual = library().between().noise[0]
    least = NormalDist().inv_cdf((1 + asked.level) / 2) * float(np.exp(usual)) * loss
    below, above = np.hypot(loss - low, least), np.hypot(high - loss, least)
    return float(loss), max(float(loss - below), 0.0), float(loss + above)


def _require_points(points: Points) -> None:
    if len(points) < _FREE:
        raise UnfitDataError(
            f"E, B and beta cannot be fitted to {len(points)} "
            f"point{'' if len(points) == 1 else 's'} of one size.",
            hint=f"Borrow {FAMILIES!r}, which knows what they usually are.",
        )


def _require_nats(points: Points) -> None:
    if (least := float(points.observed.min())) > UNIFORM_GUESS:
        raise UnfitDataError(
            f"The least loss is {least:.3g}: more than a uniform guess costs in nats/token.",
            hint="Read perplexities by mapping={'perplexity': COLUMN} or --map perplexity=COLUMN.",
        )


def _posterior(points: Points, size: float, between: Between, seed: int) -> Posterior:
    run = one_run(size, points.inputs["D"], points.observed, is_curve=points.runs < len(points))
    return posterior(run, between, count=_DRAWS, seed=seed)


def _from_families(
    asked: _Question, points: Points, size: float, between: Between
) -> BorrowedForecast:
    found = _posterior(points, size, between, asked.seed)
    full, central = found.log_losses(asked.params, asked.tokens, count=_OUTCOMES, seed=asked.seed)
    ends = [(1 - asked.level) / 2, 0.5, (1 + asked.level) / 2]
    low, middle, high = np.exp(np.quantile(full, ends))
    narrowed = found.narrowed()
    provenance = dict.fromkeys(("A", "alpha"), between.provenance)
    for name, coordinate in (("E", "E"), ("B", "token_term"), ("beta", "beta")):
        share = narrowed[coordinate]
        told = "the run" if share >= _TOLD else "hardly told by the run"
        provenance[name] = f"{told}, which narrows what families say by {share:.0%}"
    return BorrowedForecast(
        loss=float(middle),
        low=float(low),
        high=float(high),
        level=asked.level,
        params=asked.params,
        tokens=asked.tokens,
        borrow=FAMILIES,
        borrowed_share=min(float(np.var(central) / np.var(full)), 1.0),
        constants=law_constants(found.medians()),
        provenance=provenance,
        extrapolation=_reach(points, asked),
        policy=str(asked.policy),
        runs=points.runs,
        points=len(points),
        impossible=found.impossible,
        seed=asked.seed,
        sha256=points.sha256,
        warnings=(*_doubts(found, points), *doubts_at("loss", middle)),
    )


def _doubts(found: Posterior, points: Points) -> tuple[str, ...]:
    told = [f"{text}; left out." for text in points.left_out]
    if found.impossible > 0:
        told.append(
            f"{found.impossible:.1%} of {_DRAWS} draws of the size term exceed the observed loss "
            "and are left out."
        )
    if found.effective < _FEW_EFFECTIVE:
        told.append(
            f"The run agrees with few families: {found.effective:.0f} of {_DRAWS} draws carry the "
            "forecast. Its recipe may be of another kind."
        )
    return tuple(told)


def _reach(points: Points, asked: _Question) -> dict[str, float]:
    ranges = {
        column: (float(points.inputs[symbol].min()), float(points.inputs[symbol].max()))
        for symbol, column in CHINCHILLA.variables.items()
    }
    given = {name: np.asarray(getattr(asked, name)) for name in ranges}
    factors = reach(ranges, given)
    return {
        name: float(np.max(np.asarray(factor, dtype=float))) for name, factor in factors.items()
    }
