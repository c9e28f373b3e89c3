"""The loss at any update and batch size: Kaplan et al. 2020 and Su et al. 2024, implicitly.

At unlimited batch ``L = (N_c / N)**alpha_N + (S_c / S_min)**alpha_S``. At batch B the same loss
takes ``S = S_min * (1 + B_crit / B)`` updates, and the critical batch is that of the loss reached,
``B_crit = B_star / L**(1 / alpha_B)``: the loss stands on both sides.
"""

from __future__ import annotations

from scalewise.laws.kaplan import ALPHA_S, N_C, S_C
from scalewise.laws.law import Constant, Law, Published, Source

_ALPHA_N = Constant("alpha_N", "exponent", "how fast the floor of a size falls with size")
_B_STAR = Constant("B_star", "amplitude", "critical batch at a loss of 1 nat/token")
_ALPHA_B = Constant(
    "alpha_B", "exponent", "how slowly the critical batch grows as loss falls", (0.02, 5.0)
)
_E = Constant("E", "offset", "loss of the ideal model: the entropy of the text")
_VARIABLES = {"N": "params_nonembed", "S": "step", "B": "batch_tokens"}
_TERMS = "(N_c / N)**alpha_N + (S_c / S * (1 + B_star / (B * L**(1 / alpha_B))))**alpha_S"

TRAJECTORY = Law(
    key="trajectory",
    title="Trajectory: loss at any update, size and batch",
    formula=_TERMS,
    variables=_VARIABLES,
    constants=(N_C, _ALPHA_N, S_C, ALPHA_S, _B_STAR, _ALPHA_B),
    source=Source(key="su2024", where="sec. 2", arxiv="2403.06563"),
    published=(
        Published(
            key="kaplan2020-trajectory",
            theta={
                "N_c": 6.5e13, "alpha_N": 0.077, "S_c": 2.1e3, "alpha_S": 0.76,
                "B_star": 2.1e8, "alpha_B": 0.21,
            },
            source=Source(key="kaplan2020", where="table 3 and appendix A", arxiv="2001.08361"),
            note="WebText2, 1024-token contexts; B_crit was measured at train losses from 10 to 3",
        ),
    ),
    use_when=(
        "Whole loss curves of several sizes, and a batch scan of one, must forecast the curve of a "
        "larger model at another batch; after warm-up, at a constant rate, on unrepeated data."
    ),
    implicit="L",
)  # fmt: skip

TRAJECTORY_FLOOR = Law(
    key="trajectory-floor",
    title="Trajectory with an irreducible loss",
    formula=f"E + {_TERMS}",
    variables=_VARIABLES,
    constants=(_E, *TRAJECTORY.constants),
    source=Source(key="su2024", where="sec. 2, with a floor added", arxiv="2403.06563"),
    use_when=(
        "As trajectory, where held-out curves say that a loss without a floor is too optimistic at "
        "large sizes; the floor is hard to tell from the size term."
    ),
    implicit="L",
)

TRAJECTORY_TOKENS = Law(
    key="trajectory-tokens",
    title="Trajectory with the critical batch a power of the tokens seen",
    formula="(N_c / N)**alpha_N + (S_c / S * (1 + B_1 * S**beta * B**(beta - 1)))**alpha_S",
    variables=_VARIABLES,
    constants=(
        N_C,
        _ALPHA_N,
        S_C,
        ALPHA_S,
        Constant("B_1", "amplitude", "critical batch after one token"),
        Constant("beta", "exponent", "how fast the critical batch grows with tokens seen"),
    ),
    source=Source(key="bergsma2025", where="B_crit as a power of tokens", arxiv="2505.13738"),
    use_when=(
        "As trajectory, where the critical batch follows the tokens seen rather than the loss "
        "reached: fit both and keep the one that forecasts held-out curves better."
    ),
)

TRAJECTORY_LAWS = (TRAJECTORY, TRAJECTORY_FLOOR, TRAJECTORY_TOKENS)
