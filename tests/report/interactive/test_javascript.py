"""Laws in the browser give what laws in Python give, and so do the intervals around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult
from scalewise.fit.storage import read_fit
from scalewise.forecast.choose import choose
from scalewise.laws.catalogue import LAWS, law_from
from scalewise.laws.law import Law
from scalewise.plan.allocate import allocate
from scalewise.report.interactive.javascript import evaluator, evaluators
from scalewise.report.interactive.payload import Payload, payload
from scalewise.report.interactive.snippets import javascript, python, snippets
from scalewise.runs.table import RunTable
from tests.report.interactive.conftest import Scripts

SETS = 40

OWN = (
    "E + A / N**alpha",
    "E + A * exp(-k * log(N) / 3) + B / sqrt(D)",
    "max(E, A / N**alpha) + min(B / D**beta, 2 * E)",
    "E - -A / N**(alpha / 2) + (B / D)**0.5",
    "E + (A / (N * loss**gamma))**alpha",
    "E + A / N**alpha + exp(-loss / k)",
    "E + sqrt(A / N) / (1 + log(1 + loss))",
    "E + min(A / N**alpha, B / loss)",
    "lr_peak = k / N**p",
)


def sets_for(law: Law, rng: np.random.Generator) -> tuple[list[list[float]], list[list[float]]]:
    """Random constants and inputs: around published constants where there are any."""
    known = law.published[0].theta if law.published else {}
    span = {"exponent": (0.1, 0.9), "offset": (0.5, 2.0), "amplitude": (1.0, 1e5)}
    constants, inputs = [], []
    for _ in range(SETS):
        constants.append([
            float(known[c.name] * rng.uniform(0.8, 1.25) if known
                  else np.exp(rng.uniform(*np.log(span[c.role]))))
            for c in law.constants
        ])  # fmt: skip
        inputs.append(
            [
                float(rng.uniform(1.5, 5) if column == "loss" else 10 ** rng.uniform(6, 12))
                for column in law.columns
            ]
        )
    return constants, inputs


def values(law: Law, constants: list[list[float]], inputs: list[list[float]]) -> list[float]:
    with np.errstate(all="ignore"):
        return [
            float(law.value(
                dict(zip(law.constant_names, c, strict=True)),
                **dict(zip(law.variables, x, strict=True)),
            ))
            for c, x in zip(constants, inputs, strict=True)
        ]  # fmt: skip


def test_every_law_and_formula_is_the_same_number_in_the_browser(scripts: Scripts) -> None:
    laws = [*LAWS.values(), *map(law_from, OWN)]
    rng = np.random.default_rng(0)
    cases = [sets_for(law, rng) for law in laws]
    scripts.load(Payload(data={}, laws=evaluators(laws)))
    found = scripts.call(
        "cases => cases.map(([c, x], i) => c.map((each, j) =>"
        " String(laws.EVALUATORS[i](each, 0, x[j]))))",
        [[c, x] for c, x in cases],
    )
    compared = 0
    for law, (constants, inputs), texts in zip(laws, cases, found, strict=True):
        expected = np.array(values(law, constants, inputs))
        there = np.array([float(text.replace("Infinity", "inf")) for text in texts])
        finite = np.isfinite(expected)
        assert np.array_equal(finite, np.isfinite(there)), law.key
        assert there[finite] == pytest.approx(expected[finite], rel=1e-12), law.key
        compared += int(finite.sum())
    assert compared > 0.9 * SETS * len(laws)


def test_constants_are_read_from_where_a_draw_begins(scripts: Scripts) -> None:
    scripts.load(Payload(data={}, laws=evaluators([LAWS["power"]])))
    second = "laws.EVALUATORS[0]([9, 9, 9, 1, 20, 0.5], 3, [100])"
    assert scripts.call(second) == pytest.approx(3.0)


def test_names_of_a_formula_never_reach_the_script() -> None:
    source = evaluator(law_from("alert + document / N**window"))
    assert not {"alert", "document", "window"} & set(source.replace("(", " ").split())


def checked(scripts: Scripts, result: FitResult, columns: list[dict[str, float]]) -> None:
    """Both ends of the interval and the value, at every level the page offers."""
    content = payload(result)
    scripts.load(content)
    for level in content.data["levels"]:
        found = scripts.call(
            "([columns, level]) => { const mix = predictions.prepare(data.mixtures.predict);"
            " return columns.map((one) => predictions.predict(mix, one, level)); }",
            [columns, level],
        )
        for given, there in zip(columns, found, strict=True):
            here = result.predict(level=level, **given)
            for end in ("value", "low", "high"):
                assert there[end] == pytest.approx(float(getattr(here, end)), rel=1e-9), end


PLACES = [{"params": n, "tokens": d} for n in (3e4, 1e6, 3e7) for d in (1e6, 1e8, 3e9)]


def test_intervals_of_a_single_law_agree(scripts: Scripts, fitted: FitResult) -> None:
    checked(scripts, fitted, PLACES)


def test_intervals_of_combined_laws_with_calibration_agree(
    scripts: Scripts, ladder: RunTable
) -> None:
    result = choose(ladder, ("chinchilla", "overtraining", "power-flops"), bootstrap=100)
    assert result.rivals
    assert result.calibration is not None
    checked(scripts, result, PLACES)


def test_intervals_on_the_scale_of_the_loss_itself_agree(
    scripts: Scripts, ladder: RunTable
) -> None:
    checked(scripts, fit("chinchilla", ladder, objective="ls", bootstrap=40), PLACES)


def test_published_constants_agree_without_draws(scripts: Scripts) -> None:
    checked(scripts, read_fit("besiroglu2024"), [{"params": 7e10, "tokens": 1.4e12}])


def test_intervals_of_an_implicit_law_agree(scripts: Scripts) -> None:
    law = LAWS["trajectory"]
    rng = np.random.default_rng(1)
    places = np.meshgrid([1e6, 1e7, 1e8], [1e3, 1e4, 1e5], [1e5, 1e6])
    params, steps, batch = (a.ravel() for a in places)
    exact = law.value(law.published[0].theta, N=params, S=steps, B=batch)
    loss = exact * np.exp(0.002 * rng.standard_normal(len(exact)))
    table = {"params_nonembed": params, "step": steps, "batch_tokens": batch, "loss": loss}
    result = fit(law, table, rows="all", bootstrap=30)
    checked(scripts, result, [{"params_nonembed": 1e9, "step": 1e5, "batch_tokens": 5e5}])


@pytest.mark.parametrize("flops", [1e13, 1e16, 1e20])
def test_the_best_split_agrees(scripts: Scripts, fitted: FitResult, flops: float) -> None:
    scripts.load(payload(fitted))
    there = scripts.call(
        "flops => { const mix = predictions.prepare(data.mixtures.trade);"
        " return predictions.allocate(mix, data.mixtures.size, { flops }, 0.9); }",
        flops,
    )
    here = allocate(fitted, flops)
    for end in ("value", "low", "high"):
        # A search by loss sees a flat valley: to half the digits.
        assert there["size"][end] == pytest.approx(getattr(here.params, end), rel=1e-5)
        assert there["loss"][end] == pytest.approx(getattr(here.loss, end), rel=1e-8)
    assert there["tokens"] == pytest.approx(here.tokens.value, rel=1e-5)


def test_a_model_that_is_served_is_smaller_and_agrees(scripts: Scripts) -> None:
    from scalewise.plan.inference import inference_optimum

    result = read_fit("besiroglu2024")
    best = inference_optimum(result, params=13e9, inference_tokens=2e12)
    spent = best.cheapest.training_flops.value + best.cheapest.serving_flops.value
    scripts.load(payload(result))
    there = scripts.call(
        "flops => { const mix = predictions.prepare(data.mixtures.trade);"
        " return predictions.allocate(mix, 'params', { flops, inference: 2e12 }, 0.9); }",
        spent,
    )
    assert there["params"] == pytest.approx(best.cheapest.params.value, rel=1e-4)
    assert there["loss"]["value"] == pytest.approx(best.loss.value, rel=1e-9)


def test_tokens_that_there_are_bound_what_is_trained_on(scripts: Scripts) -> None:
    scripts.load(payload(read_fit("besiroglu2024")))
    there = scripts.call(
        "() => { const mix = predictions.prepare(data.mixtures.trade);"
        " return predictions.allocate(mix, 'params', { flops: 1e24, cap: 1e11 }, 0.9); }"
    )
    assert there["tokens"] == pytest.approx(1e11)


@pytest.mark.parametrize("key", ["chinchilla", "trajectory", "kaplan-overfit", "farseer"])
def test_the_law_as_lines_to_paste_gives_the_same_number(scripts: Scripts, key: str) -> None:
    law = LAWS[key]
    constants, inputs = sets_for(law, np.random.default_rng(2))
    theta = dict(zip(law.constant_names, constants[0], strict=True))
    expected = values(law, constants[:1], inputs[:1])[0]
    space: dict[str, Any] = {}
    exec(python(law, theta), space)  # noqa: S102  our own lines, to be pasted and run
    assert float(space[law.quantity](*inputs[0])) == pytest.approx(expected, rel=1e-9)
    source = javascript(law, theta)
    there = scripts.call(f"x => {{ {source}\nreturn {law.quantity}(...x); }}", inputs[0])
    assert there == pytest.approx(expected, rel=1e-9)


def test_the_equation_carries_its_values(fitted: FitResult) -> None:
    text = snippets(fitted)["latex"]
    assert r"\frac{A}{N^{\alpha}}" in text
    assert r"\beta = 0.6" in text
