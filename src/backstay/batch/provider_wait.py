"""What a worker's calls wait for, recorded in the worker's row."""

from functools import partial

from backstay.batch.processor import CanWait
from backstay.batch.progress import ProviderWait
from backstay.batch.retrying_writer import RetryingWriter
from backstay.batch.store import Lease, WorkStore

_TOLERANCE_SECONDS = 1.0  # change of a wait's end below which it is not recorded again


class ProviderWaitRecorder:
    """The recorder of what a processor's calls wait for."""

    def __init__(self, *, store: WorkStore, lease: Lease, function: object, writer: RetryingWriter) -> None:
        self._store = store
        self._lease = lease
        self._can_wait = function if isinstance(function, CanWait) else None
        self._writer = writer
        self.recorded: ProviderWait | None = None

    async def record(self) -> None:
        """Record what the calls wait for, if that has changed."""
        waiting = self._can_wait.waiting_for_provider() if self._can_wait is not None else None
        if waiting == self.recorded or _is_similar(waiting, self.recorded):
            return
        await self._writer.write(partial(self._store.note_waiting, self._lease, waiting))
        self.recorded = waiting


def _is_similar(first: ProviderWait | None, second: ProviderWait | None) -> bool:
    if first is None or second is None or (first.reason, first.detail) != (second.reason, second.detail):
        return False
    return abs((first.until - second.until).total_seconds()) < _TOLERANCE_SECONDS
