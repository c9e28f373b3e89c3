"""What a planned run must be, and its TOML form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalewise.core.errors import RunDataError, UsageError
from scalewise.core.shape import ModelShape
from scalewise.runs.spec import RunSpec
from scalewise.runs.spec_file import read_specs, specs_from_toml, specs_to_toml

SHAPE = ModelShape(n_layer=2, d_model=64, n_head=4, vocab_size=256, context_length=128)
SPEC = RunSpec(
    run_id="tiny", shape=SHAPE, token_budgets=(65_536, 131_072), batch_tokens=4096, lr_peak=3e-3
)
MINIMAL = """
[[run]]
run_id = "tiny"
token_budgets = [65536, 131072]
batch_tokens = 4096
lr_peak = 3e-3
[run.shape]
n_layer = 2
d_model = 64
n_head = 4
vocab_size = 256
context_length = 128
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"token_budgets": ()}, r"token_budgets=\(\)"),
        ({"token_budgets": (131_072, 65_536)}, "ascending"),
        ({"token_budgets": (65_536, 65_536)}, "without repeats"),
        ({"schedule": "cosine"}, "Only 'wsd' can branch"),
        ({"batch_tokens": 100}, "not a multiple of context_length=128"),
        ({"token_budgets": (1024,)}, "less than one batch of 4096"),
        ({"lr_peak": 0.0}, "lr_peak=0.0"),
        ({"lr_peak": 10.0}, "lr_peak=10.0"),
        ({"decay_fraction": 0.0}, "decay_fraction=0.0"),
        ({"decay_fraction": 1.5}, "decay_fraction=1.5"),
    ],
)
def test_an_impossible_run_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        replace(SPEC, **change)
    assert error.value.hint


def test_tokens_and_steps_are_of_the_longest_budget() -> None:
    assert (SPEC.tokens, SPEC.steps) == (131_072, 32)


def test_the_fingerprint_depends_on_everything_and_on_nothing_else() -> None:
    assert SPEC.fingerprint == replace(SPEC).fingerprint
    others = [
        replace(SPEC, seed=1),
        replace(SPEC, lr_peak=2e-3),
        replace(SPEC, shape=replace(SHAPE, n_layer=3)),
        replace(SPEC, token_budgets=(65_536,)),
    ]
    assert len({SPEC.fingerprint, *(spec.fingerprint for spec in others)}) == 5


@given(
    st.lists(
        st.builds(
            replace,
            st.just(SPEC),
            run_id=st.text(st.characters(codec="utf-8"), max_size=20),
            lr_peak=st.floats(1e-9, 9.0),
            seed=st.integers(0, 2**31),
            schedule=st.just("wsd"),
            shape=st.builds(replace, st.just(SHAPE), gated_mlp=st.booleans()),
            corpus=st.text(st.characters(codec="utf-8"), max_size=20),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda spec: spec.run_id,
    )
)
def test_specs_survive_their_toml_form(specs: list[RunSpec]) -> None:
    assert specs_from_toml(specs_to_toml(specs)) == tuple(specs)


def test_a_file_with_defaults_left_out_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "ladder.toml"
    path.write_text(MINIMAL)
    assert read_specs(path) == (SPEC,)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lr_peak = 3e-3", "lr_peek = 3e-3", r"unknown key 'lr_peek'. Did you mean 'lr_peak'"),
        ("n_head = 4", "n_heads = 4", r"shape of run 1 .* 'n_heads'. Did you mean 'n_head'"),
        ("[[run]]", "[[runs]]", r"unknown key 'runs'. Did you mean 'run'"),
        ("[[run]]", "[run]", "Write \\[\\[run\\]\\], in two brackets"),
        ("lr_peak = 3e-3", "", "run 1 of .* lacks lr_peak"),
        ("[run.shape]", "[run.form]", "unknown key 'form'|has no shape"),
        ("lr_peak = 3e-3", 'lr_peak = "3e-3"', "lr_peak = '3e-3'. It must be a number"),
        ("n_layer = 2", "n_layer = 2.5", "n_layer = 2.5. It must be a whole number"),
        ("n_layer = 2", "n_layer = true", "n_layer = True. It must be a whole number"),
        ("n_layer = 2", "gated_mlp = 1\nn_layer = 2", "It must be true or false"),
        ("lr_peak = 3e-3", 'lr_peak = 3e-3\nschedule = "wds"', "must be 'constant', 'wsd'"),
        ("[65536, 131072]", "65536", "must be a list of whole numbers"),
        ("[65536, 131072]", "[65536, 131072.5]", "131072.5. It must be a whole number"),
        ("lr_peak = 3e-3", "lr_peak = nan", "lr_peak=nan"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "ladder.toml"
    path.write_text(MINIMAL.replace(old, new, 1))
    with pytest.raises(UsageError, match=message):
        read_specs(path)


def test_a_whole_number_may_be_written_with_an_exponent() -> None:
    (spec,) = specs_from_toml(MINIMAL.replace("131072", "1.31072e5"))
    assert spec == SPEC
    assert all(type(budget) is int for budget in spec.token_budgets)


def test_two_runs_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="more than one run 'tiny'"):
        specs_from_toml(MINIMAL + MINIMAL)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "plans no runs"), (b"[[run", "is not TOML"), (b"\xff\xfe", "cannot be read")],
)
def test_an_unreadable_file_is_a_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "ladder.toml"
    path.write_bytes(content)
    with pytest.raises(RunDataError, match=message):
        read_specs(path)
    with pytest.raises(RunDataError, match="There is no file"):
        read_specs(tmp_path / "other.toml")


def test_the_fingerprint_is_blind_to_how_the_path_of_the_corpus_is_written() -> None:
    paths = ("text.txt", "./text.txt", "data/text.txt", "../data/text.txt", "/text.txt")
    assert len({replace(SPEC, corpus=path).fingerprint for path in paths}) == 1
    assert (
        replace(SPEC, corpus="other.txt").fingerprint
        != replace(SPEC, corpus="text.txt").fingerprint
    )
    # As it was before: folders of runs on the embedded text keep their names.
    assert SPEC.fingerprint == "8830c20aa1ba4667"
