"""Processor time of whole command-line runs: start of Python to exit, all threads, user + system.

Run by hand::

    python benchmarks/cli_cpu.py [--repeats 7]

Times ``--help``, ``predict`` from a fit file and ``fit`` of 240 points: simulated ones, from
published Chinchilla constants with noise, and the public table if it lies beside the checkout.
The least time is the program's own; the median says what else the machine was doing.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from scalewise.laws.catalogue import published_named

ROOT = Path(__file__).resolve().parents[1]
PUBLIC = ROOT.parent / "shared" / "data" / "chinchilla_epoch" / "points.parquet"
PROGRAM = (sys.executable, "-m", "scalewise")
LIMITS = {"--help": 0.2, "predict": 0.6, "fit": 1.5}


def simulated_table(path: Path, *, points: int = 240, noise: float = 0.003) -> None:
    """Runs spread over sizes and tokens, losses by published constants with noise."""
    law, published = published_named("besiroglu2024")
    rng = np.random.default_rng(0)
    params = np.exp(rng.uniform(np.log(5e7), np.log(1.6e10), points))
    tokens = np.exp(rng.uniform(np.log(1e9), np.log(3e11), points))
    loss = law.value(published.theta, N=params, D=tokens)
    loss = loss * np.exp(noise * rng.standard_normal(points))
    rows = "".join(
        f"{n:.0f},{d:.0f},{nats:.6f}\n" for n, d, nats in zip(params, tokens, loss, strict=True)
    )
    path.write_text(f"params,tokens,loss\n{rows}", encoding="utf-8")


def cpu_seconds(*words: str) -> float:
    """User and system time of one run; raises RuntimeError if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        [*PROGRAM, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} exited with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def measured(title: str, limit: float, repeats: int, *words: str) -> None:
    """One line: least and median over ``repeats`` runs, after one to warm the file cache."""
    cpu_seconds(*words)
    times = [cpu_seconds(*words) for _ in range(repeats)]
    print(f"{title:<34}{min(times):8.3f}{median(times):9.3f}{limit:8.1f}")


def main() -> None:
    """Time every case and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    print(f"{'CPU seconds':<34}{'least':>8}{'median':>9}{'limit':>8}")
    with TemporaryDirectory() as folder:
        table, fit = Path(folder) / "runs.csv", Path(folder) / "fit.json"
        simulated_table(table)
        cpu_seconds("fit", str(table), "--law", "chinchilla", "--out", str(fit))
        measured("--help", LIMITS["--help"], repeats, "--help")
        target = ("--params", "7B", "--tokens", "2T")
        measured("predict", LIMITS["predict"], repeats, "predict", str(fit), *target)
        tables = {"simulated": table} | ({"public": PUBLIC} if PUBLIC.exists() else {})
        for name, source in tables.items():
            fitting: tuple[str, ...] = ("fit", str(source), "--law", "chinchilla")
            if name == "public":
                fitting = (*fitting, "--where", "loss < 3.4469")
            measured(f"fit, 240 {name} points", LIMITS["fit"], repeats, *fitting)
            title = f"fit, 240 {name}, no intervals"
            measured(title, LIMITS["fit"], repeats, *fitting, "--bootstrap", "0")
        measured("fit --law auto, 240 simulated", LIMITS["fit"], repeats, "fit", str(table))


if __name__ == "__main__":
    main()
