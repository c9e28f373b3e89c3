from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import scalewise
from tests.cli.program import VERBS, answer, run, simulated_csv

SOURCE = Path(scalewise.__file__).resolve().parents[1]


def program(*words: str) -> list[str]:
    return [sys.executable, "-m", "scalewise", *words]


def environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", **extra}


def started(*words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        program(*words),
        capture_output=True,
        text=True,
        env=environment(**extra),
        timeout=120,
        check=False,
    )


def test_help_names_every_verb_and_how_to_complete() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for verb in VERBS:
        assert f"\n  {verb}" in result.stdout
    assert "_SCALEWISE_COMPLETE=bash_source" in result.stdout


def test_no_verb_at_all_shows_the_help() -> None:
    assert run().stdout == run("--help").stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_examples_and_the_shared_options(verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    for part in (f"scalewise {verb}", "Examples:", "--json", "--debug"):
        assert part in result.stdout
    assert result.stderr == ""


def test_version_is_the_package_version() -> None:
    assert run("--version").stdout == f"scalewise {scalewise.__version__}\n"


def test_an_unknown_verb_is_a_usage_error_that_names_the_nearest() -> None:
    result = run("fti")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "There is no verb 'fti'." in result.stderr
    assert "Did you mean 'fit'?" in result.stderr


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["fit"], "Missing argument 'RUNS'"),
        (["predict", "fit.json", "--nope", "1"], "--nope"),
        (["fit", "runs.csv", "--objective", "huber"], "huber"),
        (["fit", "runs.csv", "--bootstrap", "-1"], "--bootstrap='-1' is negative."),
        (["fit", "runs.csv", "--bootstrap", "2.5"], "is not a whole number"),
        (["fit", "runs.csv", "--map", "params"], "which is not NAME=VALUE"),
        (["fit", "runs.csv", "--map", "params=N,params=M"], "names 'params' twice"),
        (["fit", "runs.csv", "--bound", "alpha=1"], "has no two ends"),
        (["fit", "runs.csv", "--fix", "E=low"], "neither a number nor the name"),
        (["predict", "fit.json", "--params", "7X"], "--params='7X' is not a number."),
        (["predict", "fit.json", "--tokens", "-2T"], "--tokens='-2T' is negative."),
        (["backtest", "runs.csv", "--laws", ","], "--laws names nothing."),
        (["train", "ladder.toml", "--workers", "0"], "--workers='0' is zero."),
    ],
)
def test_a_malformed_question_is_a_usage_error(words: list[str], fact: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert fact in result.stderr
    assert "Hint: " in result.stderr


def test_a_usage_error_points_to_the_help_of_the_verb() -> None:
    assert "Hint: See: scalewise fit --help" in run("fit").stderr


def test_a_failure_is_also_an_envelope_when_json_is_asked_for() -> None:
    whole = answer("predict", "besiroglu2024", "--params", "much")
    assert whole["ok"] is False
    assert whole["command"] == "predict"
    assert whole["data"] is None
    assert whole["error"]["exit_code"] == 2
    assert whole["error"]["message"] == "--params='much' is not a number."
    assert whole["error"]["hint"]


def test_an_unexpected_exception_is_one_line_and_exit_code_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("scalewise.cli.laws.law_data", broken)
    result = run("laws")
    assert result.exit_code == 1
    assert "Error: Unexpected ZeroDivisionError: a bug" in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in run("laws", "--debug").stderr


def test_debug_shows_where_a_deliberate_error_came_from() -> None:
    assert "Traceback" in run("predict", "no-such-constants", "--debug").stderr


def test_an_interruption_exits_with_130_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("scalewise.cli.laws.law_data", interrupted)
    result = run("laws", "--json")
    assert result.exit_code == 130
    assert "Interrupted." in result.stderr
    assert json.loads(result.stdout)["error"]["exit_code"] == 130


def test_an_unexpected_end_of_file_is_a_bug_and_not_an_interruption(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ended(*_: object) -> None:
        raise EOFError("cut short")

    monkeypatch.setattr("scalewise.cli.laws.law_data", ended)
    assert run("laws").exit_code == 1


def test_ctrl_c_ends_a_waiting_program_with_130(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    table.write_text(simulated_csv())
    with subprocess.Popen(
        program("runs", str(table), "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()  # the first table is read; now it waits for stdin
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert first.startswith(b"Read 20 rows")
    assert process.returncode == 130
    assert b"Interrupted." in told
    assert b"Traceback" not in told


def test_results_go_to_stdout_and_everything_else_to_stderr(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    table.write_text(simulated_csv())
    done = started("fit", str(table), "--law", "chinchilla", "--bootstrap", "0", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["data"]["law"] == "chinchilla"
    assert "Read 20 rows of 20 runs" in done.stderr


def test_a_reader_that_leaves_early_is_no_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        program("laws"), stdout=writing, stderr=subprocess.PIPE, env=environment(), check=False
    )
    os.close(writing)
    assert done.returncode == 0
    assert done.stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_under_stdout_is_told() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            program("laws"), stdout=full, stderr=subprocess.PIPE, env=environment(), check=False
        )
    assert done.returncode == 2
    assert b"Standard output cannot be written" in done.stderr


def test_a_terminal_without_unicode_gets_ascii() -> None:
    done = started("laws", "chinchilla", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()


def test_text_that_is_not_for_a_terminal_has_no_colour() -> None:
    assert "\x1b[" not in started("laws").stdout


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are of POSIX")
@pytest.mark.parametrize(("wish", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colour_unless_no_color_is_set(
    wish: dict[str, str], coloured: bool
) -> None:
    ours, theirs = os.openpty()
    plain = {name: value for name, value in environment().items() if name != "NO_COLOR"}
    done = subprocess.run(
        program("laws", "power-pure"), stdout=theirs, env={**plain, **wish}, check=False
    )
    shown = os.read(ours, 65536)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0
    assert (b"\x1b[" in shown) is coloured


def loaded_by(*words: str) -> set[str]:
    """Top-level packages in memory after the program ran in a fresh interpreter."""
    script = (
        "import sys\n"
        "from scalewise.cli import main\n"
        f"sys.argv = ['scalewise', *{list(words)!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_no_numerical_package() -> None:
    assert not loaded_by("--help") & {"numpy", "polars", "scipy", "rich", "matplotlib", "torch"}


def test_predict_loads_neither_tables_nor_plots() -> None:
    loaded = loaded_by("predict", "besiroglu2024", "--params", "7B", "--tokens", "2T")
    assert "numpy" in loaded
    assert not loaded & {"polars", "rich", "matplotlib", "torch", "pandas", "pydantic"}
