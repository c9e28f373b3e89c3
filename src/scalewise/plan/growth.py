"""How the best size grows with compute, where the laws that answer do not learn it from the runs.

With one exponent for size and tokens the best size grows as the root of compute whatever the runs
say. Such a law may forecast loss best, because it has fewer constants; its resamples then differ
by where the best size stands and not by how it grows, and an interval of them holds next to
nothing at a hundred times the compute. The interval is that of the same constants in the law
that sets the exponents free.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scalewise.fit.profile import points_behind
from scalewise.fit.result import FitResult
from scalewise.fit.space import space_of
from scalewise.fit.uncertainty import asymptotic
from scalewise.laws.catalogue import LAWS, on_count
from scalewise.laws.gadre import OVERTRAINING
from scalewise.plan.optimum import size_of

Members = list[tuple[float, FitResult]]


def freed(members: Members) -> Members:
    """The laws with draws that let the best size grow otherwise, if all of them fix its growth.

    Constants and values stay; the draws change, and with them the interval of the loss at the
    optimum, which then is wider than that of ``predict`` there. Laws with a constant or prior
    given by the user stay as they are, and so do published constants, which have no resamples.
    """
    if not all(_is_tied(member) for _, member in members):
        return members
    return [(share, _freed(member)) for share, member in members]


def _is_tied(member: FitResult) -> bool:
    drawn = len(member.draws) > 0 and len(member.observed) > 0
    given = bool(member.fixed) or member.penalty is not None
    return member.law.formula == OVERTRAINING.formula and drawn and not given


def _freed(member: FitResult) -> FitResult:
    """The same constants as those of chinchilla, with draws of its normal approximation there."""
    size = str(size_of(member.law))
    law = replace(on_count(LAWS["chinchilla"], size), key=member.law.key)
    t, points = member.theta, points_behind(member)
    power = 2 * t["eta"]
    theta = {"E": t["E"], "A": t["A"], "B": t["B"], "alpha": power, "beta": power}
    space = space_of(law, points, member.objective, bounds={}, fixed={})
    found = asymptotic(
        space,
        space.q_of(theta),
        member.objective.observed(points.observed),
        points.weights,
        points.cluster,
        count=len(member.draws),
        seed=member.seed,
    )
    drawn = space.theta(found.q)
    draws = np.stack([drawn[name] for name in law.constant_names], axis=1)
    return replace(member, law=law, theta=theta, draws=draws)
