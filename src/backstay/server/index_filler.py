"""Indexes what batches and imports store, in the background, for all owners."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backstay.app import Backstay
from backstay.errors import BackstayError
from backstay.logs import get_logger

_log = get_logger("backstay.server")

_POLL_SECONDS = 2.0
_MAX_SHARE = 0.2
"""The largest part of the time in which it writes, since commits of batches wait meanwhile."""
_ERROR_SECONDS = 60.0
_PURGE_SECONDS = 86_400.0
"""The least time between the beginnings of two purges, since each rewrites the text index."""


class IndexFiller:
    """A task that indexes conversations that are not indexed yet. Several servers may run one each."""

    def __init__(self, backstay: Backstay) -> None:
        self._backstay = backstay
        self._task: asyncio.Task[None] | None = None
        self._purge_at = 0.0

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="backstay-index-filler")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def fill_once(self) -> bool:
        """Index one batch of each owner who has conversations that are not indexed; return whether there was any."""
        has_filled = False
        for owner in await self._backstay.unindexed_owners():
            async with _limited():
                has_filled = bool(await self._backstay.for_owner(owner).index.fill_batch()) or has_filled
        return has_filled

    async def purge_texts(self) -> None:
        """Remove what is left of deleted texts from the text index, unless that was done in the last day."""
        if time.monotonic() < self._purge_at or not await self._backstay.index.has_removed_texts():
            return
        self._purge_at = time.monotonic() + _PURGE_SECONDS
        is_first = is_more = True
        while is_more:
            async with _limited():
                is_more = await self._backstay.index.purge_batch(is_first=is_first)
            is_first = False

    async def _run(self) -> None:
        while True:
            try:
                if not await self.fill_once():
                    await self.purge_texts()
                    await asyncio.sleep(_POLL_SECONDS)
            except BackstayError as error:
                # Lists scan what is not indexed, so nothing is wrong but slower.
                _log.warning("index_fill_failed", code=error.code, error=error.message)
                await asyncio.sleep(_ERROR_SECONDS)


@asynccontextmanager
async def _limited() -> AsyncIterator[None]:
    """Wait after a write, so long that writes take their share of the time at most."""
    started = time.monotonic()
    yield
    await asyncio.sleep((time.monotonic() - started) * (1 / _MAX_SHARE - 1))
