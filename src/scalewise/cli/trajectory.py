"""``scalewise trajectory``: the twin of ``scalewise.Trajectory`` and ``forecast.on_track``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options, size
from scalewise.cli.fit import doubt
from scalewise.cli.inputs import fit_from, runs_from
from scalewise.cli.output import Answer, tell
from scalewise.cli.trajectory_data import curve_data, on_track_data
from scalewise.cli.verb import verb
from scalewise.core.errors import GateError, UsageError
from scalewise.core.quantities import parse_quantity

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult
    from scalewise.forecast.loss_curve import LossCurve
    from scalewise.forecast.on_track import OnTrack
    from scalewise.runs.table import RunTable

Stages = tuple[tuple[float, float], ...]


def trajectory(
    *,
    fit: str,
    params_nonembed: float | None,
    params: float | None,
    params_embed: float | None,
    batch_tokens: float | None,
    steps: float | None,
    schedule: str | None,
    against: str | None,
    mapping: Mapping[str, str] | None,
    where: str | None,
    level: float,
) -> Answer:
    """The whole loss curve of a run before it starts, with its band.

    FIT is a file that `scalewise fit --law trajectory --out` wrote, - for standard input, or the
    name of published constants (see `scalewise laws`).

    --against LOG compares a run under way with the band: where it first left, whether it came
    back, and the final loss to expect now. Exits with 5 if it has left the band for good.
    """
    # What contradicts itself is told before a file is read.
    N = size.size_from(params_nonembed=params_nonembed, params=params, params_embed=params_embed)
    stages = _stages(batch_tokens, steps, schedule)
    from scalewise.forecast.loss_curve import predict_curve
    from scalewise.forecast.trajectory import Trajectory

    result = fit_from(fit)
    curve = predict_curve(Trajectory.from_fit(result), N, stages, result=result, level=level)
    # A size or a schedule that cannot be is told before the log is read.
    log = None if against is None else runs_from(against, mapping, where)
    return _forecast(result, curve) if log is None else _compared(result, curve, log)


def _forecast(result: FitResult, curve: LossCurve) -> Answer:
    def cards() -> list[Any]:
        from scalewise.report.cards.trajectory import curve_card

        return [curve_card(curve)]

    return Answer(
        data=curve_data(curve) | {"on_track": None},
        cards=cards,
        warnings=curve.warnings,
        seed=result.seed,
        data_sha256=result.sha256,
        failure=doubt(result),
    )


def _compared(result: FitResult, curve: LossCurve, log: RunTable) -> Answer:
    from scalewise.forecast.on_track import on_track

    found = on_track(
        result, log, stages=curve.stages, params_nonembed=curve.params_nonembed, level=curve.level
    )
    for note in found.left_out:
        tell(f"Not judged: {note}.")

    def cards() -> list[Any]:
        from scalewise.report.cards.on_track import on_track_card
        from scalewise.report.cards.trajectory import curve_card

        return [on_track_card(found), curve_card(curve, (found.step, found.loss))]

    return Answer(
        data=curve_data(curve) | {"on_track": on_track_data(found)},
        cards=cards,
        warnings=tuple(dict.fromkeys((*curve.warnings, *found.warnings))),
        seed=result.seed,
        data_sha256=result.sha256,
        failure=doubt(result) or _left(found),
    )


def _left(found: OnTrack) -> GateError | None:
    """The gate of a run that has left its band for good."""
    if not found.has_left:
        return None
    from scalewise.report.cards.on_track import verdict

    return GateError(
        verdict(found),
        hint="Look for a wrong batch, learning rate or data order; or fit the law again.",
    )


def _stages(batch_tokens: float | None, steps: float | None, schedule: str | None) -> Stages:
    """The batch schedule that the options state; a constant batch is one stage."""
    given = {"--batch-tokens": batch_tokens, "--steps": steps}
    if schedule is not None:
        also = [flag for flag, value in given.items() if value is not None]
        if also:
            raise UsageError(
                f"--schedule states batches and steps already; {' and '.join(also)} too.",
                hint="Give --schedule alone, or --batch-tokens with --steps.",
            )
        return tuple(_stage(part) for part in schedule.split(","))
    lacking = [flag for flag, value in given.items() if value is None]
    if batch_tokens is None or steps is None:
        raise UsageError(
            f"The run is not known without {' and '.join(lacking)}.",
            hint="Write --batch-tokens 4M --steps 100k, or --schedule 128k:20k,512k:20k.",
        )
    return ((batch_tokens, steps),)


def _stage(text: str) -> tuple[float, float]:
    batch, sign, steps = text.partition(":")
    if not sign:
        raise UsageError(
            f"--schedule has a part {text.strip()!r} that is not BATCH:STEPS.",
            hint="Write --schedule 128k:20k,512k:20k.",
        )
    return (
        parse_quantity(batch, name="batch in --schedule"),
        parse_quantity(steps, name="steps in --schedule"),
    )


command = verb(
    "trajectory",
    trajectory,
    (
        click.Argument(["fit"], metavar="FIT"),
        *size.OPTIONS,
        options.quantity("--batch-tokens", "Tokens per update, B."),
        options.quantity("--steps", "Optimizer updates."),
        click.Option(
            ["--schedule"], metavar="BATCH:STEPS,...",
            help="Batches one after another instead: 128k:20k,512k:20k.",
        ),
        click.Option(
            ["--against"], metavar="LOG", help="The log of the run under way, or - ."
        ),
        options.mapping(),
        options.where(),
        options.level(),
    ),
    examples=(
        "trajectory fit.json --params-nonembed 7B --batch-tokens 4M --steps 100k",
        "trajectory fit.json --params-nonembed 7B --schedule 1M:20k,4M:80k",
        "trajectory fit.json --params-nonembed 7B --batch-tokens 4M --steps 100k "
        "--against live.csv",
    ),
)  # fmt: skip
