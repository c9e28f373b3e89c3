"""The page that holds cards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from scalewise.cli.output import provenance_of, tell, write_text

if TYPE_CHECKING:
    from scalewise.report.card import Card


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
