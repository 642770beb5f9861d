"""Another site: a server of pages whose content a test sets."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Site(ThreadingHTTPServer):
    """Serves `content` at every address."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = ""

    def origin(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server_port}"

    def delete(self, ids: Any) -> int:
        """Return the status of a request to delete conversations."""
        return 404


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.server.content.encode())

    def do_POST(self) -> None:
        ids = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.delete(ids) if self.path == "/conversations/delete" else 404)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Discard the log."""


@contextmanager
def other_site() -> Iterator[Site]:
    """Run another site until the context exits."""
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()
