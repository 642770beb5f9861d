"""How many items a worker claims, over a store that only records the claims."""

import pytest

from backstay.batch.committer import MAX_GROUP_VERDICTS
from backstay.batch.job import JobSettings, JobState
from backstay.batch.outcome import AttemptUsage, Skip
from backstay.batch.processor import CallableProcessor
from backstay.batch.progress import ItemCounts, TokenCounts
from backstay.batch.stop import StopSignal
from backstay.batch.store import CommitReport, Lease
from backstay.batch.worker import Worker, WorkerOptions
from support.data.conversations import claimed

_REPORT = CommitReport([], JobState.RUNNING, ItemCounts(), TokenCounts(), next_due_seconds=None)


class _Claims:
    """The one method of a WorkStore that is called here."""

    def __init__(self):
        self.claims = []

    async def commit(self, lease, verdicts, claim):
        self.claims.append(claim)
        return _REPORT


@pytest.fixture
def store():
    return _Claims()


@pytest.fixture
def make_worker(store):
    """Return a worker with these options, in front of a store that claims nothing."""

    def make(concurrency, limit=None):
        return Worker(
            store=store,
            lease=Lease("local", 1, "job", 7),
            callee=CallableProcessor.from_processor(lambda item: None),
            settings=JobSettings(),
            options=WorkerOptions(concurrency, limit, grace_seconds=10.0, lease_seconds=15.0),
            monitor=None,
            stop=StopSignal(),
            report=None,
        )

    return make


def _end(worker, count):
    for position in range(count):
        worker._on_ended(claimed(position), Skip(), AttemptUsage())


@pytest.mark.parametrize(
    ("ended", "free_slots"),
    [(0, 16), (MAX_GROUP_VERDICTS, 16), (MAX_GROUP_VERDICTS + 5, 11), (MAX_GROUP_VERDICTS + 100, 0)],
)
async def test_uncommitted_results_beyond_one_group_take_up_slots(make_worker, store, ended, free_slots):
    """A worker whose results wait for later commits claims that many items fewer, so that they cannot pile up."""
    worker = make_worker(concurrency=16)
    _end(worker, ended)

    await worker._commit()

    assert store.claims[0].free_slots == free_slots


async def test_limit_bounds_the_claim(make_worker, store):
    """A worker claims no more items than its limit leaves."""
    worker = make_worker(concurrency=16, limit=3)

    await worker._commit()

    assert store.claims[0].free_slots == 3


async def test_stopping_worker_claims_nothing(make_worker, store):
    """A worker that was asked to stop claims no items."""
    worker = make_worker(concurrency=16)
    worker._stop.request()

    await worker._commit()

    assert store.claims[0].free_slots == 0
