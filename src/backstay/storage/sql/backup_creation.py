"""Stores what is recorded while a backup is made. Implements `backup.store.CreationStore`."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from datetime import datetime, timedelta

from backstay.backup.backup import Backup, DeleteState, SealedFile
from backstay.backup.key_set import KeySet
from backstay.backup.store import Snapshot
from backstay.errors import BackupInUse, BackupUnusable
from backstay.library.curation import curation_digest
from backstay.library.record import Record
from backstay.library.selection import Selection
from backstay.storage.sql.backup_records import DROP_BATCH_ITEMS, find_backup, record_key
from backstay.storage.sql.database import Row, Session, SqlStore
from backstay.storage.sql.snapshot import open_snapshot
from backstay.storage.sql.times import MICROSECOND, now_micros, to_micros


class SqlBackupCreation(SqlStore):
    """The records of backups that are being made."""

    async def check_restorable(self) -> None:
        for table, constraint, remedy in await self._database.read(lambda s: s.rows("restore_obstacles")):
            if constraint is None:
                raise BackupUnusable(
                    f"Row-level security of {table} applies to Backstay's role: deleted conversations could not be "
                    f"restored, so none are deleted. Have this run: `{remedy}`"
                )
            raise BackupUnusable(
                f"The constraint {constraint} of {table} is NOT VALID: a deleted conversation that violates it could "
                f"not be restored, so none are deleted. Correct rows that violate it, then run `{remedy}`, or drop it"
            )

    def snapshot(self, owner: str, selection: Selection | KeySet) -> AbstractAsyncContextManager[Snapshot]:
        return open_snapshot(self._database, owner, selection)

    async def allocate_keys(self, count: int) -> Sequence[int]:
        rows = await self._database.write(lambda s: s.rows("allocate_conversation_keys", {"count": count}))
        return [key for key, _ in rows]

    async def begin(
        self, owner: str, backup_id: str, *, reason: str, folder: str | None, host: str, retention: timedelta
    ) -> Backup:
        values = {
            "owner": owner,
            "id": backup_id,
            "reason": reason,
            "folder": folder,
            "host": host,
            "retention": retention // MICROSECOND,
            "now": now_micros(self._clock),
        }

        def begin(session: Session) -> Backup:
            if not session.rows("insert_backup", values):
                raise BackupInUse(f"Backup {backup_id} exists already", backup_id=backup_id)
            backup = find_backup(session, owner, backup_id)
            leftovers = {**record_key(backup), "limit": DROP_BATCH_ITEMS}
            while session.execute("drop_backup_items", leftovers):  # of a failed attempt under the same id
                pass
            return backup

        return await self._database.write(begin)

    async def add_items(self, backup: Backup, first: int, records: Sequence[Record], versions: Sequence[bytes]) -> None:
        rows: list[Row] = [
            (
                *(backup.key, position, backup.owner, record.id, record.key),
                *(record.canonical_digest or version, version, curation_digest(record.curation)),
            )
            for position, (record, version) in enumerate(zip(records, versions, strict=True), start=first)
        ]
        await self._database.write(lambda s: s.execute_many("insert_backup_items", rows))

    async def mark_verified(
        self,
        backup: Backup,
        sealed: SealedFile,
        *,
        deleting: bool,
        expires_at: datetime | None = None,
        pinned: bool = False,
    ) -> Backup:
        values = {
            **record_key(backup),
            **asdict(sealed),
            "deletion": DeleteState.DELETING if deleting else None,
            "expires_at": to_micros(expires_at) if expires_at is not None else None,
            "pinned": pinned,
            "now": now_micros(self._clock),
        }

        def mark_verified(session: Session) -> Backup:
            if not session.execute("mark_backup_verified", values):
                raise BackupUnusable(
                    f"{backup.id} was marked as failed by another process while it was being written; make a new one",
                    backup_id=backup.id,
                )
            return find_backup(session, backup.owner, backup.id)

        return await self._database.write(mark_verified)
