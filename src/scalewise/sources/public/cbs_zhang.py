"""Steps to a target loss at nine batch sizes and five model sizes."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.core.errors import RunDataError
from scalewise.sources.public.entry import GET_ANEW, PublicData, Table, github_file

if TYPE_CHECKING:
    import polars as pl

NOTEBOOK = github_file(
    "hlzhang109/critical-batch-size",
    "c5b509d8cf276bb40388172a08f9d6f644cf44dc",
    "plots/chinchilla.ipynb",
    771_234,
    "bd0284c0431f2c35e1b06d438f6d1b0c6bdc348f545044ae9604fb17a75b7c91",
)
CONTEXT = 512
BATCHES = tuple(2**power for power in range(6, 15))  # sequences

# Size, params, target loss, steps of a compute-optimal run at batch 256: the notebook's cell 2.
SIZES = (
    ("85M", 85e6, 3.42, 13_282),
    ("151M-ablation", 151e6, 3.24, 23_438),
    ("302M", 302e6, 3.07, 46_875),
    ("604M", 604e6, 2.92, 93_750),
    ("1.2B", 1.2e9, 2.736, 187_500),
)
REACHED = re.compile(
    r"Minimum goal step (?P<steps>\d+) for batch size (?P<batch>\d+) "
    r"\(Model Size (?P<size>[^,]+), Run Name (?P<name>[^)]*)\), Run ID (?P<id>\w+)"
)
TABLE = re.compile(r"\{[^{}]*85M[^{}]*\}")


def steps_to_target(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per size and batch: the fewest steps to the size's target loss."""
    import polars as pl

    cells = json.loads(files[NOTEBOOK.name].read_text("utf-8"))["cells"]
    logged = {(row["size"], int(row["batch"])): row for row in _logged(cells)}
    curated = _curated(cells)
    rows = [
        _row(size, batch, steps, logged[size[0], batch])
        for size in SIZES
        for batch, steps in zip(BATCHES, curated[size[0]], strict=True)
    ]
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"ewa_decay": pl.Float64})


def _logged(cells: Sequence[Mapping[str, object]]) -> Iterator[re.Match[str]]:
    """What the query of the authors' logs printed: fewest steps and the run that took them."""
    for cell in cells:
        outputs = cell.get("outputs", ())
        for output in outputs if isinstance(outputs, list) else ():
            yield from REACHED.finditer("".join(output.get("text", ())))


def _curated(cells: Sequence[Mapping[str, object]]) -> dict[str, Sequence[int]]:
    """The table the authors fitted: the last one written out in the notebook's code."""
    found: dict[str, Sequence[int]] = {}
    for cell in cells:
        source = cell.get("source", ())
        code = "".join(source) if isinstance(source, list) else ""
        for text in TABLE.findall(code):
            try:
                table = ast.literal_eval(text)
            except (SyntaxError, ValueError):
                continue  # a table of expressions, not of numbers
            steps = {str(k): v for k, v in table.items() if isinstance(v, list)}
            if {len(row) for row in steps.values()} == {len(BATCHES)}:
                found |= steps
    if missing := [size for size, *_ in SIZES if size not in found]:
        raise RunDataError(
            f"{NOTEBOOK.name} has no table of steps for {', '.join(missing)}.", hint=GET_ANEW
        )
    return found


def _row(
    size: tuple[str, float, float, int], batch: int, steps: int, logged: re.Match[str]
) -> dict[str, object]:
    name, params, target, optimal = size
    run = logged["name"]
    rate, decay = re.search(r"-lr([\d.]+)", run), re.search(r"-ewa([\d.]+)", run)
    return {
        "run_id": f"cbs-{name}-bs{batch}",
        "family": "cbs-zhang",
        "params": params,
        "params_nonembed": params,
        "tokens": steps * batch * CONTEXT,
        "step": steps,
        "batch_tokens": batch * CONTEXT,
        "context_length": CONTEXT,
        "lr": float(rate[1]) if rate else None,
        "schedule": "constant lr (25% warm-up) + EWA of weights",
        "loss": target,
        "eval_set": "C4 validation",
        "data": "C4 (Dolma preprocessing)",
        "is_final": False,
        "batch_seqs": batch,
        "target_loss": target,
        "steps_to_target": steps,
        "steps_to_target_raw": float(logged["steps"]),
        "best_run_name": run,
        "wandb_run_id": logged["id"],
        "ewa_decay": float(decay[1]) if decay else None,
        "chinchilla_steps_bs256": optimal,
    }


DATA = PublicData(
    key="cbs_zhang",
    title="Steps to a target loss: 9 batch sizes x 5 model sizes",
    citation="Zhang et al. (2025), How Does Critical Batch Size Scale in Pre-training?, ICLR, "
    "arXiv:2410.21676",
    url="https://github.com/hlzhang109/critical-batch-size",
    licence="MIT",
    permissive=True,
    units="params: nominal, without embeddings; loss: nats/token, the target of each size",
    files=(NOTEBOOK,),
    tables={"steps_to_target": Table(parse=steps_to_target, rows=45, runs=45)},
    default_table="steps_to_target",
    notes=(
        "Steps are multiples of the evaluation interval: up to 5 % coarse at large batches.",
        "steps_to_target is the authors' curated table, steps_to_target_raw what their logs gave.",
        "The curated table lies in a part of the notebook that was not seen when this reader was "
        "written; its layout is inferred.",
    ),
)
