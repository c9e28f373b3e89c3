"""Pages of documentation as code: blocks that run, and tables that are written from the code."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scalewise.cli.app import VERBS, app
from scalewise.laws.catalogue import LAWS, PUBLISHED
from scalewise.runs.columns import COLUMNS

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(python|console|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARKED = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)
NUMBER = re.compile(r"(?<![A-Za-z_])\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")


def run_page(page: Path) -> str:
    """The page with the output of every block as it is now; raises if a block fails.

    Python blocks share one namespace, and a text block right after one holds what it prints. A
    console block holds commands behind ``$``; those of scalewise are run, with the output below
    them. Output that ends in ``...`` is shown as far as it was, output that is only ``...`` is yet
    to be written, and output that is empty stays so.
    """
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "__page__"}
    parts, last, printed = [], 0, ""
    for found in FENCE.finditer(text):
        kind, body = found[1], found[2]
        if kind == "python":
            printed = _executed(body, page, namespace)
        elif kind == "console":
            body = _session(body)
        elif text[: found.start()].rstrip().endswith("```") and printed:
            body = _shown(printed, body)
        parts += [text[last : found.start(2)], body]
        last = found.end(2)
    return "".join([*parts, text[last:]])


def _executed(body: str, page: Path, namespace: dict[str, Any]) -> str:
    stream = io.StringIO()
    with redirect_stdout(stream):
        exec(compile(body, page.name, "exec", dont_inherit=True), namespace)  # noqa: S102
    return stream.getvalue()


def _session(body: str) -> str:
    steps = re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]
    return "".join(f"$ {_step(*step.partition(chr(10))[::2])}" for step in steps)


def _step(command: str, shown: str) -> str:
    words = shlex.split(command)
    if words[0] != "scalewise":
        return f"{command}\n{shown}"
    result = CliRunner().invoke(app, words[1:], prog_name="scalewise", terminal_width=88)
    assert result.exit_code == 0, f"$ {command}\n{result.output}"
    return f"{command}\n{_shown(result.stdout, shown)}"


def _shown(output: str, before: str) -> str:
    lines = [line.rstrip() for line in output.strip("\n").splitlines()]
    kept = before.rstrip().splitlines()
    if not kept:
        return before
    if kept[-1] == "..." != kept[0]:
        lines = [*lines[: len(kept) - 1], "..."]
    return "\n".join(lines) + "\n"


def agrees(shown: str, now: str) -> bool:
    """Whether two texts say the same: words equal, numbers within 2 %, layout set aside."""
    ends, numbers = [], []
    for text in (shown, now):
        flat = re.sub(r"(?<!\S)[-=]{2,}(?!\S)", "", text)
        numbers.append([float(n.replace(",", "")) for n in NUMBER.findall(flat)])
        ends.append(NUMBER.sub("#", flat).split())
    return ends[0] == ends[1] and numbers[0] == pytest.approx(numbers[1], rel=0.02, abs=0.02)


def picture() -> str:
    """The first panel of the demo's forecast, as a file that needs no page around it."""
    from scalewise.forecast.holdout import forecast_held_out
    from scalewise.report.cards.held_out import held_out_card
    from scalewise.report.figures import svg
    from scalewise.report.palette import figure_css
    from scalewise.runs.example import HELD_OUT_SIZES, settled_runs

    figure = held_out_card(forecast_held_out(settled_runs(), sizes=HELD_OUT_SIZES)).figure
    assert figure is not None
    drawn = svg(replace(figure, panels=figure.panels[:1]), name="forecast")
    style = f"{figure_css()}\ntext{{font-family:system-ui,sans-serif}}"
    head, rest = drawn.split(">", 1)
    head = head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    paper = '<rect width="100%" height="100%" class="f-paper"/>'
    return f"{head}><style>{style}</style>{paper}{rest}\n"


def with_tables(text: str) -> str:
    """The text with every marked table as the code has it now."""
    return MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _laws() -> str:
    rows = [
        (
            f"`{law.key}`",
            f"`{law.formula}`",
            ", ".join(f"{symbol} = `{column}`" for symbol, column in law.variables.items()),
            law.use_when,
            f"{law.source.key}, {law.source.where}" if law.source else "",
        )
        for law in LAWS.values()
    ]
    return _table(("key", "formula", "inputs", "use when", "source"), rows)


def _published() -> str:
    rows = [
        (
            f"`{key}`",
            f"`{law.key}`",
            ", ".join(f"{name} = {value:.6g}" for name, value in published.theta.items()),
            str(published.source),
            published.note,
        )
        for key, (law, published) in PUBLISHED.items()
    ]
    return _table(("name", "law", "constants", "source", "note"), rows)


def _constants() -> str:
    rows = [
        (f"`{law.key}`", f"`{c.name}`", c.role, f"`{law.unit(c.name)}`", c.meaning)
        for law in LAWS.values()
        for c in law.constants
    ]
    return _table(("law", "constant", "role", "unit", "meaning"), rows)


def _columns() -> str:
    rows = [
        (f"`{c.name}`", c.unit, c.kind, c.note, ", ".join(f"`{alias}`" for alias in c.aliases))
        for c in COLUMNS.values()
    ]
    return _table(("column", "unit", "kind", "meaning", "also read as"), rows)


def _verbs() -> str:
    return _table(("verb", "does"), [(f"`scalewise {v}`", does) for v, does in VERBS.items()])


TABLES: Mapping[str, Callable[[], str]] = {
    "laws": _laws,
    "published": _published,
    "constants": _constants,
    "columns": _columns,
    "verbs": _verbs,
}
