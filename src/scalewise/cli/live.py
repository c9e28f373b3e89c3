"""``scalewise demo --live``: train a small ladder, and forecast its largest model beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalewise.cli.output import print_cards, tell
from scalewise.cli.train import train_specs
from scalewise.core.errors import UnfitDataError

if TYPE_CHECKING:
    from scalewise.runs.spec import RunSpec
    from scalewise.runs.table import RunTable


def live_runs(folder: Path, *, workers: int, seed: int) -> RunTable:
    """The runs of the live ladder, the largest trained only after its forecast was shown."""
    from scalewise.train.ladder import live_ladder, split_largest

    pilots, targets = split_largest(live_ladder(), 1)
    tell(f"Training {len(pilots)} pilot runs into {folder}; interrupt at will, it resumes.")
    table = _trained(pilots, folder, workers=workers)
    for target in targets:
        _show_forecast(table, target, seed=seed)
    names = ", ".join(target.run_id for target in targets)
    tell(f"Now training {names}, which the forecast has not seen.")
    return _trained([*pilots, *targets], folder, workers=workers)


def _trained(specs: Sequence[RunSpec], folder: Path, *, workers: int) -> RunTable:
    table, unfinished, _ = train_specs(specs, folder, workers=workers)
    if table is None or unfinished:
        raise UnfitDataError(
            f"{len(unfinished)} of {len(specs)} runs did not end well.",
            hint="Run the same command again: finished runs are kept, others go on.",
        )
    return table


def _show_forecast(table: RunTable, target: RunSpec, *, seed: int) -> None:
    """The forecast of the target, on stderr while nothing of it is trained."""
    import numpy as np

    from scalewise.core import counting
    from scalewise.forecast.backtest import Policy
    from scalewise.forecast.choose import choose
    from scalewise.report.cards.prediction import prediction_card

    given: dict[str, Any] = {
        "params": counting.params(target.shape),
        "params_nonembed": counting.params_nonembed(target.shape),
        "tokens": np.asarray(target.token_budgets),
    }
    prediction = choose(table, policy=Policy(seed=seed)).predict(**given)
    tell(f"Forecast of {target.run_id}, made before its training:")
    print_cards([prediction_card(prediction, given)], to_stderr=True)
