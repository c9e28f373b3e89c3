"""Advice names flags, not Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.cli.advice import as_flags
from tests.cli.program import run


@pytest.mark.parametrize(
    ("python", "flags"),
    [
        (".where('loss < 12.5').", '--where "loss < 12.5".'),
        (".where(\"status == 'ok'\").", "--where \"status == 'ok'\"."),
        ("with where=\"corpus == 'c4'\".", "with --where \"corpus == 'c4'\"."),
        ("mapping={'perplexity': ...}, which", "--map perplexity=COLUMN, which"),
        ('mapping={"params": "...", "loss": "..."}.', "--map params=COLUMN,loss=COLUMN."),
        ("use .finals(); others", "use --rows finals; others"),
        ("mapping={nothing} and where nothing", "mapping={nothing} and where nothing"),
    ],
)
def test_calls_become_flags(python: str, flags: str) -> None:
    assert as_flags(python) == flags


def test_findings_and_failures_advise_flags(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("params,tokens,loss\n1e7,1e9,500\n2e7,1e9,400\n4e7,0,300\n")
    done = run("fit", path)
    assert done.exit_code == 4
    assert "--map perplexity=COLUMN" in done.stderr
    assert '--where "tokens > 0"' in done.stderr
    assert ".where(" not in done.stderr
    assert "mapping=" not in done.stderr
