"""Serving the application from a process of its own: its socket, its signals, its end."""

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from backstay.errors import SettingsError
from backstay.server.app import create_app, running
from backstay.server.heads import HeadTimeouts, LimitedConnection
from backstay.server.settings import ServerSettings
from backstay.server.state import AppState
from backstay.settings import Settings
from backstay.signals import SignalCounter

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_INTERRUPTED = 130
_BACKLOG = 512
_HEAD_BYTES = 65_536  # of a request: line and headers
_OTHERS = ("uvicorn", "apscheduler")


@dataclass(frozen=True, slots=True)
class ServeAddress:
    """Where a server listens, and what lets one in."""

    url: str
    token: str | None


def serve(settings: Settings, server: ServerSettings, *, tell: Callable[[ServeAddress], None]) -> None:
    """Serve until a signal says to stop; `tell` is told where once requests are taken.

    The first signal stops gracefully, a later one leaves at once.

    Raises:
        SettingsError: it cannot listen there, or the settings name something that cannot be used.
        StorageError: the database cannot be used.
    """
    with _listening(server) as listener:
        port = listener.getsockname()[1]
        # A new one at each start: only the printed address signs in.
        token = secrets.token_urlsafe(32) if server.mode == "token" else None
        app = create_app(settings, server.model_copy(update={"port": port}), token=token, listens_alone=True)
        asyncio.run(_serve(app, listener, port, tell))


async def _serve(app: FastAPI, listener: socket.socket, port: int, tell: Callable[[ServeAddress], None]) -> None:
    state: AppState = app.state.app_state
    server = state.settings
    _quieten()
    # h11 limits the head of a request, and refuses an ambiguous one.
    connection: Any = partial(
        LimitedConnection, heads=HeadTimeouts(most=server.most_waiting, seconds=server.head_seconds)
    )
    config = uvicorn.Config(
        app,
        http=connection,
        ws="none",
        lifespan="off",  # it is entered here, so that what goes wrong is told in one line
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=state.local is None,
        limit_concurrency=server.most_connections,
        timeout_graceful_shutdown=int(server.grace_seconds) + 1,
        h11_max_incomplete_event_size=_HEAD_BYTES,
    )
    uvicorn_server = _Server(config, state)
    name = f"[{server.host}]" if ":" in server.host else server.host
    with uvicorn_server.handling():
        async with running(app):
            tell(ServeAddress(f"http://{name}:{port}", state.local.token if state.local is not None else None))
            await uvicorn_server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Has the jobs stop in the moment of the signal, and not only once the last connection is closed."""

    def __init__(self, config: uvicorn.Config, state: AppState) -> None:
        super().__init__(config)
        self._state = state
        self._signals = SignalCounter()

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Handle signals for as long as anything is still to be stopped: longer than connections are served."""
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._signals.is_second():
            os._exit(_INTERRUPTED)
        self.should_exit = True
        self._state.supervisor.stop_soon()


@contextmanager
def _listening(server: ServerSettings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    # Named as TCP: only then asyncio sends what is small at once, and does not wait 40 ms for more of it.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A client that stops reading is given up by the kernel too, with what is still to be sent to it.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * server.idle_seconds))
        try:
            listener.bind((server.host, server.port))
            listener.listen(_BACKLOG)
        except OSError as error:
            raise SettingsError(
                f"Nothing can listen at {server.host}, port {server.port}: {error.strerror}; choose with --host and "
                "--port",
                setting="port",
            ) from error
        yield listener
    finally:
        listener.close()


def _quieten() -> None:
    """Have what the libraries complain of go where our own log goes."""
    own = logging.getLogger("backstay")
    for name in _OTHERS:
        other = logging.getLogger(name)
        other.handlers, other.propagate = list(own.handlers), False
        other.setLevel(logging.WARNING)
