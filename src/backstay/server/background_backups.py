"""Backups that continue after their request has been answered."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from backstay.app import Services
from backstay.backup.backup import Backup, BackupProgress, Listener
from backstay.errors import BackstayError
from backstay.library.selection import Selection
from backstay.logs import get_logger

_log = get_logger("backstay.server")

_Result = TypeVar("_Result")


class BackgroundBackups:
    """The backups that this server is making. The server waits for them when it stops."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._latest: dict[str, BackupProgress] = {}

    def latest(self, backup_id: str) -> BackupProgress | None:
        """Return the latest progress of a backup that this server is making or using; None for any other backup."""
        return self._latest.get(backup_id)

    async def create(
        self, services: Services, selection: Selection, reason: str, *, digest: str | None, respond_early: bool
    ) -> Backup | str:
        """Make a backup; with `respond_early`, return its id as soon as it has begun. Raises like `Backups.create`."""
        if not respond_early:
            return await services.backups.create(selection, plan_digest=digest, reason=reason)
        task, begun = self.begin(
            lambda listener: services.backups.create(selection, plan_digest=digest, reason=reason, on_progress=listener)
        )
        await asyncio.wait((task, begun), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else begun.result()

    def begin(
        self,
        work: Callable[[Listener], Coroutine[Any, Any, _Result]],
        *,
        on_progress: Callable[[BackupProgress], None] | None = None,
    ) -> tuple["asyncio.Task[_Result]", "asyncio.Future[str]"]:
        """Start work that makes a backup; return its task, and a future of the backup's id.

        The work continues even if no one awaits it. `on_progress` is called with each progress report.
        """
        begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def record(progress: BackupProgress) -> None:
            self._latest[progress.backup_id] = progress
            if on_progress is not None:
                on_progress(progress)
            if not begun.done():
                begun.set_result(progress.backup_id)

        def end(task: "asyncio.Task[_Result]") -> None:
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if not begun.done():
                return  # the caller has answered with the error
            self._latest.pop(begun.result(), None)
            if isinstance(error, BackstayError):
                _log.warning("backup_failed", code=error.code, error=error.message)
            elif error is not None:
                _log.error("backup_crashed", error=type(error).__name__, exc_info=error)

        task = asyncio.create_task(work(record))
        self._tasks.add(task)
        task.add_done_callback(end)
        return task, begun

    async def stop(self) -> None:
        """Wait until all backups are complete, because an interrupted backup protects nothing."""
        if self._tasks:
            await asyncio.wait(self._tasks)
