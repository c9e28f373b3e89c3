"""Every law of the catalogue is recovered from runs that obey it exactly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from scalewise.fit.engine import fit
from scalewise.laws.law import Law
from tests.laws.examples import every_theta, grid


@every_theta
def test_recovers_its_published_constants(law: Law, theta: Mapping[str, float]) -> None:
    inputs = grid(law, per_axis=7)
    truth = law.value(theta, **inputs)
    table = {law.variables[symbol]: values for symbol, values in inputs.items()}
    result = fit(law, {**table, law.quantity: truth}, bootstrap=0)
    assert result.status.name == "CONVERGED"
    for constant in law.constants:
        tolerance = 1e-2 if constant.role == "amplitude" else 1e-4
        assert result.theta[constant.name] == pytest.approx(theta[constant.name], rel=tolerance)
    np.testing.assert_allclose(law.value(result.theta, **inputs), truth, rtol=1e-6)
