"""ColPret's families, from the files of four sources."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from scalewise.sources.public import chinchilla_epoch, datablations, gpt3_curves
from scalewise.sources.public.catalogue import as_runs
from scalewise.sources.public.colpret import DATA, OPT, PYTHIA, PYTHIA_NAME
from tests.shared_data import shared_table
from tests.sources.public.rebuilt import shared, written

# What perf_slim.csv.gz rounds to.
DIGITS = 1e-9


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("colpret")
    curves = shared("large_runs_colpret/curves.parquet").filter(pl.col("family") == "opt")
    opt = curves.select(
        model_size=pl.col("run_id").str.strip_prefix("opt-"),
        num_token=pl.col("tokens").log10(),
        ppl=pl.col("loss").exp(),
    )
    raw = shared("gpt3_curves/raw.parquet").with_columns(step=pl.col("tokens") / 1e9)
    kinds = {
        f"{kind}_loss": pl.when(pl.col("eval_set") == kind).then("loss")
        for kind in ("train", "val")
    }
    gpt3 = raw.select("model", "step", **kinds)
    chinchilla = shared("chinchilla_epoch/points.parquet").select(
        "x", "y", "color", pl.col("params").alias("Model Size"),
        pl.col("flops").alias("Training FLOP"), "hex_color", "loss",
    )  # fmt: skip
    gpt2 = shared("datablations/trajectories.parquet").select(
        "data", "loss", "checkpoint",
        pl.col("max_epochs").alias("epochs"),
        pl.col("tokens").alias("token_num"),
        pl.col("run_id").str.split("|").list.get(2).alias("num_params"),
        pl.col("unique_tokens").alias("tokens_per_epoch"),
    )  # fmt: skip
    frames = {
        OPT.name: opt,
        gpt3_curves.FILE.name: gpt3,
        chinchilla_epoch.FILE.name: chinchilla,
        datablations.CURVES.name: gpt2,
    }
    paths = {name: written(folder, name, frame.write_csv()) for name, frame in frames.items()}
    return paths | pythia(folder)


def pythia(folder: Path) -> dict[str, Path]:
    evals = shared("pythia_evals/evals.parquet").filter(pl.col("shots") == "zero-shot")
    known = {(row["run_id"], row["step"]): row["lambada_openai/ppl"] for row in evals.to_dicts()}
    paths = {}
    for file in PYTHIA:
        found = PYTHIA_NAME.fullmatch(file.name.removeprefix("pythia/"))
        assert found is not None
        run = file.name.split("/")[3]
        names = (run, run.removesuffix("-bf16"))
        ppl = next(known[n, int(found["step"])] for n in names if (n, int(found["step"])) in known)
        text = json.dumps({"results": {"lambada_openai": {"ppl": ppl}}})
        paths[file.name] = written(folder, file.name, text)
    return paths


def authors(families: list[str]) -> pl.DataFrame:
    table = pl.read_csv(shared_table("colpret/perf_slim.csv.gz"), infer_schema_length=None).rename(
        {"N": "params", "D": "tokens"}
    )
    return table.filter(pl.col("family").is_in(families))


def test_files_rebuilt_from_the_tidied_tables_give_the_authors_scores(
    files: dict[str, Path],
) -> None:
    got = DATA.tables["perf"](files)
    assert got.height == DATA.tables["perf"].rows
    assert got["model"].n_unique() == DATA.tables["perf"].runs
    columns = ["family", "model", "params", "tokens", "perf"]
    order = ["family", "model", "tokens", "perf"]
    theirs = authors(got["family"].unique().to_list())
    # Old names and one five-shot set of the deduplicated Pythia have no pinned file.
    theirs = theirs.join(got.select("model").unique(), on="model", how="semi")
    extra = theirs.filter(pl.col("model") == "pythia-6.9b-deduped").height - 26
    assert theirs.height - got.height == extra == 15
    most = pl.col("model") != "pythia-6.9b-deduped"
    assert_frame_equal(
        got.filter(most).select(columns).sort(order),
        theirs.filter(most).select(columns).sort(order),
        rel_tol=DIGITS,
        abs_tol=0.0,
    )


def test_the_loss_is_in_nats_whatever_the_score_is(files: dict[str, Path]) -> None:
    got = DATA.tables["perf"](files)
    bounds = got.group_by("unit").agg(
        pl.col("loss").min().alias("low"), pl.col("perf").max().alias("high")
    )
    assert set(bounds["unit"]) == {"nats", "perplexity", "log2 perplexity"}
    opt = got.filter(pl.col("family") == "OPT")
    assert opt["perf"].to_numpy().max() > 60
    assert opt["loss"].max() == pytest.approx(4.2124631629)


def test_models_become_runs(files: dict[str, Path]) -> None:
    runs = as_runs(DATA, "perf", DATA.tables["perf"](files))
    assert runs.run_count == DATA.tables["perf"].runs
    assert runs.column("flops").max() == pytest.approx(6 * 175e9 * 300e9, rel=0.01)
