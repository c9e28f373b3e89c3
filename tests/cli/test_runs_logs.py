from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import answer, run
from tests.sources.logs.tensorboard_files import event, scalar, write_events
from tests.sources.logs.wandb_files import ended, history, write_run
from tests.sources.logs.wandb_files import run as run_record


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for size in (1, 2, 4):
        settings = {"n_params": size * 1e6, "global_batch_size": 64, "block_size": 1024}
        rows = [history(n, {"train/loss": 5.0, "val/loss": 4.0 / size + 1.0 / n, "iter": n * 10})
                for n in range(1, 6)]  # fmt: skip
        records = [run_record(f"id{size}", f"n{size}", settings), *rows, ended(0)]
        write_run(tmp_path / "wandb", f"id{size}", records)
    events = [event(n, scalar("val/loss", 2.0)) for n in (1, 2)]
    write_events(tmp_path / "tb" / "n8", events)
    return tmp_path


def test_a_folder_is_understood_with_confidence_for_every_column(logs: Path) -> None:
    result = run("runs", logs)
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "1 run (TensorBoard event file) and 3 runs (W&B offline run). Tokens are" in text
    assert "wandb tokens iter iter * batch_tokens" in text
    assert "◐ derived" in text
    assert "neither tokens nor batch_tokens is known ✕ unknown" in text


def test_json_tells_each_log_and_choice(logs: Path) -> None:
    data = answer("runs", logs)["data"]
    told = {log["run_id"]: log for log in data["logs"]}
    assert set(told) == {"n1", "n2", "n4", "n8"}
    assert told["n1"]["state"] == "finished"
    choice = {c["column"]: c for c in told["n1"]["understood"]}
    assert choice["loss"]["from"] == "val/loss"
    assert choice["tokens"]["confidence"] == "derived"


def test_a_proposal_that_is_corrected_gives_the_missing_tokens(logs: Path) -> None:
    mapping, out = logs / "mapping.toml", logs / "runs.csv"
    assert run("runs", logs / "tb", logs / "wandb", "--propose", mapping).exit_code == 0
    text = mapping.read_text()
    assert '# [runs."n8"]\n# params = ...' in text
    mapping.write_text(f'{text}\n[runs."n8"]\nparams = "8M"\nbatch_tokens = 65536\n')
    given = ("runs", logs / "tb", logs / "wandb", "--mapping", mapping, "--out", out)
    result = run(*given)
    assert result.exit_code == 0
    rows = answer("runs", out, "--where", "run_id == 'n8'")
    assert rows["data"]["rows"] == 2
    assert "✕ unknown" not in result.stdout


def test_the_proposal_is_written_even_where_no_loss_is_known(tmp_path: Path) -> None:
    write_run(tmp_path, "abc", [history(1, {"cost": 2.0, "tokens": 512})])
    mapping = tmp_path / "mapping.toml"
    assert run("runs", tmp_path, "--propose", mapping).exit_code == 3
    assert '"cost"' in mapping.read_text()
    assert run("runs", tmp_path, "--map", "loss=cost").exit_code == 0


def test_a_fit_takes_a_folder_of_logs(logs: Path) -> None:
    result = run("fit", logs / "wandb", "--law", "power", "--map", "loss=val/loss")
    assert "Read 15 rows of 3 runs" in result.stderr


def test_a_name_that_would_drive_the_terminal_is_shown_as_text(tmp_path: Path) -> None:
    bad = "\x1b[31mred\u202e"
    records = [run_record("abc", bad), history(1, {"val/loss": 1.0, f"val/loss/{bad}": 2.0})]
    write_run(tmp_path, "abc", records)
    result = run("runs", tmp_path, "--propose", tmp_path / "m.toml")
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert "\u202e" not in result.output


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("iter,loss\n100,3.5\n200,3.0\n300,2.8\n", 1),
        ("step,tokens,loss,params\n1,1e6,3.5,1e7\n2,2e6,3.0,1e7\n3,3e6,2.8,1e7\n", 1),
        ("step,tokens,loss,params\n1,1e6,3.5,1e7\n2,2e6,3.0,2e7\n3,3e6,2.8,4e7\n", 3),
        ("tokens,loss\n1e6,3.5\n2e6,3.0\n3e6,2.8\n", 3),
    ],
    ids=["a curve", "a curve with its size", "finished models", "token counts"],
)
def test_a_table_holds_the_same_runs_as_a_file_in_a_folder_and_from_a_pipe(
    tmp_path: Path, text: str, runs: int
) -> None:
    path = tmp_path / "one.csv"
    path.write_text(text)
    found = [answer("runs", path), answer("runs", tmp_path), answer("runs", "-", stdin=text)]
    assert [one["data"]["runs"] for one in found] == [runs] * 3
    told = [run("fit", source).stderr.split("Read ")[1] for source in (path, tmp_path)]
    assert told[0].startswith(f"3 rows of {runs} run")
    assert told[1].startswith(f"3 rows of {runs} run")


def test_a_mapping_says_which_column_of_a_table_counts_the_steps(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("it,loss\n100,3.5\n200,3.0\n300,2.8\n")
    found = [answer("runs", source, "--map", "step=it") for source in (path, tmp_path)]
    assert [one["data"]["runs"] for one in found] == [1, 1]
