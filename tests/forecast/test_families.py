from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scalewise.core.errors import LawError, UsageError
from scalewise.forecast import families
from scalewise.forecast.families import (
    COORDINATES,
    Drift,
    Family,
    Library,
    family_priors,
    law_constants,
    library,
)
from scalewise.laws.catalogue import law_named
from scalewise.laws.chinchilla import CHINCHILLA

TRUE_MEAN = np.log([1.9, 0.35, 0.4, 0.4, 0.35])
TRUE_SD = np.array([0.15, 0.5, 0.3, 0.5, 0.3])


def simulated(
    *, groups: int = 40, sampling: float = 0.1, copies: int = 1, seed: int = 0
) -> list[Family]:
    """Families whose log constants vary independently by ``TRUE_SD`` around ``TRUE_MEAN``."""
    random = np.random.default_rng(seed)
    out = []
    for group in range(groups):
        centre = TRUE_MEAN + TRUE_SD * random.standard_normal(5)
        for copy in range(copies):
            value = np.exp(centre + sampling * random.standard_normal(5))
            out.append(
                Family(
                    name=f"f{group}.{copy}", group=f"g{group}", citation="simulated",
                    counted="total", is_curve=False, status="CONVERGED", sizes=5, runs=20,
                    points=20, params=(1e8, 1e9), tokens=(1e9, 1e10),
                    constants=dict(zip(COORDINATES, map(float, value), strict=True)),
                    se=dict.fromkeys(COORDINATES, sampling), correlation=np.eye(5), noise=0.01,
                )
            )  # fmt: skip
    return out


def shelf(members: list[Family], drifts: tuple[Drift, ...] = ()) -> Library:
    return Library(families=tuple(members), drifts=drifts, made_by={})


def test_the_spread_between_families_is_found_without_that_of_their_fits() -> None:
    found = shelf(simulated(groups=300, sampling=0.4)).between()
    assert np.abs(found.mean - TRUE_MEAN).max() < 0.1
    # Far below the spread of the estimates, which sampling widens to 0.43 and more.
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(TRUE_SD, abs=0.1)


def test_families_of_one_group_count_as_one() -> None:
    once = shelf(simulated(groups=12, sampling=1e-3)).between()
    lone = simulated(groups=12, sampling=1e-3)
    crowd = [replace(lone[0], name=f"copy {i}") for i in range(20)]
    many = shelf(lone[1:] + crowd).between()
    assert many.groups == once.groups == 12
    assert many.mean == pytest.approx(once.mean, abs=1e-6)
    assert many.covariance == pytest.approx(once.covariance, abs=1e-6)


def test_one_odd_family_moves_the_mean_little() -> None:
    members = simulated(groups=15)
    usual = shelf(members).between()
    odd = replace(members[0], constants={**members[0].constants, "alpha": 40.0})
    moved = shelf([odd, *members[1:]]).between()
    of_alpha = COORDINATES.index("alpha")
    assert abs(moved.mean[of_alpha] - usual.mean[of_alpha]) < 0.15


def test_leaving_a_family_out_leaves_out_its_group() -> None:
    left = library().between(without=("gadre-c4",))
    assert left.groups == library().between().groups - 1
    assert not {"gadre-c4", "gadre-rpj", "gadre-rw"} & set(left.names)


def test_what_is_no_language_model_loss_teaches_nothing() -> None:
    apart = {family.name for family in library().families if family.apart}
    assert {"pythia", "pythia-deduped", "t5-pile"} <= apart
    assert not apart & set(library().between().names)


def test_an_unknown_family_is_named_beside_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no public family 'gpt5'\. There are .*gpt3"):
        library().between(without=("gpt5",))
    with pytest.raises(UsageError, match="no public family 'gpt5'"):
        library().named("gpt5")


def test_too_few_groups_say_nothing_of_a_new_one() -> None:
    with pytest.raises(UsageError, match="4 groups of families are left"):
        shelf(simulated(groups=4)).between()


def test_drifts_are_averaged_by_group_and_an_odd_one_is_pulled_in() -> None:
    drifts = [Drift(name=f"d{i}", group=f"g{i}", per_efold=-0.03 + 0.002 * i) for i in range(7)]
    usual = shelf(simulated(), tuple(drifts)).between().drift
    assert usual[0] == pytest.approx(-0.024)
    odd = Drift(name="odd", group="odd", per_efold=-5.0)
    pulled = shelf(simulated(), (*drifts, odd)).between().drift
    assert pulled[0] == pytest.approx(usual[0], abs=0.004)
    assert shelf(simulated()).between().drift == (0.0, 0.0)


def test_priors_widen_with_fewer_groups_and_say_what_they_rest_on() -> None:
    every = family_priors(CHINCHILLA)
    assert set(every) == {"alpha", "beta"}
    between = library().between()
    plain = every["alpha"].mean * between.sd("alpha")
    assert every["alpha"].sd > 1.02 * plain
    assert every["alpha"].source == between.provenance
    assert f"{between.groups} groups" in every["alpha"].source


def test_a_prior_leaves_out_the_family_it_is_for() -> None:
    without = family_priors(CHINCHILLA, without=("xlstm-llama-2048",), constants=("alpha",))
    # The five xLSTM families have the steepest exponents of all.
    assert without["alpha"].mean < family_priors(CHINCHILLA)["alpha"].mean


def test_amplitudes_and_other_laws_get_no_prior() -> None:
    with pytest.raises(LawError, match="No prior of 'A' is kept"):
        family_priors(CHINCHILLA, constants=("A",))
    with pytest.raises(LawError, match=r"were fitted by 'E \+ A / N\*\*alpha"):
        family_priors(law_named("power"))


def test_the_file_holds_derived_constants_and_says_how_it_was_made() -> None:
    path = Path(families.__file__).with_name("families.json")
    assert path.stat().st_size < 30_000
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["made_by"]["command"] == "python benchmarks/family_constants.py"
    assert {"date", "versions", "policy", "anchors"} <= set(record["made_by"])
    for family in library().families:
        assert family.sizes >= 3
        assert family.citation
        # Correlations are rounded, and some are of one: nothing below rounding.
        assert np.linalg.eigvalsh(family.correlation).min() > -0.01


def test_terms_at_their_anchors_are_those_of_the_law() -> None:
    family = library().named("chinchilla")
    theta = law_constants(family.constants)
    value = float(CHINCHILLA.value(theta, N=1e9, D=1e10))
    terms = (family.constants[name] for name in ("E", "size_term", "token_term"))
    assert value == pytest.approx(sum(terms))
    # Besiroglu et al. 2024, Huber loss at 1e-3: the same points, objective and delta.
    assert theta["alpha"] == pytest.approx(0.3473, abs=2e-4)
    assert theta["E"] == pytest.approx(1.8172, abs=2e-4)


def test_what_is_foreseen_of_a_new_family_holds_the_doubt_about_the_mean() -> None:
    found = shelf(simulated(groups=40)).between()
    np.testing.assert_allclose(found.predictive, found.covariance + found.of_mean)
    of_mean = np.diag(found.of_mean) * 40 / np.diag(found.covariance)
    assert np.all((of_mean > 0.5) & (of_mean < 3))
    assert found.sd("beta") == pytest.approx(np.sqrt(found.predictive[4, 4]))


def test_the_drift_of_a_new_group_holds_the_doubt_about_the_mean() -> None:
    values = {"f0.0": -0.02, "f1.0": 0.0, "f2.0": 0.02}
    drifts = tuple(Drift(name=n, group=n[:2], per_efold=v) for n, v in values.items())
    mean, sd = shelf(simulated(groups=8), drifts).between().drift
    assert mean == pytest.approx(0.0, abs=1e-12)
    assert sd == pytest.approx(0.02 * np.sqrt(1 + 1 / 3))
