"""All feeds of a server; a feed exists while it has listeners."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import cast

from sse_starlette import EventSourceResponse
from starlette.types import Receive, Scope, Send

from backstay.clock import SystemClock
from backstay.errors import BackstayError
from backstay.server.auth.authentication import RequestIdentity
from backstay.server.events.feed import Feed
from backstay.server.request_limits import ConcurrencyLimit

_SESSION_CHECK_SECONDS = 15.0
_Key = tuple[str, str, str]


class Hub:
    """The shared feeds of a server, which end when it stops."""

    def __init__(self, *, slots: ConcurrencyLimit, heartbeat_seconds: float, idle_seconds: float) -> None:
        self._slots = slots
        self._heartbeat_seconds = heartbeat_seconds
        self._idle_seconds = idle_seconds
        self._feeds: dict[_Key, Feed] = {}
        self._start_locks: dict[_Key, asyncio.Lock] = {}

    @property
    def listener_count(self) -> int:
        return self._slots.taken

    @asynccontextmanager
    async def join(self, kind: str, owner: str, name: str, create_feed: Callable[[], Feed]) -> AsyncIterator[Feed]:
        """Join the feed of one object. The first listener starts the feed, and the last one stops it.

        Raises what `Feed.begin` raises, and Problem if there are too many listeners.
        """
        key = (kind, owner, name)
        async with self._slots.slot(owner):
            async with self._start_locks.setdefault(key, asyncio.Lock()):
                feed = self._feeds.get(key)
                if feed is None or feed.is_over:
                    feed = await self._start(key, create_feed)
                feed.listener_count += 1
            try:
                yield feed
            finally:
                feed.listener_count -= 1
                if not feed.listener_count:
                    if self._feeds.get(key) is feed:
                        del self._feeds[key]
                        self._start_locks.pop(key, None)
                    await asyncio.shield(feed.stop())

    async def _start(self, key: _Key, create_feed: Callable[[], Feed]) -> Feed:
        feed = create_feed()
        try:
            await feed.start()
        except BaseException:
            self._start_locks.pop(key, None)  # the object may not exist, so drop its lock
            raise
        self._feeds[key] = feed
        return feed

    def stream_response(self, encoded: AsyncGenerator[bytes]) -> EventSourceResponse:
        """Return a response that streams events and heartbeats until the listener's token expires.

        A client that stops reading is disconnected.
        """
        return _ExpiringResponse(encoded, ping=self._heartbeat_seconds, send_timeout=self._idle_seconds, sep="\n")

    async def stop(self) -> None:
        for feed in list(self._feeds.values()):
            await feed.stop()


class _ExpiringResponse(EventSourceResponse):
    """A stream that ends when the token of its request expires; the client reconnects with a fresh token."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        identity: RequestIdentity = scope["state"]["identity"]
        if identity.ends_at is not None:
            self.body_iterator = _until_end(identity, cast("AsyncGenerator[bytes]", self.body_iterator))
        await super().__call__(scope, receive, send)


async def _until_end(identity: RequestIdentity, encoded: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    end = asyncio.create_task(_wait_for_end(identity))
    try:
        async with aclosing(encoded):
            while True:
                block = asyncio.ensure_future(anext(encoded, None))
                try:
                    await asyncio.wait((block, end), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not block.done():
                        block.cancel()
                        await asyncio.wait((block,))
                if block.cancelled() or (content := block.result()) is None:
                    return
                yield content
    finally:
        end.cancel()


async def _wait_for_end(identity: RequestIdentity) -> None:
    """Wait until the request's token expires, or its session ends, which a renewal puts off."""
    ends_at = identity.ends_at
    while ends_at is not None and (left := ends_at - SystemClock().now().timestamp()) > 0:
        await asyncio.sleep(min(left, _SESSION_CHECK_SECONDS))
        if identity.current_end is not None:
            with suppress(BackstayError):  # while the database is unavailable, the session continues
                ends_at = await identity.current_end()
