"""Static files: the interactive component of the reports, as it is, and what starts it here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from scalewise.report.html import shared_style
from scalewise.report.interactive.bundle import modules, stylesheet
from scalewise.web.refusals import NotThereError

_FOLDER = "static"


def component(name: str) -> str:
    """A module of the interactive component, or ``start``, which mounts it on a fit's page."""
    found = {**modules(), "start": _own("start.js")}
    if name not in found:
        raise NotThereError(f"There is no module {name[:40]!r}.", hint="Open the page again.")
    return found[name]


@lru_cache(maxsize=1)
def static_files() -> Mapping[str, tuple[str, str]]:
    """Text and media type of what every page shares, by name: nothing else is handed out."""
    return {
        "page.css": (shared_style(), "text/css"),
        "app.css": (stylesheet(), "text/css"),
        "dashboard.css": (_own("dashboard.css"), "text/css"),
        "dashboard.js": (_own("dashboard.js"), "text/javascript"),
    }


@lru_cache(maxsize=8)
def _own(name: str) -> str:
    return files(__package__).joinpath(_FOLDER, name).read_text("utf-8")
