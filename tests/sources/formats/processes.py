"""Tools run in processes of their own, offline: their warnings and their state are theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

OFFLINE = {
    "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
    "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip


def environment(home: Path) -> dict[str, str]:
    """The variables of this process, without a network and with every home below ``home``."""
    homes = {name: str(home / name.lower()) for name in ("HF_HOME", "HOME", "TRACKIO_DIR")}
    return os.environ | OFFLINE | homes


def run(script: str, folder: Path, *arguments: str) -> str:
    """Run a script in ``folder`` and give back what it printed."""
    return run_module(folder, "-c", script, *arguments)


def run_module(folder: Path, *arguments: str) -> str:
    """Run Python in ``folder`` and give back what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env=environment(folder),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
