"""The state of a job, as its workers show it."""

import pytest

from backstay.batch.inspection import JobInspection
from backstay.batch.job import JobState
from backstay.batch.store import BatchStores
from backstay.errors import JobNotFound


class _Store:
    """A store of one job without workers: each reading gets the next of these states, None if the job is gone."""

    def __init__(self, a_job, states):
        self._a_job = a_job
        self._states = list(states)

    async def job(self, owner, job_id):
        if (state := self._states.pop(0)) is None:
            raise JobNotFound("gone")
        return self._a_job(state)

    async def jobs(self, owner, *, incomplete, before, limit):
        return [await self.job(owner, "job")]

    async def workers(self, owner, job_id):
        return []


@pytest.mark.parametrize(
    ("then", "shown"),
    [
        (JobState.RUNNING, JobState.INTERRUPTED),
        (JobState.COMPLETED, JobState.COMPLETED),
        (JobState.PAUSED, JobState.PAUSED),
        (None, JobState.INTERRUPTED),
    ],
)
async def test_job_that_ends_while_it_is_read_is_not_interrupted(a_job, then, shown):
    """A job whose last worker left between two readings is shown in the state in which that worker left it."""
    store = _Store(a_job, [JobState.RUNNING, then, JobState.RUNNING, then])
    stores = BatchStores(intake=store, work=store, jobs=store, revisions=store, deleted_results=store)
    jobs = JobInspection(stores=stores, owner="local")

    assert (await jobs.checkpoint("job")).state is shown
    assert [job.state for job in await jobs.list()] == [shown]
