"""Appends items to a job, in a transaction of the caller: staged items, or items that another program has settled."""

from collections.abc import Sequence

from backstay.batch.item import ItemState, SettledItem
from backstay.batch.store import StagedJob
from backstay.storage.sql.session import Row, Session

CODE = "taken_over"
"""The error code of an item that had failed in another program before its job was imported."""

_UNKNOWN = b""  # the digest of an item whose input is unknown


def append_new_items(session: Session, staged: StagedJob, key: int) -> int:
    """Append the staged items that a job lacks, and return their number.

    An item of the job whose input is unknown gets the input of the staged item of the same id.
    """
    values = {"staged": staged.job_key, "job_key": key}
    # `attach_inputs` comes first: it finds these items by their empty digest, which `attach_digests` sets.
    if session.execute("attach_inputs", values):
        session.execute("attach_digests", values)
    base = session.value("last_position", {"job_key": key, "owner": staged.owner}) + 1
    added = session.execute("append_items", {**values, "base": base})
    if added:
        session.execute("append_inputs", {**values, "base": base})
    return added


def append_settled_items(
    session: Session, staged: StagedJob, items: Sequence[SettledItem], first: int, now: int
) -> int:
    """Store settled items from position `first` on, except those whose ids the job has; return how many were stored."""
    key, owner = staged.job_key, staged.owner
    item_ids: list[Row] = [(item_id,) for item_id in {item.id for item in items}]
    existing = {item_id for item_id, *_ in session.select_rows("items_with_ids", item_ids, key)}
    rows: list[Row] = []
    attempts: list[Row] = []
    for item in items:
        if item.id in existing:
            continue
        existing.add(item.id)
        position, has_failed = first + len(rows), item.error is not None
        state = ItemState.FAILED if has_failed else ItemState.COMPLETED
        rows.append((key, position, owner, item.id, _UNKNOWN, str(state), int(has_failed), int(has_failed)))
        if has_failed:
            token, error = staged.token, item.error
            attempts.append((key, position, 1, owner, token, "failed", CODE, error, None, 0, 0, now, now, None))
    session.execute_rows("insert_settled_items", rows)
    session.execute_rows("insert_attempts", attempts)
    return len(rows)
