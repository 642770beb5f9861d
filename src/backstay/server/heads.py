"""Limits of connections that wait for the head of a request: how long they may wait, and how many of them."""

import asyncio
import select
from collections import Counter
from itertools import islice
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from backstay.logs import get_logger

_log = get_logger("backstay.server")

_UNREAD_SECONDS = 1.0
_MOST_CHECKED = 16


class HeadTimeouts:
    """Timeouts of connections that wait for a head. Honest clients send it at once, so the longest wait is ended.

    If too many connections wait, one from the address with the most is closed, so that a flood from one address does
    not harm others. Behind a proxy all have one address: a new connection then replaces an old one and is never
    refused.

    A connection with unread input waits for the server and not for its client, so it is not closed.
    """

    def __init__(self, *, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._waiting: dict[LimitedConnection, asyncio.TimerHandle] = {}  # longest wait first
        self._by_address: Counter[str] = Counter()

    def begin(self, connection: "LimitedConnection") -> None:
        """Start the timeout of a connection that waits for a head."""
        self.end(connection)
        self._waiting[connection] = connection.loop.call_later(self._seconds, self._time_out, connection)
        self._by_address[connection.address] += 1
        self.close_surplus()

    def close_surplus(self) -> None:
        """Close connections while too many wait."""
        while len(self._waiting) > self._most and (silent := self._silent_of_busiest_address()) is not None:
            self._close(silent)

    def end(self, connection: "LimitedConnection") -> None:
        """Stop the timeout of a connection that no longer waits. Idempotent."""
        timer = self._waiting.pop(connection, None)
        if timer is not None:
            timer.cancel()
            self._by_address[connection.address] -= 1
            if not self._by_address[connection.address]:
                del self._by_address[connection.address]

    def _silent_of_busiest_address(self) -> "LimitedConnection | None":
        """Return a silent connection among the longest waits, from the address with the most connections."""
        largest = max(self._by_address.values())
        candidates = (connection for connection in self._waiting if self._by_address[connection.address] == largest)
        # Only a few are checked: if many had unread input, checking all for each new connection would delay reading.
        return next((connection for connection in islice(candidates, _MOST_CHECKED) if connection.is_silent()), None)

    def _time_out(self, connection: "LimitedConnection") -> None:
        if connection.is_silent():
            self._close(connection)
        else:
            self._waiting[connection] = connection.loop.call_later(_UNREAD_SECONDS, self._time_out, connection)

    def _close(self, connection: "LimitedConnection") -> None:
        _log.debug("waiting_connection_closed", waiting=len(self._waiting))
        self.end(connection)
        connection.connections.discard(connection)  # uvicorn counts them, and would remove it only a moment later
        connection.transport.abort()


class LimitedConnection(H11Protocol):
    """A uvicorn connection with a timeout: uvicorn itself waits for the head of a request without a limit.

    The wait starts with the connection, and again at the end of each response, and lasts until a request has begun.
    Other bytes, such as the rest of a refused body, do not extend it.
    """

    def __init__(self, *, heads: HeadTimeouts, **options: Any) -> None:
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
            self._heads.close_surplus()  # its unread input, for which it was spared, is half a head

    def on_response_complete(self) -> None:
        self._heads.begin(self)  # first, because the next request may already have arrived
        super().on_response_complete()
