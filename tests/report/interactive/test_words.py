"""What the page says: sentences and numbers that would mislead if they were a little off."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError
from scalewise.fit.engine import fit
from scalewise.forecast.backtest import Policy
from scalewise.forecast.choose import backtest
from scalewise.report.cards.fit_figure import relative_residuals
from scalewise.report.cards.residuals import residuals_card
from scalewise.report.formats import percent
from scalewise.report.interactive.page import interactive_page
from scalewise.report.interactive.payload import payload
from scalewise.runs.health import Finding, check_health
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.report.interactive.conftest import Opened, Opener

SHELL = '$(touch here) `x` it\'s "q"'


def runs(sizes: tuple[float, ...] = (1e7, 3e7, 1e8, 3e8), *, odd: float = 1.0) -> RunTable:
    N, D = (a.ravel() for a in np.meshgrid(sizes, [4e8, 2e9, 1e10]))
    loss = 1.7 + 400 / N**0.34 + 410 / D**0.28
    loss *= 1 + 0.002 * np.cos(7 * np.arange(len(loss)))
    loss[0] *= odd
    names = [SHELL, "</script>", "😀" * 30, *(f"run-{i}" for i in range(3, len(loss)))]
    return read_runs({"run_id": names, "params": N, "tokens": D, "loss": loss})


def said(opened: Opened, block: str) -> str:
    return opened.page.locator(f"[data-block='{block}'] .said").first.inner_text()


def test_residuals_are_the_same_number_on_the_screen_and_in_the_card(opening: Opener) -> None:
    table = runs(odd=1.5)
    for objective in ("huber-log", "ls"):
        result = fit("chinchilla", table, objective=objective, bootstrap=0)
        opened = opening(interactive_page(payload(result, table, title="T")), "fit")
        worst = max(relative_residuals(result), key=abs)
        told = percent(worst, signed=True)
        assert f"{told} off" in residuals_card(result).conclusion
        assert said(opened, "residuals-tokens").endswith(f"{told}.")


def test_constants_that_hang_together_are_not_said_to_be_one(opening: Opener) -> None:
    table = runs()
    result = fit("chinchilla", table, bootstrap=20)
    opened = opening(interactive_page(payload(result, table, title="T")), "fit")
    cells = opened.page.locator("[data-block=correlation] tbody td").all_inner_texts()
    assert cells.count("1") == 5  # the diagonal alone
    text = opened.page.locator("[data-screen=fit]").inner_text()
    assert "A with alpha" in text
    assert "read each pair as one" in text


def test_a_far_answer_says_what_it_assumes_and_what_was_tried(opening: Opener) -> None:
    table = runs()
    result = fit("chinchilla", table, bootstrap=20)
    tested = backtest(table, ["chinchilla"], policy=Policy())
    reach = max(split.reach for split in tested.splits)
    wrong = Finding(
        severity="error", name="mixed corpus", fact="Two.", mend="Choose one.", rows=(1,)
    )
    opened = opening(
        interactive_page(payload(result, table, tested=tested, findings=[wrong], title="T")),
        "what-if?flops=1e24",
    )
    doubts = opened.page.locator("[data-screen=what-if] .caveats").inner_text()
    assert "assumes that the law goes on unchanged; backtests tried it up to ×" in doubts
    assert f"×{float(f'{reach:.3g}'):g} in flops" in doubts
    assert "what makes a fit wrong (mixed corpus)" in doubts
    opened.go("what-if?flops=1e14&price=0.1")
    assert "0.00" not in opened.page.locator("[data-screen=what-if] .tiles").inner_text()


def test_a_law_of_one_input_says_when_it_is_asked_far_away(opening: Opener) -> None:
    table = read_runs({"run_id": list("abcdef"), "params": np.geomspace(1e6, 1e8, 6),
                       "loss": 2 + 300 / np.geomspace(1e6, 1e8, 6) ** 0.3})  # fmt: skip
    result = fit("E + A / params**alpha", table, bootstrap=20)
    page = interactive_page(payload(result, table, title="T"))
    screen = opening(page, "what-if?x_params=1e11").page.locator("[data-screen=what-if]")
    assert screen.locator("#answer").inner_text().startswith("Loss ")
    assert "×1k beyond the fitted runs in params" in screen.locator(".caveats").inner_text()


def test_the_copied_command_holds_names_that_a_shell_would_run(opening: Opener) -> None:
    table = runs()
    result = fit("chinchilla", table, bootstrap=0)
    opened = opening(interactive_page(payload(result, table, title="T")), "runs")
    opened.page.get_by_label(f"Include {SHELL}", exact=True).uncheck()
    words = shlex.split(opened.copied("Copy the command that refits without"))
    assert words[:2] == ["scalewise", "fit"]
    assert words[3] == "--where"
    assert SHELL in words[4].replace('\\"', '"')
    kept = table.where(words[4])
    assert SHELL not in kept.text("run_id")
    assert len(kept) == len(table) - 1


@pytest.mark.parametrize("sizes", [(1e7,), (1e7, 4e7)])
def test_too_few_sizes_open_on_the_runs_and_name_the_cheapest_that_would_do(
    opening: Opener, sizes: tuple[float, ...]
) -> None:
    table = runs(sizes)
    error = UnfitDataError("The runs have too few sizes.", hint="Add runs.")
    content = payload(None, table, findings=check_health(table), failure=error, title="T")
    opened = opening(interactive_page(content))
    assert opened.page.locator("[data-screen=runs]").is_visible()
    for key in ("what-if", "fit", "plane"):
        opened.go(key)
        text = opened.page.locator(f"[data-screen={key}]").inner_text()
        assert "too few sizes" in text
        assert "cannot separate the least loss (E) from the price of size (A)" in text
        assert "scalewise fit RUNS" not in text
    opened.go("report?x=1")
    assert "Tick what the report is to show" in opened.page.locator(".preview").inner_text()


def test_names_of_wide_letters_stay_inside_the_drawing(opening: Opener) -> None:
    table = runs()
    result = fit("chinchilla", table, bootstrap=20)
    page = interactive_page(payload(result, table, title="T"))
    opened = opening(page, "runs", viewport={"width": 390, "height": 844})
    lefts = opened.page.evaluate(
        "[...document.querySelectorAll('[data-block=leverage] svg text')]"
        ".map(node => node.getBoundingClientRect().left"
        " - node.ownerSVGElement.getBoundingClientRect().left)"
    )
    assert len(lefts) > 12
    assert min(lefts) > -2


def test_one_run_is_not_said_to_span_anything(opening: Opener) -> None:
    table = read_runs({"run_id": ["a"], "params": [1e7], "tokens": [1e9], "loss": [3.25]})
    opened = opening(interactive_page(payload(None, table, title="T")), "runs")
    assert said(opened, "runs-loss") == "One finished model, with a loss of 3.2500 nats/token."


def test_paper_shows_what_it_is_about_and_a_built_report_says_it_once(opening: Opener) -> None:
    opened = opening(interactive_page(payload(None, runs(), title="Spring ladder")), "runs")
    opened.page.emulate_media(media="print")
    assert opened.page.get_by_role("heading", name="Spring ladder").is_visible()
    assert not opened.page.locator("#screens").is_visible()
    opened.go("report")
    titles = opened.page.get_by_role("heading", name="Spring ladder")
    assert [title.is_visible() for title in titles.all()].count(True) == 1
    assert not opened.page.locator("#title-report").is_visible()
