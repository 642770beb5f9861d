"""Imported jobs that wait for a run with all their items. Implements `legacy.waiting_imports.WaitingImportStore`.

A name belongs to a job or to a waiting import, never to both, because a transaction that adds or removes either holds
the name's lock.
"""

from collections.abc import Mapping, Sequence

from backstay.batch.store import StagedJob
from backstay.legacy.imported_jobs import WaitingImport, items_missing_error, job_waits_error
from backstay.storage.sql.batched import batched
from backstay.storage.sql.database import Session, SqlStore
from backstay.storage.sql.times import from_micros, now_micros

_BATCH_ROWS = 4_000
_MAX_EXAMPLES = 2


class SqlWaitingImports(SqlStore):
    """The waiting imports of a database."""

    async def is_name_used(self, owner: str, job_id: str) -> bool:
        return await self._database.read(lambda s: _is_name_used(s, owner, job_id), owner=owner)

    async def add(self, owner: str, job_id: str, settled: Mapping[str, str | None]) -> bool:
        name, failed = {"owner": owner, "job_id": job_id}, sum(error is not None for error in settled.values())
        counts = {"completed": len(settled) - failed, "failed": failed}

        def add(session: Session) -> bool:
            session.lock("lock_job_name", name)
            if _is_name_used(session, owner, job_id):
                return False
            session.execute("insert_legacy_job", {**name, **counts, "now": now_micros(self._clock)})
            for items in batched(settled.items(), _BATCH_ROWS):
                session.execute_many("insert_legacy_settled", [(owner, job_id, *item) for item in items])
            return True

        return await self._database.write(add)

    async def waiting(self, owner: str) -> Sequence[WaitingImport]:
        return await self._database.read(lambda s: waiting_imports(s, owner), owner=owner)


def waiting_imports(session: Session, owner: str) -> list[WaitingImport]:
    """Return the imported jobs that wait, the latest first."""
    return [
        WaitingImport(job_id, completed, failed, from_micros(imported_at))
        for job_id, completed, failed, imported_at in session.rows("legacy_jobs", {"owner": owner})
    ]


def settle_imported_items(session: Session, staged: StagedJob, job_id: str, now: int, *, accept_missing: bool) -> None:
    """Settle those items of a newly published job that were imported as settled. The import then waits no longer.

    Does nothing if no import waits under that name. Raises ItemsDiffer if the job lacks settled items of the import,
    unless `accept_missing`.
    """
    name = {"owner": staged.owner, "job_id": job_id}
    waiting = session.row("legacy_job", name)
    if waiting is None:
        return
    job = {"job_key": staged.job_key, "owner": staged.owner}
    failed = session.execute("insert_legacy_attempts", {**name, **job, "token": staged.token, "now": now})
    settled = session.execute("settle_legacy_items", {**name, **job})
    missing = sum(waiting) - settled
    if missing and not accept_missing:
        examples = session.rows("missing_legacy_items", {**name, **job, "limit": _MAX_EXAMPLES})
        raise items_missing_error(job_id, missing, [item_id for (item_id,) in examples])
    session.execute("record_legacy_items", {**job, "completed": settled - failed, "failed": failed})
    session.execute("drop_legacy_job", name)


def drop_waiting_import(session: Session, owner: str, job_id: str) -> bool:
    """Remove an imported job that waits; return whether there was one."""
    session.lock("lock_job_name", {"owner": owner, "job_id": job_id})
    return session.execute("drop_legacy_job", {"owner": owner, "job_id": job_id}) > 0


def refuse_waiting_import(session: Session, owner: str, job_id: str) -> None:
    """Raise JobNotFound, with the remedy, if an imported job waits under this name."""
    if session.row("legacy_job", {"owner": owner, "job_id": job_id}) is not None:
        raise job_waits_error(job_id)


def _is_name_used(session: Session, owner: str, job_id: str) -> bool:
    return session.row("is_job_name_used", {"owner": owner, "job_id": job_id}) is not None
