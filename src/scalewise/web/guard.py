"""Who may ask: host names, origins, the token, and the headers that every answer carries.

A page of another site can make a browser send requests here. The host check is the essential one:
a name that was rebound to this address arrives in ``Host``, and its GET carries no ``Origin``.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scalewise.core.records import sha256_of_bytes
from scalewise.runs.quote import quoted
from scalewise.web.answers import failed
from scalewise.web.refusals import ForbiddenError, NotSignedInError, RefusalError
from scalewise.web.settings import Settings

LOOPBACK = ("localhost", "127.0.0.1", "::1")
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SAFE = ("GET", "HEAD")
_OWN_SITE = ("same-origin", "none")  # "none" is an address that was typed


class Guard:
    """Every request passes here first, and every answer last."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope = without_prefix(scope, self.settings.root_path)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        try:
            check_host(headers, self.settings.names)
            check_site(scope["method"], headers, self.settings.names)
            answer = self._signed_in(scope, headers)
        except RefusalError as error:
            answer = failed(error, scope, self.settings.root_path)
        await (self.app if answer is None else answer)(scope, receive, guarded)

    def _signed_in(self, scope: Scope, headers: Headers) -> Response | None:
        """Nothing if the token is known, or the answer that gives the browser its cookie."""
        token = self.settings.token
        if not token or _same(_cookie(headers, cookie_name(token)), token):
            return None
        if _same(headers.get("authorization", "").removeprefix("Bearer "), token):
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=100)
        if scope["method"] == "GET" and _same(query.pop("token", [""])[0], token):
            rest = urlencode(query, doseq=True)
            # One slash only: a place that begins with two would be another host.
            path = f"{self.settings.root_path}/{scope['path'].lstrip('/')}"
            place = f"{path}{'?' if rest else ''}{rest}"
            answer = RedirectResponse(place, status_code=303)
            answer.set_cookie(
                cookie_name(token), token, httponly=True, samesite="strict",
                path=self.settings.root_path or "/",
            )  # fmt: skip
            return answer
        raise NotSignedInError(
            "This dashboard asks for its token, and the request has none that is right.",
            hint="Open the address that scalewise serve printed; it ends in ?token=...",
        )


def without_prefix(scope: Scope, root_path: str) -> Scope:
    """The request as a proxy that takes the prefix off would have sent it."""
    path = scope["path"]
    if root_path and (path == root_path or path.startswith(f"{root_path}/")):
        return {**scope, "path": path[len(root_path) :] or "/"}
    return scope


def check_host(headers: Headers, names: tuple[str, ...]) -> None:
    """Refuse a request for another host than this one."""
    given = headers.getlist("host")
    asked = _hostname(given[0]) if len(given) == 1 else ""
    if asked not in (*LOOPBACK, *names):
        raise RefusalError(
            f"The request is for host {quoted(', '.join(given), 80)}, which is not this one.",
            hint="Open http://localhost with the port, or start with --allow-host NAME --token.",
        )


def check_site(method: str, headers: Headers, names: tuple[str, ...]) -> None:
    """Refuse what a page of another site makes a browser send; following a link is no harm."""
    site = headers.get("sec-fetch-site")
    followed = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
    if site is not None and site not in _OWN_SITE and not followed:
        raise ForbiddenError(
            f"The request was sent by another site (Sec-Fetch-Site: {quoted(site, 40)}).",
            hint="Use the pages of the dashboard itself.",
        )
    origin = headers.get("origin")
    if method in _SAFE or origin is None:
        return
    # Forms of a page without referrers send "null"; then only the browser's own word counts.
    own = site == "same-origin" if origin == "null" else _is_own(origin, headers["host"], names)
    if not own:
        raise ForbiddenError(
            f"The request comes from {quoted(origin, 80)}, another origin.",
            hint="Use the pages of the dashboard itself.",
        )


def _is_own(origin: str, host: str, names: tuple[str, ...]) -> bool:
    try:
        given = urlsplit(origin)
        return given.scheme in ("http", "https") and (
            given.netloc.casefold() == host.casefold() or given.hostname in names
        )
    except ValueError:
        return False


def _hostname(host: str) -> str:
    """The name in a ``Host`` header, without its port; empty if it is malformed.

    >>> _hostname("[::1]:80"), _hostname("LOCALHOST:8765"), _hostname("a@127.0.0.1")
    ('::1', 'localhost', '')
    """
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    plain = parts.netloc == host and "@" not in host and not (parts.path or parts.query)
    return (parts.hostname or "") if plain else ""


def cookie_name(token: str) -> str:
    """A name for this dashboard's cookie alone: cookies do not tell ports apart."""
    return f"scalewise-{sha256_of_bytes(token.encode())[:12]}"


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())
