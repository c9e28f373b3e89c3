from __future__ import annotations

from pathlib import Path

from tests.cli.program import answer, run, runs_file, simulated_csv

LAWS = ("--laws", "chinchilla,power-flops")


def test_a_backtest_scores_laws_and_naive_rules_on_runs_held_out(tmp_path: Path) -> None:
    data = answer("backtest", runs_file(tmp_path), *LAWS)["data"]
    scores = {score["law"]: score for score in data["scores"]}
    assert set(scores) == {
        "chinchilla", "power-flops", "auto", "auto, as stated", "best seen", "most compute"
    }  # fmt: skip
    assert scores["chinchilla"]["mean_abs_error"] < scores["best seen"]["mean_abs_error"]
    assert scores["best seen"]["coverage"] is None
    assert 0 <= scores["chinchilla"]["coverage"] <= 1
    point = scores["chinchilla"]["points"][0]
    assert {"run_id", "measured", "predicted", "low", "high", "inside"} <= set(point)
    assert data["splits"][0]["held_out_points"] > 0


def test_the_table_shows_every_law_with_its_error(tmp_path: Path) -> None:
    result = run("backtest", runs_file(tmp_path), *LAWS)
    assert result.exit_code == 0
    for part in ("chinchilla", "power-flops", "best seen", "most compute", "inside"):
        assert part in result.stdout


def test_three_sizes_cannot_be_backtested() -> None:
    table = simulated_csv(sizes=(1e7, 1e8, 1e9))
    result = run("backtest", "-", stdin=table)
    assert result.exit_code == 4
    assert "to fit three and hold out one takes four" in result.stderr


def test_an_unknown_law_is_a_usage_error(tmp_path: Path) -> None:
    result = run("backtest", runs_file(tmp_path), "--laws", "chinchila")
    assert result.exit_code == 2
    assert "Did you mean 'chinchilla'?" in result.stderr


def test_laws_that_do_not_predict_loss_are_not_compared(tmp_path: Path) -> None:
    result = run("backtest", runs_file(tmp_path), "--laws", "chinchilla,lr-by-flops")
    assert result.exit_code == 2
    assert "'lr-by-flops' predicts lr_peak" in result.stderr
