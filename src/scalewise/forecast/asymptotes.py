"""The loss that each size converges to, which the last loss of a run is not.

A run of fixed length ends above its floor by more the larger the model, so that last losses taken
for converged ones make the floor fall too slowly with size: by 6 % at 1.5B from runs of 1M to 60M
and 100,000 updates, with Kaplan's constants. Floors are therefore read from the joint fit of whole
curves. A second reading gives every size a floor of its own, with no law of size: where the two
part, the law of size is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.fit.result import FitResult
from scalewise.forecast.trajectory import Trajectory

Array = np.ndarray[Any, np.dtype[Any]]

CONVERGED = 0.005  # of the floor: the excess below which a run counts as finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Asymptote:
    """The floor of one size in nats/token, by the joint fit and by its own curves alone.

    ``low`` and ``high`` bound the floor by resamples, ``own_floor`` needs no law of size.
    ``last_loss`` is the lowest loss among the ends of its runs, and ``excess`` the share by which
    the fit says that run still lies above the floor.
    """

    params_nonembed: float
    floor: float
    low: float
    high: float
    own_floor: float
    last_loss: float
    excess: float

    @property
    def is_converged(self) -> bool:
        """Whether the size was trained to within half a per cent of its floor."""
        return self.excess < CONVERGED


def asymptotes(result: FitResult, *, level: float = 0.9) -> tuple[Asymptote, ...]:
    """The floors of the sizes behind a joint fit of a trajectory law, smallest first.

    Raises LawError for fits of other laws.
    """
    path = Trajectory.from_fit(result)
    N, S, B = (result.inputs[symbol] for symbol in ("N", "S", "B"))
    sizes = np.unique(N)
    low, high = path.bounds(lambda t: t.floor(sizes), level=level)
    own = _own_floors(path, N, S, B, result.observed)
    found = []
    for i, size in enumerate(sizes.tolist()):
        rows = np.flatnonzero(size == N)
        last = rows[np.argmin(path.loss(size, S[rows], B[rows]))]
        floor = float(path.floor(size))
        found.append(
            Asymptote(
                params_nonembed=size,
                floor=floor,
                low=float(np.asarray(low)[i]),
                high=float(np.asarray(high)[i]),
                own_floor=float(own[i]),
                last_loss=float(result.observed[last]),
                excess=float(path.loss(size, S[last], B[last])) / floor - 1,
            )
        )
    return tuple(found)


def _own_floors(path: Trajectory, N: Array, S: Array, B: Array, loss: Array) -> Array:
    """Floors per size with one S_c and alpha_S for all: L = L_inf[N] + (S_c/S_min)**alpha_S.

    Steps are converted by the critical batch of the joint fit at the measured loss. Robust least
    squares in log loss; Su et al. 2024, sec. 3.
    """
    from scipy.optimize import least_squares

    sizes, which = np.unique(N, return_inverse=True)
    fewest = np.asarray(path.steps_min_of(S, B, loss))

    def parts(q: Array) -> tuple[Array, Array, Array]:
        excess = np.exp(q[-2] - np.exp(q[-1]) * np.log(fewest))
        floor = np.exp(q[:-2])[which]
        return floor, excess, floor + excess

    def residuals(q: Array) -> Array:
        return np.asarray(np.log(parts(q)[2]) - np.log(loss))

    def jacobian(q: Array) -> Array:
        floor, excess, total = parts(q)
        slope = np.zeros((len(loss), len(q)))
        slope[np.arange(len(loss)), which] = floor / total
        slope[:, -2] = excess / total
        slope[:, -1] = -excess / total * np.exp(q[-1]) * np.log(fewest)
        return slope

    begin = [float(path.alpha_S * np.log(path.S_c)), float(np.log(path.alpha_S))]
    start = np.concatenate([np.log(np.asarray(path.floor(sizes))), begin])
    found = least_squares(
        residuals, start, jac=jacobian, loss="soft_l1", f_scale=3e-3, x_scale="jac", xtol=1e-12,
        ftol=1e-12, gtol=1e-12,
    )  # fmt: skip
    return np.exp(found.x[:-2])
