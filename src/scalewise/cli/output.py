"""What a verb prints: its cards as text or its data as one JSON object; the rest to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scalewise.core.errors import ScalewiseError, UsageError

if TYPE_CHECKING:
    from scalewise.report.card import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a verb found.

    ``data`` is for programs, ``cards`` (built only when shown) for people. ``text`` replaces the
    cards on standard output, which then go to stderr: a file asked for as ``--out -``.
    ``failure`` is a gate or a status that makes the exit code, beside an answer worth printing.
    """

    data: Mapping[str, Any]
    cards: Callable[[], Iterable[Card]]
    warnings: tuple[str, ...] = ()
    seed: int | None = None
    data_sha256: str = ""
    text: str | None = None
    failure: ScalewiseError | None = None


def publish(verb: str, answer: Answer, *, as_json: bool) -> int:
    """Print an answer and return its exit code."""
    if as_json:
        print_json(_envelope(verb, answer))
    elif answer.text is not None:
        print_cards(answer.cards(), to_stderr=True)
        _write(answer.text)
    else:
        print_cards(answer.cards())
    if answer.failure is None:
        return 0
    from scalewise.cli.failure import tell_failure

    tell_failure(answer.failure)
    return answer.failure.exit_code


def _envelope(verb: str, answer: Answer) -> dict[str, Any]:
    from scalewise.cli.failure import failed_envelope
    from scalewise.report.envelope import envelope

    provenance = provenance_of(seed=answer.seed, data_sha256=answer.data_sha256)
    if answer.failure is not None:
        return failed_envelope(verb, answer.data, answer.failure, answer.warnings, provenance)
    whole: dict[str, Any] = envelope(verb, answer.data, answer.warnings, provenance)
    return whole


def provenance_of(*, seed: int | None = None, data_sha256: str = "") -> dict[str, Any]:
    """Where an answer comes from: the program, the seed, the data."""
    return {"version": version(), "seed": seed, "data_sha256": data_sha256 or None}


def version() -> str:
    """The version of scalewise."""
    from scalewise import __version__

    return __version__


def print_cards(cards: Iterable[Card], *, to_stderr: bool = False) -> None:
    """Cards as text, one blank line between them."""
    from scalewise.report.text import can_show, render

    stream = sys.stderr if to_stderr else sys.stdout
    colour = stream.isatty() and not os.environ.get("NO_COLOR")
    ascii_only = not can_show(getattr(stream, "encoding", None))
    for card in cards:
        text = render(card, width=_width(), colour=colour, ascii_only=ascii_only)
        if to_stderr:
            click.echo(f"{text}\n", err=True, color=colour)
        else:
            _write(f"{text}\n\n", colour=colour)


def print_json(whole: Mapping[str, Any]) -> None:
    """One JSON object on standard output, in UTF-8 whatever the terminal."""
    from scalewise.core.records import to_json

    _write(to_json(whole, indent=2).encode() + b"\n")


def file_text(name: str, write: Callable[[Path], None]) -> str:
    """What a writer of files would write, as text for standard output."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="scalewise-") as folder:
        path = Path(folder) / name
        write(path)
        return path.read_text(encoding="utf-8")


def write_text(out: str, text: str) -> None:
    """Text to a file, wholly or not at all; ``-`` is standard output."""
    if out == "-":
        _write(text)
        return
    from scalewise.core.records import atomic_write

    atomic_write(out, text)


def tell(text: str) -> None:
    """A line for people on standard error; control characters are shown as escapes."""
    click.echo("\n".join(_plain(line) for line in text.splitlines()), err=True)


def _plain(line: str) -> str:
    from scalewise.runs.quote import bare

    return bare(line, limit=10_000)


def flush() -> None:
    """Write what is still in the buffer, so that a failure to do so is told and not lost."""
    with _whole_or_told():
        sys.stdout.flush()


def _write(content: str | bytes, *, colour: bool = False) -> None:
    with _whole_or_told():
        click.echo(content, nl=False, color=colour)


@contextmanager
def _whole_or_told() -> Iterator[None]:
    """A reader that has gone is no failure, as in `scalewise laws | head`; a full disk is one."""
    try:
        yield
    except OSError as error:
        # The interpreter flushes again on its way out, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise UsageError(
                f"Standard output cannot be written: {error.strerror}.",
                hint="Check the free space, or write to another place.",
            ) from error


def _width() -> int:
    import shutil

    return shutil.get_terminal_size((100, 24)).columns


def write_page(
    cards: Iterable[Card], out: str, *, title: str, sha256: str, subtitle: str = ""
) -> None:
    """One self-contained HTML page at ``out``; ``-`` is standard output."""
    from scalewise.report.html import page

    provenance = {k: v for k, v in provenance_of(data_sha256=sha256).items() if v is not None}
    text = page(tuple(cards), title=title, subtitle=subtitle, provenance=provenance)
    write_text(out, text)
    if out != "-":
        tell(f"Wrote {out}.")
