"""What the page doubts of an answer: the sentences that Python tells of the same one."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult, Rival
from scalewise.fit.storage import read_fit
from scalewise.plan.allocate import allocate
from scalewise.report.interactive.page import interactive_page
from scalewise.report.interactive.payload import payload
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.report.interactive.conftest import Opened, Opener
from tests.report.interactive.test_screens import curve_page

APART = ({"params": 1e9, "tokens": 1e13}, {"params": 2e7, "tokens": 3e9})


def grid() -> RunTable:
    N, D = (a.ravel() for a in np.meshgrid([1e7, 3e7, 1e8, 3e8], [4e8, 2e9, 1e10]))
    loss = 1.7 + 400 / N**0.34 + 410 / D**0.28
    loss *= 1 + 0.002 * np.cos(7 * np.arange(len(loss)))
    names = [f"run-{i}" for i in range(len(N))]
    return read_runs({"run_id": names, "params": N, "tokens": D, "loss": loss})


def of_one_input_each(bootstrap: int = 60) -> FitResult:
    """Two laws that share in a prediction, each deaf to what the other hears."""
    by_size, by_tokens = (
        fit(f"E + A / {column}**alpha", grid(), bootstrap=bootstrap)
        for column in ("params", "tokens")
    )
    rival = Rival(weight=0.5, result=by_tokens)
    return by_size.combined_with((rival,), weight=0.5, spread=1.0)


def shown(result: FitResult, title: str = "T", level: float = 0.9) -> str:
    return interactive_page(payload(result, title=title, level=level))


def caveats(opened: Opened) -> list[str]:
    return opened.page.locator("[data-screen=what-if] .caveats li").all_inner_texts()


def asked(values: dict[str, float]) -> str:
    return "what-if?" + "&".join(f"x_{name}={value}" for name, value in values.items())


def test_what_a_law_leaves_out_is_told_as_a_prediction_tells_it(opening: Opener) -> None:
    result = of_one_input_each()
    opened = opening(shown(result), asked(APART[0]))
    for given, doubted in zip(APART, (True, False), strict=True):
        told = result.predict(**given).warnings
        assert any("does not know tokens_per_param" in text for text in told) is doubted
        opened.go(asked(given))
        assert [text for text in caveats(opened) if "beyond the fitted runs" not in text] == [*told]
    assert opened.complaints == []


def test_what_one_law_leaves_out_counts_as_reach(opening: Opener) -> None:
    result = of_one_input_each()
    given = {"params": 1e7, "tokens": 1e10 * 9}
    far = float(np.max(result.predict(**given).extrapolation["tokens_per_param"]))
    assert far == pytest.approx(9)
    opened = opening(shown(result), asked(given))
    assert "×9 in " in opened.page.locator("[data-screen=what-if] .facts").inner_text()


def test_a_loss_above_a_uniform_guess_is_told_as_python_tells_it(opening: Opener) -> None:
    result = fit("chinchilla", grid(), bootstrap=60)
    opened = opening(shown(result), "what-if?flops=1e6")
    (told,) = (text for text in allocate(result, 1e6).warnings if "uniform guess" in text)
    assert told in caveats(opened)
    one = fit("E + A / params**alpha", grid(), bootstrap=60)
    opened = opening(shown(one), "what-if?x_params=3")
    (told,) = (text for text in one.predict(params=3.0).warnings if "uniform guess" in text)
    assert told in caveats(opened)
    opened.go("what-if?x_params=1e7")
    assert "uniform guess" not in " ".join(caveats(opened))


def test_the_doubts_of_a_fit_and_of_its_splits_stand_beside_every_answer(opening: Opener) -> None:
    leader, deaf = (fit(law, grid(), bootstrap=3) for law in ("chinchilla", "power-flops"))
    result = leader.combined_with((Rival(weight=0.2, result=deaf),), weight=0.8, spread=1.0)
    told = allocate(result, 1e22).warnings
    assert any("3 resamples cannot tell the ends" in text for text in told)
    split = "power-flops cannot allocate and had no say in the split."
    assert split in told
    opened = opening(shown(result), "what-if?flops=1e22")
    assert set(told) <= set(caveats(opened))
    opened.go("what-if?flops=1e22&hold=params")
    assert set(told) - set(caveats(opened)) == {split}


def test_published_constants_say_whose_they_are(opening: Opener) -> None:
    result = read_fit("besiroglu2024")
    assert set(result.warnings) <= set(caveats(opening(shown(result), "what-if")))


def test_a_level_is_written_as_it_was_asked_for_on_every_screen(opening: Opener) -> None:
    result = fit("chinchilla", grid(), bootstrap=60)
    opened = opening(shown(result, level=0.999))
    for key in ("what-if", "plane", "fit"):
        opened.go(key)
        text = str(opened.page.locator(f"[data-screen={key}]").text_content())
        assert "99.9%" in text, key
        assert "100%" not in text.replace("chinchilla (100%)", ""), key


@pytest.mark.parametrize("link", ["what-if?level=0.3", "%E0%A4%A"])
def test_a_link_that_was_spoilt_opens_the_page_as_it_stands(opening: Opener, link: str) -> None:
    opened = opening(shown(fit("chinchilla", grid(), bootstrap=60)), link)
    assert "(90% interval " in opened.page.locator("#answer").inner_text()
    assert opened.complaints == []


@pytest.mark.parametrize(
    ("target", "fact"),
    [(0.6, "No budget reaches 0.6000 nats/token"), (60, "1e9 FLOP is more than a loss of 60.0")],
)
def test_a_loss_that_cannot_be_had_is_not_said_to_be_reached(
    opening: Opener, target: float, fact: str
) -> None:
    opened = opening(
        shown(fit("chinchilla", grid(), bootstrap=60)), f"what-if?hold=loss&target={target}"
    )
    said = opened.page.locator("#answer").inner_text()
    assert said.startswith(fact)
    assert "cheapest way" not in said


def test_a_budget_that_serving_eats_has_no_numbers(opening: Opener) -> None:
    opened = opening(
        shown(fit("chinchilla", grid(), bootstrap=60)), "what-if?flops=1e14&inference=1e16"
    )
    screen = opened.page.locator("[data-screen=what-if]")
    assert "does not serve so many tokens" in screen.locator("#answer").inner_text()
    assert screen.locator(".tile").count() == 0
    assert not screen.locator("figure.chart:visible").count()
    opened.go("what-if?flops=1e22")
    assert screen.locator(".tile").count() == 6
    assert screen.locator("figure.chart:visible").count() == 2
    assert opened.complaints == []


def test_every_answer_says_how_far_it_reaches_and_on_how_many_runs(opening: Opener) -> None:
    split = fit("chinchilla", grid(), bootstrap=60)
    opened = opening(shown(split), "what-if?flops=1.8e20")
    answer = opened.page.locator("#answer")
    assert answer.inner_text().endswith("; extrapolation ×10 in flops, from 12 runs.")
    opened.go("what-if?flops=1e18")
    assert "; extrapolation ×1 (inside the fitted range), from 12 runs." in answer.inner_text()
    published = opening(shown(read_fit("besiroglu2024")), "what-if").page.locator("#answer")
    assert "; extrapolation unknown, from published constants" in published.inner_text()


def test_a_predicted_curve_says_how_far_it_reaches(opening: Opener) -> None:
    opened = opening(curve_page(), "trajectory?t_params=1e9&t_batch=1e5&t_steps=1e5")
    said = opened.page.locator("[data-block='predicted-curve'] .said").inner_text()
    assert "; extrapolation ×10 in params_nonembed, from 6 runs." in said


def test_a_ratio_is_not_said_to_move_where_the_runs_leave_that_open(opening: Opener) -> None:
    even = fit("chinchilla", grid(), bootstrap=60)
    for width, open_ in ((0.3, True), (0.0, False)):
        draws = np.array([[even.theta[n] for n in even.law.constant_names]] * 60)
        draws[:, 3] *= np.linspace(1 - width, 1 + width, 60)
        moved = replace(even, theta={**even.theta, "beta": 0.5}, draws=draws)
        opened = opening(shown(moved), "plane")
        said = opened.page.locator("[data-block='tokens-per-param'] .said").inner_text()
        assert said.startswith("The best ratio falls from ")
        assert ("so the runs leave open whether it moves" in said) is open_
        assert "90% intervals" in said


def test_charts_that_stand_alone_in_a_report_carry_interval_and_reach(opening: Opener) -> None:
    opened = opening(shown(fit("chinchilla", grid(), bootstrap=60)), "what-if?flops=1.8e20")
    told = opened.page.locator("#answer").inner_text()
    (interval,) = re.findall(r"[\d.]+ nats/token \(90% interval [\d.]+ to [\d.]+\)", told)
    for screen, block in (("what-if", "loss-by-compute"), ("what-if", "loss-by-size"),
                          ("plane", "compute-plane")):  # fmt: skip
        opened.go(f"{screen}?flops=1.8e20")
        assert interval in opened.page.locator(f"[data-block='{block}'] .said").inner_text()
    opened.go("what-if?flops=1.8e20")
    said = opened.page.locator("[data-block='loss-by-compute'] .said").inner_text()
    assert said.endswith("; extrapolation ×10 in flops, from 12 runs.")


def test_c_copies_nothing_of_another_screen(opening: Opener) -> None:
    opened = opening(shown(fit("power-flops", grid(), bootstrap=60)), "what-if")
    opened.page.keyboard.press("c")
    opened.page.wait_for_function("() => navigator.clipboard.readText().then(t => t !== '')")
    opened.go("plane")
    opened.page.evaluate("navigator.clipboard.writeText('mine')")
    opened.page.keyboard.press("c")
    opened.page.get_by_text("There is nothing to copy here.").wait_for()
    assert opened.clipboard() == "mine"
