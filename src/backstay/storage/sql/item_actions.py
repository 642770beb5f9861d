"""Retries and skips items that a user names, in a transaction of the caller."""

from collections import Counter
from collections.abc import Sequence

from backstay.batch.item import ItemState
from backstay.errors import BackstayError, InvalidTransition, ItemNotFound
from backstay.library.id_text import quoted_id
from backstay.storage.sql.database import Row, Session
from backstay.storage.sql.input_blocks import unpack_input

_SKIPPED_CODE = "skipped"  # as for a processor's `Skip`
_SKIPPED_MESSAGE = "skipped by the user"
_NO_WORKER = 0  # no lease has this token


def retry_item(session: Session, owner: str, key: int, job_id: str, item_id: str) -> ItemState:
    """Return an item to pending, and return its former state. Raises ItemNotFound, InvalidTransition."""
    values = {"job_key": key, "owner": owner, "id": item_id}
    if session.execute("failed_to_pending_by_id", values):
        return ItemState.FAILED
    state, deleted_at, position = _stored_state(session, owner, key, job_id, item_id)
    if deleted_at is not None:
        unpack_input(session, owner, key, position)
        if session.execute("deleted_to_pending_by_id", values):
            return ItemState.COMPLETED
    reason = "only failed items can be retried, and those whose conversation was deleted"
    if deleted_at is not None:
        reason = "an earlier version removed its input. Restore its conversation, or run it in a new job"
    raise _refused_error(job_id, item_id, state, reason)


def skip_items(
    session: Session, owner: str, key: int, job_id: str, item_ids: Sequence[str], now: int
) -> Counter[ItemState]:
    """Settle items as skipped, and record an attempt for each; return how many there were by former state.

    Raises:
        ItemNotFound, InvalidTransition: an item does not exist, or is neither pending nor failed.
    """
    moved: Counter[ItemState] = Counter()
    attempts: list[Row] = []
    for item_id in dict.fromkeys(item_ids):
        former, position, number = _skip_item(session, owner, key, job_id, item_id)
        moved[former] += 1
        attempts.append(
            (key, position, number, owner, _NO_WORKER, "skipped", _SKIPPED_CODE, _SKIPPED_MESSAGE, None, 0, 0, now, now,
             None)
        )  # fmt: skip
    session.execute_many("insert_attempts", attempts)
    return moved


def _skip_item(session: Session, owner: str, key: int, job_id: str, item_id: str) -> tuple[ItemState, int, int]:
    values = {"job_key": key, "owner": owner, "id": item_id}
    for former in (ItemState.PENDING, ItemState.FAILED):
        for position, number in session.rows("skip_item", {**values, "state": str(former)}):
            return former, position, number
    state, *_ = _stored_state(session, owner, key, job_id, item_id)
    raise _refused_error(job_id, item_id, state, "only pending and failed items can be skipped")


def _stored_state(session: Session, owner: str, key: int, job_id: str, item_id: str) -> tuple[str, int | None, int]:
    row = session.row("item_state", {"job_key": key, "owner": owner, "id": item_id})
    if row is None:
        raise ItemNotFound(f"Job {quoted_id(job_id)} has no item {quoted_id(item_id)}", job_id=job_id, item_id=item_id)
    return row[0], row[1], row[2]


def _refused_error(job_id: str, item_id: str, state: str, reason: str) -> BackstayError:
    return InvalidTransition(
        f"Item {quoted_id(item_id)} of job {quoted_id(job_id)} is {state}; {reason}",
        job_id=job_id,
        item_id=item_id,
        state=state,
    )
