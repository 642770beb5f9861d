"""Deletes a bounded number of conversations in a transaction of the caller."""

from collections.abc import Iterable

from backstay.backup.backup import Backup
from backstay.backup.store import UnbackedDeleteStepResult
from backstay.library.selection import Selection
from backstay.storage.sql.batched import batched
from backstay.storage.sql.records import StoredColumns, at_keys, delete, lock
from backstay.storage.sql.selection_conditions import values_of
from backstay.storage.sql.session import Row, Session

_BATCH_SIZE = 500  # conversations that are compared at once


def delete_next(session: Session, backup: Backup, limit: int, now: int) -> bool:
    """Delete the next conversations of a backup, unless changed since its snapshot; return whether none are left.

    Record which were kept, because they were changed since or a trigger kept them, and which no longer exist.
    """
    first = backup.deleted + backup.changed + backup.gone
    values = {"key": backup.key, "owner": backup.owner, "first": first, "limit": limit}
    items: list[Row] = session.rows("backup_items_after", values)
    columns = StoredColumns.from_session(session)
    batches = [(items, lock(session, backup.owner, [row[1] for row in items], columns))]
    if batches[0][1].have_shared_rows:
        # Deleting one conversation may change related rows of another: compare all before deleting any.
        items = session.rows("backup_items_after", {**values, "limit": backup.conversations})
        session.tables.defer()
        batches += [
            (batch, lock(session, backup.owner, [row[1] for row in batch], columns))
            for batch in batched(items[limit:], _BATCH_SIZE)
        ]
    unchanged, outcomes = {}, []
    for batch, locked in batches:
        live = {record.id: record for record in at_keys(session, backup.owner, locked.keys, columns)}
        for position, conversation_id, _, _, version in batch:
            record = live.get(conversation_id)
            if record is not None and record.version == version:
                unchanged[record.key] = (position, (record.job_id, record.item_id, record.id))
            else:
                outcomes.append((position, "gone" if record is None else "changed"))
    deleted = delete(session, backup.owner, list(unchanged))
    outcomes += [(position, "changed") for key, (position, _) in unchanged.items() if key not in deleted]
    _mark_results_deleted(
        session, backup.owner, [result for key, (_, result) in unchanged.items() if key in deleted], now
    )
    session.execute_rows("record_outcomes", outcomes, backup.key)
    ended = first + len(items) >= backup.conversations
    changed = sum(outcome == "changed" for _, outcome in outcomes)
    counts = {"deleted": len(deleted), "changed": changed, "gone": len(outcomes) - changed}
    progress = {"key": backup.key, "owner": backup.owner, "ended": ended, "now": now, **counts}
    session.execute("advance_delete", progress)
    return ended


def delete_selected(
    session: Session, owner: str, selection: Selection, after: int, last: int, limit: int, now: int
) -> UnbackedDeleteStepResult:
    """Delete the next selected conversations without a backup."""
    values = {**values_of(owner, selection), "after": after, "last": last, "limit": limit}
    rows = session.rows("conversation_keys_after", values, selection=selection)
    deleted = delete(session, owner, [row[0] for row in rows])
    _mark_results_deleted(session, owner, [row[1:] for row in rows if row[0] in deleted], now)
    last_key = rows[-1][0] if len(rows) == limit else None
    return UnbackedDeleteStepResult(len(deleted), len(rows) - len(deleted), last_key, session.network_seconds)


def _mark_results_deleted(session: Session, owner: str, results: Iterable[Row], now: int) -> None:
    rows = [row for row in results if row[0] is not None and row[1] is not None]
    session.execute_rows("mark_results_deleted", rows, owner, now)
