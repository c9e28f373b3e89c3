"""The critical batch by every method, asked of ``steps`` and of ``report``."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.fit.storage import write_fit
from scalewise.forecast.fitting import fit as fit_law
from scalewise.runs.example import batch
from scalewise.runs.example.batch import batch_runs
from tests.cli.program import answer, run

FOLDER = Path(batch.__file__).parent
MEASURED = ("--runs", FOLDER / "batch_ladder.csv", "--branches", FOLDER / "batch_branches.json")
ASKED = ("--params-nonembed", "885696", "--loss", "1.3")


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("methods") / "fit.json"
    write_fit(fit_law("trajectory", batch_runs(), rows="all", bootstrap=0), path)
    return path


def test_the_card_stands_beside_the_steps(fit: Path) -> None:
    text = " ".join(run("steps", fit, *ASKED, *MEASURED).stdout.split())
    assert "Steps and tokens to a loss" in text
    assert "Critical batch by method" in text
    assert "a local number that knows no optimizer" in text


def test_the_json_has_every_measurement_with_what_it_measures(fit: Path) -> None:
    data = answer("steps", fit, *ASKED, *MEASURED)["data"]["critical_batch_by_method"]
    assert set(data["median_ratio"]) == set(data["measures"])
    assert set(data["measures"]) == {"contours", "noise scale", "branches"}
    kinds = {row["method"]: row["kind"] for row in data["measurements"]}
    assert kinds == {"contours": "global", "noise scale": "local", "branches": "local"}
    for row in data["measurements"]:
        ratio = row["critical_batch_tokens"] / row["joint_fit"]
        assert row["over_joint_fit"] == pytest.approx(ratio)
    assert answer("steps", fit, *ASKED)["data"]["critical_batch_by_method"] is None


def test_a_loss_out_of_reach_still_has_its_comparison(fit: Path) -> None:
    words = ("--params-nonembed", "885696", "--loss", "0.3")
    result = run("steps", fit, *words, *MEASURED)
    assert result.exit_code == 2
    assert "Critical batch by method" in result.stdout


def test_the_page_of_a_fit_draws_it(fit: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    data = answer("report", fit, *MEASURED, "--static", "--out", page)["data"]
    assert "Critical batch by method" in data["cards"]
    assert "Critical batch by method against loss" in page.read_text("utf-8")
    answer("report", fit, *MEASURED, "--out", page)
    card = page.read_text("utf-8").split(">Critical batch by method</h", 1)[1]
    assert "<figure data-figure=" in card.split("</section>", 1)[0]
    plain = answer("report", fit, "--out", tmp_path / "page.html")["data"]
    assert "Critical batch by method" not in plain["cards"]


def test_what_is_lacking_is_a_warning(fit: Path) -> None:
    held_out = FOLDER / "batch_held_out.csv"
    whole = answer("steps", fit, *ASKED, "--runs", held_out)
    assert "No noise scales: no runs with a column noise_scale_tokens." in whole["warnings"]


@pytest.mark.parametrize(
    ("words", "code", "fact"),
    [
        (("steps", "FIT", *ASKED, *MEASURED[2:]), 2, "needs --runs"),
        (("steps", "FIT", *ASKED, *MEASURED[:3], "none.json"), 3, "cannot be read as branches"),
        (("report", MEASURED[1], *MEASURED), 2, "--runs and --branches go with a fit"),
    ],
)
def test_half_a_question_is_refused(
    fit: Path, words: tuple[object, ...], code: int, fact: str
) -> None:
    result = run(*(fit if word == "FIT" else word for word in words))
    assert result.exit_code == code
    assert fact in " ".join(result.stderr.split())
