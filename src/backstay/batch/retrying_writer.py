"""Writes of a worker, repeated while the database is busy or unreachable."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from backstay.batch.committer import Committer
from backstay.batch.stop_signal import EndDeadline, StopSignal
from backstay.errors import StoreBusy, StoreUnavailable
from backstay.logs import get_logger

T = TypeVar("T")

_log = get_logger("backstay.worker")

_POLL_SECONDS = 1.0  # how often a slow write checks whether a stop was requested
_PATIENCE_SECONDS = 5.0  # to wait for an unresponsive database after a stop


class RetryingWriter:
    """A writer that repeats a worker's writes until the database accepts them."""

    def __init__(
        self,
        *,
        job_id: str,
        stop: StopSignal,
        deadline: EndDeadline,
        is_stopping: Callable[[], bool],
        committer: Committer,
    ) -> None:
        self._job_id = job_id
        self._stop = stop
        self._deadline = deadline
        self._is_stopping = is_stopping
        self._committer = committer

    async def write(self, write: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Repeat a write until the database accepts it: another program may lock it, or its server may be unreachable.

        Meanwhile finished calls wait in the committer, where they occupy the slots of new calls. A worker that is
        stopping gives up and raises StorageError.
        """
        while True:
            try:
                return await self._await_write(write())
            except (StoreBusy, StoreUnavailable) as error:
                if self._is_stopping():
                    raise
                _log.warning(
                    "database_unavailable_retrying", job=self._job_id, code=error.code, waiting=len(self._committer)
                )

    async def _await_write(self, write: Coroutine[Any, Any, T]) -> T:
        """Await a write; once a stop is requested, only for as long as calls in flight are awaited.

        An unresponsive database must not keep a run from ending.
        """
        task = asyncio.create_task(write)
        patience_ends_at = None
        try:
            while not (await asyncio.wait([task], timeout=_POLL_SECONDS))[0]:
                if not self._stop.requested:
                    continue
                patience_ends_at = patience_ends_at or time.monotonic() + _PATIENCE_SECONDS
                if time.monotonic() > max(patience_ends_at, self._deadline.after_stop()):
                    raise StoreUnavailable("The database does not answer; items not stored yet will be processed again")
            return task.result()
        finally:
            task.cancel()
