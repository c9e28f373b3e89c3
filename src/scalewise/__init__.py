"""Small training runs in, decisions about large language-model runs out.

>>> import scalewise as sw
>>> fit = sw.read_fit("besiroglu2024")
>>> round(fit.predict(params=70e9, tokens=1.4e12).loss, 3)
1.974
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalewise.core.errors import ScalewiseError
    from scalewise.core.shape import ModelShape
    from scalewise.fit.engine import fit_many
    from scalewise.fit.prediction import Prediction
    from scalewise.fit.priors import Prior
    from scalewise.fit.profile import profile
    from scalewise.fit.result import FitResult, FitStatus
    from scalewise.fit.storage import read_fit, write_fit
    from scalewise.forecast.backtest import Backtest
    from scalewise.forecast.borrowed import predict_from_one
    from scalewise.forecast.choose import backtest
    from scalewise.forecast.contours import batch_contours
    from scalewise.forecast.downstream import fit_tasks, predict_error
    from scalewise.forecast.estimate import fit_trajectory
    from scalewise.forecast.fitting import fit
    from scalewise.forecast.holdout import forecast_held_out
    from scalewise.forecast.on_track import on_track
    from scalewise.forecast.trajectory import Trajectory
    from scalewise.laws.catalogue import LAWS, law_from
    from scalewise.laws.law import Law
    from scalewise.plan.allocate import Allocation, allocate, frontier
    from scalewise.plan.approaches import approaches
    from scalewise.plan.conventions import conventions
    from scalewise.plan.inference import inference_optimum
    from scalewise.plan.influence import influence
    from scalewise.plan.overfitting import overfit
    from scalewise.plan.sensitivity import sensitivity
    from scalewise.report.interactive.explore import explore
    from scalewise.runs.example import example_runs
    from scalewise.runs.health import check_health
    from scalewise.runs.read import read_runs
    from scalewise.runs.spec import RunSpec
    from scalewise.runs.table import RunTable
    from scalewise.runs.write import write_runs
    from scalewise.sources.logs.read import read_logs
    from scalewise.sources.public.catalogue import public_runs

__version__ = "0.1.0"

# Imported when first used, so that `import scalewise` costs a few milliseconds.
_HOME = {
    "Allocation": "plan.allocate",
    "Backtest": "forecast.backtest",
    "FitResult": "fit.result",
    "FitStatus": "fit.result",
    "LAWS": "laws.catalogue",
    "Law": "laws.law",
    "ModelShape": "core.shape",
    "Prediction": "fit.prediction",
    "Prior": "fit.priors",
    "RunSpec": "runs.spec",
    "RunTable": "runs.table",
    "ScalewiseError": "core.errors",
    "Trajectory": "forecast.trajectory",
    "allocate": "plan.allocate",
    "approaches": "plan.approaches",
    "backtest": "forecast.choose",
    "batch_contours": "forecast.contours",
    "check_health": "runs.health",
    "conventions": "plan.conventions",
    "example_runs": "runs.example",
    "explore": "report.interactive.explore",
    "fit": "forecast.fitting",
    "fit_many": "fit.engine",
    "fit_tasks": "forecast.downstream",
    "fit_trajectory": "forecast.estimate",
    "forecast_held_out": "forecast.holdout",
    "frontier": "plan.allocate",
    "inference_optimum": "plan.inference",
    "influence": "plan.influence",
    "law_from": "laws.catalogue",
    "on_track": "forecast.on_track",
    "overfit": "plan.overfitting",
    "predict_error": "forecast.downstream",
    "predict_from_one": "forecast.borrowed",
    "profile": "fit.profile",
    "public_runs": "sources.public.catalogue",
    "read_fit": "fit.storage",
    "read_logs": "sources.logs.read",
    "read_runs": "runs.read",
    "sensitivity": "plan.sensitivity",
    "write_fit": "fit.storage",
    "write_runs": "runs.write",
}

__all__ = [
    "LAWS",
    "Allocation",
    "Backtest",
    "FitResult",
    "FitStatus",
    "Law",
    "ModelShape",
    "Prediction",
    "Prior",
    "RunSpec",
    "RunTable",
    "ScalewiseError",
    "Trajectory",
    "allocate",
    "approaches",
    "backtest",
    "batch_contours",
    "check_health",
    "conventions",
    "example_runs",
    "explore",
    "fit",
    "fit_many",
    "fit_tasks",
    "fit_trajectory",
    "forecast_held_out",
    "frontier",
    "inference_optimum",
    "influence",
    "law_from",
    "on_track",
    "overfit",
    "predict_error",
    "predict_from_one",
    "profile",
    "public_runs",
    "read_fit",
    "read_logs",
    "read_runs",
    "sensitivity",
    "write_fit",
    "write_runs",
]


class _Package(ModuleType):
    """Keeps ``scalewise.fit`` the function, though a room of that name is imported below it.

    Importing a submodule binds it as an attribute of its package; for the names that are public
    functions that binding is left out. Rooms are reached by ``from scalewise.fit.x import y``.
    """

    def __getattr__(self, name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'scalewise' has no attribute {name!r}")
        value = getattr(import_module(f"scalewise.{_HOME[name]}"), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted(__all__)


sys.modules[__name__].__class__ = _Package
