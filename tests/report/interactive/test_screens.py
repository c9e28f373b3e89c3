"""Every screen in a real browser: load, ask, copy, export, by keyboard, in the dark, on a phone."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult
from scalewise.fit.storage import read_fit
from scalewise.forecast.backtest import Policy
from scalewise.forecast.choose import backtest
from scalewise.forecast.downstream import fit_tasks
from scalewise.laws.catalogue import LAWS, published_named
from scalewise.plan.allocate import allocate
from scalewise.report.cards.residuals import residuals_card
from scalewise.report.interactive.page import interactive_page
from scalewise.report.interactive.payload import payload
from scalewise.runs.health import check_health
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.report.interactive.conftest import Opened, Opener

SCREENS = (
    "what-if", "plane", "fit", "runs", "trajectory", "batch", "downstream", "backtest", "report",
    "details",
)  # fmt: skip
NAME = '<img src=x onerror="alert(1)">'


def curve_page() -> str:
    """A law of whole curves, with a batch to choose."""
    law = LAWS["trajectory"]
    rng = np.random.default_rng(1)
    places = np.meshgrid([1e6, 1e7, 1e8], np.geomspace(1e3, 1e5, 6), [1e5, 1e6])
    params, steps, batch = (a.ravel() for a in places)
    exact = law.value(law.published[0].theta, N=params, S=steps, B=batch)
    table = read_runs({
        "run_id": [f"{n:g}-{b:g}" for n, b in zip(params, batch, strict=True)],
        "params_nonembed": params, "step": steps, "batch_tokens": batch,
        "loss": exact * np.exp(0.002 * rng.standard_normal(len(exact))),
    })  # fmt: skip
    result = fit(law, table, rows="all", bootstrap=30)
    return interactive_page(payload(result, table, title="Curves"))


def task_table() -> RunTable:
    law, published = published_named("besiroglu2024")
    rng = np.random.default_rng(0)
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 5), [1e9, 4e9, 1.6e10, 6.4e10]))
    loss = law.value(published.theta, N=N, D=D) * np.exp(3e-3 * rng.standard_normal(20))
    return read_runs({
        "run_id": [f"{NAME}{i}" for i in range(20)], "params": N, "tokens": D, "loss": loss,
        "err_a": 0.9 - 1.2 * np.exp(-0.6 * loss) + 4e-3 * rng.standard_normal(20),
    })  # fmt: skip


@pytest.fixture(scope="module")
def full_page() -> str:
    """Runs, a fit with a task, a backtest and a card, so that every screen has something."""
    table = task_table()
    result = fit_tasks(fit("chinchilla", table, bootstrap=40), table, ["err_a"], bootstrap=40)
    tested = backtest(table, ["chinchilla", "power-flops"], policy=Policy())
    content = payload(
        result, table, findings=check_health(table), tested=tested, title=f"Full {NAME}"
    )
    return interactive_page(content, [residuals_card(result)], provenance={"version": "test"})


@pytest.fixture(scope="module")
def curves() -> str:
    return curve_page()


def clean(opened: Opened) -> None:
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.parametrize("width", [1280, 390])
def test_every_screen_loads_and_fits_its_window(
    opening: Opener, full_page: str, width: int
) -> None:
    opened = opening(full_page, viewport={"width": width, "height": 844})
    for key in SCREENS:
        opened.go(key)
        shown = opened.page.locator(f"[data-screen={key}]")
        assert len(shown.inner_text()) > 60, key
        assert opened.sideways <= 0, key
        for figure in shown.locator("figure.chart").all():
            assert figure.locator("h3").inner_text(), key
            assert figure.locator("svg.drawing").count() == 1, key
    assert opened.page.locator("img").count() == 0
    clean(opened)


def test_every_chart_says_what_it_shows_in_a_sentence(opening: Opener, full_page: str) -> None:
    opened = opening(full_page)
    for key in SCREENS[:-1]:
        opened.go(key)
        for figure in opened.page.locator(f"[data-screen={key}] figure.chart").all():
            assert figure.locator(".said").inner_text().endswith("."), figure.inner_text()


def test_screens_without_data_say_what_they_lack_and_how_to_get_it(opening: Opener) -> None:
    opened = opening(interactive_page(payload(read_fit("besiroglu2024"), title="Published")))
    for key, command in (
        ("runs", "--runs"), ("batch", "--law trajectory"), ("downstream", "--task"),
        ("backtest", "scalewise report"),
    ):  # fmt: skip
        opened.go(key)
        assert command in opened.page.locator(f"[data-screen={key}]").inner_text()
    opened.go("what-if")
    assert "no interval" in opened.page.locator("[data-screen=what-if]").inner_text()
    clean(opened)


def test_a_page_about_runs_that_carry_no_fit_still_shows_them(opening: Opener) -> None:
    table = read_runs({"run_id": ["only"], "params": [1e7], "tokens": [1e9], "loss": [3.1]})
    opened = opening(interactive_page(payload(None, table, title="One run")))
    assert "scalewise fit" in opened.page.locator("[data-screen=what-if]").inner_text()
    opened.go("runs")
    assert "only" in opened.page.locator("[data-screen=runs] tbody").inner_text()
    clean(opened)


def said(opened: Opened) -> str:
    return opened.page.locator("#answer").inner_text()


def fill(opened: Opened, label: str, text: str) -> None:
    box = opened.page.get_by_role("textbox", name=label, exact=True)
    box.fill(text)
    box.press("Enter")


def test_a_budget_gives_the_split_that_python_gives(
    opening: Opener, ladder_page: str, fitted: FitResult
) -> None:
    opened = opening(ladder_page)
    fill(opened, "Compute in FLOP", "1e16")
    here = allocate(fitted, 1e16)
    assert f"loss {here.loss.value:.4f} nats/token" in said(opened)
    assert f"{here.loss.low:.4f} to {here.loss.high:.4f}" in said(opened)
    clean(opened)


def test_the_curve_reaches_beyond_any_budget_that_is_asked_about(
    opening: Opener, ladder_page: str, fitted: FitResult
) -> None:
    opened = opening(ladder_page, "what-if?flops=1e20&level=0.5")
    rows = opened.copied("Copy Loss by compute as CSV").splitlines()[1:]
    line = [row.split(",") for row in rows if row.startswith('"best split') or ", 50%" in row]
    far = max(float(cells[-4]) for cells in line)
    assert far > 1e20
    said_at = opened.page.locator("figure[data-block=loss-by-compute] .said").inner_text()
    fall = allocate(fitted, 1e20).loss.value - allocate(fitted, 1e21).loss.value
    assert f"lowers that by {fall:.4f}" in said_at


def test_every_lock_and_every_source_of_a_budget_answers(opening: Opener, ladder_page: str) -> None:
    opened = opening(ladder_page)
    seen = {said(opened)}
    for name, label, text in (
        ("size", "Size (params)", "3M"), ("tokens", "Tokens", "5M"),
        ("loss", "Loss to reach in nats/token", "1.22"), ("nothing: best split", "GPUs", "3"),
    ):  # fmt: skip
        opened.page.get_by_label(name, exact=True).check()
        fill(opened, label, text)
        seen.add(said(opened))
    opened.page.get_by_label("loss", exact=True).check()
    assert "1.2200" in said(opened)
    opened.page.get_by_label("nothing: best split", exact=True).check()
    for name, label, text in (
        ("GPUs and days", "Deadline in days", "2"),
        ("money", "Money in the price's currency", "50"),
    ):  # fmt: skip
        opened.page.get_by_label(name, exact=True).check()
        fill(opened, label, text)
        seen.add(said(opened))
    assert len(seen) == 7
    clean(opened)


def test_a_loss_below_the_floor_and_a_late_run_are_said(opening: Opener, ladder_page: str) -> None:
    opened = opening(ladder_page, "what-if?hold=loss&target=0.5")
    assert "No budget reaches 0.5000" in opened.page.locator(".answers").inner_text()
    opened.go("what-if?flops=1e24&gpus=8&days=1")
    assert "past the deadline" in opened.page.locator(".answers").inner_text()
    assert "beyond the fitted runs" in opened.page.locator(".answers").inner_text()


def test_a_link_brings_back_the_whole_question(opening: Opener, ladder_page: str) -> None:
    first = opening(ladder_page)
    fill(first, "Compute in FLOP", "3e17")
    fill(first, "Tokens served over its life", "1B")
    link = first.copied("Copy link to this answer")
    assert "flops=300000000000000000" in link
    second = opening(ladder_page, link.split("#")[1])
    assert said(second) == said(first)


def test_what_is_no_number_is_marked_and_changes_nothing(opening: Opener, ladder_page: str) -> None:
    opened = opening(ladder_page)
    before = said(opened)
    fill(opened, "Compute in FLOP", "a lot")
    assert opened.page.get_by_label("Compute in FLOP").get_attribute("aria-invalid") == "true"
    assert said(opened) == before


def test_leaving_out_a_run_tells_what_the_answer_owes_to_it(
    opening: Opener, ladder_page: str
) -> None:
    opened = opening(ladder_page, "runs")
    answer = opened.page.locator("#without")
    assert answer.inner_text().startswith("With every run")
    opened.page.get_by_label("Include pilot-d48-s0").first.uncheck()
    assert answer.inner_text().startswith("Without pilot-d48-s0, ")
    opened.page.get_by_label("Include pilot-d64-s0").first.uncheck()
    assert "each effect taken by itself" in answer.inner_text()
    answer.get_by_role("button").click()
    opened.page.wait_for_function(
        "() => navigator.clipboard.readText().then(t => t.includes('where'))"
    )
    assert 'run_id in ("pilot-d48-s0", "pilot-d64-s0")' in opened.clipboard()


def test_runs_are_filtered_and_sorted(opening: Opener, ladder_page: str) -> None:
    opened = opening(ladder_page, "runs")
    rows = opened.page.locator("[data-block=runs] tbody tr")
    opened.page.get_by_label("Filter runs").fill("d176")
    assert set(rows.locator("th").all_inner_texts()) == {"pilot-d176-s0"}
    opened.page.get_by_label("Filter runs").fill("")
    opened.page.get_by_role("button", name="loss", exact=True).click()
    losses = [float(text) for text in rows.locator("td:nth-last-child(2)").all_inner_texts()]
    assert losses == sorted(losses)


def test_everything_is_reached_by_keyboard(opening: Opener, ladder_page: str) -> None:
    opened = opening(ladder_page)
    press = opened.page.keyboard.press
    press("?")
    assert opened.page.get_by_role("dialog").is_visible()
    press("Escape")
    assert not opened.page.get_by_role("dialog").is_visible()
    for letter, key in (
        ("f", "fit"),
        ("p", "plane"),
        ("h", "runs"),
        ("r", "runs"),
        ("w", "what-if"),
    ):
        press("g")
        press(letter)
        assert opened.page.locator(f"[data-screen={key}]").is_visible()
        assert opened.page.evaluate("location.hash").startswith(f"#{key}")
    slider = opened.page.get_by_label("Compute", exact=True)
    slider.focus()
    before = int(slider.input_value())
    press("ArrowRight")
    assert int(slider.input_value()) == before + 1
    press("Shift+ArrowRight")
    assert int(slider.input_value()) == before + 11
    gpus = opened.page.get_by_label("GPUs", exact=True)
    gpus.and_(opened.page.locator("[type=range]")).focus()
    press("ArrowRight")
    assert gpus.and_(opened.page.locator("[type=text]")).input_value() == "2"
    press("g")
    press("r")
    press("j")
    press("j")
    press("x")
    assert opened.page.locator("#without").inner_text().startswith("Without pilot-d16-s0")
    press("x")
    assert opened.page.locator("#without").inner_text().startswith("With every run")
    press("c")
    opened.page.wait_for_function(
        "() => navigator.clipboard.readText().then(t => t.startsWith('run,'))"
    )
    press("/")
    opened.page.keyboard.type("gx?")
    assert opened.page.get_by_label("Filter runs").input_value() == "gx?"
    clean(opened)


def test_the_report_builder_keeps_notes_and_exports_a_page_that_runs_nothing(
    opening: Opener, full_page: str
) -> None:
    opened = opening(full_page, "report")
    opened.page.get_by_label("Notes").fill("# Why\n\nWe take **this** one. <img src=x>\n\n- a\n- b")
    preview = opened.page.get_by_label("Preview")
    assert preview.locator("strong").inner_text() == "this"
    assert preview.locator("li").count() == 2
    assert preview.locator("img").count() == 0
    opened.page.get_by_role("checkbox", name="Runs", exact=True).check()
    with opened.page.expect_download() as saved:
        opened.page.get_by_role("button", name="Save as HTML").click()
    text = saved.value.path().read_text(encoding="utf-8")
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert "Loss by compute" in text
    assert "&lt;img src=x" in text
    again = opening(text)
    assert again.page.locator("svg path").count() > 3
    assert again.page.locator("svg text").first.is_visible()
    assert again.complaints == []
    opened.page.get_by_role("button", name="Copy as Markdown").click()
    opened.page.wait_for_function(
        "() => navigator.clipboard.readText().then(t => t.includes('## The law'))"
    )
    assert "We take **this** one." in opened.clipboard()
    opened.page.reload()
    assert opened.page.get_by_label("Notes").input_value().startswith("# Why")


def test_a_live_run_is_held_against_its_band(opening: Opener, curves: str, tmp_path: Any) -> None:
    opened = opening(curves, "trajectory")
    log = tmp_path / "live.csv"
    log.write_text("step,loss\n1000,9.5\n2000,9.1\n")
    opened.page.get_by_label("A live run").set_input_files(log)
    figure = opened.page.locator("figure[data-block=predicted-curve]")
    figure.get_by_text("above its band").wait_for()
    log.write_text("nothing\nto read\n")
    opened.page.get_by_label("A live run").set_input_files(log)
    opened.page.get_by_text("needs a column step").wait_for()
    clean(opened)


def test_the_critical_batch_is_that_of_the_trajectory(opening: Opener, curves: str) -> None:
    opened = opening(curves, "batch?t_params=100000000&b_loss=4")
    told = opened.page.locator("[data-screen=batch] .conclusion").inner_text()
    found = re.search(r"critical batch is ([\d.]+)k", told)
    assert found is not None
    # B_star / L**(1 / alpha_B) with the constants that made the runs.
    assert float(found[1]) * 1e3 == pytest.approx(2.1e8 / 4 ** (1 / 0.21), rel=0.15)
    opened.go("batch?b_loss=0.6")
    assert "never reach" in opened.page.locator("[data-screen=batch] .conclusion").inner_text()
    clean(opened)


def test_the_dark_page_is_dark(opening: Opener, ladder_page: str) -> None:
    shades = []
    for scheme in ("light", "dark"):
        opened = opening(ladder_page, color_scheme=scheme)
        colour = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        shades.append(sum(int(part) for part in re.findall(r"\d+", colour)[:3]))
    assert shades[0] > 700
    assert shades[1] < 120


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_on_any_screen(opening: Opener, full_page: str, scheme: str) -> None:
    # The policy of a page lets no foreign script in, not even one that tests it.
    opened = opening(full_page, color_scheme=scheme, bypass_csp=True)
    for key in SCREENS:
        opened.go(key)
        found = Axe().run(opened.page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag22aa"]})
        assert found.violations_count == 0, f"{key}: {found.generate_report()}"


def test_without_a_script_the_cards_are_all_there(opening: Opener, full_page: str) -> None:
    opened = opening(full_page, java_script_enabled=False)
    text = opened.page.locator("main").inner_text()
    assert "Residuals" in text
    assert "Half of 20 points" in text
