"""Connections without a complete request head: they time out and do not harm others."""

import socket
from contextlib import ExitStack, closing

from support.servers.api import served

_MANY = 300
_HALF = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "
_REST = b"1\r\nConnection: close\r\n\r\n"
_CROWDED = "max_connections = 100\nmax_waiting = 50\n"


def _connected(server, address="127.0.0.1"):
    return closing(socket.create_connection(("127.0.0.1", server.port), timeout=20, source_address=(address, 0)))


def _crowd(stack, server, address):
    """Send many incomplete heads, and return once the server has received them all."""
    for _ in range(_MANY):
        stack.enter_context(_connected(server, address)).sendall(_HALF)


def _rest(connection, data=b""):
    """Return all data of a connection until the server closes it."""
    try:
        while more := connection.recv(65536):
            data += more
    except ConnectionResetError:
        pass
    return data


def _answers(server, address):
    with _connected(server, address) as connection:
        connection.sendall(_HALF + _REST)
        return _rest(connection).startswith(b"HTTP/1.1 200")


def test_many_half_heads_lock_no_one_out(tmp_path):
    """A complete head is answered despite many incomplete ones, and so is a slow one from another address."""
    with served(tmp_path, _CROWDED) as server, ExitStack() as stack:
        early = stack.enter_context(_connected(server, "127.0.0.2"))
        early.sendall(_HALF)
        _crowd(stack, server, "127.0.0.3")

        assert _answers(server, "127.0.0.3")  # like behind a proxy, where all clients have one address
        assert _answers(server, "127.0.0.4")
        early.sendall(_REST)
        assert _rest(early).startswith(b"HTTP/1.1 200")
        assert server.descriptors() < 100


def test_without_the_limit_half_heads_lock_everyone_out(tmp_path):
    """Control: without the limit, waiting connections fill the server and a complete head is refused."""
    with served(tmp_path, _CROWDED, without="heads") as server, ExitStack() as stack:
        _crowd(stack, server, "127.0.0.3")

        assert not _answers(server, "127.0.0.4")


_KEPT = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_REFUSED = b"POST /api/batches HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n"


def test_a_head_that_does_not_arrive_times_out(tmp_path):
    """Every connection that waits for a head is closed after the timeout."""
    with served(tmp_path, "head_seconds = 0.5\n") as server:
        for begin, more in ((b"", b""), (_HALF, b"1"), (_REFUSED, b"{"), (_KEPT, _HALF)):
            with _connected(server) as connection:
                connection.sendall(begin)
                answered = connection.recv(65536) if begin.endswith(b"\r\n\r\n") else b""
                connection.sendall(more)

                assert _rest(connection, answered).count(b"HTTP/1.1") == bool(answered)
