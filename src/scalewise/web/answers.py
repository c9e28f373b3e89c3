"""How answers are given: one JSON envelope, one page of HTML, one way to tell a failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from scalewise.core.errors import ScalewiseError
from scalewise.core.records import to_json
from scalewise.report.envelope import envelope
from scalewise.web.layout import failure_page
from scalewise.web.refusals import status_of

API = "/api"


def wants_json(path: str) -> bool:
    """Whether a path is the JSON twin of a page.

    >>> wants_json("/api/jobs"), wants_json("/apidemic")
    (True, False)
    """
    return path == API or path.startswith(f"{API}/")


def json_answer(
    command: str,
    data: object,
    *,
    runs: str | None = None,
    fit: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The envelope of every verb's ``--json``; ``runs`` and ``fit`` say what it was made from."""
    from scalewise import __version__

    found = {"version": __version__, "data_sha256": runs, "fit": fit}
    return _json(envelope(command, data, (), found), status, headers)


def failed(error: ScalewiseError, scope: Scope, root_path: str) -> Response:
    """The fact, the value and the mend: as JSON where that was asked, else as a page."""
    status = status_of(error)
    headers = {"Retry-After": "5"} if status == 503 else {}
    if not wants_json(scope["path"]):
        page = failure_page(error.message, error.hint, root_path=root_path)
        return HTMLResponse(page, status_code=status, headers=headers)
    told = {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}
    whole: dict[str, Any] = envelope("serve", None)
    return _json(whole | {"ok": False, "error": told}, status, headers)


def _json(whole: object, status: int, headers: Mapping[str, str] | None) -> Response:
    return Response(
        f"{to_json(whole)}\n", status, headers=dict(headers or {}), media_type="application/json"
    )
