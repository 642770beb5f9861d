"""Backups that go on after their request was answered."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from backstay.app import Services
from backstay.backup.backup import Backup, BackupProgress, Listener
from backstay.errors import BackstayError
from backstay.library.selection import Selection
from backstay.logs import get_logger

_log = get_logger("backstay.server")

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class StartedBackup:
    """A backup that is being made; its record says how it ends."""

    backup_id: str


class BackgroundBackups:
    """Makes backups, and waits for those that nobody waits for when the server stops."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._latest: dict[str, BackupProgress] = {}

    def latest(self, backup_id: str) -> BackupProgress | None:
        """Return how far a backup has come that is being made or used here."""
        return self._latest.get(backup_id)

    async def create(
        self, services: Services, selection: Selection, reason: str, *, digest: str | None, respond_early: bool
    ) -> Backup | StartedBackup:
        """Make a backup; with `respond_early` return once it has a record. Raises as `Backups.create`."""
        if not respond_early:
            return await services.backups.create(selection, digest=digest, reason=reason)
        task, begun = self.begin(
            lambda tell: services.backups.create(selection, digest=digest, reason=reason, on_progress=tell)
        )
        await asyncio.wait((task, begun), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else StartedBackup(begun.result())

    def begin(
        self,
        work: Callable[[Listener], Coroutine[Any, Any, _Made]],
        *,
        hear: Callable[[BackupProgress], None] | None = None,
    ) -> tuple["asyncio.Task[_Made]", "asyncio.Future[str]"]:
        """Begin something that makes a backup, and that goes on whoever waits; return it, and the backup's id to be.

        `hear` is told each step of it.
        """
        begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def note(progress: BackupProgress) -> None:
            self._latest[progress.backup_id] = progress
            if hear is not None:
                hear(progress)
            if not begun.done():
                begun.set_result(progress.backup_id)

        def end(task: "asyncio.Task[_Made]") -> None:
            if begun.done():
                self._latest.pop(begun.result(), None)
            self._on_ended(task)

        task = asyncio.create_task(work(note))
        self._tasks.add(task)
        task.add_done_callback(end)
        return task, begun

    async def stop(self) -> None:
        """Return when all are made: a backup that is broken off protects nobody."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _on_ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            code = error.code if isinstance(error, BackstayError) else type(error).__name__
            _log.warning("backup_failed", code=code)
