"""One poller for all who listen to the same thing."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from backstay.errors import BackstayError, NotFound
from backstay.logs import get_logger
from backstay.server.events.event import ServerEvent

_log = get_logger("backstay.server")

_LONGEST_PAUSE = 30.0


class Feed(ABC):
    """Looks at something from time to time, and wakes its listeners when it has changed.

    A listener is handed nothing: it takes what is there when it comes round. So one that is slow misses intermediate
    progress, keeps nobody waiting, and holds no memory.
    """

    def __init__(self, *, poll_seconds: float) -> None:
        self._poll_seconds = poll_seconds
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._version = 0
        self.listeners = 0
        self.is_over = False
        """Nothing more will happen."""

    @abstractmethod
    async def begin(self) -> None:
        """Look for the first time. Raises as the service does."""

    @abstractmethod
    async def poll(self) -> bool:
        """Look again; whether anything has changed."""

    @abstractmethod
    def has_nothing_after(self, number: int) -> bool:
        """Whether it is over, and that event was its last."""

    @abstractmethod
    def events(self, after: int | None) -> AsyncIterator[ServerEvent]:
        """Yield events for one listener, those after the given one where they have numbers."""

    async def start(self) -> None:
        await self.begin()
        self._task = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self.end()

    async def end(self) -> None:
        """Let the listeners go."""
        self.is_over = True
        await self._wake()

    @property
    def version(self) -> int:
        return self._version

    async def changed_since(self, version: int) -> int:
        """Wait until something has changed since, or nothing more will; return the number of the present."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._version != version or self.is_over)
            return self._version

    async def _poll(self) -> None:
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
                _log.warning("events_not_seen", code=error.code, error=error.message)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except Exception as error:
                _log.exception("events_fault", error=type(error).__name__)
                await self.end()

    async def _wake(self) -> None:
        async with self._changed:
            self._version += 1
            self._changed.notify_all()
