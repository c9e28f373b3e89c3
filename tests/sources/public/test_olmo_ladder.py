"""The OLMo ladder: one CSV per run, losses and task scores side by side."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from scalewise.sources.public.olmo_ladder import DATA, GROUPS, PARAMS, VOCABULARY, WIDTHS
from tests.sources.public.rebuilt import assert_same, proven, shared, written

# Two rows and eight columns of 190M-1xC.csv (Apache-2.0).
HEAD = (
    "_step,eval/c4_en-validation/CrossEntropyLoss,eval/wikitext_103-validation/CrossEntropyLoss,"
    "eval/downstream_bpb/mmlu_stem_val_rc_5shot_bpb,throughput/total_tokens,"
    "throughput/total_training_Gflops,optim/learning_rate_group0,learning_rate_peak,"
    "batch_size_in_tokens"
)
ROWS = (
    "200,6.029934883117676,6.812470436096191,3.5889554023742676,104857600.0,199585036.4485632,"
    "0.0005359385778077217,0.000972728518721015,524288",
    "7272,3.600973129272461,3.3874969482421875,2.358955144882202,3812622336.0,7256911925.269758,"
    "9.72728518721015e-05,0.000972728518721015,524288",
)
NAME = "src/scripts/paper/data/ladder-runs/190M-1xC.csv"


@pytest.fixture
def excerpt(tmp_path: Path) -> dict[str, Path]:
    return {NAME: written(tmp_path, NAME, "\n".join((HEAD, *ROWS)))}


def test_an_excerpt_reads_as_the_rows_of_the_tidied_table(excerpt: dict[str, Path]) -> None:
    losses = shared("olmo_ladder/losses_ladder.parquet").filter(
        pl.col("run_id") == "olmo-190M-1xC",
        pl.col("eval_set").is_in(["c4_en", "wikitext_103"]),
        pl.col("step").is_in([200.0, 7272.0]),
    )
    assert DATA.tables["losses"](excerpt).equals(losses)
    scores = shared("olmo_ladder/downstream_ladder.parquet").filter(
        pl.col("run_id") == "olmo-190M-1xC", pl.col("step").is_in([200.0, 7272.0])
    )
    got = DATA.tables["downstream"](excerpt)
    assert got.equals(scores.select(got.columns))


def test_params_count_one_vocabulary_matrix_and_params_nonembed_none(
    excerpt: dict[str, Path],
) -> None:
    row = DATA.tables["losses"](excerpt).row(0, named=True)
    assert row["params"] - row["params_nonembed"] == VOCABULARY * WIDTHS["190M"]
    assert WIDTHS.keys() == PARAMS.keys()


def test_only_the_last_row_of_a_run_is_final_and_annealed_to_a_tenth(
    excerpt: dict[str, Path],
) -> None:
    table = DATA.tables["losses"](excerpt)
    final = table.filter("is_final")
    assert final["step"].unique().to_list() == [7272.0]
    assert (final["lr_now"] / final["lr"]).to_list() == pytest.approx([0.1, 0.1])


def test_flops_are_floats_because_they_outgrow_64_bit_integers(excerpt: dict[str, Path]) -> None:
    flops = DATA.tables["losses"](excerpt)["flops"]
    assert flops.dtype == pl.Float64
    assert flops.max() == 7.256911925269758e18


def as_published(raw: pl.DataFrame, size: int) -> bytes:
    """A run's file; in some, or in their later rows, the tokens stand without their ``.0``."""
    rows = [list(map(str, row)) for row in raw.rows()]
    lines = [",".join(cells) for cells in (raw.columns, *rows)]
    surplus = sum(len(line) + len("\r\n") for line in lines) - size
    tokens = raw.columns.index("throughput/total_tokens")
    for cells in rows[len(rows) - surplus // len(".0") :]:
        cells[tokens] = cells[tokens].removesuffix(".0")
    lines = [",".join(cells) for cells in (raw.columns, *rows)]
    return "".join(f"{line}\r\n" for line in lines).encode()


def test_the_published_files_made_again_to_the_byte_read_as_the_tidied_tables(
    tmp_path: Path,
) -> None:
    scores = shared("olmo_ladder/downstream_ladder.parquet")
    losses = shared("olmo_ladder/losses_ladder.parquet")
    files = {}
    for file in DATA.files:
        run = "olmo-" + file.name.rsplit("/", 1)[-1].removesuffix(".csv")
        rows = scores.filter(pl.col("run_id") == run)
        curves = losses.filter(pl.col("run_id") == run)
        columns = [rows["step"].cast(pl.Int64).alias("_step")]
        columns += [
            curves.filter(pl.col("eval_set") == corpus)["loss"].alias(
                f"eval/{corpus}-validation/CrossEntropyLoss"
            )
            for corpus in curves["eval_set"].unique(maintain_order=True)
        ]
        columns += [
            rows[name].alias(folder + name.removeprefix(short))
            for folder, short in GROUPS.items()
            for name in rows.columns
            if name.startswith(short)
        ]
        columns += [
            rows["tokens"].alias("throughput/total_tokens"),
            pl.Series("throughput/total_training_Gflops", [c / 1e9 for c in rows["flops"]]),
            rows["lr_now"].alias("optim/learning_rate_group0"),
            rows["lr"].alias("learning_rate_peak"),
            rows["batch_tokens"].alias("batch_size_in_tokens"),
        ]
        files[file.name] = proven(tmp_path, file, as_published(pl.DataFrame(columns), file.bytes))
    assert_same(DATA, "losses", files, losses)
    assert_same(DATA, "downstream", files, scores)
