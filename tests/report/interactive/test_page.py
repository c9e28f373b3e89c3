"""The file: one, closed, safe to open, the same every time, and not too large."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import numpy as np
import pytest

from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult
from scalewise.fit.storage import read_fit
from scalewise.report.card import Axis, Card, FigureSpec, Panel, Series, Table
from scalewise.report.interactive.bundle import bundle, modules
from scalewise.report.interactive.mixture import MOST_DRAWS, encoded, thinned
from scalewise.report.interactive.page import interactive_page
from scalewise.report.interactive.payload import Payload, payload
from scalewise.report.interactive.run_facts import fitted_table, run_facts
from scalewise.runs.health import check_health
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

HOSTILE = "</script><script>alert(1)</script>\u202e\u2028<!--"


def part(page: str, pattern: str) -> str:
    found = re.search(pattern, page, re.DOTALL)
    assert found is not None
    return found[1]


def data_of(page: str) -> dict[str, Any]:
    return dict(json.loads(part(page, r'id="payload">(.*?)</script>')))


def test_the_policy_names_the_pages_own_script_and_style_and_allows_nothing_else(
    ladder_page: str,
) -> None:
    policy = part(ladder_page, r'Content-Security-Policy" content="([^"]+)"')
    script = part(ladder_page, r'<script type="module">(.*?)</script>')
    style = part(ladder_page, r"<style>(.*?)</style>")
    for name, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_nothing_is_fetched_from_anywhere(ladder_page: str) -> None:
    assert not re.search(r'(?:src|href)="(?!#)', ladder_page)
    script = part(ladder_page, r'<script type="module">(.*?)</script>')
    assert set(re.findall(r"https?://[\w./]+", script)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"\b(fetch|XMLHttpRequest|WebSocket|importScripts|eval|Function)\(", script
    )
    assert "innerHTML" not in script


def test_the_same_fit_gives_the_same_bytes(fitted: FitResult, ladder: RunTable) -> None:
    pages = [interactive_page(payload(fitted, ladder)) for _ in range(2)]
    assert pages[0] == pages[1]


def test_hostile_names_and_titles_stay_data() -> None:
    content = Payload(data={"title": HOSTILE, "runs": [HOSTILE]})
    page = interactive_page(content)
    assert page.count("<script") == 2
    assert data_of(page)["runs"] == [HOSTILE]
    assert "\u202e" not in part(page, r"<title>(.*?)</title>")


def test_control_and_direction_characters_in_names_are_shown_as_escapes() -> None:
    table = read_runs({"run_id": ["a\u202eb", "c"], "params": [1e6, 2e6], "loss": [3.0, 2.9]})
    told = run_facts(table, check_health(table))
    assert told["values"]["run_id"] == ["a\\u202eb", "c"]


def test_draws_come_back_to_the_last_bit_and_are_bounded() -> None:
    draws = np.random.default_rng(0).standard_normal((3, 4))
    back = np.frombuffer(base64.b64decode(encoded(draws)), dtype="<f8").reshape(3, 4)
    assert np.array_equal(back, draws)
    many = np.arange(2.0 * MOST_DRAWS)[:, None]
    assert len(thinned(many)) == MOST_DRAWS
    assert thinned(many)[[0, -1], 0].tolist() == [0.0, 2.0 * MOST_DRAWS - 1]


def ladder_of(runs: int, checkpoints: int) -> RunTable:
    rng = np.random.default_rng(0)
    params = np.repeat(10 ** rng.uniform(7, 9.5, runs), checkpoints)
    last = 10 ** rng.uniform(9.5, 11.5, runs)
    tokens = (np.geomspace(1e-3, 1, checkpoints)[None] * last[:, None]).ravel()
    loss = 1.7 + 480 / params**0.35 + 2100 / tokens**0.37
    return read_runs({
        "run_id": np.repeat([f"run-{i:04d}" for i in range(runs)], checkpoints),
        "params": params, "tokens": tokens,
        "loss": loss * np.exp(0.003 * rng.standard_normal(len(loss))),
        "is_final": np.tile(np.arange(checkpoints) == checkpoints - 1, runs),
    })  # fmt: skip


@pytest.mark.parametrize(("runs", "checkpoints", "most"), [(50, 40, 1e6), (500, 200, 5e6)])
def test_a_page_is_small_enough_to_mail(runs: int, checkpoints: int, most: float) -> None:
    table = ladder_of(runs, checkpoints)
    result = fit("chinchilla", table, bootstrap=500, resampling="asymptotic")
    assert len(interactive_page(payload(result, table)).encode()) < most


def test_thinned_curves_keep_their_ends_and_say_how_much_is_left_out() -> None:
    curves = run_facts(ladder_of(400, 200), ())["curves"]
    assert curves["points"] == 80_000
    assert curves["drawn"] <= 20_000
    first = ladder_of(400, 200).column("tokens")[[0, 199]]
    assert [curves["curves"][0]["x"][i] for i in (0, -1)] == pytest.approx(first, rel=1e-5)


def test_runs_that_are_not_those_of_the_fit_are_not_named_after_it(
    fitted: FitResult, ladder: RunTable
) -> None:
    matching = fitted_table(fitted, ladder)
    assert matching is not None
    assert matching[1]
    other = fitted_table(fitted, ladder.where("params > 30000"))
    assert other is not None
    assert not other[1]
    assert set(other[0].text("run_id")) == {f"run {i + 1}" for i in range(11)}
    assert fitted_table(read_fit("besiroglu2024"), None) is None


def test_each_runs_effect_on_the_next_forecast_is_known(
    fitted: FitResult, ladder: RunTable
) -> None:
    effects = payload(fitted, ladder).data["effects"]
    assert set(effects["runs"]) == set(ladder.text("run_id"))
    known = fitted.predict(params=2.64e6, tokens=2.59e7)
    assert effects["base"]["value"] == pytest.approx(float(known.loss), rel=1e-3)
    assert any(abs(one["shift"]) > 0.1 for one in effects["runs"].values())


def test_a_fit_that_shows_no_price_of_tokens_has_no_split_and_still_a_page() -> None:
    rng = np.random.default_rng(0)
    params = np.repeat(np.geomspace(1e7, 1e9, 5), 2)
    loss = (1.7 + 400 / params**0.34) * np.exp(1e-3 * rng.standard_normal(10))
    result = fit("chinchilla", {"params": params, "tokens": np.full(10, 1e10), "loss": loss},
                 bootstrap=20)  # fmt: skip
    data = payload(result).data
    assert data["plane"] is None
    assert data["mixtures"]["trade"] is None


def test_the_figures_of_cards_travel_as_data() -> None:
    axis = Axis("params", scale="log", format="count")
    line = Series(mark="line", x=(1.0, 2.0), y=(3.0, float("nan")), label="law")
    figure = FigureSpec("Figure", "It falls.", (Panel("Panel", axis, axis, (line,)),))
    card = Card(title="A card", conclusion="It is told.", table=Table((), ()), figure=figure)
    page = interactive_page(Payload(data={"title": "T"}), [card])
    assert "<svg" not in part(page, r"<body>(.*?)<script")
    assert "It is told." in page
    (told,) = data_of(page)["figures"]
    assert told["name"] == "a-card"
    assert told["panels"][0]["series"][0]["y"] == [3.0, None]
    assert (told["panels"][0]["title"], told["conclusion"]) == ("Figure", "Panel. It falls.")


def test_several_panels_of_a_figure_are_told_apart_by_name() -> None:
    axis = Axis("params", scale="log", format="count")
    line = Series(mark="line", x=(1.0, 2.0), y=(3.0, 2.0), label="law")
    panels = tuple(Panel(name, axis, axis, (line,)) for name in ("Left", "Right", ""))
    card = Card(title="A card", conclusion="It is told.", table=Table((), ()),
                figure=FigureSpec("Figure", "It falls.", panels))  # fmt: skip
    (told,) = data_of(interactive_page(Payload(data={"title": "T"}), [card]))["figures"]
    assert [panel["title"] for panel in told["panels"]] == [
        "Figure: Left",
        "Figure: Right",
        "Figure",
    ]
    assert told["conclusion"] == "It falls."


def test_modules_are_bundled_after_what_they_import() -> None:
    script = bundle("export const EVALUATORS = [];")
    defined: set[str] = set()
    for line in script.splitlines():
        if found := re.match(r"const \$(\w+) = \(\(\) =>", line):
            defined.add(found[1])
        elif found := re.match(r"const \{.*\} = \$(\w+);", line):
            assert found[1] in defined
    assert defined == {*modules(), "laws"}


def test_modules_are_short_and_make_elements_of_text_only() -> None:
    for name, source in modules().items():
        assert len(source.splitlines()) <= 400, name
        assert "innerHTML" not in source, name
        assert source.startswith("// "), f"{name} does not say what it is for"


def test_runs_of_one_row_take_no_points_from_the_curves_of_others() -> None:
    along = np.geomspace(1e8, 1e10, 400)
    finals = 5000
    table = read_runs({
        "run_id": ["a"] * 400 + ["b"] * 400 + [f"final-{i}" for i in range(finals)],
        "params": [1e7] * 400 + [1e8] * 400 + [1e8] * finals,
        "tokens": [*along, *along, *np.geomspace(1e9, 1e11, finals)],
        "loss": [3.0] * (800 + finals),
    })  # fmt: skip
    curves = run_facts(table, ())["curves"]
    assert [curve["run"] for curve in curves["curves"]] == ["a", "b"]
    assert all(len(curve["x"]) > 100 for curve in curves["curves"])
