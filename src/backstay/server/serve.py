"""`backstay serve`: the application in its own process, with its socket and signals."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from backstay.errors import SettingsError
from backstay.remedy import Remedy
from backstay.schemas import ServeOut
from backstay.server.app import create_app, running
from backstay.server.auth.token_file import TokenFile
from backstay.server.request_head_limits import TimedConnection, WaitingConnections
from backstay.server.settings import ServerSettings
from backstay.server.state import AppState
from backstay.settings import Settings
from backstay.signal_counter import SignalCounter

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_INTERRUPTED_STATUS = 130
_BACKLOG_CONNECTIONS = 512
_MAX_HEAD_BYTES = 65_536  # request line and headers
_LIBRARIES = ("uvicorn", "apscheduler")


def serve(
    settings: Settings,
    server_settings: ServerSettings,
    *,
    on_listening: Callable[[ServeOut], None],
    new_token: bool = False,
) -> None:
    """Serve until a signal arrives. `on_listening` is called with the address once requests are accepted.

    The first signal stops the server gracefully; a second one exits at once. `new_token` replaces the local token.

    Raises:
        SettingsError: the address, a recipe or a processor in the settings cannot be used, nor the file of the token.
        OutputUnwritable: the token cannot be kept.
        StorageError: the database cannot be used.
    """
    with _open_listener(server_settings) as listener:
        port = listener.getsockname()[1]
        token = None
        if server_settings.effective_auth == "token":
            token = TokenFile(settings, os.environ).load(renew=new_token)
        app = create_app(settings, server_settings.model_copy(update={"port": port}), token=token, is_standalone=True)
        asyncio.run(_serve(app, listener, port, on_listening))


async def _serve(app: FastAPI, listener: socket.socket, port: int, on_listening: Callable[[ServeOut], None]) -> None:
    state: AppState = app.state.app_state
    server_settings = state.settings
    _redirect_library_logs()
    # h11 limits the size of a request's head, and refuses ambiguous heads.
    connection: Any = partial(
        TimedConnection,
        heads=WaitingConnections(max_waiting=server_settings.max_waiting, seconds=server_settings.head_seconds),
    )
    config = uvicorn.Config(
        app,
        http=connection,
        ws="none",
        lifespan="off",  # entered below, so that its errors are reported in one line
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=state.local is None,
        limit_concurrency=server_settings.max_connections,
        timeout_graceful_shutdown=int(server_settings.grace_seconds) + 1,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
    )
    uvicorn_server = _Server(config, state)
    host = f"[{server_settings.host}]" if ":" in server_settings.host else server_settings.host
    with uvicorn_server.handle_signals():
        async with running(app):
            token = state.local.token if state.local is not None else None
            on_listening(ServeOut(url=f"http://{host}:{port}", token=token))
            await uvicorn_server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """A uvicorn server that stops the jobs upon the signal, before its last connection closes."""

    def __init__(self, config: uvicorn.Config, state: AppState) -> None:
        super().__init__(config)
        self._state = state
        self._signals = SignalCounter()

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Handle signals until everything has stopped, which takes longer than the last connection."""
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
            os._exit(_INTERRUPTED_STATUS)
        self.should_exit = True
        self._state.supervisor.stop_soon()


@contextmanager
def _open_listener(server_settings: ServerSettings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in server_settings.host else socket.AF_INET
    # Because the protocol is named, asyncio sets TCP_NODELAY; otherwise small writes could wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # This makes the kernel drop a client that stops reading, together with the unsent data.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * server_settings.idle_seconds))
        try:
            listener.bind((server_settings.host, server_settings.port))
            listener.listen(_BACKLOG_CONNECTIONS)
        except OSError as error:
            raise SettingsError(
                f"Cannot listen at {server_settings.host}, port {server_settings.port}: {error.strerror}",
                remedy=Remedy.CHOOSE_ADDRESS,
                setting="port",
            ) from error
        yield listener
    finally:
        listener.close()


def _redirect_library_logs() -> None:
    """Send warnings of the libraries to the handlers of the project's own log."""
    own = logging.getLogger("backstay")
    for name in _LIBRARIES:
        other = logging.getLogger(name)
        other.handlers, other.propagate = list(own.handlers), False
        other.setLevel(logging.WARNING)
