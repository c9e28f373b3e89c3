from __future__ import annotations

import pytest

from scalewise.core.expression import parse
from scalewise.laws.linearity import linear_names


@pytest.mark.parametrize(
    ("text", "linear"),
    [
        ("E + A / N**alpha + B / D**beta", {"A", "B", "E"}),
        ("E - k * exp(-g * L)", {"E", "k"}),
        ("-A * N + E / 2", {"A", "E"}),
        ("A * (B + N)", {"A"}),  # in either, but not in both
        ("A / B", {"A"}),
        ("A / (B + N)", {"A"}),
        ("A**2 + sqrt(B) + exp(E)", set()),
        ("min(A, N) + B", {"B"}),
        ("(N_c / N)**alpha", set()),
    ],
)
def test_what_a_formula_is_jointly_linear_in(text: str, linear: set[str]) -> None:
    node = parse(text)
    inputs = frozenset({"N", "D", "L", "alpha", "beta", "g"})
    assert linear_names(node, node.names - inputs) == linear
