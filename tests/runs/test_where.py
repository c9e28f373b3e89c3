"""Conditions on rows: what they select, and all that they refuse."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalewise.core.errors import FormulaError, RunDataError, ScalewiseError
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

RUNS = read_runs(
    {
        "run_id": ["a", "b", "c", "d"],
        "params": [1_000_000, 500_000_000, 7_000_000_000, 2_000_000],
        "tokens": [20_000_000, 5_000_000_000, 140_000_000_000, 40_000_000],
        "loss": [4.0, 3.0, 2.0, float("nan")],
        "corpus": ["c4", "pile", "c4", "it's 7B"],
        "seed": [3, 1, None, 2],
        "is_final": [True, True, False, True],
    }
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("params < 1e9 and tokens_per_param >= 20", "ad"),
        ("params < 7B", "abd"),
        ("params <= 7B and tokens > 100 * 1M", "bc"),
        ("1M < params <= 0.5B", "bd"),
        ("corpus == 'c4'", "ac"),
        ("corpus != 'c4'", "bd"),
        ('corpus == "it\'s 7B"', "d"),
        ("not (seed == 3)", "bd"),
        ("run_id in ('a', 'b')", "ab"),
        ("run_id not in ['a', 'b']", "cd"),
        ("params in (1M, 7B)", "ac"),
        ("is_final", "abd"),
        ("not is_final or params == 1M", "ac"),
        ("is_final == False", "c"),
        ("loss > 2.5", "ab"),
        ("not loss > 2.5", "c"),
        ("tokens / params > 15 and -loss < -3", "a"),
        ("loss + 1 == 4 and +params - 1 > 0", "b"),
    ],
)
def test_a_condition_keeps_the_rows_it_holds_for(text: str, kept: str) -> None:
    assert "".join(RUNS.where(text).text("run_id")) == kept


def test_a_filter_is_recorded_with_its_count() -> None:
    filtered = read_runs(RUNS, where="is_final")
    assert filtered.assumptions[-1] == "where is_final: 3 of 4 rows kept"
    assert filtered.sha256 != RUNS.sha256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loss.mean", "'loss.mean' is not allowed"),
        ("__import__('os').system('true')", "is not allowed"),
        ("open('x')", "is not allowed"),
        ("params[0] > 1", "is not allowed"),
        ("(lambda: True)()", "is not allowed"),
        ("f'{loss}' == 'x'", "is not allowed"),
        ("[x for x in (1, 2)]", "is not allowed"),
        ("(x := 3) > 1", "is not allowed"),
        ("loss if is_final else 3", "is not allowed"),
        ("10 ** 10 ** 10 > params", "is not allowed"),
        ("params // 2 > 1", "is not allowed"),
        ("(params > 1) & is_final", "Write 'and' and 'or'"),
        ("loss is None", "not a comparison|None is not allowed"),
        ("b'c4' == corpus", "is not allowed"),
        ("... == 3", "Ellipsis is not allowed"),
        ("parms > 1", "Did you mean 'params'"),
        ("corpus == c4", "Text stands in quotes"),
        ("params = 3", "Write == to compare"),
        ("", "cannot be read"),
        ("params >", "cannot be read"),
        ("params", "is a number, not true or false"),
        ("'c4'", "is text, not true or false"),
        ("corpus < 3", "'3' is a number where text is needed"),
        ("params == '1M'", "is text where a number is needed"),
        ("is_final > True", "not a comparison that is allowed"),
        ("is_final and params", "'params' is a number where a condition is needed"),
        ("corpus in 'c4'", "no list to look in"),
        ("corpus in ()", "no list to look in"),
        ("params > 1" + "0" * 400, r"1\.00e\+400 is too large a number"),
        ("is_final\x00", "cannot be read"),
        ("params > 1 or " * 200 + "is_final", "at most 1000 are read"),
        ("not " * 200 + "is_final", "nested more than 40 deep"),
        ("(" * 300 + "is_final" + ")" * 300, "cannot be read"),
        ("loss" + ".a" * 480, "is not allowed"),
        ("- " * 450 + "loss > 1", "nested more than 40 deep|cannot be read"),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message) as error:
        RUNS.where(text)
    assert error.value.hint


def test_a_condition_that_holds_for_no_row_is_an_error() -> None:
    with pytest.raises(RunDataError, match="No row satisfies 'params > 1T'; the table has 4"):
        RUNS.where("params > 1T")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="loss params()[]{}'\"<>=!and or not in 7B.,_+-*/\\\n:@#", max_size=60))
def test_any_text_is_answered_or_refused_as_a_deliberate_error(text: str) -> None:
    try:
        answer = RUNS.where(text)
    except ScalewiseError:
        return
    assert isinstance(answer, RunTable)
