"""Events of a backup."""

from collections.abc import AsyncIterator, Callable

from backstay.backup.backup import Backup, BackupProgress, BackupState
from backstay.backup.service import Backups
from backstay.schemas import BackupOut, BackupProgressOut
from backstay.server.events.event import ServerEvent, event
from backstay.server.events.feed import Feed


class BackupFeed(Feed):
    """The events of a backup: `progress`, and `state` when the state of the backup or of its delete changes."""

    def __init__(
        self, backups: Backups, backup_id: str, *, latest: Callable[[str], BackupProgress | None], poll_seconds: float
    ) -> None:
        super().__init__(poll_seconds=poll_seconds)
        self._latest = latest
        self._backups = backups
        self._backup_id = backup_id

    async def begin(self) -> None:
        await self._load()

    async def poll(self) -> bool:
        previous = (self._backup, self._written, self._reported)
        await self._load()
        self.is_over = self._is_at_rest
        return (self._backup, self._written, self._reported) != previous or self.is_over

    def has_nothing_after(self, number: int) -> bool:
        return False  # these events have no numbers

    @property
    def _is_at_rest(self) -> bool:
        """Whether the backup is neither being written nor part of a delete in progress."""
        return self._backup.state is not BackupState.RUNNING and not self._backup.is_delete_unfinished

    async def events(self, after: int | None) -> AsyncIterator[ServerEvent]:
        version = self.version
        yield event("progress", self._progress())
        yield event("state", BackupOut.from_backup(self._backup))
        backup, seen = self._backup, (self._backup, self._written, self._reported)
        while True:
            is_over = self.is_over
            if (self._backup, self._written, self._reported) != seen:
                has_changed_state = (self._backup.state, self._backup.deletion) != (backup.state, backup.deletion)
                backup, seen = self._backup, (self._backup, self._written, self._reported)
                yield event("progress", self._progress())
                if has_changed_state:
                    yield event("state", BackupOut.from_backup(backup))
            if is_over:
                return
            version = await self.changed_since(version)

    async def _load(self) -> None:
        self._backup: Backup = await self._backups.show(self._backup_id)
        running = self._backup.state is BackupState.RUNNING
        self._reported = self._latest(self._backup_id)
        self._written = await self._backups.count_written(self._backup) if running else self._backup.conversations

    def _progress(self) -> BackupProgressOut:
        return BackupProgressOut.from_backup(self._backup, self._written, self._reported)
