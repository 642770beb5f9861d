"""A provider on this machine for benchmarks: answers every chat completion with the same conversation, after a while.

It does as little as it can, in a process of its own, so that what is measured is who asks: one loop over the sockets
that have something to read and the answers that are due. It knows of HTTP/1.1 where a request ends, and no more; a
client may send the next request of a connection only after the answer.
"""

import heapq
import itertools
import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

_KEYS = ("user_1", "assistant_1", "user_2", "assistant_2")
_CONVERSATION = json.dumps({key: f"{key}: " + "what the sea did, hour after hour. " * 8 for key in _KEYS})
_BODY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "local",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": _CONVERSATION}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 300, "total_tokens": 400},
    }
).encode()


def response(status: int, body: bytes, header: str = "") -> bytes:
    """Return an answer as it is sent; `header` is a line of its own, with its line break."""
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\n{header}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


GOOD = response(200, _BODY)
"""What a call is answered with that is taken."""


class Server:
    """The provider, in a process that does nothing else."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._selector = selectors.DefaultSelector()
        self._started: dict[socket.socket, bytes] = {}
        """Requests of which something is still to come."""
        self._due: list[tuple[float, int, socket.socket, bytes]] = []
        self._number = itertools.count()

    def serve(self, listening: socket.socket) -> None:
        """Serve until the process is ended."""
        listening.setblocking(False)
        self._selector.register(listening, selectors.EVENT_READ)
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, _ in self._selector.select(wait):
                if key.fileobj is listening:
                    self._accept(listening)
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type]  # only sockets are registered
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                _, _, connection, answer = heapq.heappop(self._due)
                self.note_sent(now, answer)
                self._send(connection, answer)

    def answer_to(self, now: float, request: bytes) -> tuple[float, bytes]:
        """Return after how many seconds a request is answered, and what with."""
        return self._seconds, GOOD

    def note_sent(self, now: float, answer: bytes) -> None:
        """Note that an answer goes out."""

    def _accept(self, listening: socket.socket) -> None:
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65_536)
        except ConnectionError:
            data = b""
        if not data:
            self._selector.unregister(connection)
            self._started.pop(connection, None)
            connection.close()
            return
        received = self._started.pop(connection, b"") + data
        if _is_whole(received):
            now = time.monotonic()
            seconds, answer = self.answer_to(now, received)
            heapq.heappush(self._due, (now + seconds, next(self._number), connection, answer))
        else:
            self._started[connection] = received

    @staticmethod
    def _send(connection: socket.socket, answer: bytes) -> None:
        try:
            connection.sendall(answer)  # fits into the buffer of a client that reads its answers
        except OSError:
            return  # it did not wait; reading says so too


def _is_whole(request: bytes) -> bool:
    end = request.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = request[:end].lower()
    start = head.find(b"content-length:")
    length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
    return len(request) >= end + 4 + length


@contextmanager
def run_server(script: str | Path, *arguments: str) -> Iterator[str]:
    """Run a script that calls `serve`, as long as the context lasts; gives its base URL."""
    process = subprocess.Popen([sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.kill()
        process.wait()


def local_provider(seconds: float) -> AbstractContextManager[str]:
    """Run a provider that answers each call after so many seconds; gives its base URL."""
    return run_server(__file__, str(seconds))


def serve(server: Server) -> None:
    """Serve at a free port, which is printed first."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listening:
        print(listening.getsockname()[1], flush=True)
        server.serve(listening)


if __name__ == "__main__":
    serve(Server(float(sys.argv[1])))
