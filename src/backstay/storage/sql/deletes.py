"""Measures and deletes conversations, in bounded steps of a transaction each. Implements `backup.store.DeleteStore`."""

import hashlib
from collections.abc import Callable, Iterable, Sequence

from backstay.backup.backup import Backup, BackupItem, BackupState
from backstay.backup.error_messages import backup_unusable_error
from backstay.backup.store import DeleteStepResult, SelectionMeasure, UnbackedDeleteStepResult
from backstay.errors import BackupUnusable
from backstay.library.deletion import DeleteSample, FiringTrigger, plan_line
from backstay.library.selection import Selection
from backstay.storage.sql.backup_records import find_backup, items_from, record_key
from backstay.storage.sql.batched import batched
from backstay.storage.sql.cascade.foreign_key_rows import related_rows
from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES
from backstay.storage.sql.conversation_records import StoredColumns, delete, find_by_keys, lock
from backstay.storage.sql.curation import Curations
from backstay.storage.sql.database import Row, Session, SqlStore
from backstay.storage.sql.selection_conditions import selection_values
from backstay.storage.sql.times import now_micros

_MEASURE_BATCH = 256  # conversations that are measured at once
_COMPARE_BATCH = 500


class SqlDeletes(SqlStore):
    """The deletes of a database's conversations."""

    async def measure(self, owner: str, selection: Selection, *, sample: int) -> SelectionMeasure:
        return await self._database.read(lambda s: _measure(s, owner, selection, sample=sample), owner=owner)

    async def delete_step(
        self, backup: Backup, *, limit: int, is_file_complete: Callable[[], bool]
    ) -> DeleteStepResult:
        def delete_batch(session: Session) -> DeleteStepResult:
            current = find_backup(session, backup.owner, backup.id, name="locked_backup")
            _check_deletable(current, is_file_complete=is_file_complete)
            is_last = _delete_next(session, current, limit, now_micros(self._clock))
            return DeleteStepResult(find_backup(session, backup.owner, backup.id), is_last, session.network_seconds)

        return await self._database.write(delete_batch)

    async def delete_outcomes(self, backup: Backup, *, limit: int) -> Sequence[tuple[str, str]]:
        values = {**record_key(backup), "limit": limit}
        return await self._database.read(lambda s: s.rows("delete_outcomes", values), owner=backup.owner)

    async def delete_without_backup(
        self, owner: str, selection: Selection, *, after: int, last: int, limit: int
    ) -> UnbackedDeleteStepResult:
        return await self._database.write(
            lambda s: _delete_selected(s, owner, selection, after, last, limit, now_micros(self._clock)),
            overwrite_deleted=True,
        )

    async def erase(self) -> bool:
        return await self._database.erase()

    async def newest_key(self) -> int:
        return await self._database.read(lambda s: int(s.value("last_conversation_key")))


def _check_deletable(backup: Backup, *, is_file_complete: Callable[[], bool]) -> None:
    """Check that the delete of a backup's conversations may continue. Raises BackupUnusable."""
    if backup.state is BackupState.DAMAGED:
        raise backup_unusable_error(backup)
    if backup.state is not BackupState.VERIFIED or not backup.is_delete_unfinished:
        state = backup.deletion or backup.state
        raise BackupUnusable(f"{backup.id} is {state}; it has no delete to resume", backup_id=backup.id)
    if not is_file_complete():
        raise BackupUnusable(
            f"The file of {backup.id} is missing or incomplete; nothing further is deleted. Make a new plan",
            backup_id=backup.id,
        )


def _measure(session: Session, owner: str, selection: Selection, *, sample: int) -> SelectionMeasure:
    """Count the selected conversations and their related rows, and find what would prevent the delete."""
    digest, conversations, turns, size, samples = hashlib.sha256(), 0, 0, 0, []
    related = related_rows(session)
    selected = session.stream("measure_selection", selection_values(owner, selection), selection=selection)
    for batch in batched(selected, _MEASURE_BATCH):
        related_counts = related.count([row[0] for row in batch])
        for key, conversation_id, topic, its_turns, its_size in batch:
            if conversations < sample:
                samples.append(DeleteSample(conversation_id, topic, its_turns))
            conversations += 1
            turns += its_turns
            size += its_size
            digest.update(plan_line(conversation_id, its_turns, related_counts[key]))
    firing = session.tables.triggers([*BUILT_IN_TABLES, *related.deleted_tables], related.updated_tables)
    triggers = [FiringTrigger(trigger.name, trigger.table) for trigger in firing]
    return SelectionMeasure(
        conversations, turns, size, digest.hexdigest(), samples, related.counts(), triggers, related.obstacles()
    )


def _delete_next(session: Session, backup: Backup, limit: int, now: int) -> bool:
    """Delete the next conversations of a backup, unless changed since its snapshot; return whether none are left.

    Record each that is not deleted as `changed` (edited since, or kept by a trigger) or as `gone`.
    """
    first = backup.deleted + backup.changed + backup.gone
    items = items_from(session, backup, first, limit)
    columns = StoredColumns.from_session(session)
    batches = [(items, lock(session, backup.owner, [item.id for item in items], columns))]
    if batches[0][1].have_shared_rows:
        # Deleting one conversation may change related rows of another, so compare all before deleting any. This step
        # then deletes the whole rest of the backup, whatever the limit.
        items = items_from(session, backup, first, backup.conversations)
        batches += [
            (batch, lock(session, backup.owner, [item.id for item in batch], columns))
            for batch in batched(items[limit:], _COMPARE_BATCH)
        ]
    unchanged, outcomes, curations = {}, [], Curations(session, backup.owner)
    for batch, locked in batches:
        live = {record.id: record for record in find_by_keys(session, backup.owner, locked.keys, columns)}
        to_delete: dict[int, BackupItem] = {}
        for item in batch:
            record = live.get(item.id)
            if record is not None and record.version == item.row_version:
                to_delete[record.key] = item
                unchanged[record.key] = (item.position, (record.job_id, record.item_id, record.id))
            else:
                outcomes.append((item.position, "gone" if record is None else "changed"))
        curations.record_late(backup, to_delete)
    deleted = delete(session, backup.owner, list(unchanged))
    outcomes += [(position, "changed") for key, (position, _) in unchanged.items() if key not in deleted]
    results = [result for key, (_, result) in unchanged.items() if key in deleted]
    _mark_results_deleted(session, backup.owner, results, now)
    session.execute_many("record_outcomes", outcomes, backup.key)
    ended = first + len(items) >= backup.conversations
    changed = sum(outcome == "changed" for _, outcome in outcomes)
    counts = {"deleted": len(deleted), "changed": changed, "gone": len(outcomes) - changed}
    session.execute("advance_delete", {**record_key(backup), "ended": ended, "now": now, **counts})
    return ended


def _delete_selected(
    session: Session, owner: str, selection: Selection, after: int, last: int, limit: int, now: int
) -> UnbackedDeleteStepResult:
    """Delete the next selected conversations without a backup."""
    values = {**selection_values(owner, selection), "after": after, "last": last, "limit": limit}
    rows = session.rows("conversation_keys_after", values, selection=selection)
    deleted = delete(session, owner, [row[0] for row in rows])
    _mark_results_deleted(session, owner, [row[1:] for row in rows if row[0] in deleted], now)
    last_key = rows[-1][0] if len(rows) == limit else None
    return UnbackedDeleteStepResult(len(deleted), len(rows) - len(deleted), last_key, session.network_seconds)


def _mark_results_deleted(session: Session, owner: str, results: Iterable[Row], now: int) -> None:
    rows = [row for row in results if row[0] is not None and row[1] is not None]
    session.execute_many("mark_results_deleted", rows, owner, now)
