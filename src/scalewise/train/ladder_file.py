"""A ladder as a TOML file: widths, token budgets, batch sizes and seeds, all combined.

::

    widths = [16, 32, 64]
    token_budgets = ["0.5M", "1M", "2M"]   # decayed ends of every run
    # everything below is optional
    name = "mine"
    batch_tokens = [512]
    seeds = [0, 1]
    corpus = "stdlib"                      # or "interpreter", "hf:NAME", a file or a folder
    tokenizer = "bytes"                    # or "bpe-4096"
    n_layer = 2                            # default: width / 64, at least 2
    context_length = 64
    schedule = "wsd"                       # constant, cosine, linear: one run per budget
    lr_peak = 0.005                        # default: by batch size
    eval_points = 50                       # losses per curve, evenly spaced in log-steps
    averaging = 0.1                        # measure weights averaged over this share of the run
    stop_loss = 1.9                        # a constant-rate run is finished once it is reached
    noise_every = 50                       # updates between measurements of the gradient noise
    batch_stages = [[128, 2000]]           # smaller batches first: [batch_tokens, steps]
    [scan]                                 # more batch sizes, for some widths only
    widths = [32]
    batch_tokens = [128, 256, 1024, 2048]
    token_budgets = ["4M"]                 # default: as above, and so are the seeds
    [shape]                                # any further field of ModelShape
    gated_mlp = true
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalewise.core.errors import RunDataError, UsageError
from scalewise.core.quantities import parse_quantity
from scalewise.runs.columns import nearest
from scalewise.runs.spec import RunSpec
from scalewise.runs.spec_file import read_specs
from scalewise.train.ladder import lr_peak_for
from scalewise.train.shape import shape_from_width

if TYPE_CHECKING:
    from scalewise.train.ladder_fields import LadderFields

Budgets = tuple[int, ...]
_PASSED_ON = (
    "schedule", "warmup_steps", "decay_fraction", "weight_decay", "beta1", "beta2", "grad_clip",
    "eval_tokens", "eval_points", "precision", "tokenizer", "averaging", "stop_loss",
    "noise_every",
)  # fmt: skip


def read_ladder(path: str | Path) -> tuple[RunSpec, ...]:
    """The runs of a ladder file: every width with every batch size and seed.

    Under ``wsd`` one run serves all token budgets; other schedules take one run per budget.
    Raises RunDataError when the file cannot be read, UsageError for unknown or impossible fields.
    """
    file = Path(path)
    try:
        fields = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RunDataError(
            f"Cannot read ladder {str(path)!r}: {error}.",
            hint="Give a TOML file; see scalewise.train.ladder_file for its fields.",
        ) from error
    return ladder_from_fields(fields, folder=file.parent)


def read_plan(path: str | Path) -> tuple[RunSpec, ...]:
    """The runs of a TOML file: a ladder, or one ``[[run]]`` table for each run.

    Raises as ``read_ladder`` and ``scalewise.runs.spec_file.read_specs`` do.
    """
    try:
        is_list = "run" in tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        is_list = True  # read_specs says what is wrong with the file
    return read_specs(path) if is_list else read_ladder(path)


def ladder_from_fields(fields: dict[str, Any], *, folder: Path) -> tuple[RunSpec, ...]:
    """The runs of a ladder given as fields; a relative corpus is looked up in ``folder``."""
    ladder = _checked(fields)
    grids = [
        (ladder.widths, ladder.batch_tokens, ladder.seeds, _ends(ladder.token_budgets, ladder))
    ]
    if (scan := ladder.scan) is not None:
        ends = _ends(scan.token_budgets or ladder.token_budgets, ladder)
        grids.append((scan.widths, scan.batch_tokens, scan.seeds or ladder.seeds, ends))
    runs = [
        _run(ladder, folder, width, batch_tokens, seed, end)
        for grid in grids
        for width, batch_tokens, seed, end in product(*grid)
    ]
    return tuple({spec.run_id: spec for spec in runs}.values())  # a scan may cross the ladder


def _ends(token_budgets: Sequence[int | float | str], ladder: LadderFields) -> list[Budgets]:
    """The budgets of each run that a width takes: all in one under ``wsd``."""
    budgets = tuple(sorted({round(_budget(budget)) for budget in token_budgets}))
    return [budgets] if ladder.schedule == "wsd" else [(budget,) for budget in budgets]


def _budget(budget: int | float | str) -> float:
    return parse_quantity(str(budget), name="token_budgets")


def _run(
    ladder: LadderFields,
    folder: Path,
    width: int,
    batch_tokens: int,
    seed: int,
    budgets: Budgets,
) -> RunSpec:
    from scalewise.train.corpus import is_named
    from scalewise.train.tokenizer import vocab_size_of

    parts = [ladder.name, f"d{width}"]
    parts += [f"b{batch_tokens}"] if len(ladder.batch_tokens) > 1 or ladder.scan else []
    parts += [f"t{budgets[0]}"] if ladder.schedule != "wsd" else []
    shape = shape_from_width(
        width,
        n_layer=ladder.n_layer,
        vocab_size=vocab_size_of(ladder.tokenizer),
        context_length=ladder.context_length,
        **ladder.shape.model_dump(exclude_none=True),
    )
    return RunSpec(
        run_id="-".join([*parts, f"s{seed}"]),
        shape=shape,
        token_budgets=budgets,
        batch_tokens=batch_tokens,
        lr_peak=lr_peak_for(batch_tokens) if ladder.lr_peak is None else ladder.lr_peak,
        seed=seed,
        family=ladder.name,
        corpus=ladder.corpus if is_named(ladder.corpus) else str(folder / ladder.corpus),
        batch_stages=tuple(ladder.batch_stages),
        **{name: getattr(ladder, name) for name in _PASSED_ON},
    )


def _checked(fields: dict[str, Any]) -> LadderFields:
    from pydantic import ValidationError

    from scalewise.train.ladder_fields import LadderFields, ScanFields, ShapeFields

    try:
        return LadderFields.model_validate(fields)
    except ValidationError as error:
        # A misspelt name explains the missing one better than the other way round.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        place = ".".join(str(part) for part in first["loc"])
        tables = {"scan": list(ScanFields.model_fields), "shape": list(ShapeFields.model_fields)}
        known = tables.get(str(first["loc"][0]), list(LadderFields.model_fields))
        is_unknown = first["type"] == "extra_forbidden"
        near = nearest(str(first["loc"][-1]), known) if is_unknown else ""
        raise UsageError(
            f"Ladder field {place!r}: {first['msg']}; it is {first['input']!r:.60}.",
            hint=f"{near}Known fields: {', '.join(known)}.",
        ) from error
