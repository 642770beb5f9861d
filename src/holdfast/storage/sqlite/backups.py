"""Records of backups on SQLite. Implements `backup.store.BackupStore`."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any

import apsw
import orjson

from holdfast.backup.backup import Backup, BackupItem, BackupState, DeletionState, Sealed
from holdfast.backup.restoring import OnConflict, Restored, RestorePlan
from holdfast.backup.store import AddedColumns, Documents, Measured, Snapshot, Step
from holdfast.clock import Clock
from holdfast.errors import BackupNotFound, BackupUnusable
from holdfast.library.record import Record
from holdfast.library.removal import Sample
from holdfast.library.selection import Selection
from holdfast.storage.sqlite import deleting, restoring
from holdfast.storage.sqlite.database import Database
from holdfast.storage.sqlite.queries import Row, execute_rows, query
from holdfast.storage.sqlite.selecting import selecting, values_of
from holdfast.storage.sqlite.snapshot import open_snapshot
from holdfast.storage.sqlite.times import from_micros, now_micros

_NO_END = 2**63 - 1
_MICROSECOND = timedelta(microseconds=1)
_DROPPED_AT_ONCE = 5_000


class SqliteBackups:
    """Records of backups, and what has to happen in one transaction with them."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def database_id(self) -> str:
        return await self._database.read(lambda c: str(c.execute(query("database_id")).get))

    def snapshot(self, owner: str, selection: Selection) -> AbstractAsyncContextManager[Snapshot]:
        return open_snapshot(self._database.path, owner, selection)

    async def measure(self, owner: str, selection: Selection, *, sample: int) -> Measured:
        def do(connection: apsw.Connection) -> Measured:
            digest, conversations, turns, shown = hashlib.sha256(), 0, 0, []
            text = selecting(connection, "measure_selection", selection)
            for conversation_id, topic, its_turns in connection.execute(text, values_of(owner, selection)):
                if conversations < sample:
                    shown.append(Sample(conversation_id, topic, its_turns))
                conversations += 1
                turns += its_turns
                digest.update(f"{conversation_id}\0{its_turns}\n".encode())
            return Measured(conversations, turns, digest.hexdigest(), shown)

        return await self._database.read(do)

    # -- records -----------------------------------------------------------------------------------------------------

    async def begin(self, owner: str, backup_id: str, *, reason: str, folder: str | None, keep: timedelta) -> Backup:
        values = {
            "owner": owner,
            "id": backup_id,
            "reason": reason,
            "folder": folder,
            "keep": keep // _MICROSECOND,
            "now": now_micros(self._clock),
        }

        def do(connection: apsw.Connection) -> Backup:
            connection.execute(query("insert_backup"), values).fetchall()
            return find_backup(connection, owner, backup_id)

        return await self._database.write(do)

    async def add_items(self, backup: Backup, first: int, records: Sequence[Record]) -> None:
        rows: list[Row] = [
            (backup.key, position, backup.owner, record.id, record.key, record.digest, record.version)
            for position, record in enumerate(records, start=first)
        ]
        await self._database.write(lambda c: execute_rows(c, "insert_backup_items", rows))

    async def verified(self, backup: Backup, sealed: Sealed, *, deleting: bool) -> Backup:
        values = {
            **_key_of(backup),
            "conversations": sealed.conversations,
            "turns": sealed.turns,
            "content_bytes": sealed.content_bytes,
            "file_bytes": sealed.file_bytes,
            "file_sha256": sealed.file_sha256,
            "deletion": DeletionState.DELETING if deleting else None,
            "now": now_micros(self._clock),
        }

        def do(connection: apsw.Connection) -> Backup:
            connection.execute(query("backup_verified"), values)
            if not connection.changes():
                raise BackupUnusable(
                    f"{backup.id} was given up by another process while it was being written; make a new one",
                    backup_id=backup.id,
                )
            return find_backup(connection, backup.owner, backup.id)

        return await self._database.write(do)

    async def failed(self, backup: Backup, error: str) -> bool:
        values = {**_key_of(backup), "error": error, "now": now_micros(self._clock)}

        def do(connection: apsw.Connection) -> bool:
            connection.execute(query("backup_failed"), values)
            return connection.changes() > 0

        return await self._database.write(do)

    async def backup(self, owner: str, backup_id: str) -> Backup:
        return await self._database.read(lambda c: find_backup(c, owner, backup_id))

    async def backups(self, owner: str, *, every: bool, before: int | None, limit: int) -> Sequence[Backup]:
        values = {"owner": owner, "every": every, "before": _NO_END if before is None else before, "limit": limit}
        return await self._all("backups", values)

    async def in_use(self, owner: str) -> Sequence[Backup]:
        return await self._all("backups_in_use", {"owner": owner})

    async def unremoved(self, owner: str) -> Sequence[Backup]:
        return await self._all("backups_unremoved", {"owner": owner})

    async def newest_at(self, owner: str) -> datetime | None:
        def do(connection: apsw.Connection) -> datetime | None:
            found = connection.execute(query("newest_backup"), {"owner": owner}).get
            return from_micros(found) if found is not None else None

        return await self._database.read(do)

    async def items(self, backup: Backup, *, first: int, limit: int) -> Sequence[BackupItem]:
        return await self._database.read(lambda c: items_from(c, backup, first, limit))

    async def unknown(self, backup_ids: Sequence[str]) -> Sequence[str]:
        values = {"ids": orjson.dumps(list(backup_ids)).decode()}
        return await self._database.read(lambda c: [name for (name,) in c.execute(query("unknown_backup_ids"), values)])

    # -- retention ---------------------------------------------------------------------------------------------------

    async def pin(self, owner: str, backup_id: str, *, pinned: bool) -> Backup:
        def do(connection: apsw.Connection) -> Backup:
            backup = find_backup(connection, owner, backup_id)
            connection.execute(query("pin_backup"), {**_key_of(backup), "pinned": pinned})
            if not connection.changes():
                raise BackupUnusable(f"{backup_id} is {backup.state}; there is nothing to pin", backup_id=backup_id)
            return find_backup(connection, owner, backup_id)

        return await self._database.write(do)

    async def expire(self, backup: Backup, *, early: bool) -> bool:
        values = {**_key_of(backup), "early": early, "now": now_micros(self._clock)}

        def do(connection: apsw.Connection) -> bool:
            connection.execute(query("backup_expired"), values)
            return connection.changes() > 0

        return await self._database.write(do)

    async def removed(self, backup: Backup) -> None:
        values = {**_key_of(backup), "limit": _DROPPED_AT_ONCE}

        def drop(connection: apsw.Connection) -> bool:
            connection.execute(query("drop_backup_items"), values)
            return connection.changes() > 0

        while await self._database.write(drop):
            pass
        noted = {**_key_of(backup), "now": now_micros(self._clock)}
        await self._database.write(lambda c: c.execute(query("backup_removed"), noted))

    async def last_cleanup(self, owner: str) -> datetime | None:
        def do(connection: apsw.Connection) -> datetime | None:
            found = connection.execute(query("last_cleanup"), {"name": _cleanup_of(owner)}).get
            return from_micros(int(found)) if found is not None else None

        return await self._database.read(do)

    async def note_cleanup(self, owner: str) -> None:
        values = {"name": _cleanup_of(owner), "now": str(now_micros(self._clock))}
        await self._database.write(lambda c: c.execute(query("note_cleanup"), values))

    # -- delete and restore ------------------------------------------------------------------------------------------

    async def delete_step(self, backup: Backup, *, limit: int, is_there: Callable[[], bool]) -> Step:
        def do(connection: apsw.Connection) -> Step:
            held = find_backup(connection, backup.owner, backup.id)
            check_deletable(held, is_there=is_there)
            now = now_micros(self._clock)
            is_last = deleting.delete_next(connection, held, limit, now)
            return Step(find_backup(connection, backup.owner, backup.id), is_last)

        return await self._database.write(do)

    async def outcomes(self, backup: Backup, *, limit: int) -> Sequence[tuple[str, str]]:
        values = {**_key_of(backup), "limit": limit}
        return await self._database.read(lambda c: list(c.execute(query("backup_outcomes"), values)))

    async def delete_outright(
        self, owner: str, selection: Selection, *, after: int, last: int, limit: int
    ) -> tuple[int, int | None]:
        def do(connection: apsw.Connection) -> tuple[int, int | None]:
            now = now_micros(self._clock)
            return deleting.delete_selected(connection, owner, selection, after, last, limit, now)

        return await self._database.write(do)

    async def last_key(self) -> int:
        return await self._database.read(lambda c: int(c.execute(query("last_conversation_key")).get))

    async def plan_restore(self, backup: Backup, documents: Documents, columns: AddedColumns) -> RestorePlan:
        return await self._database.read(lambda c: restoring.plan(c, backup, documents, columns))

    async def restore(
        self,
        backup: Backup,
        documents: Documents,
        columns: AddedColumns,
        *,
        undoes: bool,
        on_conflict: OnConflict,
        replaced: Mapping[str, bytes],
        on_progress: Callable[[int], None],
    ) -> Restored:
        def do(connection: apsw.Connection) -> Restored:
            now = now_micros(self._clock)
            work = restoring.Restoring(connection, backup, columns, on_conflict, replaced, now)
            restored = work.do(documents, on_progress)
            if undoes:
                connection.execute(query("delete_undone"), {**_key_of(backup), "now": now})
            return restored

        return await self._database.write(do)

    async def _all(self, name: str, values: dict[str, Any]) -> Sequence[Backup]:
        return await self._database.read(lambda c: [_backup(row) for row in c.execute(query(name), values)])


def find_backup(connection: apsw.Connection, owner: str, backup_id: str) -> Backup:
    """Return one backup. Raises BackupNotFound."""
    row = connection.execute(query("backup"), {"owner": owner, "id": backup_id}).fetchone()
    if row is None:
        raise BackupNotFound(
            f"There is no backup {backup_id!r}; `holdfast backups list` shows those there are", backup_id=backup_id
        )
    return _backup(row)


def items_from(connection: apsw.Connection, backup: Backup, first: int, limit: int) -> list[BackupItem]:
    """Return what the snapshot of a backup held, in order, from a position on."""
    values = {**_key_of(backup), "first": first, "limit": limit}
    return list(map(BackupItem._make, connection.execute(query("backup_items_after"), values)))


def check_deletable(backup: Backup, *, is_there: Callable[[], bool]) -> None:
    """Refuse to delete what a backup holds. Raises BackupUnusable."""
    if backup.state is not BackupState.VERIFIED or not backup.is_delete_unfinished:
        standing = backup.deletion or backup.state
        raise BackupUnusable(f"{backup.id} is {standing}; there is no delete to go on with", backup_id=backup.id)
    if not is_there():
        raise BackupUnusable(
            f"The file of {backup.id} is not there any more; nothing further is deleted. Make a new plan",
            backup_id=backup.id,
        )


def _key_of(backup: Backup) -> dict[str, Any]:
    return {"key": backup.key, "owner": backup.owner}


def _cleanup_of(owner: str) -> str:
    return f"backups_cleaned_at {owner}"


def _backup(row: Row) -> Backup:
    (key, backup_id, owner, state, reason, folder, conversations, turns, content_bytes, file_bytes, file_sha256, error,
     pinned, keep, expires_at, created_at, verified_at, removed_at, deletion, deleted, changed, gone) = row  # fmt: skip
    return Backup(
        key=key,
        id=backup_id,
        owner=owner,
        state=BackupState(state),
        reason=reason,
        folder=folder,
        conversations=conversations,
        turns=turns,
        content_bytes=content_bytes,
        file_bytes=file_bytes,
        file_sha256=file_sha256,
        error=error,
        is_pinned=bool(pinned),
        keep=keep * _MICROSECOND,
        expires_at=_moment(expires_at),
        created_at=from_micros(created_at),
        verified_at=_moment(verified_at),
        removed_at=_moment(removed_at),
        deletion=DeletionState(deletion) if deletion else None,
        deleted=deleted,
        changed=changed,
        gone=gone,
    )


def _moment(micros: int | None) -> datetime | None:
    return from_micros(micros) if micros is not None else None
