from __future__ import annotations

import io
import sys

import pytest

from scalewise.cli.progress import training_progress
from scalewise.train.progress import Progress, Status


class Terminal(io.StringIO):
    """Text that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def event(run_id: str, updates: int, status: Status = "running") -> Progress:
    return Progress(run_id=run_id, status=status, updates=updates, total_updates=40, loss=2.5)


def test_a_terminal_sees_a_bar_per_run_with_names_taken_literally(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with training_progress([]) as on_progress:
        on_progress(event("[red]a\x1b]0;owned\x07", 10))
        on_progress(event("b", 40, "ok"))
    shown = terminal.getvalue()
    assert "[red]a\\x1b]0;owned" in shown
    assert "40/40" in shown
    assert "loss 2.5000" in shown


def test_a_log_gets_a_line_when_a_run_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with training_progress([]) as on_progress:
        on_progress(event("a", 1))
        on_progress(event("a", 2))
        on_progress(event("a", 40, "ok"))
    assert capsys.readouterr().err == "a: ok, 40 of 40 updates, loss 2.5000\n"
