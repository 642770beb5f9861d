"""Records the removal of expired backups. Implements `backup.store.RetentionStore`."""

from collections.abc import Sequence
from datetime import datetime

from backstay.backup.backup import Backup
from backstay.storage.sql.backup_records import DROP_BATCH_ITEMS, backups_from, record_key
from backstay.storage.sql.database import Session, SqlStore
from backstay.storage.sql.times import from_micros, now_micros, to_micros


class SqlRetention(SqlStore):
    """The removal of a database's expired backups."""

    async def with_files(self, owner: str) -> Sequence[Backup]:
        values = {"owner": owner}
        return await self._database.read(lambda s: backups_from(s, "backups_with_files", values), owner=owner)

    async def newest(self, owner: str) -> tuple[str, datetime] | None:
        def newest(session: Session) -> tuple[str, datetime] | None:
            row = session.row("newest_backup", {"owner": owner})
            return (row[0], from_micros(row[1])) if row is not None else None

        return await self._database.read(newest, owner=owner)

    async def mark_expired(self, backup: Backup, *, early: bool) -> bool:
        values = {**record_key(backup), "early": early, "now": now_micros(self._clock)}
        return await self._database.write(lambda s: s.execute("mark_backup_expired", values) > 0)

    async def note_expired(self, backup: Backup, seen_at: datetime | None) -> None:
        values = {**record_key(backup), "seen_at": to_micros(seen_at) if seen_at is not None else None}
        await self._database.write(lambda s: s.execute("note_backup_expired", values))

    async def mark_removed(self, backup: Backup) -> None:
        values = {**record_key(backup), "limit": DROP_BATCH_ITEMS}
        while await self._database.write(lambda s: s.execute("drop_backup_items", values)):
            pass
        values = {**record_key(backup), "now": now_micros(self._clock)}
        await self._database.write(lambda s: s.execute("mark_backup_removed", values))

    async def last_cleanup(self, owner: str) -> datetime | None:
        def last_cleanup(session: Session) -> datetime | None:
            micros = session.value("last_cleanup", {"name": _cleanup_name(owner)})
            return from_micros(int(micros)) if micros is not None else None

        return await self._database.read(last_cleanup, owner=owner)

    async def record_cleanup(self, owner: str) -> None:
        values = {"name": _cleanup_name(owner), "now": str(now_micros(self._clock))}
        await self._database.write(lambda s: s.execute("record_cleanup", values))


def _cleanup_name(owner: str) -> str:
    return f"backups_cleaned_at {owner}"
