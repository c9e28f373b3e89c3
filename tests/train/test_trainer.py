"""The loop itself: what it learns, what it writes, and how it gives up."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from scalewise.core import counting
from scalewise.core.errors import UsageError
from scalewise.train.learner import Learner, device_named
from scalewise.train.measure import standard_error
from scalewise.train.run_folder import RunFolder
from scalewise.train.schedule import total_updates
from scalewise.train.shape import shape_from_width
from scalewise.train.tokenizer import TokenizedCorpus
from scalewise.train.trainer import train_run
from tests.train.small_runs import outcome, small_spec, small_tokens


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokenizedCorpus:
    return small_tokens(tmp_path_factory.mktemp("corpus"))


def test_a_tiny_text_is_learnt_by_heart(tmp_path: Path) -> None:
    text = np.frombuffer(b"all work and no play makes a dull toy. " * 200, np.uint8)
    tokens = TokenizedCorpus(
        name="dull",
        fingerprint="f",
        tokenizer="bytes",
        vocab_size=256,
        bytes_per_token=1.0,
        train=text,
        val=text[:1000],
    )
    spec = small_spec(shape=shape_from_width(32, context_length=32), token_budgets=(38_400,))
    final = train_run(spec, tokens, tmp_path)[-1]
    assert final["loss"] < 0.15
    assert final["train_loss"] < 0.5


def test_every_budget_ends_in_a_decayed_model_and_the_trunk_in_a_curve(
    tmp_path: Path, tokens: TokenizedCorpus
) -> None:
    spec = small_spec()
    rows = train_run(spec, tokens, tmp_path)
    finals = [row for row in rows if row["is_final"]]
    curve = [row for row in rows if not row["is_final"]]
    assert [row["tokens"] for row in finals] == list(spec.token_budgets)
    assert all(row["is_annealed"] and row["lr"] < spec.lr_peak / 4 for row in finals)
    assert all(late["loss"] < early["loss"] for early, late in pairwise(finals))
    assert [row["step"] for row in curve] == sorted(row["step"] for row in curve)
    assert all(row["lr"] == spec.lr_peak and not row["is_annealed"] for row in curve)
    assert len(curve) == spec.eval_points
    keys = {(row["run_id"], row["tokens"], row["eval_set"], row["is_annealed"]) for row in rows}
    assert len(keys) == len(rows)


def test_a_row_counts_parameters_tokens_and_flops_and_names_what_it_was_measured_on(
    tmp_path: Path, tokens: TokenizedCorpus
) -> None:
    spec = small_spec(family="tiny")
    row = train_run(spec, tokens, tmp_path)[-1]
    assert row["params"] == counting.params(spec.shape)
    assert row["params_nonembed"] == counting.params_nonembed(spec.shape)
    assert row["tokens"] == row["step"] * row["batch_tokens"] == 16_384
    assert row["flops"] == 6.0 * row["params"] * row["tokens"]
    assert (row["flop_rule"], row["status"], row["family"]) == ("6nd", "ok", "tiny")
    assert row["corpus_fingerprint"] == tokens.fingerprint
    assert row["eval_set"] == f"{tokens.name}:val"
    assert train_run(spec, tokens, tmp_path)[0]["eval_set"] == f"{tokens.name}:val[:256]"


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
def test_other_schedules_end_in_one_final_row(
    schedule: str, tmp_path: Path, tokens: TokenizedCorpus
) -> None:
    rows = train_run(small_spec(schedule=schedule, token_budgets=(8_192,)), tokens, tmp_path)
    assert [row["is_final"] for row in rows] == [False] * 5 + [True]
    assert rows[-1]["is_annealed"] == (schedule != "constant")
    assert rows[-1]["step"] == 64


def test_a_diverging_run_is_a_status_and_no_exception(
    tmp_path: Path, tokens: TokenizedCorpus
) -> None:
    spec = small_spec(lr_peak=9.0)
    rows = train_run(spec, tokens, tmp_path)
    assert rows[-1]["status"] == "diverged"
    assert rows[-1]["step"] < total_updates(spec)
    assert RunFolder(tmp_path, spec).outcome()["status"] == "diverged"
    assert train_run(spec, tokens, tmp_path) == rows


def test_a_loss_that_is_not_a_number_is_written_as_nothing(
    tmp_path: Path, tokens: TokenizedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(learner: Learner, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return np.full(inputs.shape, np.nan)

    monkeypatch.setattr(Learner, "losses", poisoned)
    monkeypatch.setattr(Learner, "mean_train_loss", lambda self: math.nan)
    rows = train_run(small_spec(), tokens, tmp_path)
    assert [(row["status"], row["loss"]) for row in rows[-1:]] == [("diverged", None)]


def test_two_runs_of_one_spec_are_equal_to_the_bit_and_another_seed_is_not(
    tmp_path: Path, tokens: TokenizedCorpus
) -> None:
    spec = small_spec(token_budgets=(4_096,))
    other = replace(spec, seed=1)
    for queue, chosen in (("a", spec), ("b", spec), ("c", other)):
        train_run(chosen, tokens, tmp_path / queue)
    assert outcome(tmp_path / "a", spec) == outcome(tmp_path / "b", spec)
    assert outcome(tmp_path / "a", spec)[0] != outcome(tmp_path / "c", other)[0]


def test_a_branch_leaves_the_trunk_as_it_was(tmp_path: Path, tokens: TokenizedCorpus) -> None:
    one, many = small_spec(token_budgets=(16_384,)), small_spec()
    train_run(one, tokens, tmp_path / "one")
    train_run(many, tokens, tmp_path / "many")
    assert outcome(tmp_path / "one", one)[0] == outcome(tmp_path / "many", many)[0]


def test_bfloat16_trains_too(tmp_path: Path, tokens: TokenizedCorpus) -> None:
    spec = small_spec(precision="bf16", token_budgets=(8_192,))
    rows = train_run(spec, tokens, tmp_path / "bf16")
    plain = train_run(replace(spec, precision="fp32"), tokens, tmp_path / "fp32")
    assert rows[-1]["loss"] == pytest.approx(plain[-1]["loss"], rel=0.02)
    assert rows[-1]["loss"] != plain[-1]["loss"]


def test_tokens_of_another_vocabulary_are_refused(tmp_path: Path, tokens: TokenizedCorpus) -> None:
    spec = small_spec(shape=shape_from_width(16, vocab_size=300, context_length=32))
    with pytest.raises(UsageError, match="has vocab_size=300 and tokenizer 'bytes'"):
        train_run(spec, tokens, tmp_path)


def test_an_absent_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError, match="no GPU is visible"):
        device_named("cuda")


def test_the_standard_error_sees_that_neighbours_err_together() -> None:
    draws = np.random.default_rng(0)
    by_block = np.repeat(draws.normal(size=64), 16)[:, None] + np.zeros((1024, 8))
    alone = draws.normal(size=(1024, 8))
    assert standard_error(by_block) == pytest.approx(1 / 8, rel=0.3)
    assert standard_error(alone) == pytest.approx(1 / 8192**0.5, rel=0.3)
