"""A minimal listener to server-sent events."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Received:
    """One event, or a comment."""

    name: str
    data: Any
    id: str | None


def parsed(lines: Iterator[str]) -> Iterator[Received]:
    """Yield events of a stream, and comments as `comment`."""
    name, data, number = "message", "", None
    for line in lines:
        if not line:
            if data:
                yield Received(name, json.loads(data), number)
            name, data, number = "message", "", None
        elif line.startswith(":"):
            yield Received("comment", line[1:].strip(), None)
        else:
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data += value
            elif field == "id":
                number = value


class Listener:
    """Listener with a socket of its own, so that it can stop reading or vanish."""

    def __init__(self, url: str, path: str, token: str, *, last: str | None = None, timeout: float = 60) -> None:
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname or "", address.port or 80), timeout=timeout)
        more = f"Last-Event-ID: {last}\r\n" if last is not None else ""
        head = f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
        self.socket.sendall(head.encode())
        self._file = self.socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        while self._file.readline().strip():
            pass

    def lines(self) -> Iterator[str]:
        """Yield the lines of a chunked response to its end."""
        rest = b""
        while (size := int(self._file.readline().strip() or b"0", 16)) > 0:
            rest += self._file.read(size)
            self._file.readline()
            *whole, rest = rest.split(b"\n")
            for line in whole:
                yield line.decode()

    def events(self) -> Iterator[Received]:
        return parsed(self.lines())

    def close(self) -> None:
        self._file.close()
        self.socket.close()
