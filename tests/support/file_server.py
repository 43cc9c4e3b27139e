"""An HTTP server on loopback that serves files from memory, and can misbehave."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Iterator


@dataclass
class FileServer:
    """What is served, how, and what was asked for.

    Attributes:
        files: Content by name.
        cut_after: Bytes after which the next answers break off, one entry per answer.
        ranges: Whether requests for a part are honoured.
        headers: More headers of every answer.
        redirects: The address to which a name is redirected.
        requests: (name, Range header) of every request so far.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    port: int = 0

    def url(self, name: str) -> str:
        """The address of a file."""
        return f"http://127.0.0.1:{self.port}/{name}"


@contextmanager
def serve() -> Iterator[FileServer]:
    """Run a server until the block ends."""
    state = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 (the base class looks for this name)
            name = self.path.strip("/")
            asked = self.headers.get("Range")
            state.requests.append((name, asked))
            if name in state.redirects:
                self.send_response(302)
                self.send_header("Location", state.redirects[name])
                self.end_headers()
                return
            content = state.files.get(name)
            if content is None:
                self.send_error(404)
                return
            start = int(asked[len("bytes=") : -1]) if asked and state.ranges else 0
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            for key, value in state.headers.items():
                self.send_header(key, value)
            self.end_headers()
            stop = state.cut_after.pop(0) if state.cut_after else len(content)
            self.wfile.write(content[start : start + stop])

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
