"""``scalewise serve``: the dashboard, on this computer unless said otherwise."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from scalewise.cli import options
from scalewise.cli.output import Answer, tell
from scalewise.cli.verb import verb
from scalewise.core.errors import UsageError
from scalewise.core.optional import require

_PACKAGES = ("starlette", "uvicorn", "python_multipart")
_LAST_PORT = 65535


def serve(
    *,
    folder: str,
    port: float,
    host: str,
    allowed: tuple[str, ...],
    with_token: bool,
    root_path: str,
    watched: str | None,
) -> Answer:
    """Look at runs, fits and what-ifs in a browser, until interrupted.

    FOLDER is the project: uploads, run tables, fits and jobs are kept in it as files, and are
    there again next time. It is made if it is not there.

    Runs are uploaded in the browser, or read from a folder that is watched. The dashboard answers
    on this computer alone; another --host needs --token, which makes a random secret and prints
    the address that holds it. Nothing is fetched from elsewhere.
    """
    server, settings = _room()
    if port > _LAST_PORT:
        raise UsageError(f"There is no port {port:g}.", hint=f"Ports end at {_LAST_PORT}.")
    url = server.serve(
        settings.Settings(
            folder=Path(folder),
            names=tuple(name.casefold() for name in allowed),
            token=_secret() if with_token else "",
            root_path=_prefix(root_path),
            watched=None if watched is None else Path(watched),
        ),
        host=host,
        port=int(port),
        started=lambda url: tell(f"Serving {folder} on {url} until interrupted (Ctrl-C)."),
    )
    return Answer(data={"folder": folder, "url": url.partition("?")[0]}, cards=list)


def _room() -> tuple[Any, Any]:
    """The other door, opened by name: the doors do not know each other."""
    for package in _PACKAGES:
        require(package, extra="serve", why="for the dashboard")
    return import_module("scalewise.web.server"), import_module("scalewise.web.settings")


def _secret() -> str:
    from secrets import token_urlsafe

    return token_urlsafe(32)


def _prefix(root_path: str) -> str:
    path = root_path.strip("/")
    if not all(c.isalnum() or c in "-_.~/@" for c in path):
        raise UsageError(
            f"--root-path {root_path!r} is no path.", hint="Write it like /user/me/proxy/8765."
        )
    return f"/{path}" if path else ""


command = verb(
    "serve",
    serve,
    (
        click.Argument(["folder"], metavar="[FOLDER]", default="scalewise-project"),
        options.count("--port", "Where to listen; 0 is any free port.", zero=True, default="8765"),
        click.Option(
            ["--host"], metavar="ADDRESS", default="127.0.0.1", show_default=True,
            help="Address to listen on; any but this computer's own needs --token.",
        ),
        click.Option(
            ["--allow-host", "allowed"], metavar="NAME", multiple=True,
            help="Another name that browsers use for this computer. May be repeated.",
        ),
        click.Option(
            ["--token", "with_token"], is_flag=True,
            help="Ask browsers for a random secret, which is printed.",
        ),
        click.Option(
            ["--root-path"], metavar="PATH", default="",
            help="The prefix under which a proxy serves the dashboard.",
        ),
        click.Option(
            ["--watch", "watched"], metavar="FOLDER",
            help="Read the logs in this folder, and again whenever they change.",
        ),
    ),
    examples=(
        "serve",
        "serve ladder --watch runs/",
        "serve --host 0.0.0.0 --token",
        "serve --root-path /user/me/proxy/8765 --allow-host hub.example.org --token",
    ),
)  # fmt: skip
