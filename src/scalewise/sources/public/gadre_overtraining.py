"""Over-training: 104 models of three corpora, from 5 to 640 tokens per parameter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from scalewise.sources.public.entry import PublicData, Table, listed_files

if TYPE_CHECKING:
    import polars as pl

FILES = listed_files(
    "mlfoundations/scaling", "a003c4913793ac2ae7ef87b28ecb562955d026d5", "gadre_overtraining"
)
MODELS = tuple(file.name for file in FILES if "/models/" in file.name)
EVALS = tuple(file.name for file in FILES if "/evals/" in file.name)
GRID = "exp_data/grid.json"
METADATA = "exp_data/eval_metadata.csv"
CONTEXT = 2048
SUMMARIES = ("rw_small_centered", "95%_CI_above_centered", "99%_CI_above_centered",
             "low_variance_datasets_centered")  # fmt: skip

# A run of the grid search: shape, then processors or batch, rate, decay, again, tokens, warm-up,
# last rate.
GRID_NAME = re.compile(
    r"d=(?P<d>\d+)_l=(?P<l>\d+)_h=(?P<h>\d+)-(?P<gpus>\d+)-(?P<lr>[\d.e-]+)-(?P<wd>[\d.]+)-\d+-"
    r"(?P<tokens>\d+)-(?P<warmup>\d+)-(?P<end>[\d.e-]+)"
)


def _load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return loaded


def _model(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What both tables tell of a run."""
    settings, arguments = raw["hyperparameters"], raw["open_lm_args"]
    # hyperparameters.global_bs is a placeholder for the 7B runs; the command line is right.
    batch = int(arguments[arguments.index("--global-batch-size") + 1])
    params, tokens = settings["params"], settings["tokens"]
    return {
        "run_id": raw["name"],
        "family": f"gadre-{raw['dataset_name']}",
        "params": params,
        "params_nonembed": settings["params_no_embed"],
        "tokens": tokens,
        "batch_tokens": batch * CONTEXT,
        "context_length": CONTEXT,
        "lr": settings["lr"],
        "schedule": "cosine",
        "flops": 6.0 * params * tokens,
        "seed": int(arguments[arguments.index("--seed") + 1]),
        "data": raw["dataset_name"],
        "is_final": True,
        "warmup_steps": settings["warmup"],
        "weight_decay": settings["wd"],
        "lr_end": settings["cd"],
        "token_multiplier": 20.0 * settings["chinchilla_multiplier"],
        "chinchilla_multiplier": settings["chinchilla_multiplier"],
        "model_config": PurePosixPath(settings["model"]).stem,
    }


def _losses(raw: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for result in raw["results"]:
        yield {
            "loss": result["loss"],
            "eval_set": PurePosixPath(result["val_data"][0]).parent.name,
            "loss_lo95_seq": result["loss_sequences_lower_95"],
            "loss_hi95_seq": result["loss_sequences_upper_95"],
            "loss_lo95_tok": result["loss_tokens_lower_95"],
            "loss_hi95_tok": result["loss_tokens_upper_95"],
            "eval_tokens": result["tokens"],
        }


def losses(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per model and evaluation set, with the intervals of the finite set."""
    import polars as pl

    rows: list[dict[str, Any]] = []
    for name in MODELS:
        raw = _load(files[name])
        run = _model(raw)
        run["step"] = float(round(run["tokens"] / run["batch_tokens"]))
        rows += [run | loss for loss in _losses(raw)]
    return pl.DataFrame(rows, infer_schema_length=None)


def evals(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per model: raw accuracies, and the losses again by name of their set."""
    import polars as pl

    rows = []
    for model, evaluation in zip(MODELS, EVALS, strict=True):
        raw, scores = _load(files[model]), _load(files[evaluation])
        tasks = scores["eval_metrics"]["icl"]
        summaries = scores | scores["eval_metrics"]
        rows.append(
            _model(raw)
            | {f"acc_{task}": score for task, score in tasks.items()}
            | {name: summaries.get(name) for name in SUMMARIES}
            | {f"loss_{loss['eval_set']}": loss["loss"] for loss in _losses(raw)}
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def grid_search(files: Mapping[str, Path]) -> pl.DataFrame:
    """The search for shapes and warm-ups at 20 tokens per parameter, from its key strings."""
    import polars as pl

    rows = []
    for name, loss in _load(files[GRID]).items():
        found = GRID_NAME.fullmatch(name)
        if found is None:
            continue
        tokens = int(found["tokens"])
        rows.append({
            "run_id": f"grid-{name}",
            "family": "gadre-grid",
            "params": tokens / 20.0,
            "tokens": tokens,
            "lr": float(found["lr"]),
            "schedule": "cosine",
            "loss": loss,
            "eval_set": "validation of the paper grid search (Appendix: C4/OpenLM; not named in "
            "the file)",
            "flops": 6.0 * (tokens / 20.0) * tokens,
            "is_final": True,
            "weight_decay": float(found["wd"]),
            "warmup_steps": int(found["warmup"]),
            "lr_end": float(found["end"]),
            "gpus_or_bs": int(found["gpus"]),
            "d_model": int(found["d"]),
            "n_layers": int(found["l"]),
            "n_heads": int(found["h"]),
        })  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def eval_metadata(files: Mapping[str, Path]) -> pl.DataFrame:
    """Each task's kind, size and chance score."""
    import polars as pl

    return pl.read_csv(files[METADATA], infer_schema_length=None)


DATA = PublicData(
    key="gadre_overtraining",
    title="Over-training: 104 models, 11M to 6.9B, 5 to 640 tokens per parameter",
    citation="Gadre et al. (2024), Language models scale reliably with over-training and on "
    "downstream tasks, arXiv:2403.08540",
    url="https://github.com/mlfoundations/scaling",
    licence="MIT",
    permissive=True,
    units="params: embeddings included; loss: nats/token of GPT-NeoX-20B's tokenizer; acc_: raw",
    files=FILES,
    tables={
        "losses": Table(
            parse=losses,
            rows=832,
            runs=104,
            needs=MODELS,
            mapping={"loss_low95": "loss_lo95_seq", "loss_high95": "loss_hi95_seq"},
        ),
        "evals": Table(parse=evals, rows=104, runs=104, needs=(*MODELS, *EVALS)),
        "grid_search": Table(parse=grid_search, rows=435, runs=435, needs=(GRID,)),
        "eval_metadata": Table(
            parse=eval_metadata, rows=51, runs=None, needs=(METADATA,), are_runs=False
        ),
    },
    default_table="losses",
    notes=(
        "Final checkpoints only, each run on a cosine to its own end.",
        "Eight evaluation sets per run: fit one (c4_val is the paper's), they are not comparable.",
        "The batch of the 7B runs is a placeholder in hyperparameters; the command line's is read.",
        "In grid_search params are taken as tokens / 20.",
    ),
)
