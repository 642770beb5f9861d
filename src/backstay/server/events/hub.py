"""All feeds of a server, each as long as somebody listens."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import cast

from sse_starlette import EventSourceResponse
from starlette.types import Receive, Scope, Send

from backstay.clock import SystemClock
from backstay.server.events.feed import Feed
from backstay.server.limits import ConcurrencyLimit

_Key = tuple[str, str, str]


class Hub:
    """Shares feeds among listeners, and lets all go when the server stops."""

    def __init__(self, *, slots: ConcurrencyLimit, heartbeat_seconds: float, idle_seconds: float) -> None:
        self._slots = slots
        self._heartbeat_seconds = heartbeat_seconds
        self._idle_seconds = idle_seconds
        self._feeds: dict[_Key, Feed] = {}
        self._starting: dict[_Key, asyncio.Lock] = {}

    @property
    def listeners(self) -> int:
        return self._slots.taken

    @asynccontextmanager
    async def listening(self, kind: str, owner: str, name: str, make: Callable[[], Feed]) -> AsyncIterator[Feed]:
        """Share the feed of one thing; the first listener starts it, the last stops it.

        Raises as the feed's beginning does, and Problem when there are too many listeners.
        """
        key = (kind, owner, name)
        async with self._slots.slot(owner):
            async with self._starting.setdefault(key, asyncio.Lock()):
                feed = self._feeds.get(key)
                if feed is None or feed.is_over:
                    feed = await self._started(key, make)
                feed.listeners += 1
            try:
                yield feed
            finally:
                feed.listeners -= 1
                if not feed.listeners:
                    if self._feeds.get(key) is feed:
                        del self._feeds[key]
                        self._starting.pop(key, None)
                    await asyncio.shield(feed.stop())

    async def _started(self, key: _Key, make: Callable[[], Feed]) -> Feed:
        feed = make()
        try:
            await feed.start()
        except BaseException:
            self._starting.pop(key, None)  # there may be no such thing: its name is not to be remembered
            raise
        self._feeds[key] = feed
        return feed

    def response(self, encoded: AsyncGenerator[bytes]) -> EventSourceResponse:
        """Answer with events, heartbeats between them, for as long as the listener's token is valid.

        A client that does not read is given up.
        """
        return _Stream(encoded, ping=self._heartbeat_seconds, send_timeout=self._idle_seconds, sep="\n")

    async def stop(self) -> None:
        for feed in list(self._feeds.values()):
            await feed.stop()


class _Stream(EventSourceResponse):
    """A stream that ends when the token of its request expires: to continue, a client needs a valid one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ends_at: float | None = scope["state"]["ends_at"]
        if ends_at is not None:
            self.body_iterator = _until(ends_at, cast("AsyncGenerator[bytes]", self.body_iterator))
        await super().__call__(scope, receive, send)


async def _until(moment: float, encoded: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    loop = asyncio.get_running_loop()
    end = loop.time() + moment - SystemClock().now().timestamp()
    async with aclosing(encoded):
        while loop.time() < end:
            try:
                async with asyncio.timeout_at(end):
                    one = await anext(encoded, None)
            except TimeoutError:
                return
            if one is None:
                return
            yield one
