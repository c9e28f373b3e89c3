"""DataComp-LM's model database: downstream scores of models that differ in their corpus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, github_file

if TYPE_CHECKING:
    import polars as pl

FILE = github_file(
    "mlfoundations/dclm",
    "361714bdd60bb9b7f4b2d8354cebbf0dec0c329e",
    "assets/DCLM_model_database.csv",
    727_132,
    "41ad7e91349a3d2b0caa0da3dd903d2d9f728bcabec17752fa1a10ae7e7c3e81",
)
SIZES = MappingProxyType({411_616_256: "400M", 1_439_795_200: "1B", 6_889_410_560: "7B"})
TASKS = (
    "mmlu_zeroshot",
    "mmlu_fewshot",
    "hellaswag_zeroshot",
    "hellaswag",
    "jeopardy",
    "triviaqa_sm_sub",
    "gsm8k",
    "arc_easy",
    "arc_challenge",
    "copa",
    "siqa",
    "commonsense_qa",
    "piqa",
    "openbook_qa",
    "lambada_openai",
    "winograd",
    "winogrande",
    "boolq",
    "squad",
    "coqa",
    "bigbench_qa_wikidata",
    "bigbench_dyck_languages",
    "bigbench_cs_algorithms",
    "bigbench_operators",
    "bigbench_repeat_copy_logic",
    "agi_eval_lsat_ar",
    "bigbench_language_identification",
)


def models(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per trained model; external models, whose size is not given, are left out."""
    import polars as pl

    raw = pl.read_csv(files[FILE.name], infer_schema_length=None).drop_nulls("params")
    params, tokens = pl.col("params").cast(pl.Int64), pl.col("tokens").cast(pl.Int64)
    scales = [
        f"{SIZES[n]}-{d / (20 * n):.1f}x"
        for n, d in raw.select(params, tokens).iter_rows()
    ]  # fmt: skip
    return raw.select(
        pl.col("Model JSON")
        .str.strip_prefix("evaluation_")
        .str.strip_suffix(".json")
        .alias("run_id"),
        pl.lit("dclm").alias("family"),
        params,
        tokens,
        pl.lit(2048, pl.Int64).alias("context_length"),
        (6.0 * params * tokens).alias("flops"),
        pl.col("Dataset").alias("data"),
        pl.lit(value=True).alias("is_final"),
        pl.col("model").alias("arch"),
        pl.col("Core").cast(pl.Float64).alias("core"),
        pl.col("Extended").cast(pl.Float64).alias("extended"),
        "_filename",
        pl.col(TASKS).cast(pl.Float64),
        pl.col(r"^perplexity\..*$").cast(pl.Float64),
        pl.Series("scale", scales),
    )


DATA = PublicData(
    key="dclm_models",
    title="DataComp-LM: 416 models of 400M, 1B and 7B on 275 corpora",
    citation="Li et al. (2024), DataComp-LM: In search of the next generation of training sets "
    "for language models, NeurIPS, arXiv:2406.11794",
    url="https://github.com/mlfoundations/dclm",
    licence="MIT",
    permissive=True,
    units="params: embeddings included; no loss; tasks: raw accuracy; core, extended: centred",
    files=(FILE,),
    tables={"models": Table(parse=models, rows=416, runs=416)},
    default_table="models",
    notes=(
        "perplexity.<task> is that of the task's answers, not of held-out text.",
        "One corpus may appear several times: seeds, settings.",
    ),
)
