"""How a run begins and ends under its leases, over a store that answers from a script."""

import asyncio
from types import SimpleNamespace

from backstay.batch.job import JobSettings, JobState
from backstay.batch.leased_run import LeasedRun
from backstay.batch.processor import CallableProcessor
from backstay.batch.progress import ItemCounts, JobProgressReporter, TokenCounts
from backstay.batch.stop_signal import StopSignal
from backstay.batch.store import CommitReport, Lease
from backstay.batch.worker import EndReason, WorkerOptions
from backstay.errors import LeaseLost, StoreBusy
from support.harness.waiting import PATIENCE_SECONDS


class _Store:
    """The methods of a WorkStore that a run calls. The first lease is lost; under the next, a stop is requested."""

    def __init__(self, stop):
        self._stop = stop
        self._leases = 0

    async def acquire_lease(self, owner, job_id, identity, *, after_lease_loss, revision):
        self._leases += 1
        return SimpleNamespace(lease=Lease(owner, 1, job_id, self._leases))

    async def commit(self, lease, verdicts, claim):
        if lease.token == 1:
            raise LeaseLost("The lease was reclaimed")
        self._stop.request()
        return CommitReport([], JobState.RUNNING, ItemCounts(), TokenCounts(), next_due_seconds=None)

    def mark_stopping(self, lease):
        raise StoreBusy("The database is locked")

    async def release(self, lease):
        pass


class _Monitor:
    """A lease monitor that finds no other workers."""

    async def poll(self, lease=None):
        pass


async def test_a_stop_that_cannot_be_marked_is_logged_under_every_lease(tmp_path, caplog):
    """That a stop could not be marked is logged also after a first lease was lost."""
    stop = StopSignal()
    run = LeasedRun(
        store=_Store(stop),
        job=SimpleNamespace(
            id="job", owner="local", settings=JobSettings(), processor="caller", recipe=None, regenerates=None
        ),
        callee=CallableProcessor.from_processor(lambda item: None),
        options=WorkerOptions(concurrency=1, limit=None, grace_seconds=0.0, lease_seconds=15.0),
        monitor=_Monitor(),
        stop=stop,
        folder=tmp_path,
        reporter=JobProgressReporter(job_id="job", listener=None),
        backup=None,
    )

    async with asyncio.timeout(PATIENCE_SECONDS):
        ending = await run.run_until_ended()

    assert ending is EndReason.STOPPED
    assert [record.msg for record in caplog.records] == ["lease_lost", "stop_mark_failed"]
    assert list(tmp_path.iterdir()) == []
