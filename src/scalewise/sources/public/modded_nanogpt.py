"""Speed-run logs of modded-nanogpt: the same small model trained again and again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from scalewise.core.errors import RunDataError
from scalewise.sources.public.entry import PublicData, Table, listed_files

if TYPE_CHECKING:
    import polars as pl

VALIDATION = re.compile(r"\bstep:(\d+)/(\d+) val_loss:([\d.]+)")
BATCH = re.compile(r"^ *batch_size ?: ?int ?= ?(\d+) ?\* ?(\d+)\b(?! ?\*)", re.MULTILINE)
LENGTH = re.compile(r"^ *sequence_length ?: ?int ?= ?(\d+)\b(?! ?\*)", re.MULTILINE)

NOMINAL_PARAMS = 1.24e8
"""GPT-2 small, which tracks 1 and 3 start from; the architecture drifts."""

LARGER = frozenset({"track_2_medium"})
SCALED_UP = "2024-10-20_ScaleUp1B"


def _batch_tokens(text: str) -> float | None:
    """Tokens per step, if the script in the log says so as sequences times their length.

    Later scripts change either during training, and state neither in this way.
    """
    batch, length = BATCH.search(text), LENGTH.search(text)
    if batch is None or length is None:
        return None
    return float(int(batch[1]) * int(batch[2]) * int(length[1]))


def _row(name: str, text: str) -> dict[str, Any]:
    """The last validation of one log; its folders name the track and the record."""
    matches = VALIDATION.findall(text)
    if not matches:
        raise RunDataError(
            f"{name} logs no validation loss.",
            hint="Logs are read by lines such as 'step:125/1393 val_loss:4.4043'.",
        )
    step, planned, loss = matches[-1]
    parts = PurePosixPath(name).parts
    track, record = parts[1], parts[2]
    if record == "results":
        record = parts[3] if len(parts) > 4 else "root"
    batch = _batch_tokens(text)
    return {
        "run_id": "/".join(parts[1:]).removesuffix(".txt"),
        "family": "modded-nanogpt",
        "params": None if track in LARGER or record == SCALED_UP else NOMINAL_PARAMS,
        "tokens": None if batch is None else int(step) * batch,
        "step": int(step),
        "batch_tokens": batch,
        "loss": float(loss),
        "eval_set": "FineWeb validation (10.4M tokens)",
        "data": "FineWeb-10B",
        "is_final": True,
        "track": track,
        "record": record,
        "total_steps": int(planned),
        "n_val": len(matches),
    }


def _runs(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per log."""
    import polars as pl

    rows = [_row(name, path.read_text("utf-8", errors="replace")) for name, path in files.items()]
    kinds = dict.fromkeys(("params", "tokens", "batch_tokens"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=kinds, infer_schema_length=None)


DATA = PublicData(
    key="modded_nanogpt",
    title="modded-nanogpt speed runs: repetitions of a 124M-class model",
    citation="Jordan et al. (2024), modded-nanogpt: Speedrunning the NanoGPT baseline",
    url="https://github.com/KellerJordan/modded-nanogpt",
    licence="MIT",
    permissive=True,
    units="params: nominal 124M; loss: nats/token on FineWeb",
    files=listed_files(
        "KellerJordan/modded-nanogpt", "f411b3d346aa52d3504324ca93c230fd84c6c07f", "modded_nanogpt"
    ),
    tables={"runs": Table(parse=_runs, rows=1_512, runs=1_512)},
    default_table="runs",
    notes=(
        "1512 logs of 238 MB in all: for the noise of a final loss (0.001 to 0.004 nats).",
        "One run may stand here several times: logs are copied into later records, and kept beside "
        "their printed output, its last line and joined logs. Drop equal step and loss before "
        "counting repetitions.",
        "A joined log counts as one run, with its last seed's loss.",
        "Some runs stop short of total_steps by design.",
    ),
)
