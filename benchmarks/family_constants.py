"""Make ``src/scalewise/forecast/families.json``: what each public family's fit says, no rows.

    python benchmarks/family_constants.py [--out FILE]

Chinchilla's law by the default estimation policy, with 300 resamples of runs for standard errors;
then how far each family's curves end off what their first 30 and 50 % foretell with the constants
of all other groups. Families that lack three sizes have no constants, only the latter. Tables that
are absent are an error: a library of part of the families would be another one.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from public_families import FAMILIES, PublicFamily, is_present, runs_of

import scalewise
from scalewise.core.errors import ScalewiseError
from scalewise.core.records import atomic_write
from scalewise.fit.engine import fit
from scalewise.forecast.borrowed import drift_of
from scalewise.forecast.families import (
    COORDINATES,
    SIZE_ANCHOR,
    TOKEN_ANCHOR,
    Drift,
    Family,
    Library,
)
from scalewise.forecast.policy import DEFAULT
from scalewise.laws.chinchilla import CHINCHILLA

OUT = Path(scalewise.__file__).parent / "forecast" / "families.json"
SHARES = (0.3, 0.5)
FEWEST_SIZES = 3
RESAMPLES = 300
# Constants are kept inside these, or a fit whose floor or term went to zero would have a logarithm
# without bounds; what is outside is outside what a table can tell.
LOW = np.log([0.2, 1e-3, 0.02, 1e-3, 0.02])
HIGH = np.log([10.0, 30.0, 2.0, 30.0, 2.0])


def anchored(theta: dict[str, Any]) -> np.ndarray:
    """Log constants in the order of ``COORDINATES``, shape (..., 5)."""
    with np.errstate(divide="ignore"):
        logs = {name: np.log(np.asarray(value, dtype=float)) for name, value in theta.items()}
    alpha, beta = np.asarray(theta["alpha"]), np.asarray(theta["beta"])
    columns = (
        logs["E"],
        logs["A"] - alpha * np.log(SIZE_ANCHOR),
        logs["alpha"],
        logs["B"] - beta * np.log(TOKEN_ANCHOR),
        logs["beta"],
    )
    return np.clip(np.stack(columns, axis=-1), LOW, HIGH)


def family_of(public: PublicFamily) -> Family | None:
    """The constants of a family, or nothing where it has too few sizes."""
    runs = runs_of(public)
    points = DEFAULT.points(CHINCHILLA, runs)
    sizes, tokens = points.inputs["N"], points.inputs["D"]
    if len(np.unique(sizes)) < FEWEST_SIZES:
        return None
    result = fit(
        CHINCHILLA, points, objective=DEFAULT.objective, delta=DEFAULT.delta,
        bounds=DEFAULT.bounds, bootstrap=RESAMPLES,
    )  # fmt: skip
    if not len(result.draws):
        return None
    value = anchored(dict(result.theta))
    draws = anchored(dict(zip(CHINCHILLA.constant_names, result.draws.T, strict=True)))
    # About the estimate, not their mean: an estimate at a bound is off by what the draws show.
    covariance = (draws - value).T @ (draws - value) / len(draws)
    sd = np.sqrt(np.maximum(np.diag(covariance), 1e-8))
    return Family(
        name=public.name,
        group=public.group,
        citation=public.citation,
        counted=public.counted,
        is_curve=public.is_curve,
        status=result.status.name,
        sizes=len(np.unique(sizes)),
        runs=points.runs,
        points=len(points),
        params=(float(sizes.min()), float(sizes.max())),
        tokens=(float(tokens.min()), float(tokens.max())),
        constants=dict(zip(COORDINATES, map(float, np.exp(value)), strict=True)),
        se=dict(zip(COORDINATES, map(float, sd), strict=True)),
        correlation=np.clip(covariance / np.outer(sd, sd), -1, 1),
        noise=result.noise,
        apart=public.apart,
    )


def drifts_of(public: PublicFamily, known: Library) -> list[float]:
    """Drift of the largest size's run from each share of it."""
    table = runs_of(public)
    run = table.where(f"params == {table.column('params').max():.17g}")
    if run.run_count > 1:
        return []
    members = {each.name: each.group for each in (*known.families, *known.drifts)}
    mine = [name for name, group in members.items() if group == public.group]
    between = known.between(without=mine)
    found = []
    for share in SHARES:
        try:
            found.append(drift_of(run, between, share=share, policy=DEFAULT))
        except ScalewiseError as error:
            print(f"  {public.name}, first {share:.0%}: {error}", file=sys.stderr)
    return found


def record_of(family: Family) -> dict[str, Any]:
    """A family as the file has it, rounded far below its standard errors."""
    below = np.tril_indices(len(COORDINATES), -1)
    return {
        "name": family.name,
        "group": family.group,
        "citation": family.citation,
        "counted": family.counted,
        "is_curve": family.is_curve,
        "status": family.status,
        "sizes": family.sizes,
        "runs": family.runs,
        "points": family.points,
        "params": [short(value, 4) for value in family.params],
        "tokens": [short(value, 4) for value in family.tokens],
        "constants": [short(value, 5) for value in family.constants.values()],
        "se": [short(value, 3) for value in family.se.values()],
        "correlation": [round(float(value), 3) for value in family.correlation[below]],
        "noise": short(family.noise, 3),
        **({"apart": family.apart} if family.apart else {}),
    }


def short(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def text_of(record: dict[str, Any]) -> str:
    """JSON with a line per family, which a reader can compare."""
    rows = [json.dumps(each, ensure_ascii=False) for each in record["families"]]
    drifts = [json.dumps(each) for each in record["drifts"]]
    made = json.dumps(record["made_by"], indent=1, ensure_ascii=False)
    return (
        f'{{"schema": 1,\n"made_by": {made},\n"families": [\n' + ",\n".join(rows)
        + '],\n"drifts": [\n' + ",\n".join(drifts) + "]}\n"
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    if absent := sorted({f.file for f in FAMILIES if not is_present(f)}):
        raise SystemExit(f"absent: {', '.join(absent)}")
    families = []
    for public in FAMILIES:
        family = family_of(public)
        print(f"{public.name:<30}{'no constants' if family is None else family.status}")
        families += [] if family is None else [family]
    made = {
        "command": "python benchmarks/family_constants.py",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "versions": f"scalewise {scalewise.__version__}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}",
        "law": CHINCHILLA.formula,
        "policy": str(DEFAULT),
        "order": ", ".join(COORDINATES),
        "anchors": f"A / N**alpha at {SIZE_ANCHOR:g} params, B / D**beta at {TOKEN_ANCHOR:g} "
        "tokens",
        "se": "of the logarithm; correlation is the lower triangle, by row",
    }
    known = Library(families=tuple(families), made_by=made)
    singles = [p for p in FAMILIES if p.is_curve and not p.apart]
    named = tuple(Drift(name=p.name, group=p.group, per_efold=0.0) for p in singles)
    known = replace(known, drifts=named)
    drifts = []
    for public in singles:
        if found := drifts_of(public, known):
            drift = round(float(np.mean(found)), 4)
            drifts.append({"name": public.name, "group": public.group, "per_efold": drift})
    record = {"made_by": made, "families": [record_of(f) for f in families], "drifts": drifts}
    atomic_write(out, text_of(record))
    print(f"{len(families)} families, {len(drifts)} drifts, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
