"""Limits on the number and the wait of connections that have not yet sent the head of a request."""

import asyncio
import select
from collections import Counter
from itertools import islice
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from backstay.logs import get_logger

_log = get_logger("backstay.server")

_UNREAD_CHECK_SECONDS = 1.0
_MAX_CHECKED_CONNECTIONS = 16


class WaitingConnections:
    """The connections that wait for a head, with their timeouts. Honest clients send the head at once.

    If too many connections wait, one is closed, from the address with the most connections waiting, so that a flood
    from one address does not harm others. Behind a proxy all connections share one address, so a new one replaces an
    old one and is never refused.

    A connection with unread input is waiting for the server, not for its client, so it is not closed.
    """

    def __init__(self, *, max_waiting: int, seconds: float) -> None:
        self._max_waiting = max_waiting
        self._seconds = seconds
        self._waiting: dict[TimedConnection, asyncio.TimerHandle] = {}  # longest wait first
        self._by_address: Counter[str] = Counter()

    def begin(self, connection: "TimedConnection") -> None:
        """Start the timeout of a connection that waits for a head."""
        self.end(connection)
        self._waiting[connection] = connection.loop.call_later(self._seconds, self._time_out, connection)
        self._by_address[connection.address] += 1
        self.close_surplus()

    def close_surplus(self) -> None:
        """Close connections while too many wait."""
        while len(self._waiting) > self._max_waiting and (connection := self._find_silent_connection()) is not None:
            self._close(connection)

    def end(self, connection: "TimedConnection") -> None:
        """Stop the timeout of a connection that no longer waits. Idempotent."""
        timer = self._waiting.pop(connection, None)
        if timer is not None:
            timer.cancel()
            self._by_address[connection.address] -= 1
            if not self._by_address[connection.address]:
                del self._by_address[connection.address]

    def _find_silent_connection(self) -> "TimedConnection | None":
        """Return a silent connection, among the longest waits, of the address with the most waiting connections."""
        largest = max(self._by_address.values())
        candidates = (connection for connection in self._waiting if self._by_address[connection.address] == largest)
        # Only a few are checked, because checking many with unread input, for each new connection, would delay reading.
        return next(
            (connection for connection in islice(candidates, _MAX_CHECKED_CONNECTIONS) if connection.is_silent()), None
        )

    def _time_out(self, connection: "TimedConnection") -> None:
        if connection.is_silent():
            self._close(connection)
        else:
            self._waiting[connection] = connection.loop.call_later(_UNREAD_CHECK_SECONDS, self._time_out, connection)

    def _close(self, connection: "TimedConnection") -> None:
        _log.debug("waiting_connection_closed", waiting=len(self._waiting))
        self.end(connection)
        connection.connections.discard(connection)  # uvicorn counts them, and would remove this connection too late
        connection.transport.abort()


class TimedConnection(H11Protocol):
    """A uvicorn connection with a timeout, because uvicorn itself waits for the head of a request without a limit.

    The wait starts with the connection, and again at the end of each response, and lasts until a request has begun.
    Other bytes, such as the rest of a refused body, do not extend it.
    """

    def __init__(self, *, heads: WaitingConnections, **options: Any) -> None:
        super().__init__(**options)
        self._heads = heads
        self.address = ""

    def is_silent(self) -> bool:
        """Return whether the connection has no unread input."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket"), select.POLLIN)
        return not poll.poll(0)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # like uvicorn's
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._heads.begin(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._heads.end(self)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._heads.end(self)
        else:
            # What looked like unread input was only part of a head, so this connection may be closed after all.
            self._heads.close_surplus()

    def on_response_complete(self) -> None:
        self._heads.begin(self)  # first, because the next request may already have arrived
        super().on_response_complete()
