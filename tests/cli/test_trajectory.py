from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.fit.storage import write_fit
from tests.cli.program import answer, run
from tests.forecast.trajectory_runs import fitted, log_text

RUN = ("--params-nonembed", "600M", "--batch-tokens", "262144", "--steps", "60k")
GROWING = ("--params-nonembed", "600M", "--schedule", "262144:20k,1048576:40k")


@pytest.fixture
def fit(tmp_path: Path) -> Path:
    path = tmp_path / "fit.json"
    write_fit(fitted(), path)
    return path


def log(folder: Path, text: str) -> Path:
    path = folder / "live.csv"
    path.write_text(text)
    return path


def test_published_constants_give_the_published_curve() -> None:
    words = ("--params-nonembed", "1.5B", "--batch-tokens", "524288", "--steps", "250k")
    data = answer("trajectory", "kaplan2020-trajectory", *words)["data"]
    assert data["loss"] == pytest.approx(2.3946459, abs=2e-6)
    assert data["interval"] == [None, None]
    assert data["floor"]["value"] == pytest.approx(2.2752824, abs=2e-6)
    assert data["on_track"] is None


def test_a_fit_gives_the_whole_curve_its_band(fit: Path) -> None:
    data = answer("trajectory", fit, *GROWING)["data"]
    assert data["schedule"][1] == {"batch_tokens": 1048576.0, "steps": 40000.0}
    for point in data["curve"]:
        low, high = point["interval"]
        assert low < point["loss"] < high
    assert data["curve"][-1]["step"] == 60_000
    assert data["curve"][-1]["tokens"] == 262144 * 20_000 + 1048576 * 40_000
    assert data["runs"] == 11


def test_the_text_tells_about_twelve_steps(fit: Path) -> None:
    text = run("trajectory", fit, *RUN).stdout
    assert "Forecast of the loss curve" in text
    assert text.count(" 262k  ") == 12
    assert "extrapolation ×10 in params_nonembed, from 11 runs" in text


def test_a_run_on_track_exits_with_0(fit: Path, tmp_path: Path) -> None:
    result = run("trajectory", fit, *RUN, "--against", log(tmp_path, log_text()))
    assert result.exit_code == 0
    assert "is on track" in result.stdout


def test_a_run_that_left_for_good_exits_with_5(fit: Path, tmp_path: Path) -> None:
    path = log(tmp_path, log_text(off=0.03, from_step=6000))
    result = run("trajectory", fit, *RUN, "--against", path)
    assert result.exit_code == 5
    assert "has left the 90% band for good" in result.stderr
    data = answer("trajectory", fit, *RUN, "--against", path)["data"]["on_track"]
    assert data["left_for_good"] is True
    assert data["side"] == "above"
    low, high = data["projected"]["interval"]
    assert low < data["projected"]["loss"] < high
    assert data["projected"]["loss"] > data["planned"]["loss"]


def test_a_log_comes_from_standard_input_under_other_names(fit: Path) -> None:
    text = log_text().replace("step,loss", "iter,my_loss")
    result = run("trajectory", fit, *RUN, "--against", "-", "--map", "loss=my_loss", stdin=text)
    assert result.exit_code == 0
    assert "is on track" in result.stdout


def test_a_schedule_is_judged_as_planned(fit: Path, tmp_path: Path) -> None:
    stages = ((262144.0, 20_000.0), (1048576.0, 40_000.0))
    path = log(tmp_path, log_text(stages=stages, upto=30_000))
    whole = answer("trajectory", fit, *GROWING, "--against", path)
    assert whole["ok"] is True
    data = whole["data"]
    assert data["on_track"]["planned"]["loss"] == pytest.approx(data["loss"])


def test_losses_that_are_not_numbers_are_left_out_and_told(fit: Path, tmp_path: Path) -> None:
    lines = log_text().splitlines()
    lines[7] = lines[7].split(",")[0] + ",NaN"
    result = run("trajectory", fit, *RUN, "--against", log(tmp_path, "\n".join(lines)))
    assert result.exit_code == 0
    assert "Not judged: 1 rows without size, step, batch or loss." in result.stderr


@pytest.mark.parametrize(
    ("text", "code", "fact"),
    [
        ("", 3, "is empty"),
        ("step,loss\n", 3, "holds no rows"),
        ("step\n2000\n", 3, "Loss curves need loss"),
        ("loss\n3.0\n", 3, "Loss curves need step"),
        ("step,loss\n20000,NaN\n30000,NaN\n", 3, "rows is usable"),
        ("step,loss\n90000,2.9\n", 2, "goes on to step 90k; the forecast ends at step 60k"),
        ("step,loss,params_nonembed\n20000,3.0,7000000\n", 2, "of a run of 7M params_nonembed"),
        ("step,loss,batch_tokens\n20000,3.0,131072\n", 2, "a batch of 131k tokens"),
        ("run_id,step,loss\na,20000,3.0\nb,20000,3.0\n", 3, "holds 2 runs"),
    ],
)
def test_a_log_that_cannot_be_compared_is_refused(
    fit: Path, tmp_path: Path, text: str, code: int, fact: str
) -> None:
    result = run("trajectory", fit, *RUN, "--against", log(tmp_path, text))
    assert result.exit_code == code
    assert fact in result.stderr


def test_published_constants_judge_no_run(tmp_path: Path) -> None:
    path = log(tmp_path, log_text())
    result = run("trajectory", "kaplan2020-trajectory", *RUN, "--against", path)
    assert result.exit_code == 4
    assert "These constants come without runs" in result.stderr


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        ((*RUN, "--schedule", "1M:3"), "--schedule states batches and steps already"),
        (("--params-nonembed", "1B", "--batch-tokens", "1M"), "not known without --steps"),
        (("--params-nonembed", "1B"), "not known without --batch-tokens and --steps"),
        (("--params-nonembed", "1B", "--schedule", "1M"), "'1M' that is not BATCH:STEPS"),
        (("--params-nonembed", "1B", "--schedule", "1M:2k,"), "'' that is not BATCH:STEPS"),
        (("--params-nonembed", "1B", "--schedule", "1M:-2k"), "steps in --schedule='-2k'"),
        (("--params-nonembed", "0.5", "--batch-tokens", "1M", "--steps", "1k"), "less than one"),
        (("--params", "1B", "--batch-tokens", "1M", "--steps", "1k"), "--params counts embeddings"),
        ((*RUN, "--level", "2"), "is not a probability"),
    ],
)
def test_a_run_that_is_not_one_is_a_usage_error(words: tuple[str, ...], fact: str) -> None:
    result = run("trajectory", "kaplan2020-trajectory", *words)
    assert result.exit_code == 2
    assert fact in result.stderr


def test_steps_before_the_fitted_ones_are_answered_with_a_warning(fit: Path) -> None:
    words = ("--params-nonembed", "600M", "--batch-tokens", "262144", "--steps", "100")
    whole = answer("trajectory", fit, *words)
    assert any("before the first fitted step 1000" in text for text in whole["warnings"])


def test_a_fit_of_another_law_is_refused() -> None:
    result = run("trajectory", "besiroglu2024", *RUN)
    assert result.exit_code == 2
    assert "A trajectory needs a fit of one of 'trajectory'" in result.stderr


def test_the_report_of_a_trajectory_tells_curves_contours_and_the_critical_batch(
    fit: Path, tmp_path: Path
) -> None:
    data = answer("report", fit, "--out", tmp_path / "page.html")["data"]
    for title in (
        "Curves behind the forecast", "Steps against tokens at equal loss", "Critical batch",
    ):  # fmt: skip
        assert title in data["cards"]
    bare = answer("report", "kaplan2020-trajectory", "--out", tmp_path / "page.html")["data"]
    assert "Critical batch" in bare["cards"]
    assert "Curves behind the forecast" not in bare["cards"]
