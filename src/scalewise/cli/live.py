"""``scalewise demo --live``: train a small ladder, and forecast its largest model beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.cli.output import print_cards, tell
from scalewise.cli.train import train_specs
from scalewise.core.errors import UnfitDataError

if TYPE_CHECKING:
    from scalewise.runs.spec import RunSpec
    from scalewise.runs.table import RunTable


def live_runs(folder: Path, *, workers: int, seed: int) -> RunTable:
    """The runs of the live ladder, the largest trained only after its forecast was shown."""
    from scalewise.train.ladder import live_ladder

    *pilots, target = sorted(live_ladder(), key=_size)
    tell(f"Training {len(pilots)} pilot runs into {folder}; interrupt at will, it resumes.")
    table = _trained(pilots, folder, workers=workers)
    _show_forecast(table, target, seed=seed)
    tell(f"Now training {target.run_id}, which the forecast has not seen.")
    return _trained([*pilots, target], folder, workers=workers)


def _size(spec: RunSpec) -> int:
    from scalewise.core.counting import params

    return params(spec.shape)


def _trained(specs: Sequence[RunSpec], folder: Path, *, workers: int) -> RunTable:
    table, unfinished = train_specs(specs, folder, workers=workers)
    if table is None or unfinished:
        raise UnfitDataError(
            f"{len(unfinished)} of {len(specs)} runs did not end well.",
            hint="Run the same command again: finished runs are kept, others go on.",
        )
    return table


def _show_forecast(table: RunTable, target: RunSpec, *, seed: int) -> None:
    """The forecast of the target, on stderr while nothing of it is trained."""
    from scalewise.core.counting import params_nonembed
    from scalewise.forecast.backtest import Policy
    from scalewise.forecast.choose import choose
    from scalewise.report.cards.prediction import prediction_card

    given = {
        "params": _size(target),
        "params_nonembed": params_nonembed(target.shape),
        "tokens": target.tokens,
    }
    prediction = choose(table, policy=Policy(seed=seed)).predict(**given)
    tell(f"Forecast of {target.run_id}, made before its training:\n")
    print_cards([prediction_card(prediction, given)], to_stderr=True)
