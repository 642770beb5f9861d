"""Reads the records of backups, and changes their states. Implements `backup.store.RecordStore`."""

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from backstay.backup.backup import Backup, BackupItem, BackupState, DeleteState
from backstay.backup.storage_identity import StorageIdentity
from backstay.errors import BackupNotFound, BackupUnusable
from backstay.storage.sql.database import MAX_KEY, Row, Session, SqlStore
from backstay.storage.sql.times import MICROSECOND, from_micros, now_micros, to_micros

DROP_BATCH_ITEMS = 5_000
"""Items of a backup that are deleted in one step."""

_FIELDS = [field.name for field in fields(Backup) if field.default is MISSING]  # the others are no columns
_TIMES = ("expires_at", "first_seen_expired_at", "created_at", "verified_at", "damaged_at", "removed_at")


class SqlBackupRecords(SqlStore):
    """The records of a database's backups."""

    async def database_id(self) -> str:
        return await self._database.read(lambda s: str(s.value("database_id")))

    async def database_identity(self) -> StorageIdentity:
        return await self._database.read(lambda s: s.database_identity())

    async def is_folder_recorded(self, folder: str, *, is_default: bool, host: str | None) -> bool:
        values = {"folder": folder, "is_default": is_default, "host": host}
        return bool(await self._database.read(lambda s: s.value("is_folder_recorded", values)))

    async def backup(self, owner: str, backup_id: str) -> Backup:
        return await self._database.read(lambda s: find_backup(s, owner, backup_id), owner=owner)

    async def backups(self, owner: str, *, include_removed: bool, before: int | None, limit: int) -> Sequence[Backup]:
        values = {
            "owner": owner,
            "include_removed": include_removed,
            "before": MAX_KEY if before is None else before,
            "limit": limit,
        }
        return await self._database.read(lambda s: backups_from(s, "backups", values), owner=owner)

    async def in_use(self, owner: str) -> Sequence[Backup]:
        values = {"owner": owner}
        return await self._database.read(lambda s: backups_from(s, "backups_in_use", values), owner=owner)

    async def unknown_ids(self, backup_ids: Sequence[str]) -> Sequence[str]:
        rows = [(backup_id,) for backup_id in backup_ids]
        unknown = await self._database.read(lambda s: s.select_many("unknown_backup_ids", rows))
        return [backup_id for (backup_id,) in unknown]

    async def digests(self, backup: Backup, *, first: int, limit: int) -> Sequence[tuple[str, bytes, bytes | None]]:
        values = {**record_key(backup), "first": first, "limit": limit}
        return await self._database.read(lambda s: s.rows("backup_digests_after", values), owner=backup.owner)

    async def count_written(self, backup: Backup) -> int:
        values = record_key(backup)
        return int(await self._database.read(lambda s: s.value("count_backup_items", values), owner=backup.owner))

    async def pin(self, owner: str, backup_id: str, *, pinned: bool) -> Backup:
        def pin(session: Session) -> Backup:
            backup = find_backup(session, owner, backup_id)
            if not session.execute("pin_backup", {**record_key(backup), "pinned": pinned}):
                raise BackupUnusable(f"{backup_id} is {backup.state}; there is nothing to pin", backup_id=backup_id)
            return find_backup(session, owner, backup_id)

        return await self._database.write(pin)

    async def mark_damaged(self, backup: Backup) -> bool:
        values = {**record_key(backup), "now": now_micros(self._clock)}
        return await self._database.write(lambda s: s.execute("mark_backup_damaged", values) > 0)

    async def mark_intact(self, backup: Backup) -> Backup:
        if backup.damaged_at is not None:
            values = {**record_key(backup), "damaged_at": to_micros(backup.damaged_at)}
            await self._database.write(lambda s: s.execute("mark_backup_intact", values))
        return await self.backup(backup.owner, backup.id)

    async def mark_failed(self, backup: Backup, error: str) -> bool:
        values = {**record_key(backup), "error": error, "now": now_micros(self._clock)}
        return await self._database.write(lambda s: s.execute("mark_backup_failed", values) > 0)


def find_backup(session: Session, owner: str, backup_id: str, *, name: str = "backup") -> Backup:
    """Return one backup; `name` is the statement that reads it. Raises BackupNotFound."""
    row = session.row(name, {"owner": owner, "id": backup_id})
    if row is None:
        raise BackupNotFound(f"Backup {backup_id!r} not found", backup_id=backup_id)
    return _backup(row)


def backups_from(session: Session, name: str, values: dict[str, Any]) -> list[Backup]:
    """Return the backups whose records the query `name` reads."""
    return [_backup(row) for row in session.rows(name, values)]


def items_from(session: Session, backup: Backup, first: int, limit: int) -> list[BackupItem]:
    """Return the items of a backup from position `first` on, in order."""
    values = {**record_key(backup), "first": first, "limit": limit}
    return list(map(BackupItem._make, session.rows("backup_items_after", values)))


def record_key(backup: Backup) -> dict[str, Any]:
    """Return the values that identify the record of a backup."""
    return {"key": backup.key, "owner": backup.owner}


def _backup(row: Row) -> Backup:
    """Return the backup in a row, which has its fields in the order of `_FIELDS`."""
    values = dict(zip(_FIELDS, row, strict=True))
    values |= {name: from_micros(values[name]) for name in _TIMES if values[name] is not None}
    values["state"] = BackupState(values["state"])
    values["is_pinned"] = bool(values["is_pinned"])
    values["retention"] *= MICROSECOND
    values["deletion"] = DeleteState(values["deletion"]) if values["deletion"] else None
    return Backup(**values)
