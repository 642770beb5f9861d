"""Stores the records of backups, deletes and restores. Implements `backup.store.BackupStore`."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any

from backstay.backup.backup import Backup, BackupItem, BackupState, DeleteState, SealedFile
from backstay.backup.location import FileLocation
from backstay.backup.obstacles import backup_unusable
from backstay.backup.restore_plan import OnConflict, RestorePlan, RestoreResult
from backstay.backup.store import (
    BackupConversations,
    DeleteStepResult,
    SelectionMeasure,
    Snapshot,
    UnbackedDeleteStepResult,
    UserColumns,
)
from backstay.clock import Clock
from backstay.errors import BackupInUse, BackupNotFound, BackupUnusable
from backstay.library.record import Record
from backstay.library.selection import Selection
from backstay.storage.sql import delete_plan, delete_step, restore_session
from backstay.storage.sql.session import Database, Row, Session
from backstay.storage.sql.snapshot import open_snapshot
from backstay.storage.sql.times import from_micros, now_micros, to_micros

_NO_END = 2**63 - 1
_MICROSECOND = timedelta(microseconds=1)
_DROP_BATCH = 5_000


class SqlBackups:
    """The records of backups, and the deletes and restores that share a transaction with them."""

    def __init__(self, *, database: Database, clock: Clock, locate: Callable[[Session], FileLocation]) -> None:
        self._database = database
        self._clock = clock
        self._locate = locate

    async def database_id(self) -> str:
        return await self._database.read(lambda s: str(s.value("database_id")))

    async def location(self) -> FileLocation:
        return await self._database.read(self._locate)

    async def is_folder_recorded(self, folder: str, *, is_default: bool, host: str | None) -> bool:
        values = {"folder": folder, "is_default": is_default, "host": host}
        return bool(await self._database.read(lambda s: s.value("is_folder_recorded", values)))

    def snapshot(self, owner: str, selection: Selection) -> AbstractAsyncContextManager[Snapshot]:
        return open_snapshot(self._database, owner, selection)

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

    async def measure(self, owner: str, selection: Selection, *, sample: int) -> SelectionMeasure:
        return await self._database.read(lambda s: delete_plan.measure(s, owner, selection, sample=sample), owner=owner)

    # -- records -----------------------------------------------------------------------------------------------------

    async def begin(
        self, owner: str, backup_id: str, *, reason: str, folder: str | None, host: str, keep: timedelta
    ) -> Backup:
        values = {
            "owner": owner,
            "id": backup_id,
            "reason": reason,
            "folder": folder,
            "host": host,
            "keep": keep // _MICROSECOND,
            "now": now_micros(self._clock),
        }

        def begin(session: Session) -> Backup:
            if not session.rows("insert_backup", values):
                raise BackupInUse(f"Backup {backup_id} exists already", backup_id=backup_id)
            backup = find_backup(session, owner, backup_id)
            leftovers = {**_key_of(backup), "limit": _DROP_BATCH}
            while session.execute("drop_backup_items", leftovers):  # of a failed attempt under the same id
                pass
            return backup

        return await self._database.write(begin)

    async def add_items(self, backup: Backup, first: int, records: Sequence[Record], versions: Sequence[bytes]) -> None:
        rows: list[Row] = [
            (backup.key, position, backup.owner, record.id, record.key, record.nested_digest or version, version)
            for position, (record, version) in enumerate(zip(records, versions, strict=True), start=first)
        ]
        await self._database.write(lambda s: s.execute_rows("insert_backup_items", rows))

    async def allocate_keys(self, count: int) -> Sequence[int]:
        values = {"count": count}
        return await self._database.write(lambda s: [key for key, _ in s.rows("allocate_conversation_keys", values)])

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
            **_key_of(backup),
            "conversations": sealed.conversations,
            "turns": sealed.turns,
            "content_bytes": sealed.content_bytes,
            "file_bytes": sealed.file_bytes,
            "file_sha256": sealed.file_sha256,
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

    async def mark_damaged(self, backup: Backup) -> bool:
        values = {**_key_of(backup), "now": now_micros(self._clock)}

        return await self._database.write(lambda s: s.execute("mark_backup_damaged", values) > 0)

    async def mark_intact(self, backup: Backup) -> Backup:
        if backup.damaged_at is not None:
            values = {**_key_of(backup), "damaged_at": to_micros(backup.damaged_at)}
            await self._database.write(lambda s: s.execute("mark_backup_intact", values))
        return await self.backup(backup.owner, backup.id)

    async def mark_failed(self, backup: Backup, error: str) -> bool:
        values = {**_key_of(backup), "error": error, "now": now_micros(self._clock)}

        return await self._database.write(lambda s: s.execute("mark_backup_failed", values) > 0)

    async def backup(self, owner: str, backup_id: str) -> Backup:
        return await self._database.read(lambda s: find_backup(s, owner, backup_id), owner=owner)

    async def backups(self, owner: str, *, every: bool, before: int | None, limit: int) -> Sequence[Backup]:
        values = {"owner": owner, "every": every, "before": _NO_END if before is None else before, "limit": limit}
        return await self._all("backups", values)

    async def in_use(self, owner: str) -> Sequence[Backup]:
        return await self._all("backups_in_use", {"owner": owner})

    async def with_files(self, owner: str) -> Sequence[Backup]:
        return await self._all("backups_with_files", {"owner": owner})

    async def newest(self, owner: str) -> tuple[str, datetime] | None:
        def newest(session: Session) -> tuple[str, datetime] | None:
            row = session.row("newest_backup", {"owner": owner})
            return (row[0], from_micros(row[1])) if row is not None else None

        return await self._database.read(newest, owner=owner)

    async def items(self, backup: Backup, *, first: int, limit: int) -> Sequence[BackupItem]:
        return await self._database.read(
            lambda s: restore_session.items_from(s, backup, first, limit), owner=backup.owner
        )

    async def digests(self, backup: Backup, *, first: int, limit: int) -> Sequence[tuple[str, bytes]]:
        values = {**_key_of(backup), "first": first, "limit": limit}
        return await self._database.read(
            lambda s: [(name, digest) for name, digest in s.rows("backup_digests_after", values)],
            owner=backup.owner,
        )

    async def count_written(self, backup: Backup) -> int:
        return int(
            await self._database.read(lambda s: s.value("count_backup_items", _key_of(backup)), owner=backup.owner)
        )

    async def unknown_ids(self, backup_ids: Sequence[str]) -> Sequence[str]:
        rows = [(name,) for name in backup_ids]
        return [name for (name,) in await self._database.read(lambda s: s.select_rows("unknown_backup_ids", rows))]

    # -- retention ---------------------------------------------------------------------------------------------------

    async def pin(self, owner: str, backup_id: str, *, pinned: bool) -> Backup:
        def pin(session: Session) -> Backup:
            backup = find_backup(session, owner, backup_id)
            if not session.execute("pin_backup", {**_key_of(backup), "pinned": pinned}):
                raise BackupUnusable(f"{backup_id} is {backup.state}; there is nothing to pin", backup_id=backup_id)
            return find_backup(session, owner, backup_id)

        return await self._database.write(pin)

    async def mark_expired(self, backup: Backup, *, early: bool) -> bool:
        values = {**_key_of(backup), "early": early, "now": now_micros(self._clock)}

        return await self._database.write(lambda s: s.execute("mark_backup_expired", values) > 0)

    async def note_expired(self, backup: Backup, seen_at: datetime | None) -> None:
        values = {**_key_of(backup), "seen_at": to_micros(seen_at) if seen_at is not None else None}
        await self._database.write(lambda s: s.execute("note_backup_expired", values))

    async def mark_removed(self, backup: Backup) -> None:
        values = {**_key_of(backup), "limit": _DROP_BATCH}
        while await self._database.write(lambda s: s.execute("drop_backup_items", values)):
            pass
        values = {**_key_of(backup), "now": now_micros(self._clock)}
        await self._database.write(lambda s: s.execute("mark_backup_removed", values))

    async def last_cleanup(self, owner: str) -> datetime | None:
        def last_cleanup(session: Session) -> datetime | None:
            micros = session.value("last_cleanup", {"name": _cleanup_of(owner)})
            return from_micros(int(micros)) if micros is not None else None

        return await self._database.read(last_cleanup, owner=owner)

    async def record_cleanup(self, owner: str) -> None:
        values = {"name": _cleanup_of(owner), "now": str(now_micros(self._clock))}
        await self._database.write(lambda s: s.execute("record_cleanup", values))

    # -- delete and restore ------------------------------------------------------------------------------------------

    async def delete_step(self, backup: Backup, *, limit: int, file_exists: Callable[[], bool]) -> DeleteStepResult:
        def delete_batch(session: Session) -> DeleteStepResult:
            current = find_backup(session, backup.owner, backup.id, name="locked_backup")
            check_deletable(current, file_exists=file_exists)
            now = now_micros(self._clock)
            is_last = delete_step.delete_next(session, current, limit, now)
            return DeleteStepResult(find_backup(session, backup.owner, backup.id), is_last, session.network_seconds)

        return await self._database.write(delete_batch)

    async def delete_outcomes(self, backup: Backup, *, limit: int) -> Sequence[tuple[str, str]]:
        values = {**_key_of(backup), "limit": limit}
        rows = await self._database.read(lambda s: s.rows("delete_outcomes", values), owner=backup.owner)
        return [(conversation_id, outcome) for conversation_id, outcome in rows]

    async def delete_without_backup(
        self, owner: str, selection: Selection, *, after: int, last: int, limit: int
    ) -> UnbackedDeleteStepResult:
        def delete_batch(session: Session) -> UnbackedDeleteStepResult:
            now = now_micros(self._clock)
            return delete_step.delete_selected(session, owner, selection, after, last, limit, now)

        return await self._database.write(delete_batch, erases=True)

    async def erase(self) -> bool:
        return await self._database.erase()

    async def last_key(self) -> int:
        return await self._database.read(lambda s: int(s.value("last_conversation_key")))

    async def plan_restore(self, backup: Backup, read: BackupConversations, columns: UserColumns) -> RestorePlan:
        return await self._database.read(lambda s: restore_session.plan(s, backup, read, columns), owner=backup.owner)

    async def restore(
        self,
        backup: Backup,
        read: BackupConversations,
        columns: UserColumns,
        *,
        undoes: bool,
        on_conflict: OnConflict,
        replaced: Backup | None,
        file_exists: Callable[[], bool],
        on_progress: Callable[[int], None],
    ) -> RestoreResult:
        def restore(session: Session) -> RestoreResult:
            session.lock("lock_library", {"owner": backup.owner})
            find_backup(session, backup.owner, backup.id, name="locked_backup")
            now = now_micros(self._clock)
            work = restore_session.RestoreSession(session, backup, columns, on_conflict, now)
            if replaced is not None:
                check_verified(find_backup(session, backup.owner, replaced.id, name="locked_backup"))
                work.delete_conflicting(replaced)
            restored = work.run(read, on_progress)
            if undoes:
                session.execute("mark_delete_undone", {**_key_of(backup), "now": now})
            # Checked last, because everything before took time.
            if replaced is not None and not file_exists():
                raise BackupUnusable(
                    f"The file of {replaced.id}, which holds what would be replaced, no longer exists; nothing was "
                    "restored. Try again",
                    backup_id=replaced.id,
                )
            return restored

        return await self._database.write(restore)

    async def _all(self, name: str, values: dict[str, Any]) -> Sequence[Backup]:
        return await self._database.read(
            lambda s: [_backup(row) for row in s.rows(name, values)], owner=values["owner"]
        )


def find_backup(session: Session, owner: str, backup_id: str, *, name: str = "backup") -> Backup:
    """Return one backup; `name` is the statement that reads it. Raises BackupNotFound."""
    row = session.row(name, {"owner": owner, "id": backup_id})
    if row is None:
        raise BackupNotFound(f"Backup {backup_id!r} not found; `backstay backups list` shows all", backup_id=backup_id)
    return _backup(row)


def check_verified(backup: Backup) -> None:
    """Check that a backup is still verified. Raises BackupUnusable."""
    if backup.state is not BackupState.VERIFIED:
        raise backup_unusable(backup)


def check_deletable(backup: Backup, *, file_exists: Callable[[], bool]) -> None:
    """Check that the delete of a backup's conversations may continue. Raises BackupUnusable."""
    if backup.state is BackupState.DAMAGED:
        raise backup_unusable(backup)
    if backup.state is not BackupState.VERIFIED or not backup.is_delete_unfinished:
        state = backup.deletion or backup.state
        raise BackupUnusable(f"{backup.id} is {state}; it has no delete to resume", backup_id=backup.id)
    if not file_exists():
        raise BackupUnusable(
            f"The file of {backup.id} is missing or incomplete; nothing further is deleted. Make a new plan",
            backup_id=backup.id,
        )


def _key_of(backup: Backup) -> dict[str, Any]:
    return {"key": backup.key, "owner": backup.owner}


def _cleanup_of(owner: str) -> str:
    return f"backups_cleaned_at {owner}"


def _backup(row: Row) -> Backup:
    (key, backup_id, owner, state, reason, folder, host, conversations, turns, content_bytes, file_bytes, file_sha256,
     error, pinned, keep, expires_at, first_seen_expired_at, created_at, verified_at, damaged_at, removed_at, deletion,
     deleted, changed, gone) = row  # fmt: skip
    return Backup(
        key=key,
        id=backup_id,
        owner=owner,
        state=BackupState(state),
        reason=reason,
        folder=folder,
        host=host,
        conversations=conversations,
        turns=turns,
        content_bytes=content_bytes,
        file_bytes=file_bytes,
        file_sha256=file_sha256,
        error=error,
        is_pinned=bool(pinned),
        keep=keep * _MICROSECOND,
        expires_at=_moment(expires_at),
        first_seen_expired_at=_moment(first_seen_expired_at),
        created_at=from_micros(created_at),
        verified_at=_moment(verified_at),
        damaged_at=_moment(damaged_at),
        removed_at=_moment(removed_at),
        deletion=DeleteState(deletion) if deletion else None,
        deleted=deleted,
        changed=changed,
        gone=gone,
    )


def _moment(micros: int | None) -> datetime | None:
    return from_micros(micros) if micros is not None else None
