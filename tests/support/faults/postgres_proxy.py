"""A wire of ours between Backstay and a PostgreSQL server, cut at the instants that matter.

It reads what the client sends, message by message, and knows a COMMIT when it sees one. The client must not encrypt:
`Proxy.url` says so to libpq.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit


class Cut(StrEnum):
    """What becomes of a COMMIT on its way."""

    NONE = "none"
    BEFORE = "before"
    """It never reaches the server; both ends lose their connection."""
    AT_ONCE = "at once"
    """It is passed on, and the client's connection ends at the same time: the server is still at it."""
    AFTER = "after"
    """The server has answered; the client never hears it."""
    HELD_THEN_MADE = "held, then made"
    """The client's connection ends; the server holds its locks for a while, and gets the COMMIT after all."""
    HELD_THEN_UNDONE = "held, then undone"
    """The same, but at last the server's connection ends as well."""


MADE = frozenset({Cut.NONE, Cut.AT_ONCE, Cut.AFTER, Cut.HELD_THEN_MADE})
"""With these the transaction is made."""
LOST = frozenset(Cut) - MADE


class Proxy:
    """Listens on a port of its own and passes everything on, but for COMMITs, of which it asks `plan`."""

    def __init__(
        self,
        url: str,
        *,
        plan: Callable[[], Cut] = lambda: Cut.NONE,
        held_seconds: float = 0.4,
        delay_seconds: float = 0.0,
        host: str = "127.0.0.1",
    ) -> None:
        address = urlsplit(url)
        self._server = (str(address.hostname), address.port or 5432)
        self._plan = plan
        self._held_seconds = held_seconds
        self._delay_seconds = delay_seconds
        self._listener = socket.create_server((host, 0))
        self._flows = threading.Event()
        self._flows.set()
        self._ended = False
        self.cuts: list[Cut] = []
        """What became of each COMMIT, in order."""
        self.accepted = 0
        """How many client connections were accepted, whether or not the server was there."""
        self.held_up = 0
        """How many client messages were held back since the proxy fell silent."""
        self._sockets: set[socket.socket] = set()
        who = f"{address.username}:{address.password}@" if address.password else f"{address.username}@"
        netloc = f"{who}{host}:{self._listener.getsockname()[1]}"
        self.url = urlunsplit(address._replace(netloc=netloc, query="sslmode=disable&gssencmode=disable"))
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._flows.set()
        self._listener.close()
        for each in list(self._sockets):
            _close(each)

    def fall_silent(self) -> None:
        """Pass nothing on any more, in either direction, and close nothing."""
        self._flows.clear()

    def speak(self) -> None:
        """Pass on again what was held up."""
        self._flows.set()

    def cut_all(self) -> None:
        """End every connection."""
        for each in list(self._sockets):
            _close(each)

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                server = socket.create_connection(self._server)
            except OSError:
                _close(client)
                continue
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets |= {client, server}
            wire = _Wire(client, server)
            threading.Thread(target=self._ask, args=(wire,), daemon=True).start()
            threading.Thread(target=self._answer, args=(wire,), daemon=True).start()

    def _ask(self, wire: "_Wire") -> None:
        """Pass on what the client says."""
        with suppress(OSError):
            for message in _messages(wire.client):
                self.held_up += not self._flows.is_set()
                self._flows.wait()
                if message == b"Q\x00\x00\x00\x0bCOMMIT\x00":
                    cut = self._plan()
                    self.cuts.append(cut)
                    if cut is not Cut.NONE:
                        self._cut(wire, cut, message)
                        return
                wire.server.sendall(message)
        self._close(wire)

    def _cut(self, wire: "_Wire", cut: Cut, message: bytes) -> None:
        wire.is_deaf = cut is Cut.AFTER
        wire.answered.clear()
        match cut:
            case Cut.BEFORE:
                pass
            case Cut.AT_ONCE:
                _close(wire.client)
                wire.server.sendall(message)
            case Cut.AFTER:
                wire.server.sendall(message)
                wire.answered.wait(10)
            case Cut.HELD_THEN_MADE:
                _close(wire.client)
                time.sleep(self._held_seconds)  # the server has not yet noticed that the client is gone
                wire.server.sendall(message)
                wire.answered.wait(10)
            case Cut.HELD_THEN_UNDONE:
                _close(wire.client)
                time.sleep(self._held_seconds)  # the server has not yet noticed that the client is gone
        self._close(wire)

    def _answer(self, wire: "_Wire") -> None:
        """Pass on what the server says."""
        with suppress(OSError):
            while said := wire.server.recv(65_536):
                self._flows.wait()
                time.sleep(self._delay_seconds)  # as long as the way is, there and back
                wire.answered.set()
                if not wire.is_deaf:
                    with suppress(OSError):
                        wire.client.sendall(said)
        wire.answered.set()
        _close(wire.client)

    def _close(self, wire: "_Wire") -> None:
        self._sockets -= {wire.client, wire.server}
        _close(wire.client)
        _close(wire.server)


class _Wire:
    """One client's connection and the one it leads to."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.is_deaf = False
        self.answered = threading.Event()


def _messages(client: socket.socket) -> Iterator[bytes]:
    """Yield what a client sends: first its greeting, which bears no letter, then messages that do."""
    buffer, head = b"", 0
    while received := client.recv(65_536):
        buffer += received
        while len(buffer) >= head + 4:
            length = head + struct.unpack_from("!I", buffer, head)[0]
            if len(buffer) < length:
                break
            yield buffer[:length]
            buffer, head = buffer[length:], 1


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
