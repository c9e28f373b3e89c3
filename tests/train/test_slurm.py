"""The array script: text that bash and sbatch read as it is meant, whatever the names."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from scalewise.core.errors import UsageError
from scalewise.train.slurm import slurm_script
from tests.train.small_runs import small_spec

SPECS = [small_spec(run_id=f"s{seed}", seed=seed) for seed in range(5)]
HOSTILE = [
    "plain.toml",
    "two words.toml",
    'it\'s $(touch owned) `touch owned`; touch owned & "x".toml',
    "--out.toml",
    "%A-{name}-#SBATCH --exclusive.toml",
    "\t*?[a]!\\.toml",
    "Ünïcode-模型.toml",
]


def directives(script: str) -> dict[str, str]:
    lines = [line for line in script.splitlines() if line.startswith("#SBATCH ")]
    pairs = [line.removeprefix("#SBATCH --").partition("=") for line in lines]
    return {name: value for name, _, value in pairs}


def test_the_array_has_a_task_for_each_handful_of_runs(tmp_path: Path) -> None:
    script = slurm_script(SPECS, plan="a.toml", folder=tmp_path, workers=2, device="cuda")
    found = directives(script)
    assert (found["array"], found["cpus-per-task"], found["gpus-per-task"]) == ("0-2", "2", "2")
    assert "gpus-per-task" not in directives(slurm_script(SPECS, plan="a.toml", folder=tmp_path))
    many = directives(slurm_script(SPECS * 400, plan="a.toml", folder=tmp_path))
    assert many["array"] == "0-999"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_reaches_the_program_as_it_is(name: str, tmp_path: Path) -> None:
    script = slurm_script(SPECS, plan=tmp_path / name, folder=tmp_path / f"runs of {name}")
    *head, command = script.rstrip("\n").splitlines()
    assert shlex.split(command) == [
        "exec", sys.executable, "-m", "scalewise", "train", str(tmp_path / name),
        "--out", str(tmp_path / f"runs of {name}"),
        "--workers", "1", "--device", "cpu", "--shared",
    ]  # fmt: skip
    assert not any(name in line for line in head)
    assert all(re.fullmatch(r"[\w%.-]*", value, re.ASCII) for value in directives(script).values())

    # And what bash makes of it, with a program that only prints its arguments.
    echo = script.replace(f"exec {shlex.quote(sys.executable)}", "exec printf '%s\\n'")
    done = subprocess.run(
        ["bash"], input=echo, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert str(tmp_path / name) in done.stdout.splitlines()
    assert list(tmp_path.iterdir()) == []


def test_a_name_with_a_line_break_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="A path with a line break"):
        slurm_script(SPECS, plan=tmp_path / "a\n#SBATCH --exclusive\n.toml", folder=tmp_path)
