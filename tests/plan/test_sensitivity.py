from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.plan.sensitivity import Sensitivity, sensitivity
from scalewise.runs.read import read_runs
from tests.forecast.ladders import ladder
from tests.plan.isoflop_runs import shaped
from tests.shared_data import shared_table


@pytest.fixture(scope="module")
def published() -> Sensitivity:
    path = shared_table("chinchilla_epoch/points.parquet")
    return sensitivity("chinchilla", path, flops=5.76e23, bootstrap=40)


def row(found: Sensitivity, label: str) -> tuple[float, float]:
    """tokens_per_param and exponent of a row."""
    (variant,) = [v for v in (found.base, *found.variants) if v.label == label]
    assert variant.reading is not None
    assert variant.reading.exponent is not None
    value = found.value(variant)
    assert value is not None
    return value, variant.reading.exponent.value


@pytest.mark.parametrize(
    ("label", "tokens_per_param", "exponent"),
    [
        ("chinchilla, huber-log, delta 0.001, every point", 6.8, 0.5646),
        ("drop the largest loss", 10.1, 0.5441),
        ("drop the 2 largest losses", 11.35, 0.5380),
        ("drop the 5 largest losses", 17.9, 0.5139),
        ("drop the 10 largest losses", 19.9, 0.5086),
        ("drop the 20 largest losses", 31.15, 0.4838),
    ],
)
def test_the_outlier_rule_moves_the_published_conclusion_as_published(
    published: Sensitivity, label: str, tokens_per_param: float, exponent: float
) -> None:
    """The table "Outlier sensitivity" of the 245 points at 5.76e23 FLOP."""
    value, a = row(published, label)
    assert value == pytest.approx(tokens_per_param, abs=0.051)
    assert a == pytest.approx(exponent, abs=5.1e-5)


def test_the_conclusion_names_the_range_and_what_matters_most(published: Sensitivity) -> None:
    assert published.spans["outlier rule"] == pytest.approx((6.816, 31.15), abs=0.01)
    low, high = published.range
    assert low == min(least for least, _ in published.spans.values()) < 2.0
    assert high == max(most for _, most in published.spans.values()) > 31.0
    first = next(iter(published.spans))
    assert f"the {first} matters most" in str(published)
    assert f"farthest with {published.farthest(first).label})" in str(published)
    ratios = [most / least for least, most in published.spans.values()]
    assert ratios == sorted(ratios, reverse=True)
    assert set(published.omitted) == {"counting", "rows"}


def test_a_law_that_the_runs_reject_is_shown_and_has_no_say(published: Sensitivity) -> None:
    (kaplan,) = [v for v in published.variants if v.label == "kaplan-overfit@params"]
    assert "the runs reject this law" in kaplan.doubt
    assert kaplan not in published.sound
    assert kaplan.reading is not None


def test_every_row_is_the_fit_that_it_says() -> None:
    table = ladder(noise=0.006)
    found = sensitivity("chinchilla", table, params=7e9, tokens=1e12, bootstrap=30)
    said = {v.label: found.value(v) for v in found.variants}

    def loss(runs: object, **settings: object) -> float:
        again = fit("chinchilla", runs, bootstrap=0, **settings)  # type: ignore[arg-type]
        return float(again.predict(params=7e9, tokens=1e12).loss)

    assert said["ls-log"] == pytest.approx(loss(table, objective="ls-log"), rel=1e-6)
    assert said["delta 0.01"] == pytest.approx(loss(table, delta=0.01), rel=1e-6)
    largest = int(np.argmax(table.column("loss")))
    rest = table.without([table.text("run_id")[largest]])
    assert said["drop the largest loss"] == pytest.approx(loss(rest), rel=1e-6)
    ratio = table.column("tokens") / table.column("params")
    few = [table.text("run_id")[i] for i in np.argsort(ratio, kind="stable")[:2]]
    label = "drop the 5% least tokens per param"
    assert said[label] == pytest.approx(loss(table.without(few)), rel=1e-6)


def test_what_the_table_allows_is_varied_and_the_rest_is_named() -> None:
    found = sensitivity("chinchilla", shaped(), flops=1e22, bootstrap=30)
    factors = {v.factor for v in found.variants}
    assert "counting" in factors
    assert "counting" not in found.omitted
    assert "rows" in found.omitted
    (counted,) = [v for v in found.variants if v.factor == "counting"]
    assert counted.law == "chinchilla@params_nonembed"
    plain = sensitivity("chinchilla", ladder(), flops=1e22, objective="ls", bootstrap=30)
    assert plain.omitted["delta"] == "ls has none"
    assert {v.label for v in plain.variants if v.factor == "objective"} == {
        "huber-log", "lad-log", "ls-log",
    }  # fmt: skip


def test_flops_counted_otherwise_are_a_count_of_their_own() -> None:
    table = ladder()
    given = table.column("flops") * np.linspace(1.0, 1.6, len(table))
    other = replace(table, frame=table.frame.with_columns(flops=given))
    found = sensitivity("power-flops", other, params=7e9, tokens=1e12, bootstrap=30)
    (counted,) = [v for v in found.variants if v.factor == "counting"]
    assert counted.label == "flops = 6 params tokens"
    again = fit("power-flops", table, bootstrap=0)
    assert found.value(counted) == pytest.approx(again.predict(flops=6 * 7e9 * 1e12).loss, rel=1e-6)


def test_checkpoints_join_only_from_the_same_evaluation_set() -> None:
    rows = [
        {"run_id": f"{i}-{j}", "params": size, "tokens": tokens * share, "is_final": share == 1,
         "eval_set": "all" if share == 1 else text,
         "loss": 1.8 + 480 / size**0.35 + 2000 / (tokens * share) ** 0.37
         + 0.003 * ((3 * i + 5 * j) % 4)}
        for i, size in enumerate((1e7, 3e7, 1e8, 3e8)) for j, tokens in enumerate((1e9, 4e9, 2e10))
        for share, text in ((0.5, "all"), (0.75, "part"), (1, ""))
    ]  # fmt: skip
    found = sensitivity("chinchilla", read_runs(rows), flops=1e22, bootstrap=30)
    (checkpoints,) = [v for v in found.variants if v.factor == "rows"]
    assert checkpoints.points == 24
    assert checkpoints.label == "every checkpoint"


def test_what_does_not_determine_the_law_is_refused() -> None:
    with pytest.raises(UnfitDataError, match="do not determine every constant"):
        sensitivity("chinchilla", ladder(sizes=2, budgets=5), flops=1e22)
    with pytest.raises(UsageError, match="bootstrap=0 leaves no row an interval"):
        sensitivity("chinchilla", ladder(), flops=1e22, bootstrap=0)


def test_a_law_that_leaves_no_residuals_rejects_no_other() -> None:
    N = np.geomspace(1e7, 1e9, 5)
    D = N * np.array([20.0, 40.0, 10.0, 80.0, 30.0])
    loss = (1.7 + 400 / N**0.34 + 410 / D**0.28) * (1 + 1e-3 * np.array([1, -1, 1, 1, -1]))
    runs = {"params": N, "tokens": D, "loss": loss}
    found = sensitivity("chinchilla", runs, params=3e9, tokens=1e11, bootstrap=20)
    assert not any("reject" in v.doubt for v in found.variants)
