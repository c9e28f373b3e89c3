"""What arrives at the door is not trusted: it is read, refused with a reason, or shown escaped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import run, simulated_csv

HEAD = "params,tokens,loss\n"


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", "standard input is empty."),
        (b"\n\n  \n", "standard input is empty."),
        (HEAD.encode(), "standard input holds no rows"),
        (b"\x00\x01\x02\x03", "NUL"),
        (b"\xff\xfe\xfa,b\n1,2\n", "not text in UTF-8"),
        (b"PAR1 and nothing more", "damaged Parquet"),
        (b"\x1f\x8b\x08\x00", "compressed"),
        (b'{"params": 1', "is not JSON"),
        (b"apples,pears\n1,2\n", "none of the columns of a run table"),
        (b"params,tokens,loss\n1e6,2e7,many\n", "many"),
        (b"params,tokens,loss\n1,2,3,4,5\n", "has 5 cells under 3 columns"),
        (b"params,params,loss\n1,2,3\n", "more than one column named"),
    ],
)
def test_unreadable_input_exits_with_3_and_says_what_it_is(content: bytes, fact: str) -> None:
    result = run("fit", "-", "--law", "chinchilla", stdin=content)
    assert result.exit_code == 3
    assert fact in result.stderr
    assert result.stdout == ""


def test_a_missing_file_exits_with_3() -> None:
    result = run("fit", "no-such-file.csv")
    assert result.exit_code == 3
    assert "There is no file no-such-file.csv." in result.stderr


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    assert run("fit", tmp_path).exit_code == 3


def test_negative_tokens_are_refused_with_their_row() -> None:
    table = simulated_csv().replace(",1000000000,", ",-1000000000,", 1)
    result = run("fit", "-", "--law", "chinchilla", stdin=table)
    assert result.exit_code == 4
    assert "Error: non-positive tokens: tokens must be positive: row" in result.stderr


def test_a_missing_loss_is_left_out_and_said_so() -> None:
    lines = simulated_csv().splitlines()
    lines[3] = lines[3].rsplit(",", 1)[0] + ",nan"
    words = ("fit", "-", "--law", "chinchilla", "--bootstrap", 0)
    result = run(*words, stdin="\n".join(lines))
    assert result.exit_code == 0
    assert "Warning: loss not finite" in result.stderr
    assert "1 points lack loss; left out of the fit." in result.stdout


def test_perplexity_given_as_loss_is_refused_unless_forced() -> None:
    table = HEAD + "".join(f"{n}e6,{d}e8,{20 + 300 / n / d}\n" for n in (1, 3, 9) for d in (1, 4))
    words = ("fit", "-", "--law", "power-flops", "--bootstrap", 0)
    result = run(*words, stdin=table)
    assert result.exit_code == 4
    assert "Error: perplexity as loss: 6 of 6 losses exceed" in result.stderr
    assert "--force" in result.stderr
    assert result.stdout == ""
    forced = run(*words, "--force", stdin=table)
    assert forced.exit_code == 0
    assert "Warning: perplexity as loss" in forced.stderr


def test_two_sizes_are_refused_by_auto_and_left_to_the_law_otherwise() -> None:
    sizes, tokens = ("1e6", "4e6"), ("1e8", "3e8", "9e8", "3e9")
    rows = [
        f"{n},{d},{1.7 + 40 / float(n) ** 0.3 + 400 / float(d) ** 0.3}"
        for n in sizes
        for d in tokens
    ]
    table = HEAD + "\n".join(rows) + "\n"
    result = run("fit", "-", "--bootstrap", 0, stdin=table)
    assert result.exit_code == 4
    assert "Error: fewer than three sizes: There are 2 different values of params" in result.stderr
    named = run("fit", "-", "--law", "chinchilla", "--bootstrap", 0, stdin=table)
    assert named.exit_code == 4
    assert "NOT_IDENTIFIED" in named.stdout


def test_rows_that_repeat_each_other_are_called_out() -> None:
    lines = simulated_csv().splitlines()
    names = lines[0].split(",")
    bare = [",".join(c for n, c in zip(names, r.split(","), strict=True) if n != "run_id")
            for r in lines]  # fmt: skip
    result = run("runs", "-", stdin="\n".join([*bare, bare[1], bare[2]]) + "\n")
    assert "identical rows" in result.stdout


NAMES = ["\x1b[31mred\x1b[0m", "\u202egnp.exe", "line\tbreak", "\x07bell", "модель-δ-模型"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_cannot_steer_the_terminal(name: str) -> None:
    rows = [json.loads(line) for line in _jsonl()]
    table = "\n".join(json.dumps({**row, "corpus": name, "eval_set": name}) for row in rows)
    for words in (("runs", "-"), ("fit", "-", "--law", "chinchilla", "--bootstrap", 0)):
        result = run(*words, stdin=table)
        assert result.exit_code == 0
        shown = result.stdout + result.stderr
        assert not [c for c in shown if not c.isprintable() and c != "\n"]


def test_a_hostile_column_name_cannot_steer_the_terminal() -> None:
    table = simulated_csv().replace("loss", "\x1b]0;owned\x07score")
    result = run("runs", "-", stdin=table)
    shown = result.stdout + result.stderr
    assert not [c for c in shown if not c.isprintable() and c != "\n"]


def test_a_hostile_option_value_is_shown_escaped(tmp_path: Path) -> None:
    result = run("predict", "\x1b[31m", "--params", "7B")
    assert result.exit_code != 0
    assert "\x1b" not in result.stderr


def test_json_keeps_foreign_names_as_they_are() -> None:
    rows = [json.loads(line) for line in _jsonl()]
    table = "\n".join(json.dumps({**row, "модель": 1}, ensure_ascii=False) for row in rows)
    whole = json.loads(run("runs", "-", "--json", stdin=table).stdout)
    assert "модель" in whole["data"]["columns"]


def test_not_a_number_is_null_in_json() -> None:
    table = HEAD + "1e6,2e7,nan\n2e6,2e7,3.9\n3e6,2e7,3.8\n"
    text = run("backtest", "-", "--json", stdin=table).stdout
    assert "NaN" not in text
    assert json.loads(text)["ok"] is False


def _jsonl() -> list[str]:
    lines = simulated_csv().splitlines()
    names = lines[0].split(",")
    rows = (dict(zip(names, line.split(","), strict=True)) for line in lines[1:])
    return [json.dumps(row) for row in rows]
