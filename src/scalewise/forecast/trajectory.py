"""The loss at any step and batch size, from six constants (Kaplan et al. 2020; Su et al. 2024).

At unlimited batch L = E + (N_c/N)**alpha_N + (S_c/S_min)**alpha_S, with E = 0 unless held-out
curves ask for it; at batch B the same loss takes S = S_min (1 + B_crit/B) steps, where
B_crit = B_star / L**(1/alpha_B) is that of the loss reached. So the loss at a step is known only
implicitly, and is solved for in a bracket: iterating L <- f(L) runs into a cycle where B is far
below B_crit. Where B_crit goes by the tokens seen instead, S = S_min (1 + B_star D**(1/alpha_B)/B)
with D = B S: there the loss is explicit and the steps to it are solved for.

The constants assume one pass over data without end, a tuned learning rate, one schedule shape,
and steps after warm-up. N counts parameters without embeddings, B and E tokens, S updates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from scalewise.core.errors import LawError, UsageError
from scalewise.core.quantities import check_level, format_count
from scalewise.fit.prediction import reach, scalar
from scalewise.fit.result import FitResult
from scalewise.fit.storage import published_fit
from scalewise.forecast.pace import CriticalBy, Pace
from scalewise.laws.kaplan import KAPLAN_CRITICAL_BATCH, KAPLAN_STEPS
from scalewise.laws.law import Law
from scalewise.laws.trajectory import TRAJECTORY_LAWS, TRAJECTORY_TOKENS

Array = np.ndarray[Any, np.dtype[Any]]
Value = Array | float

CONSTANTS = ("N_c", "alpha_N", "S_c", "alpha_S", "B_star", "alpha_B")
# Kaplan et al. 2020, sec. 3 and fig. 10: sizes trained, train losses at which B_crit was read.
_KAPLAN_RANGES = {"params_nonembed": (768.0, 1.5e9), "loss": (3.0, 10.0)}
_BEYOND = 1.005  # factor: a count copied from a report has three digits
_KAPLAN_NOTE = (
    "Published constants (Kaplan et al. 2020, table 3 and appendix A): no runs behind them here, "
    "so no interval is known. They hold for WebText2, a 50257-entry vocabulary and 1024-token "
    "contexts."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trajectory:
    """The six constants, and every question that they answer; all arguments broadcast.

    ``E`` is the loss that no size goes below. ``critical_by`` says what the critical batch is a
    power of: the loss reached, or the tokens seen. ``draws`` (count, 6) are the constants of
    resamples in the order of ``CONSTANTS``, those dropped in which one is not positive and finite;
    with a seventh column, that of ``E``. Without any, as for published constants, no interval is
    known. ``ranges`` are those of the columns behind the constants. Losses are in nats/token.

    >>> kaplan = Trajectory.kaplan2020()
    >>> round(kaplan.floor(1.5e9), 4), round(kaplan.loss(1.5e9, 1e5, 2**19), 4)
    (2.2753, 2.4881)
    """

    N_c: Value
    alpha_N: Value  # noqa: N815 - the paper's letter
    S_c: Value
    alpha_S: Value  # noqa: N815 - the paper's letter
    B_star: Value
    alpha_B: Value  # noqa: N815 - the paper's letter
    E: Value = 0.0
    critical_by: CriticalBy = "loss"
    draws: Array = field(default_factory=lambda: np.empty((0, len(CONSTANTS))))
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    source: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        least = 1.0 if self.critical_by == "tokens" else 0.0
        for name in (*CONSTANTS, "E"):
            value = np.asarray(getattr(self, name))
            above = value >= 0 if name == "E" else value > (least if name == "alpha_B" else 0)
            if not (np.all(np.isfinite(value)) and np.all(above)):
                raise LawError(
                    f"{name}={value} is no constant of a trajectory.",
                    hint="All are finite and positive, E may be 0, and alpha_B is above 1 where "
                    "the critical batch goes by tokens.",
                )
        usable = np.all(np.isfinite(self.draws) & (self.draws >= 0), axis=1)
        usable &= np.all(self.draws[:, : len(CONSTANTS)] > 0, axis=1)
        usable &= self.draws[:, CONSTANTS.index("alpha_B")] > least
        object.__setattr__(self, "draws", self.draws[usable])

    @classmethod
    def of(cls, steps: FitResult, critical_batch: FitResult) -> Self:
        """From a fit of the law kaplan-steps and one of kaplan-critical-batch.

        The resamples of the two are paired as independent. Raises LawError for other laws.
        """
        for result, law in ((steps, KAPLAN_STEPS), (critical_batch, KAPLAN_CRITICAL_BATCH)):
            if not _is_of(result, law):
                raise LawError(
                    f"A trajectory needs a fit of {law.key!r}; this is one of {result.law.key!r}.",
                    hint=f"Fit {law.key}, or give {law.published[0].key}.",
                )
        theta: dict[str, Any] = {**steps.theta, **critical_batch.theta}
        return cls(
            **theta,
            draws=_paired(steps, critical_batch),
            ranges={**steps.ranges, **critical_batch.ranges},
            source=f"{steps.source}; {critical_batch.source}",
            warnings=(*steps.warnings, *critical_batch.warnings),
        )

    @classmethod
    def from_fit(cls, result: FitResult) -> Self:
        """From a joint fit of one of the trajectory laws, with its resamples.

        Where the critical batch goes by the tokens seen, B_star is its B_1 and alpha_B its 1/beta.
        Raises LawError for other laws.
        """
        by_tokens = _is_of(result, TRAJECTORY_TOKENS)
        if not (by_tokens or any(_is_of(result, law) for law in TRAJECTORY_LAWS)):
            known = ", ".join(repr(law.key) for law in TRAJECTORY_LAWS)
            raise LawError(
                f"A trajectory needs a fit of one of {known}; this is one of {result.law.key!r}.",
                hint="Fit one of them to whole curves.",
            )
        theta = _renamed(result.theta)
        drawn = _renamed(dict(zip(result.law.constant_names, result.draws.T, strict=True)))
        names = (*CONSTANTS, *(["E"] if "E" in result.theta else []))
        ranges = dict(result.ranges)
        if len(result.observed):
            ranges["loss"] = (float(result.observed.min()), float(result.observed.max()))
        return cls(
            **{name: float(theta[name]) for name in names},
            critical_by="tokens" if by_tokens else "loss",
            draws=np.stack([drawn[name] for name in names], axis=1),
            ranges=ranges,
            source=result.source,
            warnings=result.warnings,
        )

    @classmethod
    def kaplan2020(cls) -> Self:
        """Kaplan's table 3 with the critical batch of appendix A: WebText2, vocabulary 50257."""
        both = cls.of(
            published_fit("kaplan2020-steps"), published_fit("kaplan2020-critical-batch-appendix-a")
        )
        return replace(both, ranges=_KAPLAN_RANGES, warnings=(_KAPLAN_NOTE,))

    def floor(self, params_nonembed: ArrayLike) -> Value:
        """The loss that no number of steps goes below: L_inf = E + (N_c/N)**alpha_N. Eq. 1.1."""
        N = positive("params_nonembed", params_nonembed)
        return scalar(self.E + (self.N_c / N) ** self.alpha_N)

    def critical_batch(self, loss: ArrayLike, params_nonembed: ArrayLike | None = None) -> Value:
        """Tokens per update at which a loss takes twice the least steps and tokens.

        B_crit = B_star / L**(1/alpha_B), for the loss reached, not the one aimed at (eq. 5.3).
        Where it goes by tokens it is E_min/S_min on the way to the loss, which depends on the
        size too: UsageError without ``params_nonembed``.
        """
        if self.critical_by == "tokens":
            if params_nonembed is None:
                raise UsageError(
                    "This critical batch is a power of the tokens seen: a loss alone has none.",
                    hint="Give params_nonembed too.",
                )
            fewest = np.asarray(self.steps_min(params_nonembed, loss))
            return scalar(np.asarray(self._pace.tokens(fewest, np.zeros(()))) / fewest)
        return scalar(self.B_star / positive("loss", loss) ** (1 / self.alpha_B))

    def local_critical_batch(self, params_nonembed: ArrayLike, loss: ArrayLike) -> Value:
        """dE_min/dS_min in tokens: what noise scales and branched runs measure at a loss.

        b = B_crit (1 + alpha_S/alpha_B (L - L_inf)/L): above B_crit early, equal to it late.
        Where B_crit goes by tokens, b = B_crit / (1 - 1/alpha_B) throughout.
        """
        if self.critical_by == "tokens":
            share_left = 1 - 1 / np.asarray(self.alpha_B)
            return scalar(np.asarray(self.critical_batch(loss, params_nonembed) / share_left))
        gap = self._gap(params_nonembed, loss)
        share = gap / np.asarray(loss, dtype=float)
        return scalar(self.critical_batch(loss) * (1 + self.alpha_S / self.alpha_B * share))

    def steps_min(self, params_nonembed: ArrayLike, loss: ArrayLike) -> Value:
        """The fewest updates to a loss, at unlimited batch: S_c (L - L_inf)**(-1/alpha_S). Eq. 5.6.

        Raises LawError for a loss at or below the floor. Near it the relative error is that of
        the floor times (1/alpha_S) L_inf/(L - L_inf).
        """
        with np.errstate(divide="ignore"):
            return scalar(self.S_c * self._gap(params_nonembed, loss) ** (-1 / self.alpha_S))

    def tokens_min(self, params_nonembed: ArrayLike, loss: ArrayLike) -> Value:
        """The fewest tokens to a loss, at a batch far below B_crit: E_min = B_crit S_min."""
        fewest = np.asarray(self.steps_min(params_nonembed, loss))
        return scalar(np.asarray(self.critical_batch(loss, params_nonembed) * fewest))

    def flops_min(self, params_nonembed: ArrayLike, loss: ArrayLike) -> Value:
        """The least compute to a loss: C_min = 6 N E_min, in FLOP of non-embedding parameters."""
        N = np.asarray(params_nonembed, dtype=float)
        return scalar(np.asarray(6.0 * N * self.tokens_min(params_nonembed, loss)))

    def steps(self, params_nonembed: ArrayLike, loss: ArrayLike, batch_tokens: ArrayLike) -> Value:
        """Updates to a loss at a batch in tokens: S = S_min (1 + B_crit/B). Eq. 5.4."""
        B = positive("batch_tokens", batch_tokens, endless=True)
        fewest = np.asarray(self.steps_min(params_nonembed, loss))
        if self.critical_by == "tokens":
            return scalar(self._pace.updates(fewest, B, np.zeros(())))
        return scalar(fewest * (1 + np.asarray(self.critical_batch(loss)) / B))

    def loss(
        self, params_nonembed: ArrayLike, step: ArrayLike, batch_tokens: ArrayLike = np.inf
    ) -> Value:
        """The loss after ``step`` updates of ``batch_tokens`` tokens; the inverse of `steps`."""
        S = positive("step", step)
        B = positive("batch_tokens", batch_tokens, endless=True)
        L_inf = np.asarray(self.floor(params_nonembed))
        return scalar(L_inf + self._pace.excess(S, B, L_inf))

    def loss_through(
        self, params_nonembed: ArrayLike, stages: Sequence[tuple[float, float]]
    ) -> Array:
        """The loss after each stage (batch_tokens, steps) of a batch schedule, shape (stages, ...).

        A stage begins where a run at its batch has the loss reached so far: in updates s of
        unlimited batch, n = (s1 - s0) + (E_min(s1) - E_min(s0))/B, which is the local critical
        batch, integrated. One stage gives `loss`.
        """
        L_inf = np.asarray(self.floor(params_nonembed))
        done = np.zeros(np.shape(L_inf * self.S_c))
        reached = []
        for batch_tokens, steps in stages:
            B = positive("batch_tokens", batch_tokens, endless=True)
            at = self._pace.updates(done, B, L_inf) + positive("steps", steps)
            excess = self._pace.excess(at, B, L_inf)
            done = self.S_c * excess ** (-1 / np.asarray(self.alpha_S))
            reached.append(L_inf + excess)
        return np.stack(reached)

    def steps_min_of(self, step: ArrayLike, batch_tokens: ArrayLike, loss: ArrayLike) -> Value:
        """A measured step in updates of unlimited batch: S_min = S / (1 + B_crit/B). Eq. 5.4."""
        B = positive("batch_tokens", batch_tokens, endless=True)
        S = positive("step", step)
        if self.critical_by == "tokens":
            return scalar(S / (1 + self._pace.share(S, B)))
        return scalar(S / (1 + self.critical_batch(loss) / B))

    def flops_min_of(self, flops: ArrayLike, batch_tokens: ArrayLike, loss: ArrayLike) -> Value:
        """Compute spent, in FLOP at a batch far below B_crit: C_min = C / (1 + B/B_crit). Eq. 5.5.

        An unlimited batch spends unlimited compute and has no such equivalent.
        """
        B = positive("batch_tokens", batch_tokens)
        return scalar(positive("flops", flops) / (1 + B / self.critical_batch(loss)))

    def to_units(self, factor: float) -> Self:
        """The same trajectory with losses counted ``factor`` times as large: 1/log(2) for bits.

        Each scale moves by factor**(1/exponent), unless it is of tokens; exponents stay.
        """
        positive("factor", factor)
        draws = self.draws.copy()
        draws[:, len(CONSTANTS) :] *= factor
        moved: dict[str, Any] = {"E": self.E * factor}
        for i in range(0, 4 if self.critical_by == "tokens" else 6, 2):
            scale, exponent = CONSTANTS[i : i + 2]
            moved[scale] = getattr(self, scale) * factor ** (1 / getattr(self, exponent))
            draws[:, i] *= factor ** (1 / draws[:, i + 1])
        ranges = dict(self.ranges)
        if "loss" in ranges:
            ranges["loss"] = (ranges["loss"][0] * factor, ranges["loss"][1] * factor)
        return replace(self, **moved, draws=draws, ranges=ranges)

    def sampled(self, ndim: int = 0) -> Self:
        """The constants of every draw, shape (count, 1, ...) for answers of ``ndim`` dimensions.

        Its answers start with the axis of the draws. Where a draw's floor is not below a loss,
        the steps to it are infinite instead of refused.
        """
        names = (*CONSTANTS, "E")[: self.draws.shape[1]]
        columns = self.draws.T.reshape(len(names), -1, *(1,) * ndim)
        constants = dict(zip(names, columns, strict=True))
        return replace(self, **constants, draws=np.empty((0, len(CONSTANTS))))

    def bounds(self, ask: Callable[[Self], Value], *, level: float = 0.9) -> tuple[Value, Value]:
        """The interval of an answer over the draws; the answer itself, twice, without draws.

        It holds the uncertainty of the constants, not the noise of a run.
        """
        tails(level)
        answer = ask(self)
        if not len(self.draws):
            return answer, answer
        with np.errstate(all="ignore"):
            values = np.asarray(ask(self.sampled(np.ndim(answer))))
        return percentiles(values, level)

    def doubts(self, **columns: ArrayLike) -> tuple[str, ...]:
        """A sentence for each column whose values leave the range behind the constants."""
        said = []
        for name, factor in self.extrapolation(**columns).items():
            if factor > _BEYOND:
                low, high = self.ranges[name]
                said.append(
                    f"{name} lies x{factor:.3g} outside the range {format_count(low)} to "
                    f"{format_count(high)} behind the constants."
                )
        return tuple(said)

    def extrapolation(self, **columns: ArrayLike) -> dict[str, float]:
        """The factor by which the farthest value of each column leaves its range; 1 is inside."""
        values = {name: np.asarray(value, dtype=float) for name, value in columns.items()}
        return {name: float(np.max(far)) for name, far in reach(self.ranges, values).items()}

    def _gap(self, params_nonembed: ArrayLike, loss: ArrayLike) -> Array:
        """L - L_inf in nats/token, 0 where a draw cannot reach the loss."""
        L = positive("loss", loss)
        floor = np.asarray(self.floor(params_nonembed))
        gap = np.asarray(L - floor)
        if np.ndim(self.N_c) == 0 and np.any(gap <= 0):
            first = int(np.argmax(gap.ravel() <= 0))
            asked, lowest = (float(v.ravel()[first]) for v in np.broadcast_arrays(L, floor))
            N = float(np.broadcast_to(np.asarray(params_nonembed), gap.shape).ravel()[first])
            raise LawError(
                f"A loss of {asked:g} nats/token is out of reach of {N:g} params_nonembed: the "
                f"floor of that size is {lowest:.5g}.",
                hint="Ask for a loss above the floor, or for a larger model.",
            )
        return np.maximum(gap, 0.0)

    @property
    def _pace(self) -> Pace:
        return Pace(self.S_c, self.alpha_S, self.B_star, self.alpha_B, self.critical_by)


def _is_of(result: FitResult, law: Law) -> bool:
    """Whether a fit, perhaps a stored one, is of a law."""
    return (result.law.formula, result.law.variables) == (law.formula, law.variables)


def _renamed(theta: Mapping[str, Any]) -> dict[str, Any]:
    """The constants of a trajectory law by the names of ``CONSTANTS``."""
    if "beta" not in theta:
        return dict(theta)
    with np.errstate(divide="ignore"):  # an infinite alpha_B is refused, or dropped as a draw
        alpha_B = 1 / np.asarray(theta["beta"])
    return {**theta, "B_star": theta["B_1"], "alpha_B": alpha_B}


def _paired(steps: FitResult, critical_batch: FitResult) -> Array:
    """The draws of two independent fits side by side; a fit without draws stays at its theta."""
    names = (KAPLAN_STEPS.constant_names, KAPLAN_CRITICAL_BATCH.constant_names)
    parts: list[Array] = []
    counts = [len(result.draws) for result in (steps, critical_batch) if len(result.draws)]
    count = min(counts, default=0)
    for result, order in zip((steps, critical_batch), names, strict=True):
        if len(result.draws):
            columns = [result.law.constant_names.index(name) for name in order]
            parts.append(result.draws[:count, columns])
        else:
            parts.append(np.tile([result.theta[name] for name in order], (count, 1)))
    return np.concatenate(parts, axis=1)


def tails(level: float) -> tuple[float, float]:
    """The probabilities below the two ends of an interval; UsageError if ``level`` is none."""
    check_level(level)
    return (1 - level) / 2, (1 + level) / 2


def percentiles(values: Array, level: float) -> tuple[Value, Value]:
    """Both ends of an interval over the first axis of draws: infinite ones count, NaN does not."""
    low, high = tails(level)
    # Interpolating between an infinite draw and another would give NaN.
    return (
        scalar(np.asarray(np.nanquantile(values, low, axis=0, method="lower"))),
        scalar(np.asarray(np.nanquantile(values, high, axis=0, method="higher"))),
    )


def positive(name: str, values: ArrayLike, *, endless: bool = False) -> Array:
    """``values`` as floats above 0, and finite unless ``endless``; else UsageError by ``name``."""
    array = np.asarray(values, dtype=float)
    wrong = ~((array > 0) & (endless | np.isfinite(array)))
    if np.any(wrong):
        kind = "positive" if endless else "positive and finite"
        raise UsageError(
            f"{name}={array[wrong].ravel()[0]:g} must be {kind}.",
            hint=f"Give {name} above 0.",
        )
    return array
