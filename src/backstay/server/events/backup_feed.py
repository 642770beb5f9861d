"""Events of a backup."""

from collections.abc import AsyncGenerator, Callable

from backstay.backup.backup import Backup, BackupProgress, BackupState
from backstay.backup.service import Backups
from backstay.schemas import BackupOut, BackupProgressOut
from backstay.server.events.event import encode_event
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
        previous = self._current
        await self._load()
        backup = self._current[0]
        self.is_over = backup.state is not BackupState.RUNNING and not backup.is_delete_unfinished
        return self._current != previous or self.is_over

    def has_nothing_after(self, number: int) -> bool:
        return False  # these events have no numbers

    async def events(self, after: int | None) -> AsyncGenerator[bytes]:
        version, sent = self.version, self._current
        yield encode_event("progress", BackupProgressOut.from_backup(*sent))
        yield encode_event("state", BackupOut.from_backup(sent[0]))
        while True:
            is_over = self.is_over
            if self._current != sent:
                before, sent = sent[0], self._current
                yield encode_event("progress", BackupProgressOut.from_backup(*sent))
                if (sent[0].state, sent[0].deletion) != (before.state, before.deletion):
                    yield encode_event("state", BackupOut.from_backup(sent[0]))
            if is_over:
                return
            version = await self.changed_since(version)

    async def _load(self) -> None:
        backup = await self._backups.show(self._backup_id)
        latest = self._latest(self._backup_id)
        is_running = backup.state is BackupState.RUNNING
        written = await self._backups.count_written(backup) if is_running else backup.conversations
        self._current: tuple[Backup, int, BackupProgress | None] = (backup, written, latest)
