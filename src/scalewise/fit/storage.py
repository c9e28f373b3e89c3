"""Fits as files: JSON with a schema version, readable by the next release."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from scalewise.core.errors import RunDataError, UsageError
from scalewise.core.records import atomic_write, to_json
from scalewise.fit.calibration import Calibration
from scalewise.fit.objective import Objective, objective_named
from scalewise.fit.priors import Penalty
from scalewise.fit.result import FitResult, FitStatus, Rival
from scalewise.fit.search import Basin, Certificate
from scalewise.laws.catalogue import published_named
from scalewise.laws.law import QUANTITY_UNITS, Constant, Law, Source

Array = np.ndarray[Any, np.dtype[Any]]

SCHEMA = "scalewise.fit/1"
MAX_BYTES = 200_000_000
_HINT = "Give the file that scalewise fit --out wrote, or a name from scalewise laws."
# What reading a record of the wrong shape can raise; a formula or bounds can be wrong as well.
_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError, UsageError)


def write_fit(result: FitResult, path: str | Path) -> None:
    """Write a fit as JSON, all at once or not at all."""
    atomic_write(Path(path), to_json({"schema": SCHEMA, **_record(result)}) + "\n")


def read_fit(source: str | Path) -> FitResult:
    """Read a fit file, or take a published set of constants by name.

    Raises RunDataError if the file is missing, damaged or of another schema.
    """
    path = Path(source)
    if not path.exists() and path.suffix == "":
        return published_fit(str(source))
    if not path.exists():
        raise RunDataError(f"There is no file {source}.", hint=_HINT)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RunDataError(
                f"{path.name} has {path.stat().st_size} bytes, more than any fit file.",
                hint="Give the file that scalewise fit --out wrote.",
            )
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise RunDataError(
            f"{source} cannot be read as a fit: {error}.",
            hint=_HINT,
        ) from error
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise RunDataError(
            f"{source} has schema {str(schema)[:40]!r}, not {SCHEMA!r}.",
            hint="Give the file that scalewise fit --out wrote.",
        )
    try:
        return _result(record)
    except _DAMAGE as error:
        raise RunDataError(
            f"{source} is damaged: {type(error).__name__} at {str(error)[:200]}.", hint="Fit again."
        ) from error


def published_fit(name: str) -> FitResult:
    """A published set of constants as a fit: no runs, no draws, and so no interval of its own."""
    law, published = published_named(name)
    return FitResult(
        law=law,
        theta=dict(published.theta),
        status=FitStatus.CONVERGED,
        objective=Objective(law.default_objective, 1e-3),
        objective_value=0.0,
        certificate=Certificate(screened=0, refined=0, agreeing=0),
        points=0,
        runs=0,
        ranges={},
        noise=0.0,
        draws=np.empty((0, len(law.constants))),
        resampling="none",
        seed=0,
        correlation=np.eye(len(law.constants)),
        inputs={},
        observed=np.empty(0),
        sha256="",
        source=f"published: {published.source}",
        warnings=(
            f"Published constants ({published.source}): no runs behind them here, so the "
            "interval has no width. They hold for their own data, tokenizer and counts"
            + (f": {published.note}." if published.note else "."),
        ),
    )


def fit_data(result: FitResult, *, level: float = 0.9) -> dict[str, Any]:
    """The ``data`` of the JSON envelope for a fit."""
    return {
        "law": result.law.key,
        "formula": result.law.formula,
        "variables": dict(result.law.variables),
        "theta": dict(result.theta),
        "units": {name: result.law.unit(name) for name in result.law.constant_names},
        "intervals": {n: list(ends) for n, ends in result.intervals(level).items()},
        "level": level,
        "objective": {
            "name": result.objective.name,
            "delta": result.objective.delta,
            "value": result.objective_value,
        },
        "status": result.status.name.lower(),
        "points": result.points,
        "runs": result.runs,
        "at_bound": list(result.at_bound),
        "not_identified": list(result.not_identified),
        "noise": result.noise,
        "spread": result.spread,
        "calibration": None if result.calibration is None else asdict(result.calibration),
        "policy": result.policy,
        "stages": dict(result.stages),
        "certificate": _certificate_record(result.certificate),
        "combined": [
            {"law": member.law.key, "weight": weight, "theta": dict(member.theta)}
            for weight, member in result.members
        ],
        "tasks": {
            task: fit_data(member, level=level) | {"provenance": dict(member.provenance)}
            for task, member in result.tasks.items()
        },
    }


def _record(result: FitResult) -> dict[str, Any]:
    law = result.law
    return {
        "law": {
            "key": law.key,
            "title": law.title,
            "formula": law.formula,
            "variables": dict(law.variables),
            "constants": [[c.name, c.role, c.meaning, *_ends(c.bounds)] for c in law.constants],
            "source": None
            if law.source is None
            else [law.source.key, law.source.where, law.source.arxiv],
            "quantity": law.quantity,
            "default_objective": law.default_objective,
            "implicit": law.implicit,
        },
        "theta": dict(result.theta),
        "status": result.status.name,
        "objective": [result.objective.name, _end(result.objective.delta)],
        "objective_value": result.objective_value,
        "certificate": _certificate_record(result.certificate),
        "points": result.points,
        "runs": result.runs,
        "ranges": {column: list(ends) for column, ends in result.ranges.items()},
        "noise": result.noise,
        "draws": result.draws.tolist(),
        "resampling": result.resampling,
        "seed": result.seed,
        "correlation": result.correlation.tolist(),
        "inputs": {symbol: values.tolist() for symbol, values in result.inputs.items()},
        "observed": result.observed.tolist(),
        "weights": result.weights.tolist(),
        "cluster": result.cluster.tolist(),
        "sha256": result.sha256,
        "source": result.source,
        "fixed": list(result.fixed),
        "at_bound": list(result.at_bound),
        "not_identified": list(result.not_identified),
        "warnings": list(result.warnings),
        "spread": result.spread,
        "calibration": None if result.calibration is None else asdict(result.calibration),
        "policy": result.policy,
        "weight": result.weight,
        "rivals": [{"weight": r.weight, "result": _record(r.result)} for r in result.rivals],
        "penalty": _penalty_record(result.penalty),
        "provenance": dict(result.provenance),
        "tasks": {task: _record(member) for task, member in result.tasks.items()},
        "stages": dict(result.stages),
        "facts": dict(result.facts),
    }


def _end(value: float) -> float | str:
    # JSON has no infinity, and to_json turns it into null, which would not come back.
    return "inf" if value == np.inf else value


def _ends(bounds: tuple[float, float]) -> list[float | str]:
    return [_end(bounds[0]), _end(bounds[1])]


def _certificate_record(certificate: Certificate) -> dict[str, Any]:
    return {
        "screened": certificate.screened,
        "refined": certificate.refined,
        "agreeing": certificate.agreeing,
        "exact": certificate.exact,
        "basins": [{"objective": b.objective, "theta": dict(b.theta)} for b in certificate.basins],
    }


def _result(record: Mapping[str, Any]) -> FitResult:
    certificate = dict(record["certificate"])
    basins = tuple(
        Basin(objective=float(b["objective"]), theta=dict(b["theta"]))
        for b in certificate.pop("basins")
    )
    law = _law(record["law"])
    return FitResult(
        law=law,
        theta={name: float(record["theta"][name]) for name in law.constant_names},
        status=FitStatus[record["status"]],
        objective=_objective(*record["objective"]),
        objective_value=float(record["objective_value"]),
        certificate=Certificate(basins=basins, **certificate),
        points=int(record["points"]),
        runs=int(record["runs"]),
        ranges={c: (float(a), float(b)) for c, (a, b) in record["ranges"].items()},
        noise=float(record["noise"]),
        draws=np.asarray(record["draws"], dtype=float).reshape(-1, len(law.constants)),
        resampling=str(record["resampling"]),
        seed=int(record["seed"]),
        correlation=np.asarray(record["correlation"], dtype=float),
        inputs={s: np.asarray(v, dtype=float) for s, v in record["inputs"].items()},
        observed=np.asarray(record["observed"], dtype=float),
        sha256=str(record["sha256"]),
        source=str(record["source"]),
        fixed=tuple(record["fixed"]),
        at_bound=tuple(record["at_bound"]),
        not_identified=tuple(record["not_identified"]),
        warnings=tuple(record["warnings"]),
        spread=float(record["spread"]),
        calibration=_calibration(record.get("calibration")),
        policy=str(record.get("policy", "")),
        weight=float(record["weight"]),
        rivals=tuple(
            Rival(weight=float(r["weight"]), result=_result(r["result"])) for r in record["rivals"]
        ),
        # Files of the first release have none of these.
        weights=np.asarray(record.get("weights", np.ones(len(record["observed"]))), dtype=float),
        cluster=np.asarray(record.get("cluster", range(len(record["observed"]))), dtype=int),
        penalty=_penalty(record.get("penalty")),
        provenance=dict(record.get("provenance", {})),
        tasks={task: _result(member) for task, member in record.get("tasks", {}).items()},
        stages={str(stage): str(told) for stage, told in record.get("stages", {}).items()},
        facts={str(name): str(told) for name, told in record.get("facts", {}).items()},
    )


def _penalty_record(penalty: Penalty | None) -> dict[str, Any] | None:
    if penalty is None:
        return None
    return {
        "names": list(penalty.names),
        "mean": penalty.mean.tolist(),
        "sd": penalty.sd.tolist(),
        "sigma": penalty.sigma,
        "points_per_run": penalty.points_per_run,
    }


def _penalty(record: Mapping[str, Any] | None) -> Penalty | None:
    if record is None:
        return None
    return Penalty(
        tuple(record["names"]),
        np.asarray(record["mean"], dtype=float),
        np.asarray(record["sd"], dtype=float),
        float(record["sigma"]),
        float(record["points_per_run"]),
    )


def _objective(name: str, delta: float | str) -> Objective:
    return replace(objective_named(name), delta=float(delta))


def _law(record: Mapping[str, Any]) -> Law:
    source = record["source"]
    if record["quantity"] not in QUANTITY_UNITS:
        raise ValueError(f"quantity {record['quantity']!r}")
    return Law(
        key=str(record["key"]),
        title=str(record["title"]),
        formula=str(record["formula"]),
        variables=dict(record["variables"]),
        constants=tuple(
            Constant(name, role, meaning, (float(low), float(high)))
            for name, role, meaning, low, high in record["constants"]
        ),
        source=None if source is None else Source(key=source[0], where=source[1], arxiv=source[2]),
        quantity=record["quantity"],
        default_objective=str(record["default_objective"]),
        implicit=str(record.get("implicit", "")),
    )


def _calibration(record: Mapping[str, Any] | None) -> Calibration | None:
    if record is None:
        return None
    return Calibration(
        exponent=float(record["exponent"]),
        levels=tuple(float(v) for v in record["levels"]),
        factors=tuple(float(v) for v in record["factors"]),
        families=int(record["families"]),
        groups=int(record["groups"]),
    )
