"""Limits of connections that wait for the head of a request: how long each may wait, and how many."""

import asyncio
import select
from collections import Counter
from itertools import islice
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from backstay.logs import get_logger

_log = get_logger("backstay.server")

_UNREAD_SECONDS = 1.0
_LOOKED_AT = 16


class HeadTimeouts:
    """Limits the waiting. Honest clients send a head at once, so the connection that waits longest is closed.

    When too many wait, one of the address with the most is closed, so a flood from one address does not harm others.
    Behind a proxy, where all have one address, a new connection replaces an old one, and is never refused.

    A connection on which something lies unread waits for the server, and not for its client: it is left alone.
    """

    def __init__(self, *, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._waiting: dict[LimitedConnection, asyncio.TimerHandle] = {}  # the one that waits longest first
        self._by_address: Counter[str] = Counter()

    def begin(self, connection: "LimitedConnection") -> None:
        """Note that a connection waits for a head, from now on."""
        self.end(connection)
        self._waiting[connection] = connection.loop.call_later(self._seconds, self._time_out, connection)
        self._by_address[connection.address] += 1
        self.close_surplus()

    def close_surplus(self) -> None:
        """Close as many as are too many."""
        while len(self._waiting) > self._most and (silent := self._silent_of_the_most()) is not None:
            self._close(silent)

    def end(self, connection: "LimitedConnection") -> None:
        """Note that it no longer waits. Idempotent."""
        timer = self._waiting.pop(connection, None)
        if timer is not None:
            timer.cancel()
            self._by_address[connection.address] -= 1
            if not self._by_address[connection.address]:
                del self._by_address[connection.address]

    def _silent_of_the_most(self) -> "LimitedConnection | None":
        """Return a silent connection among those that wait longest, of the address that has the most."""
        largest = max(self._by_address.values())
        crowd = (one for one in self._waiting if self._by_address[one.address] == largest)
        # Of a few: were none of many read yet, looking at all for each new one would hold up the reading.
        return next((one for one in islice(crowd, _LOOKED_AT) if one.is_silent()), None)

    def _time_out(self, connection: "LimitedConnection") -> None:
        if connection.is_silent():
            self._close(connection)
        else:
            self._waiting[connection] = connection.loop.call_later(_UNREAD_SECONDS, self._time_out, connection)

    def _close(self, connection: "LimitedConnection") -> None:
        _log.debug("head_given_up", waiting=len(self._waiting))
        self.end(connection)
        connection.connections.discard(connection)  # which uvicorn counts; it would only do so a moment later
        connection.transport.abort()


class LimitedConnection(H11Protocol):
    """A connection of uvicorn with a limit: uvicorn itself waits for the head of a request for ever.

    It waits from its beginning, and again from the end of each answer, until a request has begun. Other bytes, such as
    the rest of a refused body, do not extend the wait.
    """

    def __init__(self, *, heads: HeadTimeouts, **given: Any) -> None:
        super().__init__(**given)
        self._heads = heads
        self.address = ""

    def is_silent(self) -> bool:
        """Whether all that has come on it was read."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket"), select.POLLIN)
        return not poll.poll(0)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
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
            self._heads.close_surplus()  # what lay unread before, and so was left alone, is half a head

    def on_response_complete(self) -> None:
        self._heads.begin(self)  # first, because the next request may already have arrived
        super().on_response_complete()
