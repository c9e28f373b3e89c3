"""The program run in this process, and tables to give it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from scalewise.cli.app import app
from scalewise.laws.catalogue import published_named

VERBS = (
    "demo",
    "runs",
    "laws",
    "fit",
    "predict",
    "trajectory",
    "steps",
    "allocate",
    "overfit",
    "approaches",
    "diagnose",
    "backtest",
    "train",
    "report",
    "serve",
    "data",
)


def run(*words: object, stdin: str | bytes | None = None) -> Result:
    """The program with these arguments; a leak of an exception fails the test at once."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def answer(*words: object, stdin: str | bytes | None = None) -> dict[str, Any]:
    """The JSON object that a verb prints."""
    whole = json.loads(run(*words, "--json", stdin=stdin).stdout)
    assert isinstance(whole, dict)
    return whole


def simulated_csv(
    *,
    sizes: Sequence[float] = (1e7, 3e7, 1e8, 3e8, 1e9),
    tokens: Sequence[float] = (1e9, 4e9, 1.6e10, 6.4e10),
    noise: float = 0.003,
    seed: int = 0,
) -> str:
    """Runs that follow published Chinchilla constants, one finished model per line."""
    law, published = published_named("besiroglu2024")
    rng = np.random.default_rng(seed)
    lines = ["run_id,params,tokens,loss"]
    for size in sizes:
        for count in tokens:
            exact = float(law.value(published.theta, N=size, D=count))
            loss = exact * np.exp(noise * rng.standard_normal())
            lines.append(f"n{size:.0e}-d{count:.0e},{size:.0f},{count:.0f},{loss:.5f}")
    return "\n".join(lines) + "\n"


def runs_file(folder: Path, **design: Any) -> Path:
    """A simulated table on disk."""
    path = folder / "runs.csv"
    path.write_text(simulated_csv(**design))
    return path


def fit_file(folder: Path, law: str = "chinchilla", **design: Any) -> Path:
    """A fit to a simulated table on disk."""
    path = folder / "fit.json"
    result = run("fit", runs_file(folder, **design), "--law", law, "--bootstrap", 40, "--out", path)
    assert result.exit_code == 0, result.stderr
    return path
