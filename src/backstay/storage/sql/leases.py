"""Leases of workers: the fence before each write under a lease, and the end of a lease, in the caller's transaction."""

from dataclasses import asdict

from backstay.batch.item import ItemState
from backstay.batch.store import Lease
from backstay.errors import LeaseLost
from backstay.storage.sql.database import Session
from backstay.storage.sql.verdicts import CountChanges


def try_fence(session: Session, owner: str, job_key: int, token: int) -> bool:
    """Return whether a token is current; if so, it stays current until the write transaction ends."""
    values = {"token": token, "owner": owner, "job_key": job_key}
    return session.row("fence", values) is not None


def fence(session: Session, owner: str, job_key: int, token: int) -> None:
    """Check a token before anything is written under it. Raises LeaseLost if it is outdated."""
    if not try_fence(session, owner, job_key, token):
        raise _lease_lost_error(token)


def check_current(session: Session, owner: str, job_key: int, token: int) -> None:
    """Check a token in a read transaction. Raises LeaseLost if it is outdated."""
    if session.row("is_current", {"token": token, "owner": owner, "job_key": job_key}) is None:
        raise _lease_lost_error(token)


def mark_worker(session: Session, lease: Lease, statement: str, **values: str | None) -> None:
    """Execute an update of a worker's row. Raises LeaseLost if the row no longer exists."""
    if not session.execute(statement, {"token": lease.token, "owner": lease.owner, **values}):
        raise _lease_lost_error(lease.token)


def end_lease(
    session: Session, owner: str, job_key: int, token: int, now: int, *, is_stopping: bool, crash_limit: int = 0
) -> None:
    """Return the items that a worker holds to pending, add its counts to the job's, and delete its row.

    If the worker was asked to stop, its attempts end as released. Otherwise they end as interrupted, and an item that
    was interrupted while running alone for the `crash_limit`-th time fails.
    """
    held = {"job_key": job_key, "token": token, "now": now, "stopping": is_stopping, "crash_limit": crash_limit}
    session.execute("interrupt_attempts", held)
    states = [state for (state,) in session.rows("interrupt_items", held)]
    changes = CountChanges(running=-len(states))
    for state in states:
        changes.add(ItemState(state), +1)
    values = {"token": token, "owner": owner, "now": now}
    session.execute("move_counts", {**values, **asdict(changes)})
    session.execute("fold_counts", values)
    session.execute("delete_worker", values)


def _lease_lost_error(token: int) -> LeaseLost:
    return LeaseLost("This worker's lease was reclaimed; other workers continue with its items", token=token)
