from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError, UsageError
from scalewise.runs.spec_file import specs_to_toml
from scalewise.train.ladder import live_ladder
from scalewise.train.ladder_file import read_ladder, read_plan

LADDER = 'name = "mine"\nwidths = [16, 32]\ntoken_budgets = ["0.5M", "1M"]\nseeds = [0, 1]\n'


def test_a_plan_is_a_ladder_or_a_list_of_runs(tmp_path: Path) -> None:
    ladder, runs = tmp_path / "ladder.toml", tmp_path / "runs.toml"
    ladder.write_text(LADDER)
    runs.write_text(specs_to_toml(live_ladder()))
    assert read_plan(ladder) == read_ladder(ladder)
    assert len(read_plan(ladder)) == 4
    assert read_plan(runs) == live_ladder()


def test_a_plan_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(RunDataError, match="There is no file"):
        read_plan(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("widths = [16,")
    with pytest.raises(RunDataError, match="is not TOML"):
        read_plan(broken)


def test_a_misspelt_field_of_a_ladder_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "ladder.toml"
    path.write_text(LADDER + "sedes = [1]\n")
    with pytest.raises(UsageError, match="'sedes'"):
        read_plan(path)


def test_a_named_corpus_is_not_looked_up_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ladder.toml"
    path.write_text(LADDER + 'corpus = "hf:owner/name"\n')
    assert {spec.corpus for spec in read_plan(path)} == {"hf:owner/name"}
    path.write_text(LADDER + 'corpus = "texts"\n')
    assert {spec.corpus for spec in read_plan(path)} == {str(tmp_path / "texts")}


def test_a_misspelt_field_is_named_before_the_one_that_it_stands_for(tmp_path: Path) -> None:
    path = tmp_path / "ladder.toml"
    path.write_text('widths = [16]\ntoken_budget = ["1M"]\n')
    with pytest.raises(UsageError, match="'token_budget'"):
        read_plan(path)
