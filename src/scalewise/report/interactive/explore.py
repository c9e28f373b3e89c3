"""The interactive page in a notebook, or as a file."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

from scalewise.core.records import atomic_write
from scalewise.core.version import version
from scalewise.fit.result import FitResult
from scalewise.report.interactive.page import interactive_page
from scalewise.report.interactive.payload import payload
from scalewise.runs.health import check_health
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

_HEIGHT = 900  # pixels of the frame in a notebook


@dataclass(frozen=True, slots=True, repr=False)
class Explorer:
    """A page to look at and to ask: shown by notebooks in a frame of its own.

    ``page`` is the whole document, which fetches nothing; ``save`` writes it to a file.
    """

    page: str
    title: str

    def save(self, path: str | Path) -> Path:
        """Write the page to a file, wholly or not at all."""
        atomic_write(Path(path), self.page)
        return Path(path)

    def _repr_html_(self) -> str:
        # Scripts of the page run in an origin of their own and cannot reach the notebook.
        return (
            f'<iframe title="{escape(self.title)}" srcdoc="{escape(self.page)}" '
            'sandbox="allow-scripts allow-downloads allow-modals" allow="clipboard-write" '
            f'width="100%" height="{_HEIGHT}" style="border:0"></iframe>'
        )

    def __repr__(self) -> str:
        return f"Explorer({self.title!r}, {len(self.page):,} characters): .save(path) writes it"


def explore(result: FitResult, runs: object = None, *, level: float = 0.9) -> Explorer:
    """A fit as an interactive page, for a notebook cell or a file.

    What a budget buys, the compute plane, constants and residuals; with the ``runs`` that the fit
    was made from, their table, curves and health as well. ``runs`` is whatever ``read_runs`` takes.

    >>> from scalewise.fit.storage import read_fit
    >>> explore(read_fit("besiroglu2024")).title
    'chinchilla'
    """
    table = runs if isinstance(runs, RunTable) or runs is None else read_runs(runs)
    content = payload(
        result,
        table,
        findings=() if table is None else check_health(table),
        level=level,
        title=result.law.key,
    )
    stamp = {"version": version(), "data_sha256": result.sha256}
    provenance = {name: text for name, text in stamp.items() if text}
    return Explorer(page=interactive_page(content, provenance=provenance), title=result.law.key)
