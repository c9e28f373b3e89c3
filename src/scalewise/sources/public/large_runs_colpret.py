"""Whole loss curves of single large runs, as the ColPret project gathered them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, github_files, read_rows

if TYPE_CHECKING:
    import polars as pl

OPT = "aggregated_eval/opt_trajectories.csv"
K2 = "aggregated_eval/K2.csv"
MAMBA = "aggregated_eval/llm360Mamba3B.csv"
OLMO = "aggregated_eval/olmo.csv"

COLUMNS = ("run_id", "family", "params", "tokens", "step", "lr", "loss", "eval_set", "flops",
           "data")  # fmt: skip
MAMBA_TOKENS_PER_STEP = 500e9 / 176_703  # ColPret's assumption: 500B tokens, evenly spread
MAMBA_FIRST_STEP = 164
MAMBA_WINDOW = 40  # logged points in one median
K2_STRIDE = 4
OLMO_BATCH = 2048 * 2048
HELD_OUT = "-validation/CrossEntropyLoss"


def size_of(text: pl.Expr) -> pl.Expr:
    """``125m`` and ``7B`` as numbers."""
    import polars as pl

    unit = text.str.to_lowercase().str.slice(-1).replace_strict({"m": 1e6, "b": 1e9})
    number = text.str.slice(0, text.str.len_chars() - 1).cast(pl.Float64)
    return number * unit.cast(pl.Float64)


def _select(frame: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    import polars as pl

    kinds = {"run_id": pl.String, "family": pl.String, "eval_set": pl.String, "data": pl.String}
    return frame.select(
        columns.get(name, pl.lit(None)).cast(kinds.get(name, pl.Float64)).alias(name)
        for name in COLUMNS
    )


def opt(path: Path) -> pl.DataFrame:
    """Six OPT models; perplexity and log10 of tokens as listed."""
    import polars as pl

    raw = pl.read_csv(path).with_columns(
        params=size_of(pl.col("model_size")), tokens=10.0 ** pl.col("num_token")
    )
    return _select(
        raw,
        run_id=pl.format("opt-{}", "model_size"),
        family=pl.lit("opt"),
        params=pl.col("params"),
        tokens=pl.col("tokens"),
        step=pl.col("steps"),
        loss=pl.col("ppl").log(),
        eval_set=pl.lit("validation perplexity (Xia et al. 2023)"),
        flops=6.0 * pl.col("params") * pl.col("tokens"),
        data=pl.lit("OPT corpus (RoBERTa+Pile+Reddit)"),
    )


def k2(path: Path) -> pl.DataFrame:
    """Every fourth logged training loss of K2-65B, the untrained model left out."""
    import polars as pl

    raw = pl.read_csv(
        path, columns=["index", "k2 training - lm loss", "tokens_seen"], infer_schema_length=None
    )
    thinned = raw.filter((pl.col("index") % K2_STRIDE == 0) & (pl.col("tokens_seen") > 0))
    return _select(
        thinned,
        run_id=pl.lit("k2-65b"),
        family=pl.lit("llm360"),
        params=pl.lit(65e9),
        tokens=pl.col("tokens_seen"),
        loss=pl.col("k2 training - lm loss"),
        eval_set=pl.lit("train"),
        data=pl.lit("K2 (TxT360 mix)"),
    )


def mamba(path: Path) -> pl.DataFrame:
    """Medians over windows of 40 logged points of Mamba-3B."""
    import polars as pl

    raw = pl.read_csv(path, infer_schema_length=None).filter(pl.col("step") >= MAMBA_FIRST_STEP)
    window = pl.int_range(pl.len()) // MAMBA_WINDOW
    medians = raw.group_by(window.alias("window"), maintain_order=True).agg(
        pl.col("step", "lr", "loss").median()
    )
    return _select(
        medians,
        run_id=pl.lit("llm360-mamba-3b"),
        family=pl.lit("llm360"),
        params=pl.lit(3e9),
        tokens=pl.col("step") * MAMBA_TOKENS_PER_STEP,
        step=pl.col("step"),
        lr=pl.col("lr"),
        loss=pl.col("loss"),
        eval_set=pl.lit("train"),
        data=pl.lit("Amber data (RefinedWeb+RedPajama+StarCoder)"),
    )


def olmo(path: Path) -> pl.DataFrame:
    """Three OLMo-1 models on every corpus they were validated on."""
    import polars as pl

    raw = read_rows(path)
    held_out = [name for name in raw.columns if name.endswith(HELD_OUT)]
    long = raw.unpivot(
        on=held_out, index=["Step", "model_name", "num_params"], value_name="loss"
    ).drop_nulls("loss")
    return _select(
        long,
        run_id=pl.col("model_name"),
        family=pl.lit("olmo1"),
        params=size_of(pl.col("num_params")),
        tokens=pl.col("Step") * float(OLMO_BATCH),
        step=pl.col("Step"),
        loss=pl.col("loss"),
        eval_set=pl.col("variable").str.strip_suffix(HELD_OUT),
        data=pl.lit("Dolma"),
    )


def curves(files: Mapping[str, Path]) -> pl.DataFrame:
    """All eleven runs, one after another."""
    import polars as pl

    return pl.concat([
        opt(files[OPT]), k2(files[K2]), mamba(files[MAMBA]), olmo(files[OLMO])
    ])  # fmt: skip


def olmo1_downstream(files: Mapping[str, Path]) -> pl.DataFrame:
    """OLMo-1's accuracies as logged in training, also those above 1."""
    import polars as pl

    raw = read_rows(files[OLMO])
    tasks = [name for name in raw.columns if name.startswith("downstream/")]
    return raw.select(
        run_id="model_name",
        params=size_of(pl.col("num_params")),
        tokens=pl.col("Step").cast(pl.Int64) * OLMO_BATCH,
        step=pl.col("Step").cast(pl.Int64),
    ).with_columns(raw[task].cast(pl.Float64) for task in tasks)


DATA = PublicData(
    key="large_runs_colpret",
    title="Loss curves of OPT, K2-65B, Mamba-3B and OLMo-1",
    citation="Choshen, Zhang & Andreas (2024), A Hitchhiker's Guide to Scaling Law Estimation, "
    "arXiv:2410.11840; runs of Zhang et al. (OPT), Xia et al. (2023), LLM360 and OLMo",
    url="https://github.com/IBM/ColPret",
    licence="MIT (ColPret); each project's own terms",
    permissive=True,
    units="params: nominal; loss: nats/token, on 37 evaluation sets that are not comparable",
    files=github_files(
        "IBM/ColPret",
        "16f23bbe054277ddc4afd07a972dd7cfbe3f48c3",
        (
            (OPT, 10_044, "c3a53ccc7a412f0caff4179ce484acf1c2aab36b25677473658f094362449ff5"),
            (K2, 2_137_278, "2d059ca62595ff3d42a1c23a277344c685576b3da4d8e752ec944bf5b870dc39"),
            (MAMBA, 2_723_858, "58e7cc9a916f5a96bec2d6c18c2f3fd5e364184418d8fe1af519a1b0f7a9e6bb"),
            (OLMO, 1_068_491, "008a3a0ff6a6f0832ecbe6498e1720f17864f23ffda4a9ce3239bf2ceec0ad8a"),
        ),
    ),
    tables={
        "curves": Table(parse=curves, rows=30_640, runs=11, mapping={"lr": "lr"}),
        "olmo1_downstream": Table(parse=olmo1_downstream, rows=1_708, runs=3, needs=(OLMO,)),
    },
    default_table="curves",
    notes=(
        "K2's tokens are spread evenly over its logged points, as the source does; they are "
        "approximate.",
        "OPT-175B was restarted and its rate changed many times.",
        "The name 'OLMo-1B ' ends in a blank in the source and is kept so.",
        "Some OLMo-1 accuracies exceed 1 in the source and are kept so.",
    ),
)
