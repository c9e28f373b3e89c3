from __future__ import annotations

import polars as pl
import pytest

from scalewise.core.errors import LawError, UsageError
from scalewise.fit.storage import published_fit
from scalewise.plan.approaches import approaches
from scalewise.runs.read import read_runs
from tests.plan.isoflop_runs import EXPONENT, best_size, curves, isoflop_runs


def test_all_approaches_that_the_data_allow_run_and_the_rest_say_why_not() -> None:
    found = approaches(isoflop_runs(noise=0.002), 1e23, bootstrap=40)
    assert [e.key for e in found.entries] == ["pareto", "parabola", "additive", "law"]
    (missing,) = found.not_run
    assert missing.key == "envelope"
    assert "two checkpoints" in missing.reason
    law = found.entries[-1]
    assert law.a.value == pytest.approx(EXPONENT, abs=0.03)
    assert law.params.low < best_size(1e23) < law.params.high
    assert found.extrapolation == pytest.approx(100, rel=0.01)


def test_the_disagreement_says_where_and_by_how_much() -> None:
    found = approaches(isoflop_runs(noise=0.002), 1e23, bootstrap=40)
    assert "In the middle of the data (3.16e19 FLOP)" in found.disagreement
    assert "100 times beyond the runs" in found.disagreement
    assert "a factor of" in found.disagreement


def test_a_law_from_elsewhere_disagrees_and_the_reason_is_told() -> None:
    found = approaches(
        isoflop_runs(noise=0.001), 1e23, result=published_fit("hoffmann2022"), bootstrap=40
    )
    assert "The intervals do not overlap." in found.disagreement
    assert "The law shares one E, A and B" in found.disagreement


def test_a_law_in_another_count_is_not_compared() -> None:
    found = approaches(
        isoflop_runs(), 1e22, result=published_fit("kaplan2020-overfit"), bootstrap=0
    )
    law = next(n for n in found.not_run if n.key == "law")
    assert "counts params_nonembed, not params" in law.reason


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="flops=0 is no compute budget"):
        approaches(isoflop_runs(), 0)


def test_a_law_is_stated_in_the_count_that_is_optimised() -> None:
    runs = read_runs(isoflop_runs().frame.rename({"params": "params_nonembed"}).drop("flops"))
    found = approaches(runs, 1e22, size="params_nonembed", bootstrap=0)
    assert found.entries[-1].title.endswith("(chinchilla@params_nonembed)")


def test_curves_on_an_evaluation_of_their_own_are_used_and_that_is_said() -> None:
    finals, checkpoints = isoflop_runs().frame, curves().frame
    both = pl.concat(
        [finals.with_columns(eval_set=pl.lit("full")),
         checkpoints.with_columns(eval_set=pl.lit("part"))], how="diagonal_relaxed"
    )  # fmt: skip
    found = approaches(read_runs(both.filter(pl.col("loss") < 20)), 1e22, bootstrap=0)
    envelope = found.entries[0]
    assert envelope.key == "envelope"
    assert any("the curves are those of 'part'" in note for note in envelope.notes)


def test_a_law_that_is_none_is_refused_before_anything_runs() -> None:
    with pytest.raises(LawError, match="Did you mean 'chinchilla'"):
        approaches(isoflop_runs(), 1e22, law="chinchila", bootstrap=0)


def test_a_level_that_is_no_probability_is_refused() -> None:
    with pytest.raises(UsageError, match=r"level=1\.5 is not a probability"):
        approaches(isoflop_runs(), 1e22, level=1.5)


def test_the_ratio_at_the_budget_has_the_interval_of_both_counts() -> None:
    law = approaches(isoflop_runs(noise=0.002), 1e23, bootstrap=20).entries[-1]
    ratio = law.tokens_per_param
    assert ratio.low < ratio.value < ratio.high
    assert ratio.low == pytest.approx(law.tokens.low / law.params.high)


def test_another_rule_of_flops_is_a_reason_to_disagree() -> None:
    frame = isoflop_runs(noise=0.002).frame
    dearer = read_runs(frame.with_columns(flops=1.4 * pl.col("flops")))
    found = approaches(dearer, 1e23, bootstrap=20)
    note = "The law is minimised under C = 6 N D; the table's flops are 1.4 times that"
    assert any(note in told for told in found.entries[-1].notes)
    plain = approaches(read_runs(frame), 1e23, bootstrap=20).entries[-1]
    assert not any("minimised under" in told for told in plain.notes)
