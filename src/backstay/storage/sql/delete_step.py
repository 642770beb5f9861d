"""Conversations go, a bounded number in a transaction of the caller's."""

from collections.abc import Iterable

from backstay.backup.backup import Backup
from backstay.backup.store import UnbackedDeleteStepResult
from backstay.library.selection import Selection
from backstay.storage.sql.batched import batched
from backstay.storage.sql.records import StoredColumns, at_keys, delete, lock
from backstay.storage.sql.selection_conditions import values_of
from backstay.storage.sql.session import Row, Session

_COMPARED = 500  # conversations that are read at once


def delete_next(session: Session, backup: Backup, limit: int, now: int) -> bool:
    """Delete the next conversations of a backup that are as its snapshot found them; whether these were the last.

    Those that were changed since are kept, and noted, as those are that a trigger keeps, or that are gone already.
    """
    first = backup.deleted + backup.changed + backup.gone
    values = {"key": backup.key, "owner": backup.owner, "first": first, "limit": limit}
    items: list[Row] = session.rows("backup_items_after", values)
    columns = StoredColumns.from_session(session)
    parts = [(items, lock(session, backup.owner, [row[1] for row in items], columns))]
    if parts[0][1].spills:
        # What goes with one of them goes with another as well: so all are compared before any of them goes.
        items = session.rows("backup_items_after", {**values, "limit": backup.conversations})
        session.tables.defer()
        parts += [
            (part, lock(session, backup.owner, [row[1] for row in part], columns))
            for part in batched(items[limit:], _COMPARED)
        ]
    same, outcomes = {}, []
    for part, held in parts:
        live = {record.id: record for record in at_keys(session, backup.owner, held.keys, columns)}
        for position, conversation_id, _, _, version in part:
            record = live.get(conversation_id)
            if record is not None and record.version == version:
                same[record.key] = (position, (record.job_id, record.item_id, record.id))
            else:
                outcomes.append((position, "gone" if record is None else "changed"))
    deleted = delete(session, backup.owner, list(same))
    outcomes += [(position, "changed") for key, (position, _) in same.items() if key not in deleted]
    _note_results(session, backup.owner, [result for key, (_, result) in same.items() if key in deleted], now)
    session.execute_rows("note_outcomes", outcomes, backup.key)
    ended = first + len(items) >= backup.conversations
    changed = sum(outcome == "changed" for _, outcome in outcomes)
    counts = {"deleted": len(deleted), "changed": changed, "gone": len(outcomes) - changed}
    moved = {"key": backup.key, "owner": backup.owner, "ended": ended, "now": now, **counts}
    session.execute("delete_moved", moved)
    return ended


def delete_selected(
    session: Session, owner: str, selection: Selection, after: int, last: int, limit: int, now: int
) -> UnbackedDeleteStepResult:
    """Delete the next selected conversations."""
    values = {**values_of(owner, selection), "after": after, "last": last, "limit": limit}
    rows = session.rows("conversation_keys_after", values, selection=selection)
    deleted = delete(session, owner, [row[0] for row in rows])
    _note_results(session, owner, [row[1:] for row in rows if row[0] in deleted], now)
    reached = rows[-1][0] if len(rows) == limit else None
    return UnbackedDeleteStepResult(len(deleted), len(rows) - len(deleted), reached, session.seconds_on_the_way)


def _note_results(session: Session, owner: str, results: Iterable[Row], now: int) -> None:
    rows = [row for row in results if row[0] is not None and row[1] is not None]
    session.execute_rows("results_deleted", rows, owner, now)
