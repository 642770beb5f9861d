"""A wire of ours between a browser and a server, cut when a certain request has got through."""

import socket
import threading
from contextlib import suppress


class CuttingProxy:
    """Passes everything on to a server of this machine, until it is told to cut. Use it in a `with`."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._request: bytes | None = None
        self._answer = b""
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.was_cut = threading.Event()
        self._flows = threading.Event()
        self._flows.set()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> "CuttingProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._flows.set()
        self._cut_all()

    def cut_at(self, request: bytes, answer: bytes = b"HTTP/1.1 ") -> None:
        """Cut everything, from then on, when the answer to such a request has come to this: the client never sees it.

        The request is told by what its head has, and has reached the server whole.
        """
        self.was_cut.clear()
        self._request, self._answer = request, answer

    def fall_silent(self) -> None:
        """Pass nothing on any more to any client, and close nothing."""
        self._flows.clear()

    def mend(self) -> None:
        """Pass everything on again; who fell silent is cut."""
        if not self._flows.is_set():
            self._cut_all()
            self._flows.set()
        self._request = None
        self.was_cut.clear()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.was_cut.is_set():
                _close(client)
                continue
            try:
                server = socket.create_connection(self._server)
            except OSError:
                _close(client)
                continue
            with self._lock:
                self._sockets |= {client, server}
            wire = _Wire(client, server)
            threading.Thread(target=self._ask, args=(wire,), daemon=True).start()
            threading.Thread(target=self._tell, args=(wire,), daemon=True).start()

    def _ask(self, wire: "_Wire") -> None:
        with suppress(OSError):
            while said := wire.client.recv(65_536):
                if self._request is not None and self._request in said:
                    wire.is_watched, wire.seen = True, b""
                wire.server.sendall(said)
        _close(wire.server)

    def _tell(self, wire: "_Wire") -> None:
        with suppress(OSError):
            while said := wire.server.recv(65_536):
                self._flows.wait()
                wire.seen += said
                if wire.is_watched and self._answer in wire.seen:
                    self.was_cut.set()
                    self._cut_all()
                    return
                wire.client.sendall(said)
        _close(wire.client)

    def _cut_all(self) -> None:
        with self._lock:
            ended, self._sockets = self._sockets, set()
        for each in ended:
            _close(each)


class _Wire:
    """One client's connection and the one it leads to."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.is_watched = False
        self.seen = b""


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
