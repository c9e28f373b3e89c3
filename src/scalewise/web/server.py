"""The dashboard as a running server, until it is interrupted."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import uvicorn

from scalewise.core.errors import UsageError
from scalewise.web.app import make_app
from scalewise.web.guard import LOOPBACK
from scalewise.web.project import clear_incoming, held, open_project
from scalewise.web.settings import Settings
from scalewise.web.watch import check_watched

_GRACE = 3  # seconds that open requests get when the dashboard ends
_ANY = ("0.0.0.0", "::")  # noqa: S104 - named to be recognised, not to be bound by default


def serve(
    settings: Settings, *, host: str = "127.0.0.1", port: int = 8765,
    started: Callable[[str], None] = lambda url: None,
) -> str:  # fmt: skip
    """Serve until interrupted; ``started`` is told the address to open, which is also returned.

    Port 0 is any free one. Raises UsageError for an address other than a loopback one without a
    token, a port that is taken, and a folder that is no project or is served already.
    """
    if host not in LOOPBACK and not settings.token:
        raise UsageError(
            f"{host} can be reached by others, and the dashboard has no token.",
            hint="Add --token, or leave --host out: the default is this computer alone.",
        )
    if settings.names and not settings.token:
        raise UsageError(
            f"The dashboard answers to {settings.names[0]} and has no token.", hint="Add --token."
        )
    if settings.watched is not None:
        check_watched(settings.watched, settings.folder)
    settings = replace(settings, names=(*settings.names, *_own_names(host)))
    project = open_project(settings.folder)
    with held(project), _bound(host, port) as listening:
        clear_incoming(project)
        secret = f"?token={settings.token}" if settings.token else ""
        shown = _shown(host)
        port = listening.getsockname()[1]
        url = f"http://{shown}:{port}{settings.root_path}/{secret}"
        config = uvicorn.Config(
            make_app(project, settings), log_level="warning", access_log=False, ws="none",
            http="h11", lifespan="on", server_header=False, proxy_headers=False,
            timeout_graceful_shutdown=_GRACE,
        )  # fmt: skip
        started(url)
        with suppress(KeyboardInterrupt):  # the way to end it
            uvicorn.Server(config).run(sockets=[listening])
    return url


def _own_names(host: str) -> tuple[str, ...]:
    """Host names that a browser uses for an address that others can reach."""
    if host in LOOPBACK:
        return ()
    if host not in _ANY:
        return (host.casefold(),)
    name = socket.gethostname()
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(name, None)}
    except OSError:
        found = set()
    return (name.casefold(), socket.getfqdn().casefold(), *sorted(found))


def _shown(host: str) -> str:
    if host in _ANY:
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"Cannot listen on {host} port {port}: {getattr(error, 'strerror', None) or error}.",
            hint="Choose another port, or --port 0 for any that is free.",
        ) from error
