"""Items that come into a job from elsewhere, in a transaction of the caller's."""

from collections.abc import Sequence

from backstay.batch.item import ItemState, SettledItem
from backstay.batch.store import StagedJob
from backstay.storage.sql.session import Row, Session

CODE = "taken_over"
"""Of the error of an item that had failed before it was taken over."""

_UNKNOWN = b""  # the digest of an item of which only the id is known


def append_new_items(session: Session, staged: StagedJob, key: int) -> int:
    """Append staged items that a job lacks to it, and return their number.

    What the job knows by its id only is given what the staged item of that id was given.
    """
    values = {"staged": staged.job_key, "job_key": key}
    if session.execute("fill_inputs", values):  # first: it tells by the digests which those are
        session.execute("fill_items", values)
    base = session.value("last_position", {"job_key": key, "owner": staged.owner}) + 1
    added = session.execute("accept_items", {**values, "base": base})
    if added:
        session.execute("accept_inputs", {**values, "base": base})
    return added


def append_settled_items(
    session: Session, staged: StagedJob, items: Sequence[SettledItem], first: int, now: int
) -> int:
    """Store settled items from a position on, and return how many: those whose ids are there already are left out."""
    key, owner = staged.job_key, staged.owner
    asked: list[Row] = [(item_id,) for item_id in {item.id for item in items}]
    taken = {item_id for item_id, *_ in session.select_rows("items_with_ids", asked, key)}
    rows: list[Row] = []
    attempts: list[Row] = []
    for item in items:
        if item.id in taken:
            continue
        taken.add(item.id)
        position, has_failed = first + len(rows), item.error is not None
        state = ItemState.FAILED if has_failed else ItemState.COMPLETED
        rows.append((key, position, owner, item.id, _UNKNOWN, str(state), int(has_failed), int(has_failed)))
        if has_failed:
            token, error = staged.token, item.error
            attempts.append((key, position, 1, owner, token, "failed", CODE, error, None, 0, 0, now, now, None))
    session.execute_rows("insert_settled_items", rows)
    session.execute_rows("insert_attempts", attempts)
    return len(rows)
