"""An HTTP proxy that passes every request and tunnel to one server, or refuses all."""

import socket
import threading
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class HttpProxy:
    """Proxy on a port of its own. Use it in a `with`."""

    def __init__(self, port: int, *, refuses_with: int | None = None) -> None:
        """Pass everything to a port of this machine, or answer everything with one status."""
        self.asked: list[str] = []
        """The target of each request: a URL, or the host and port of a tunnel."""
        self.credentials: list[str | None] = []
        """The Proxy-Authorization header of each request."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, port, refuses_with))
        self._server.daemon_threads = True
        self._server.block_on_close = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "HttpProxy":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(proxy: HttpProxy, port: int, refuses_with: int | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            proxy.asked.append(self.path)
            proxy.credentials.append(self.headers["Proxy-Authorization"])
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = refuses_with or 200, b"<html>Proxy</html>"
            if refuses_with is None:
                server = HTTPConnection("127.0.0.1", port)
                server.request("POST", urlsplit(self.path).path, body, dict(self.headers))
                content = server.getresponse().read()
                server.close()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_CONNECT(self) -> None:
            proxy.asked.append(self.path)
            proxy.credentials.append(self.headers["Proxy-Authorization"])
            self.send_response(refuses_with or 200)
            if refuses_with is not None:
                self.send_header("Content-Length", "0")
            self.end_headers()
            self.close_connection = True
            if refuses_with is None:
                with socket.create_connection(("127.0.0.1", port)) as server:
                    threading.Thread(target=_pass_on, args=(server, self.connection), daemon=True).start()
                    _pass_on(self.connection, server)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
