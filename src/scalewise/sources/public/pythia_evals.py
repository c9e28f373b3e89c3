"""Pythia checkpoints on multiple-choice and cloze tasks: one small JSON per model and step."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from scalewise.core.errors import RunDataError
from scalewise.sources.public.entry import PublicData, Table, listed_files

if TYPE_CHECKING:
    import polars as pl

PARAMS = MappingProxyType(
    {
        "70m": (70_426_624, 18_915_328),
        "160m": (162_322_944, 85_056_000),
        "410m": (405_334_016, 302_311_424),
        "1b": (1_011_781_632, 805_736_448),
        "1.4b": (1_414_647_808, 1_208_602_624),
        "2.8b": (2_775_208_960, 2_517_652_480),
        "6.9b": (6_857_302_016, 6_444_163_072),
        "12b": (11_846_072_320, 11_327_027_200),
    }
)
"""Total and non-embedding parameters of each size, from the Pythia paper's table."""

CONTEXT = 2048
SEQUENCES = MappingProxyType({"1MtokBS": 512, "0.5MtokBS": 256, "0.25MtokBS": 128})
"""Sequences per step of the small-batch variants; the others have 1024."""

RUN = re.compile(r"pythia-(?P<size>[\d.]+[mb])(?:-(?P<variant>.+))?")
STEP = re.compile(r"_step(\d+)\.json$")
FULL_TOKENS = 143_000 * 1024 * CONTEXT
"""Tokens of a finished run, whatever its batch."""

SHOTS = MappingProxyType({0: "zero-shot", 5: "five-shot"})
SCORES = (
    ("winogrande", "acc"), ("lambada_openai", "ppl"), ("lambada_openai", "acc"),
    ("arc_easy", "acc"), ("arc_easy", "acc_norm"), ("wsc", "acc"),
    ("arc_challenge", "acc"), ("arc_challenge", "acc_norm"), ("piqa", "acc"),
    ("piqa", "acc_norm"), ("logiqa", "acc"), ("logiqa", "acc_norm"), ("sciq", "acc"),
    ("sciq", "acc_norm"),
)  # fmt: skip


def _row(name: str, text: str) -> dict[str, Any]:
    """One checkpoint's scores; the file's name says which model, the file how many shots."""
    run = PurePosixPath(name).parts[2]
    match, step_found = RUN.fullmatch(run), STEP.search(name)
    if match is None or step_found is None:
        raise RunDataError(
            f"{name} names no Pythia checkpoint.",
            hint="Files are read by names such as pythia-70m/zero-shot/70m_step1000.json.",
        )
    params, params_nonembed = PARAMS[match["size"]]
    batch = SEQUENCES.get(match["variant"] or "", 1024) * CONTEXT
    step = int(step_found[1])
    tokens = step * batch
    read = json.loads(text)
    scores = read["results"]
    mmlu = [task["acc"] for key, task in scores.items() if key.startswith("hendrycksTest-")]
    row = {
        "run_id": run,
        "family": "pythia-v1",
        "params": params,
        "params_nonembed": params_nonembed,
        "tokens": tokens,
        "step": step,
        "batch_tokens": batch,
        "context_length": CONTEXT,
        "schedule": "cosine to 10% over 300B tokens",
        "flops": 6.0 * params * tokens,
        "data": f"The Pile{' (deduplicated)' if match['variant'] == 'deduped' else ''}",
        "is_final": tokens == FULL_TOKENS,
        "shots": SHOTS[read["config"]["num_fewshot"]],
    }
    row |= {f"{task}/{score}": scores[task][score] for task, score in SCORES}
    row["mmlu/acc"] = sum(mmlu) / len(mmlu)
    row["lambada_nll_per_word"] = math.log(scores["lambada_openai"]["ppl"])
    return row


def _evals(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per model, step and number of shots."""
    import polars as pl

    rows = [_row(name, path.read_text("utf-8")) for name, path in sorted(files.items())]
    return pl.DataFrame(rows, infer_schema_length=None)


DATA = PublicData(
    key="pythia_evals",
    title="Pythia: downstream scores of checkpoints, 70M to 12B",
    citation=(
        "Biderman et al. (2023), Pythia: A Suite for Analyzing Large Language Models Across "
        "Training and Scaling, ICML, arXiv:2304.01373"
    ),
    url="https://github.com/EleutherAI/pythia",
    licence="Apache-2.0",
    permissive=True,
    units="params: total; accuracies in [0, 1]; no pre-training loss",
    files=listed_files(
        "EleutherAI/pythia", "a19eecb807ec2c79a39ebf18108816e6ffffc1d5", "pythia_evals"
    ),
    tables={"evals": Table(parse=_evals, rows=746, runs=21)},
    default_table="evals",
    notes=(
        "lambada_openai/ppl is the perplexity of a passage's last word, and not a language-model "
        "loss; lambada_nll_per_word is its logarithm.",
        "shots is read from each file: the small-batch variants were scored with five shots, those "
        "without a folder of that name too.",
        "mmlu/acc is the mean over the subjects in the file, each subject counted once.",
        "Checkpoints before the last are not annealed.",
    ),
)
