"""Error of one task: from loss, as in the second step of the OLMo task ladder, or from compute.

The paper fits ``accuracy = a / (1 + exp(-k * (L - L0))) + b`` with a and k of opposite signs. With
error = 1 - accuracy and every constant positive that is the law below; its ceiling eps is the
error of guessing, often known: a task with four choices has 0.75, to be held in a fit with
``fixed={"eps": 0.75}``.
"""

from __future__ import annotations

from scalewise.laws.law import Constant, Law, Source

ERROR_SIGMOID = Law(
    key="error-sigmoid",
    title="Downstream error of one task by loss, with a ceiling and a floor",
    formula="eps - a / (1 + exp(k * (L - L0)))",
    variables={"L": "loss"},
    constants=(
        Constant("eps", "offset", "error of a model that guesses", bounds=(0.0, 1.0)),
        Constant("a", "amplitude", "size of the fall in error", bounds=(0.0, 1.0)),
        Constant("k", "exponent", "how steeply error falls as loss falls, per nat", (0.0, 20.0)),
        Constant("L0", "exponent", "loss at which half of the fall is done", (0.0, 8.0)),
    ),
    source=Source(key="bhagia2024", where="step 2", arxiv="2412.04403"),
    quantity="error",
    use_when=(
        "The error of one task must follow from loss, guessing at high loss and levelling off at "
        "low loss; fix eps at one minus the chance accuracy."
    ),
    default_objective="ls",
)

ERROR_BY_FLOPS = Law(
    key="error-by-flops",
    title="Downstream error of one task by compute, with a ceiling and a floor",
    formula="eps - a / (1 + (C0 / C)**p)",
    variables={"C": "flops"},
    constants=(
        Constant("eps", "offset", "error of a model that guesses", bounds=(0.0, 1.0)),
        Constant("a", "amplitude", "size of the fall in error", bounds=(0.0, 1.0)),
        Constant("C0", "amplitude", "compute at which half of the fall is done"),
        Constant("p", "exponent", "how steeply error falls with compute"),
    ),
    source=Source(key="owen2024", where="sigmoids of compute", arxiv="2401.04757"),
    quantity="error",
    use_when=(
        "The error of one task must follow from compute alone, as between models whose losses "
        "cannot be compared; hold eps at one minus the chance accuracy."
    ),
    default_objective="ls",
)

ERROR_LAWS = (ERROR_SIGMOID, ERROR_BY_FLOPS)
