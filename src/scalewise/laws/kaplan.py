"""Kaplan et al. 2020: laws without a floor, in non-embedding parameters, and the critical batch.

The paper prints three sets of constants (appendix A, and the joint fits of tables 2 and 3). They
are kept apart by name here: N_c and alpha_N of different sets must never be mixed. All are for
WebText2 with a 50257-entry vocabulary and 1024-token contexts; another tokenizer changes them.
"""

from __future__ import annotations

from scalewise.core.compute import PF_DAY
from scalewise.laws.law import Constant, Law, Published, Source

_ARXIV = "2001.08361"


def _source(where: str) -> Source:
    return Source(key="kaplan2020", where=where, arxiv=_ARXIV)


# An independent reproduction with nanoGPT on OpenWebText, up to 6.3M params, has no paper.
_SHEHPER = Source(key="shehper", where="github.com/shehper/scaling_laws")
_SMALL = "reproduction on OpenWebText, up to 6.3M params"

N_C = Constant("N_c", "amplitude", "size at which the size term reaches 1 nat/token")
_D_C = Constant("D_c", "amplitude", "data at which the data term reaches 1 nat/token")
_C_C = Constant("C_c", "amplitude", "compute at which the loss reaches 1 nat/token")
S_C = Constant("S_c", "amplitude", "updates at which the step term reaches 1 nat/token")
_ALPHA_N = Constant("alpha_N", "exponent", "how fast loss falls with model size")
_ALPHA_D = Constant("alpha_D", "exponent", "how fast loss falls with data")
_ALPHA_C = Constant("alpha_C", "exponent", "how fast loss falls with compute")
ALPHA_S = Constant("alpha_S", "exponent", "how fast loss falls with updates")

KAPLAN_PARAMS = Law(
    key="kaplan-params",
    title="Kaplan L(N): converged loss by model size",
    formula="(N_c / N)**alpha_N",
    variables={"N": "params_nonembed"},
    constants=(N_C, _ALPHA_N),
    source=_source("eq. 1.1"),
    published=(
        Published(
            key="kaplan2020-params-appendix-a",
            theta={"N_c": 8.8e13, "alpha_N": 0.076},
            source=_source("appendix A"),
        ),
        Published(
            key="kaplan2020-params-table-2",
            theta={"N_c": 6.4e13, "alpha_N": 0.076},
            source=_source("table 2"),
            note="the limit of unlimited data of the joint fit of L(N, D)",
        ),
        Published(
            key="kaplan2020-params-table-3",
            theta={"N_c": 6.5e13, "alpha_N": 0.077},
            source=_source("table 3"),
            note="the limit of unlimited steps of the joint fit of L(N, S_min)",
        ),
        Published(
            key="shehper-params",
            theta={"N_c": 3.8e13, "alpha_N": 0.082},
            source=_SHEHPER,
            note=_SMALL,
        ),
    ),
    use_when="Models were trained to convergence on plentiful data and size alone varies.",
)

KAPLAN_TOKENS = Law(
    key="kaplan-tokens",
    title="Kaplan L(D): early-stopped loss by data",
    formula="(D_c / D)**alpha_D",
    variables={"D": "tokens"},
    constants=(_D_C, _ALPHA_D),
    source=_source("eq. 1.2"),
    published=(
        Published(
            key="kaplan2020-tokens-appendix-a",
            theta={"D_c": 5.4e13, "alpha_D": 0.095},
            source=_source("appendix A"),
        ),
        Published(
            key="kaplan2020-tokens-table-2",
            theta={"D_c": 1.8e13, "alpha_D": 0.103},
            source=_source("table 2"),
            note="the limit of unlimited size of the joint fit of L(N, D)",
        ),
    ),
    use_when="One large model is trained on subsets of the data and stopped at its best loss.",
)

KAPLAN_COMPUTE = Law(
    key="kaplan-compute",
    title="Kaplan L(C): best loss by compute",
    formula="(C_c / C)**alpha_C",
    variables={"C": "flops"},
    constants=(_C_C, _ALPHA_C),
    source=_source("eqs. 1.3 and 3.3"),
    published=(
        Published(
            key="kaplan2020-compute-naive",
            theta={"C_c": 1.6e7 * PF_DAY, "alpha_C": 0.057},
            source=_source("eq. 3.3, published in PF-days of 8.64e19 FLOP"),
            note="batch fixed at 2**19 tokens; never combine with kaplan2020-compute-min",
        ),
        Published(
            key="kaplan2020-compute-min",
            theta={"C_c": 3.1e8 * PF_DAY, "alpha_C": 0.050},
            source=_source("eq. 1.3, published in PF-days of 8.64e19 FLOP"),
            note="C is C_min, the compute at batches far below the critical one",
        ),
    ),
    use_when="Each point is the best loss that its compute can buy; compute alone is known.",
)

KAPLAN_OVERFIT = Law(
    key="kaplan-overfit",
    title="Kaplan L(N, D): early-stopped loss by size and data",
    formula="((N_c / N)**(alpha_N / alpha_D) + D_c / D)**alpha_D",
    variables={"N": "params_nonembed", "D": "tokens"},
    constants=(N_C, _ALPHA_N, _D_C, _ALPHA_D),
    source=_source("eq. 1.5"),
    published=(
        Published(
            key="kaplan2020-overfit",
            theta={"N_c": 6.4e13, "alpha_N": 0.076, "D_c": 1.8e13, "alpha_D": 0.103},
            source=_source("table 2"),
            note="with 10 % dropout; poor at data sets near 2e7 tokens",
        ),
        Published(
            key="shehper-overfit",
            theta={"N_c": 1.32e14, "alpha_N": 0.076, "D_c": 1.22e12, "alpha_D": 0.122},
            source=_SHEHPER,
            note=_SMALL,
        ),
    ),
    use_when="Size and data set both vary, data repeats, and runs are stopped at their best loss.",
)

KAPLAN_STEPS = Law(
    key="kaplan-steps",
    title="Kaplan L(N, S_min): loss by size and minimum steps",
    formula="(N_c / N)**alpha_N + (S_c / S)**alpha_S",
    variables={"N": "params_nonembed", "S": "steps_min"},
    constants=(N_C, _ALPHA_N, S_C, ALPHA_S),
    source=_source("eq. 1.6"),
    published=(
        Published(
            key="kaplan2020-steps",
            theta={"N_c": 6.5e13, "alpha_N": 0.077, "S_c": 2.1e3, "alpha_S": 0.76},
            source=_source("table 3"),
            note="S is S_min, the updates that a batch far above the critical one would need",
        ),
    ),
    use_when=(
        "Whole loss curves after warm-up, at a batch far above the critical one or with steps "
        "converted to steps_min."
    ),
)

KAPLAN_CRITICAL_BATCH = Law(
    key="kaplan-critical-batch",
    title="Kaplan B_crit(L): critical batch by loss",
    formula="B_star / L**(1 / alpha_B)",
    variables={"L": "loss"},
    constants=(
        Constant("B_star", "amplitude", "critical batch at a loss of 1 nat/token"),
        Constant("alpha_B", "exponent", "how slowly the critical batch grows as loss falls"),
    ),
    source=_source("eqs. 1.4 and 5.3"),
    published=(
        Published(
            key="kaplan2020-critical-batch-appendix-a",
            theta={"B_star": 2.1e8, "alpha_B": 0.21},
            source=_source("appendix A"),
            note="measured at train losses from 10 to 3; doubles per 13 % fall in loss",
        ),
        Published(
            key="kaplan2020-critical-batch-text",
            theta={"B_star": 2e8, "alpha_B": 0.21},
            source=_source("eq. 1.4"),
            note="B_star rounded further than in appendix A",
        ),
        Published(
            key="shehper-critical-batch",
            theta={"B_star": 2.2e7, "alpha_B": 1 / 4.26},
            source=_SHEHPER,
            note="reproduction with one model of 157k params; losses from 9 to 5.9",
        ),
    ),
    quantity="critical_batch_tokens",
    use_when=(
        "Batch scans to several losses have given a critical batch at each, and a batch must be "
        "chosen at another loss of the same set-up."
    ),
)

KAPLAN_LAWS = (
    KAPLAN_PARAMS,
    KAPLAN_TOKENS,
    KAPLAN_COMPUTE,
    KAPLAN_OVERFIT,
    KAPLAN_STEPS,
    KAPLAN_CRITICAL_BATCH,
)
