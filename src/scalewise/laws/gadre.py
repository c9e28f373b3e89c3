"""Gadre et al. 2024: over-trained models, and downstream error from loss.

The over-training law is published as ``L(C, M) = E + (a * M**eta + b * M**-eta) * C**-eta`` with
M = D / N tokens per parameter and C = 6 N D. In N and D that is the law below with
A = a * 6**-eta and B = b * 6**-eta. The authors' released code calls A ``alpha``, b ``beta`` and
-2 eta ``b``: constants copied from it need another conversion.
"""

from __future__ import annotations

from scalewise.laws.law import Constant, Law, Published, Source

_ARXIV = "2403.08540"
_PRINTED = "as printed, to three digits"

# Training sets of table 6, with what they printed for them: E, a, b, eta.
_TABLE_6 = {
    "c4": (1.51, 141.0, 190.0, 0.121),
    "redpajama": (1.84, 212.0, 367.0, 0.136),
    "refinedweb": (1.73, 157.0, 246.0, 0.127),
}
# Average top-1 error over 17 tasks: eps, k, gamma.
_TABLE_6_ERROR = {
    "c4": (0.850, 2.08, 0.756),
    "redpajama": (0.857, 2.21, 0.715),
    "refinedweb": (0.865, 2.21, 0.707),
}


def from_compute_form(E: float, a: float, b: float, eta: float) -> dict[str, float]:
    """Constants of the law in N and D from those printed for the law in C and M.

    A = a * 6**-eta, B = b * 6**-eta, because N**2 = C / (6 M) and D**2 = C M / 6.
    Gadre et al. 2024, eq. 4.

    >>> round(from_compute_form(1.5082605, 141.27725, 189.51552, 0.1212361)["A"], 3)
    113.693
    """
    return {"E": E, "A": a * 6.0**-eta, "B": b * 6.0**-eta, "eta": eta}


OVERTRAINING = Law(
    key="overtraining",
    title="Over-training: loss by size and tokens, one exponent",
    formula="E + A / N**(2 * eta) + B / D**(2 * eta)",
    variables={"N": "params", "D": "tokens"},
    constants=(
        Constant("E", "offset", "loss of the ideal model: the entropy of the text"),
        Constant("A", "amplitude", "price of finite size"),
        Constant("B", "amplitude", "price of finite data"),
        Constant("eta", "exponent", "how fast loss falls with compute at any tokens per param"),
    ),
    source=Source(key="gadre2024", where="eq. 4", arxiv=_ARXIV),
    published=tuple(
        Published(
            key=f"gadre2024-{corpus}",
            theta=from_compute_form(*printed),
            source=Source(key="gadre2024", where=f"table 6, {_PRINTED}", arxiv=_ARXIV),
            note="loss on the C4 evaluation set; a and b converted to A and B by 6**-eta",
        )
        for corpus, printed in _TABLE_6.items()
    ),
    use_when=(
        "Small models at several tokens per parameter must forecast an over-trained one; one "
        "constant fewer than chinchilla, so it stands with five runs."
    ),
)

ERROR_EXPONENTIAL = Law(
    key="error-exponential",
    title="Downstream error by loss",
    formula="eps - k * exp(-gamma * L)",
    variables={"L": "loss"},
    constants=(
        Constant("eps", "offset", "error of a model that knows nothing", bounds=(0.0, 1.0)),
        Constant("k", "amplitude", "size of the fall in error"),
        Constant("gamma", "exponent", "how fast error falls as loss falls, per nat"),
    ),
    source=Source(key="gadre2024", where="eq. 5", arxiv=_ARXIV),
    published=tuple(
        Published(
            key=f"gadre2024-{corpus}-error",
            theta=dict(zip(("eps", "k", "gamma"), printed, strict=True)),
            source=Source(key="gadre2024", where=f"table 6, {_PRINTED}", arxiv=_ARXIV),
            note="mean top-1 error over 17 tasks, from loss on the C4 evaluation set",
        )
        for corpus, printed in _TABLE_6_ERROR.items()
    ),
    quantity="error",
    use_when=(
        "Mean error over many tasks must follow from loss; single tasks scatter too much, and "
        "the models fitted must include ones clearly above chance."
    ),
    default_objective="ls",
)

GADRE_LAWS = (OVERTRAINING, ERROR_EXPONENTIAL)
