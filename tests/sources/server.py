"""A small web server on this machine that misbehaves on request."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from scalewise.sources.public.entry import RawFile

CONTENT = b"run_id,params,tokens,loss\n" + b"a,1e6,2e7,3.5\n" * 5_000


@dataclass
class Site:
    """What is served under each path, and how often each was asked for."""

    url: str
    pages: dict[str, Callable[[BaseHTTPRequestHandler], None]]
    asked: Counter[str] = field(default_factory=Counter)
    let_go: threading.Event = field(default_factory=threading.Event)

    def file(self, path: str, content: bytes = CONTENT) -> RawFile:
        """The entry of a file that should have this content, whatever is served."""
        return RawFile(path, f"{self.url}{path}", len(content), hashlib.sha256(content).hexdigest())

    def serve(self, path: str, content: bytes, *, length: int | None = None) -> None:
        """Serve bytes under a path, told to be of another length if wanted."""

        def page(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content) if length is None else length))
            handler.end_headers()
            handler.wfile.write(content)

        self.pages[path] = page

    def redirect(self, path: str, target: str) -> None:
        """Send whoever asks on to another address."""

        def page(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", target)
            handler.end_headers()

        self.pages[path] = page

    def stall(self, path: str, first: bytes) -> None:
        """Send some bytes of many, then nothing until the test lets go."""

        def page(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(CONTENT)))
            handler.end_headers()
            handler.wfile.write(first)
            handler.wfile.flush()
            self.let_go.wait()

        self.pages[path] = page


@contextmanager
def site() -> Iterator[Site]:
    """A server for the while of a test."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here.asked[self.path] += 1
            page = here.pages.get(self.path)
            if page is None:
                self.send_error(404)
            else:
                page(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Site(f"http://127.0.0.1:{server.server_port}", {})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield here
    finally:
        here.let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()
