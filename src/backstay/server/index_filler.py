"""Indexes what batches and imports store, in the background, for all owners."""

import asyncio
import time

from backstay.app import Backstay
from backstay.errors import BackstayError
from backstay.logs import get_logger

_log = get_logger("backstay.server")

_POLL_SECONDS = 2.0
_MAX_SHARE = 0.2
"""The largest part of the time in which it writes, since commits of batches wait meanwhile."""
_ERROR_SECONDS = 60.0


class IndexFiller:
    """A task that indexes conversations that are not indexed yet. Several servers may run one each."""

    def __init__(self, backstay: Backstay) -> None:
        self._backstay = backstay
        self._task: asyncio.Task[None] | None = None

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
            started = time.monotonic()
            if await self._backstay.for_owner(owner).index.fill_batch():
                has_filled = True
                await asyncio.sleep((time.monotonic() - started) * (1 / _MAX_SHARE - 1))
        return has_filled

    async def _run(self) -> None:
        while True:
            try:
                if not await self.fill_once():
                    await asyncio.sleep(_POLL_SECONDS)
            except BackstayError as error:
                # Lists scan what is not indexed, so nothing is wrong but slower.
                _log.warning("index_fill_failed", code=error.code, error=error.message)
                await asyncio.sleep(_ERROR_SECONDS)
