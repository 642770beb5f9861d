"""A poller shared by all listeners of one object."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator

from backstay.errors import BackstayError, NotFound
from backstay.logs import get_logger

_log = get_logger("backstay.server")

_MAX_PAUSE_SECONDS = 30.0


class Feed(ABC):
    """A poller of one object that wakes its listeners when the object has changed.

    Listeners have no queues. Each reads the current state when it is ready, so a slow listener misses intermediate
    progress, but delays no other listener and needs no memory.
    """

    def __init__(self, *, poll_seconds: float) -> None:
        self._poll_seconds = poll_seconds
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self.version = 0
        """Number of changes so far."""
        self.listener_count = 0
        self.is_over = False
        """Whether there will be no more changes."""

    @abstractmethod
    async def begin(self) -> None:
        """Load the object for the first time. Raises like the service."""

    @abstractmethod
    async def poll(self) -> bool:
        """Load the object again; return whether it has changed."""

    @abstractmethod
    def has_nothing_after(self, number: int) -> bool:
        """Return whether the feed is over and its last event has this number."""

    @abstractmethod
    def events(self, after: int | None) -> AsyncGenerator[bytes]:
        """Yield encoded events for one listener; numbered events only after the given number."""

    async def start(self) -> None:
        await self.begin()
        self._task = asyncio.create_task(self._poll_until_over())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self.end()

    async def end(self) -> None:
        """End the feed, and wake all listeners."""
        self.is_over = True
        await self._wake()

    async def changed_since(self, version: int) -> int:
        """Wait until the version is newer or the feed is over; return the current version."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.version != version or self.is_over)
            return self.version

    async def _poll_until_over(self) -> None:
        pause = self._poll_seconds
        while not self.is_over:
            await asyncio.sleep(pause)
            try:
                if await self.poll():
                    await self._wake()
                pause = self._poll_seconds
            except NotFound:
                await self.end()
            except BackstayError as error:
                _log.warning("feed_poll_failed", code=error.code, error=error.message)
                pause = min(2 * pause, _MAX_PAUSE_SECONDS)
            except Exception as error:
                _log.exception("feed_crashed", error=type(error).__name__)
                await self.end()

    async def _wake(self) -> None:
        async with self._changed:
            self.version += 1
            self._changed.notify_all()
