"""Requeues items whose conversations were deleted. Implements `batch.store.DeletedResultStore`."""

from backstay.batch.deleted_results import DeletedResults, DeletedRetryResult
from backstay.batch.job import JobAction, check_action
from backstay.storage.sql.database import Session, SqlStore
from backstay.storage.sql.input_blocks import unpack_inputs_of_deleted
from backstay.storage.sql.jobs import find_job, lock_job, set_state
from backstay.storage.sql.times import now_micros

_MAX_BLOCKS = 16


class SqlDeletedResults(SqlStore):
    """The completed items of a job whose conversations were deleted."""

    async def count(self, owner: str, job_id: str) -> DeletedResults:
        return await self._database.read(lambda s: _count(s, owner, find_job(s, owner, job_id).key), owner=owner)

    async def unpack_step(self, owner: str, job_id: str) -> bool:
        def unpack_step(session: Session) -> bool:
            job = lock_job(session, owner, job_id)
            check_action(job_id, job.state, JobAction.RETRY)
            return unpack_inputs_of_deleted(session, owner, job.key, _MAX_BLOCKS)

        return await self._database.write(unpack_step)

    async def retry(self, owner: str, job_id: str) -> DeletedRetryResult:
        def retry(session: Session) -> DeletedRetryResult:
            job = lock_job(session, owner, job_id)
            state = check_action(job_id, job.state, JobAction.RETRY)
            values = {"job_key": job.key, "owner": owner}
            while unpack_inputs_of_deleted(session, owner, job.key, _MAX_BLOCKS):
                pass  # usually nothing: only what became blocks again after the last step
            count = session.execute("deleted_to_pending", values)
            if count:
                session.execute("record_regenerated_items", {**values, "count": count})
                set_state(session, owner, job.key, state, now_micros(self._clock), job.pause)
            return DeletedRetryResult(count, without_input=_count(session, owner, job.key).items)

        return await self._database.write(retry)


def _count(session: Session, owner: str, job_key: int) -> DeletedResults:
    return DeletedResults(*session.rows("count_deleted_items", {"job_key": job_key, "owner": owner})[0])
