"""Conversations go, a bounded number in a transaction of the caller's."""

from collections.abc import Iterable

import apsw

from holdfast.backup.backup import Backup
from holdfast.library.selection import Selection
from holdfast.storage.sqlite.queries import Row, execute_rows, query
from holdfast.storage.sqlite.records import Columns, by_ids
from holdfast.storage.sqlite.selecting import selecting, values_of


def delete_next(connection: apsw.Connection, backup: Backup, limit: int, now: int) -> bool:
    """Delete the next conversations of a backup that are as its snapshot found them; whether these were the last.

    Those that were changed since are kept, and noted, as those are that are gone already.
    """
    first = backup.deleted + backup.changed + backup.gone
    values = {"key": backup.key, "owner": backup.owner, "first": first, "limit": limit}
    items: list[Row] = connection.execute(query("backup_items_after"), values).fetchall()
    live = by_ids(connection, backup.owner, [row[1] for row in items], Columns.of(connection))
    same, outcomes = [], []
    for position, conversation_id, _, _, version in items:
        record = live.get(conversation_id)
        if record is not None and record.version == version:
            same.append(record)
        else:
            outcomes.append((position, "gone" if record is None else "changed"))
    _delete(connection, backup.owner, [record.key for record in same])
    _note_results(connection, backup.owner, ((r.job_id, r.item_id, r.id) for r in same), now)
    execute_rows(connection, "note_outcomes", outcomes, backup.key)
    ended = first + len(items) >= backup.conversations
    changed = sum(outcome == "changed" for _, outcome in outcomes)
    counts = {"deleted": len(same), "changed": changed, "gone": len(outcomes) - changed}
    moved = {"key": backup.key, "owner": backup.owner, "ended": ended, "now": now, **counts}
    connection.execute(query("delete_moved"), moved)
    return ended


def delete_selected(
    connection: apsw.Connection, owner: str, selection: Selection, after: int, last: int, limit: int, now: int
) -> tuple[int, int | None]:
    """Delete the next selected conversations; return how many, and how far this came (None at the end)."""
    text = selecting(connection, "conversation_keys_after", selection)
    values = {**values_of(owner, selection), "after": after, "last": last, "limit": limit}
    rows: list[Row] = connection.execute(text, values).fetchall()
    _delete(connection, owner, [row[0] for row in rows])
    _note_results(connection, owner, (row[1:] for row in rows), now)
    return len(rows), rows[-1][0] if len(rows) == limit else None


def _delete(connection: apsw.Connection, owner: str, keys: Iterable[int]) -> None:
    execute_rows(connection, "delete_conversations", [(key,) for key in keys], owner)


def _note_results(connection: apsw.Connection, owner: str, results: Iterable[Row], now: int) -> None:
    rows = [row for row in results if row[0] is not None and row[1] is not None]
    execute_rows(connection, "results_deleted", rows, owner, now)
