"""How a fit says that it should not be trusted, or not in every constant."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError
from scalewise.fit import search
from scalewise.fit.engine import fit
from scalewise.fit.result import FitStatus
from scalewise.fit.solver import minimise
from tests.fit.simulated_runs import TRUTH, simulated, take

SIZES = np.geomspace(1e6, 1e10, 12)


def test_a_good_fit_has_converged_and_nothing_to_confess() -> None:
    result = fit("chinchilla", simulated(), bootstrap=50)
    assert result.status is FitStatus.CONVERGED
    assert result.warnings == result.at_bound == result.not_identified == ()
    assert result.required() is result
    assert (result.points, result.runs) == (30, 30)


def test_a_result_shows_itself_in_a_line() -> None:
    shown = repr(fit("chinchilla", simulated(), bootstrap=0))
    assert shown.startswith("<FitResult chinchilla: E = ")
    assert shown.endswith("30 points of 30 runs, CONVERGED)>")
    assert "\n" not in shown


def test_runs_without_a_floor_leave_the_offset_at_its_bound() -> None:
    loss = 5 - 0.1 * np.log(SIZES) - 0.005 * np.log(SIZES / 1e6) ** 2  # bends away from any floor
    result = fit("power", {"params": SIZES, "loss": loss}, bootstrap=20)
    assert result.status is FitStatus.AT_BOUND
    assert result.theta["E"] == 0.0
    assert result.at_bound == ("E",)
    assert "E stopped at its bound." in result.warnings
    assert result.required() is result


def test_a_bound_of_the_user_is_kept_exactly_and_confessed() -> None:
    result = fit("chinchilla", simulated(), bounds={"alpha": (0.0, 0.2)}, bootstrap=20)
    assert result.theta["alpha"] == 0.2
    assert result.status is FitStatus.AT_BOUND
    assert result.at_bound == ("alpha",)
    assert np.all(result.draws[:, result.law.constant_names.index("alpha")] <= 0.2)


@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_a_bound_on_an_amplitude_is_meant_in_the_unit_of_the_user(unit: float) -> None:
    runs = simulated()
    runs = {**runs, "params": runs["params"] / unit}
    result = fit("chinchilla", runs, bounds={"A": (0.0, 1.5)}, bootstrap=0)
    # In millions the runs were made with A = 400 / 1e6**0.34 = 3.6, above the bound as well.
    assert result.theta["A"] == pytest.approx(1.5, rel=1e-12)
    assert result.at_bound[0] == "A"


def test_a_bound_that_is_far_away_changes_nothing() -> None:
    free = fit("chinchilla", simulated(), bootstrap=0)
    loose = {"A": (1e-3, 1e9), "E": (0.1, 3.0), "beta": (0.01, 2.0)}
    bounded = fit("chinchilla", simulated(), bounds=loose, bootstrap=0)
    assert bounded.status is FitStatus.CONVERGED
    assert bounded.theta == pytest.approx(free.theta, rel=1e-6)


def test_a_fixed_constant_keeps_its_value_to_the_bit_in_the_fit_and_every_draw() -> None:
    fixed = {"alpha": 0.3, "A": 123.456}
    result = fit("chinchilla", simulated(), fixed=fixed, bootstrap=20)
    assert result.theta["alpha"] == 0.3
    assert result.theta["A"] == pytest.approx(123.456, rel=1e-14)
    assert result.fixed == ("A", "alpha")
    assert np.ptp(result.draws, axis=0)[[1, 3]] == pytest.approx([0, 0], abs=1e-12)
    assert result.status is FitStatus.CONVERGED


def test_fixing_a_constant_at_the_optimum_leaves_the_others_there() -> None:
    free = fit("chinchilla", simulated(), bootstrap=0)
    held = fit("chinchilla", simulated(), fixed={"beta": free.theta["beta"]}, bootstrap=0)
    assert held.theta == pytest.approx(free.theta, rel=1e-6)
    assert held.objective_value == pytest.approx(free.objective_value, rel=1e-10)


def test_fixing_every_constant_only_scores_them() -> None:
    result = fit("chinchilla", simulated(), fixed=TRUTH, bootstrap=20)
    assert result.theta == pytest.approx(TRUTH, rel=1e-13)
    assert result.status is FitStatus.CONVERGED
    better = fit("chinchilla", simulated(), bootstrap=0)
    assert better.objective_value < result.objective_value


def test_two_sizes_do_not_identify_an_exponent_with_an_offset() -> None:
    runs = simulated()
    result = fit("chinchilla", take(runs, runs["params"] < 3e7), bootstrap=50)
    assert result.status is FitStatus.NOT_IDENTIFIED
    assert set(result.not_identified) - {"alpha"} == {"E", "A"}
    assert "Only 2 distinct values of params" in result.warnings[0]
    assert any("can move together" in text for text in result.warnings)
    assert result.draws.shape == (0, 5)  # intervals of such constants would mean nothing
    assert result.resampling == "none"


def test_one_token_count_does_not_identify_the_price_of_data() -> None:
    runs = simulated()
    result = fit("chinchilla", take(runs, runs["tokens"] < 6e8), bootstrap=20)
    assert result.status is FitStatus.NOT_IDENTIFIED
    assert {"E", "B"} <= set(result.not_identified)
    assert "Only 1 distinct value of tokens" in result.warnings[0]


def test_a_fit_that_is_not_identified_says_so_when_it_is_required() -> None:
    runs = {"params": [1e7, 1e7, 1e8, 1e8], "loss": [3.5, 3.51, 3.0, 3.01]}
    result = fit("power", runs, bootstrap=0)
    expected = (
        r"Law 'power' on 4 points: The data do not determine.*\(E, A.*Add runs of other sizes"
    )
    with pytest.raises(UnfitDataError, match=expected):
        result.required()


def test_fixing_what_the_data_leave_open_identifies_the_rest() -> None:
    runs = {"params": [1e7, 1e7, 1e8, 1e8], "loss": [3.5, 3.51, 3.0, 3.01]}
    assert fit("power", runs, fixed={"E": 1.0}, bootstrap=0).status is FitStatus.CONVERGED


def test_as_many_points_as_constants_fit_but_say_that_the_intervals_rest_on_nothing() -> None:
    result = fit("power", {"params": [1e7, 1e8, 1e9], "loss": [3.5, 3.1, 2.9]}, bootstrap=20)
    assert result.objective_value == pytest.approx(0, abs=1e-12)
    assert "3 points for 3 constants leave 0 degrees of freedom" in result.warnings[0]


def test_a_search_that_is_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_short = partial(minimise, max_iterations=1)
    monkeypatch.setattr(
        search, "minimise", lambda *a, **k: cut_short(*a, **{**k, "max_iterations": 1})
    )
    result = fit("chinchilla", simulated(), bootstrap=0)
    assert result.status is FitStatus.MAX_ITERATIONS
    with pytest.raises(UnfitDataError, match="stopped before it converged"):
        result.required()


def test_the_certificate_counts_starts_and_names_other_minima() -> None:
    certificate = fit("chinchilla", simulated(), bootstrap=0).certificate
    assert certificate.screened >= 100
    assert 1 <= certificate.agreeing <= certificate.refined <= certificate.screened
    values = [basin.objective for basin in certificate.basins]
    assert values == sorted(values)


def test_other_minima_are_never_below_the_reported_one() -> None:
    # Twelve very noisy runs: several sets of outliers explain them nearly as well.
    runs = simulated(sizes=4, budgets=3, noise=0.1, seed=23)
    result = fit("chinchilla", runs, bootstrap=0)
    others = result.certificate.basins
    assert others
    assert result.objective_value < 0.00066814 < others[0].objective  # the best ever found
    for other in others:
        predicted = result.law.value(other.theta, N=runs["params"], D=runs["tokens"])
        value = float(result.objective.total(np.log(predicted / runs["loss"]), np.ones(12)))
        assert value == pytest.approx(other.objective, rel=1e-6)


def test_the_sentence_of_a_result_names_law_constants_points_and_status() -> None:
    text = str(fit("chinchilla", simulated(noise=0.0), bootstrap=0))
    assert text.startswith("chinchilla: E = 1.7, A = 400, B = 1500, alpha = 0.34, beta = 0.36")
    assert text.endswith("30 points of 30 runs, CONVERGED)")


def test_one_clear_minimum_is_not_called_several() -> None:
    warnings = fit("chinchilla", simulated(), bootstrap=0).warnings
    assert not [text for text in warnings if "other minima" in text]
