"""Laws at published constants against numbers computed from the papers by other means."""

from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.compute import PF_DAY
from scalewise.laws.catalogue import published_named
from scalewise.laws.chinchilla import CHINCHILLA
from scalewise.laws.gadre import ERROR_EXPONENTIAL, OVERTRAINING, from_compute_form
from scalewise.laws.muennighoff import DATA_CONSTRAINED
from tests.shared_data import shared_table


def value(key: str, **inputs: float) -> float:
    law, published = published_named(key)
    return float(law.value(published.theta, **inputs))


# Kaplan et al. 2020 ------------------------------------------------------------------------------


@pytest.mark.parametrize(("N", "loss"), [(1e6, 4.015880), (1e8, 2.829963), (1.5e9, 2.303551)])
def test_kaplan_loss_by_size_of_appendix_a(N: float, loss: float) -> None:
    assert value("kaplan2020-params-appendix-a", N=N) == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize(
    ("key", "N", "loss"),
    [
        ("kaplan2020-params-appendix-a", 1.5e9, 2.3035506),
        ("kaplan2020-params-table-2", 1.5e9, 2.2484682),
        ("kaplan2020-params-table-3", 1.5e9, 2.2752824),
        ("kaplan2020-params-table-3", 1e10, 1.9660490),
    ],
)
def test_kaplan_sets_of_constants_are_kept_apart(key: str, N: float, loss: float) -> None:
    assert value(key, N=N) == pytest.approx(loss, abs=1e-7)


@pytest.mark.parametrize(("D", "loss"), [(1e9, 2.815642), (2.29e10, 2.091188)])
def test_kaplan_loss_by_data(D: float, loss: float) -> None:
    assert value("kaplan2020-tokens-appendix-a", D=D) == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize(
    ("key", "pf_days", "loss"),
    [
        ("kaplan2020-compute-min", 1e-3, 3.754638),
        ("kaplan2020-compute-min", 1.0, 2.658080),
        ("kaplan2020-compute-min", 1e3, 1.881777),
        ("kaplan2020-compute-naive", 1.0, 2.574156),
        ("kaplan2020-compute-naive", 10.0, 2.257537),
    ],
)
def test_kaplan_loss_by_compute_in_flop(key: str, pf_days: float, loss: float) -> None:
    assert value(key, C=pf_days * PF_DAY) == pytest.approx(loss, abs=1e-6)


def test_kaplan_compute_fits_cross_where_computed_so_they_must_not_be_combined() -> None:
    naive, least = "kaplan2020-compute-naive", "kaplan2020-compute-min"
    assert value(naive, C=0.0101 * PF_DAY) > value(least, C=0.0101 * PF_DAY)
    assert value(naive, C=0.0103 * PF_DAY) < value(least, C=0.0103 * PF_DAY)


@pytest.mark.parametrize(
    ("N", "D", "loss"),
    [(1.5e9, 2.2e10, 2.312548), (1e9, 2.2e10, 2.369316), (1e8, 1e9, 2.956734)],
)
def test_kaplan_loss_by_size_and_data(N: float, D: float, loss: float) -> None:
    assert value("kaplan2020-overfit", N=N, D=D) == pytest.approx(loss, abs=1e-6)


def test_kaplan_loss_by_size_and_data_has_the_limits_of_its_parts() -> None:
    endless = value("kaplan2020-overfit", N=1e8, D=1e300)
    assert endless == pytest.approx(2.762293, abs=1e-6)
    assert endless == pytest.approx(value("kaplan2020-params-table-2", N=1e8), rel=1e-12)
    assert value("kaplan2020-overfit", N=1e300, D=1e9) == pytest.approx(
        value("kaplan2020-tokens-table-2", D=1e9), rel=1e-12
    )


@pytest.mark.parametrize(
    ("D", "excess", "tolerance"),
    [(5e3 * 1e9**0.74, 0.021026, 1e-5), (2.4136e10, 0.02, 1e-4)],
)
def test_kaplan_overfitting_at_a_billion_params(D: float, excess: float, tolerance: float) -> None:
    endless = value("kaplan2020-params-table-2", N=1e9)
    measured = value("kaplan2020-overfit", N=1e9, D=D) / endless - 1
    assert measured == pytest.approx(excess, rel=5 * tolerance)


@pytest.mark.parametrize(
    ("S", "loss"),
    [(1e3, 4.032747), (1e4, 2.580695), (1e5, 2.328357), (2.5e5, 2.301734), (1e6, 2.284506)],
)
def test_kaplan_loss_by_steps_at_unlimited_batch(S: float, loss: float) -> None:
    assert value("kaplan2020-steps", N=1.5e9, S=S) == pytest.approx(loss, abs=2e-6)


@pytest.mark.parametrize(
    ("loss", "steps_min"),
    [(3.0, 3207.80), (2.8, 4906.12), (2.6, 9225.18), (2.5, 14973.7), (2.4, 32492.9), (2.3, 273328)],
)
def test_kaplan_minimum_steps_reach_their_loss(loss: float, steps_min: float) -> None:
    reached = value("kaplan2020-steps", N=1.5e9, S=steps_min)
    endless = value("kaplan2020-params-table-3", N=1.5e9)
    # Six digits of steps fix the part above the limit to 0.76 times as much.
    assert reached - endless == pytest.approx(loss - endless, rel=5e-6)


@pytest.mark.parametrize(
    ("key", "factor_of"), [("kaplan2020-steps", {"N_c": "alpha_N", "S_c": "alpha_S"})]
)
def test_counting_loss_in_bits_moves_only_the_scales(key: str, factor_of: dict[str, str]) -> None:
    law, published = published_named(key)
    theta = published.theta
    bits = 1 / np.log(2)
    moved = {c: theta[c] * bits ** (1 / theta[a]) for c, a in factor_of.items()}
    inputs = {"N": np.array([1e6, 1e9]), "S": np.array([1e3, 1e5])}
    np.testing.assert_allclose(
        law.value({**theta, **moved}, **inputs), bits * law.value(theta, **inputs), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("loss", "batch"),
    [(3.0, 1.12257e6), (2.8, 1.55918e6), (2.6, 2.21899e6), (2.5, 2.67465e6), (2.4, 3.24855e6),
     (2.3, 3.97838e6), (4.5, 162810.9), (4.0, 285277.1)],
)  # fmt: skip
def test_kaplan_critical_batch_by_loss(loss: float, batch: float) -> None:
    appendix = value("kaplan2020-critical-batch-appendix-a", L=loss)
    assert appendix == pytest.approx(batch, rel=5e-6)
    assert value("kaplan2020-critical-batch-text", L=loss) == pytest.approx(batch / 1.05, rel=5e-6)


def test_kaplan_critical_batch_doubles_for_an_eighth_less_loss() -> None:
    key = "kaplan2020-critical-batch-appendix-a"
    assert value(key, L=3.0 * 2**-0.21) == pytest.approx(2 * value(key, L=3.0), rel=1e-12)


# Hoffmann et al. 2022, Besiroglu et al. 2024 -----------------------------------------------------


@pytest.mark.parametrize(
    ("key", "loss"),
    [("hoffmann2022", 1.9366), ("hoffmann2022-tex", 1.9208), ("besiroglu2024", 1.9739)],
)
def test_chinchilla_loss_of_chinchilla_itself(key: str, loss: float) -> None:
    assert value(key, N=70e9, D=1.4e12) == pytest.approx(loss, abs=5e-5)


def test_chinchilla_constants_from_the_tex_source_round_to_the_printed_ones() -> None:
    _, printed = published_named("hoffmann2022")
    _, tex = published_named("hoffmann2022-tex")
    assert {name: round(x, 1 if x > 10 else 2) for name, x in tex.theta.items()} == printed.theta


@pytest.mark.parametrize(
    ("key", "params", "tokens"),
    [
        ("hoffmann2022", 32.19e9, 2.982e12),
        ("hoffmann2022-tex", 40.36e9, 2.379e12),
        ("besiroglu2024", 72.25e9, 1.329e12),
    ],
)
def test_chinchilla_optimum_at_the_gopher_budget(key: str, params: float, tokens: float) -> None:
    # On C = 6 N D the published optimum beats its neighbours: the slope along log N vanishes.
    law, published = published_named(key)
    shift = np.array([0.99, 1.0, 1.01])
    loss = law.value(published.theta, N=params * shift, D=tokens / shift)
    assert loss.argmin() == 1


# Gadre et al. 2024 -------------------------------------------------------------------------------

# Refits of the released data: E, a, b, eta, then A, B as converted by hand.
REFITS = {
    "c4": ((1.5082605, 141.27725, 189.51552, 0.1212361), 113.6926, 152.5123, 3.358),
    "redpajama": ((1.8366484, 212.23611, 366.68717, 0.1364254), 166.2110, 287.1681, 7.419),
    "refinedweb": ((1.7344621, 157.11628, 246.20669, 0.1271974), 125.0957, 196.0293, 5.846),
}
ERRORS = {
    "c4": {"eps": 0.8497423, "k": 2.0788991, "gamma": 0.7561191},
    "redpajama": {"eps": 0.8569919, "k": 2.2064907, "gamma": 0.7145907},
    "refinedweb": {"eps": 0.8652795, "k": 2.2148158, "gamma": 0.7070487},
}
SMALL, LARGE = 1_439_795_200, 6_889_410_560


@pytest.mark.parametrize("corpus", REFITS)
def test_gadre_constants_convert_to_size_and_tokens(corpus: str) -> None:
    compute_form, A, B, best_multiplier = REFITS[corpus]
    theta = from_compute_form(*compute_form)
    assert (theta["A"], theta["B"]) == pytest.approx((A, B), rel=1e-6)
    optimum = (theta["B"] / theta["A"]) ** (1 / (2 * theta["eta"]))
    assert optimum == pytest.approx(best_multiplier, abs=1e-3)


@pytest.mark.parametrize("corpus", REFITS)
def test_gadre_printed_constants_are_the_refit_rounded(corpus: str) -> None:
    _, published = published_named(f"gadre2024-{corpus}")
    (E, a, b, eta), *_ = REFITS[corpus]
    printed = from_compute_form(round(E, 2), round(a), round(b), round(eta, 3))
    assert published.theta == pytest.approx(printed, rel=1e-12)
    _, error = published_named(f"gadre2024-{corpus}-error")
    refit = ERRORS[corpus]
    assert error.theta == {
        "eps": round(refit["eps"], 3), "k": round(refit["k"], 2), "gamma": round(refit["gamma"], 3),
    }  # fmt: skip


@pytest.mark.parametrize("M", [5.0, 20.0, 640.0])
def test_gadre_law_in_size_and_tokens_is_the_one_in_compute_and_multiplier(M: float) -> None:
    E, a, b, eta = 1.51, 141.0, 190.0, 0.121
    C = np.geomspace(1e17, 1e22, 6)
    in_compute = E + (a * M**eta + b * M**-eta) * C**-eta
    sizes = {"N": np.sqrt(C / (6 * M)), "D": np.sqrt(C * M / 6)}
    _, published = published_named("gadre2024-c4")
    np.testing.assert_allclose(OVERTRAINING.value(published.theta, **sizes), in_compute, rtol=1e-12)


@pytest.mark.parametrize(
    ("corpus", "N", "M", "loss", "error"),
    [
        ("c4", SMALL, 80, 2.50945, 0.53801),
        ("c4", LARGE, 20, 2.27990, 0.47892),
        ("redpajama", SMALL, 640, 2.51983, 0.49250),
        ("redpajama", LARGE, 20, 2.44275, 0.47186),
        ("refinedweb", SMALL, 320, 2.53126, 0.49539),
        ("refinedweb", LARGE, 20, 2.41497, 0.46369),
    ],
)
def test_gadre_headline_predictions_chain_from_loss_to_error(
    corpus: str, N: int, M: int, loss: float, error: float
) -> None:
    predicted = OVERTRAINING.value(from_compute_form(*REFITS[corpus][0]), N=N, D=N * M)
    assert predicted == pytest.approx(loss, abs=1.1e-5)
    assert ERROR_EXPONENTIAL.value(ERRORS[corpus], L=predicted) == pytest.approx(error, abs=1.1e-5)


# Muennighoff et al. 2023 -------------------------------------------------------------------------

DECAY = {"R_D": 15.387756, "R_N": 5.309743}


def test_muennighoff_constants_are_the_notebooks() -> None:
    law, published = published_named("muennighoff2023")
    theta = published.theta
    assert law is DATA_CONSTRAINED
    assert (theta["A"], theta["B"], theta["E"]) == pytest.approx((520.825, 1487.716, 1.869144))
    assert theta["alpha"] == 0.3526596
    assert {name: theta[name] for name in DECAY} == DECAY
    useful = (theta["A"] / theta["B"]) ** (1 / theta["alpha"])
    assert useful == pytest.approx(0.0509865, rel=1e-6)


@pytest.mark.parametrize(
    ("N", "D", "U", "loss"),
    [(6.34e9, 242e9, 25e9, 2.2256440889984477), (8.67e9, 178e9, 25e9, 2.2269634075087867)],
)
def test_muennighoff_loss_of_the_papers_two_large_models(
    N: float, D: float, U: float, loss: float
) -> None:
    assert value("muennighoff2023", N=N, D=D, U=U) == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize(
    ("U", "params", "tokens", "loss"),
    [(25e9, 7.02616e9, 2.37209e11, 2.2221292749), (1e15, 9.2183e9, 1.8080e11, None)],
)
def test_muennighoff_optimum_at_1e22_flop(
    U: float, params: float, tokens: float, loss: float | None
) -> None:
    assert 6 * params * tokens == pytest.approx(1e22, rel=1e-4)
    shift = np.array([0.99, 1.0, 1.01])
    inputs = {"N": params * shift, "D": 1e22 / (6 * params * shift)}
    reached = DATA_CONSTRAINED.value(published_named("muennighoff2023")[1].theta, U=U, **inputs)
    assert reached.argmin() == 1
    if loss is not None:
        assert reached[1] == pytest.approx(loss, abs=1e-10)


@pytest.mark.parametrize(
    ("epochs", "worth"),
    [(2, 1.96820), (4, 3.72567), (8, 6.62412), (16, 10.58246), (40, 15.16746), (1e6, 16.387756)],
)
def test_muennighoff_worth_of_repeating_the_data(epochs: float, worth: float) -> None:
    _, published = published_named("muennighoff2023")
    theta, U = published.theta, 1e11
    once, often = (value("muennighoff2023", N=1e9, D=k * U, U=U) for k in (1, epochs))
    # What data adds to the loss falls with its effective count to the power alpha.
    price = theta["B"] * U ** -theta["alpha"]
    effective = ((price + often - once) / price) ** (-1 / theta["alpha"])
    assert effective == pytest.approx(worth, rel=1e-6)


def test_muennighoff_becomes_chinchilla_as_repeats_lose_nothing() -> None:
    _, published = published_named("muennighoff2023")
    theta = {**published.theta, "R_D": 1e6, "R_N": 1e6}
    plain = {name: theta[name] for name in ("E", "A", "B", "alpha")} | {"beta": theta["alpha"]}
    N, D = np.array([1e8, 1e10]), np.array([1e10, 1e11])
    np.testing.assert_allclose(
        DATA_CONSTRAINED.value(theta, N=N, D=D, U=D / 4), CHINCHILLA.value(plain, N=N, D=D),
        rtol=1e-5,
    )  # fmt: skip
    fresh = {**published.theta, "R_N": 1e6}
    np.testing.assert_allclose(
        DATA_CONSTRAINED.value(fresh, N=N, D=D, U=D), CHINCHILLA.value(plain, N=N, D=D), rtol=1e-5
    )


def test_muennighoff_constants_explain_the_papers_runs_as_well_as_printed() -> None:
    import polars as pl

    runs = pl.read_parquet(shared_table("datablations/final_points.parquet"))
    runs = runs.filter(pl.col("set") == "paper182")
    inputs = {"N": "params", "D": "tokens", "U": "unique_tokens"}
    _, published = published_named("muennighoff2023")
    predicted = DATA_CONSTRAINED.value(
        published.theta, **{symbol: runs[column].to_numpy() for symbol, column in inputs.items()}
    )
    loss = runs["loss"].to_numpy()
    residual = np.abs(np.log(predicted / loss))
    huber = np.where(residual <= 1e-3, residual**2 / 2, 1e-3 * (residual - 5e-4))
    assert len(runs) == 182
    assert huber.sum() == pytest.approx(0.01582593, abs=1e-8)
    share = 1 - np.sum((loss - predicted) ** 2) / np.sum((loss - loss.mean()) ** 2)
    assert share == pytest.approx(0.7722, abs=5e-5)
