"""What a worker does between its calls and its store, over a store that answers from a script."""

import asyncio
from dataclasses import replace

import pytest

from backstay.batch import worker as worker_module
from backstay.batch.breaker import FIRST_CALLS
from backstay.batch.committer import MAX_GROUP_VERDICTS
from backstay.batch.job import JobSettings, JobState
from backstay.batch.outcome import AttemptUsage, Fail, Halt, Skip
from backstay.batch.processor import CallableProcessor
from backstay.batch.progress import ItemCounts, TokenCounts
from backstay.batch.provenance import Provenance
from backstay.batch.stop_signal import StopSignal
from backstay.batch.store import CommitReport, Lease
from backstay.batch.worker import EndReason, Worker, WorkerOptions
from backstay.errors import OutcomeRefused
from support.data.conversations import claimed
from support.data.verdicts import failed
from support.harness.waiting import PATIENCE_SECONDS

_REPORT = CommitReport([], JobState.RUNNING, ItemCounts(), TokenCounts(), next_due_seconds=None)
_COMPLETED = replace(_REPORT, state=JobState.COMPLETED)
_NEVER_SECONDS = 1e6
_OPTIONS = WorkerOptions(concurrency=16, limit=None, grace_seconds=10.0, lease_seconds=15.0)


class _Store:
    """The methods of a WorkStore that a worker calls. Each commit gets the next report of a script."""

    def __init__(self):
        self.claims = []
        self.script = []
        self.log = []
        self.on_commit = self.on_requeue = lambda: None

    async def commit(self, lease, verdicts, claim):
        self.claims.append(claim)
        self.log.append(("commit", len(verdicts)))
        self.on_commit()
        return self.script.pop(0) if self.script else _REPORT

    async def requeue(self, lease, positions, pause):
        self.log.append(("requeue", len(positions)))
        self.on_requeue()


class _Monitor:
    """A lease monitor that counts how often the other workers are polled."""

    def __init__(self):
        self.polls = 0

    async def poll(self, lease):
        self.polls += 1


async def _ignore(*_):
    pass


async def _wait_forever(item):
    await asyncio.Event().wait()


@pytest.fixture
def store():
    return _Store()


@pytest.fixture
def monitor():
    return _Monitor()


@pytest.fixture
def make_worker(store, monitor):
    """Return a worker with these options."""

    def make(*, processor=lambda item: None, **options):
        return Worker(
            store=store,
            lease=Lease("local", 1, "job", 7),
            callee=CallableProcessor.from_processor(processor),
            settings=JobSettings(),
            provenance=Provenance({"processor": "caller"}),
            options=replace(_OPTIONS, **options),
            monitor=monitor,
            stop=StopSignal(),
            report=_ignore,
        )

    return make


async def _run(worker):
    """Run a worker; fail if it waits forever."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await worker.run()


def _end(worker, count, outcome=None):
    for position in range(count):
        worker._on_ended(claimed(position), outcome or Skip(), AttemptUsage())


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


@pytest.mark.parametrize("cause", ["a suspect runs", "the lease seems lost", "the breaker has tripped", "nothing"])
async def test_worker_claims_nothing_while_something_forbids_it(make_worker, store, cause):
    """A suspect item runs alone, and a worker that may have to end claims nothing that it would have to release."""
    worker = make_worker(processor=_wait_forever, concurrency=16)
    if cause == "a suspect runs":
        worker._start([claimed(alone=True)])
    elif cause == "the lease seems lost":
        worker.note_lease_lost()
    elif cause == "the breaker has tripped":
        _end(worker, 5)
        _end(worker, 45, Fail("broken"))
        assert worker._tripped is not None

    await worker._commit()
    worker._executor.abandon_all()

    assert (store.claims[0].free_slots > 0) == (cause == "nothing")


async def test_suspect_is_claimed_only_by_an_idle_worker(make_worker, store):
    """A worker with calls in flight, or with more results than one commit takes, claims no item that must run alone."""
    worker = make_worker(processor=_wait_forever, concurrency=16)
    await worker._commit()
    worker._start([claimed(1_000)])
    await worker._commit()
    worker._executor.abandon_all()
    _end(worker, MAX_GROUP_VERDICTS + 1)
    await worker._commit()

    assert [claim.may_claim_suspect for claim in store.claims] == [True, False, False]


async def test_items_that_fail_during_a_commit_are_committed_before_they_are_requeued(make_worker, store):
    """Only a committed failure can become pending again, so the calls that trip the breaker are committed first."""
    worker = make_worker(concurrency=16)
    worker._breaker.note_started(FIRST_CALLS)

    def fail_all():
        store.on_commit = lambda: None
        _end(worker, FIRST_CALLS, Fail("broken"))

    store.on_commit = fail_all

    assert await _run(worker) is EndReason.PAUSED
    assert store.log == [("commit", 0), ("commit", FIRST_CALLS), ("requeue", FIRST_CALLS)]


async def test_item_that_fails_while_others_are_requeued_is_requeued_too(make_worker, store):
    """A call that ends in the same failure during the requeue is committed, and then its item is requeued as well."""
    worker = make_worker(concurrency=16)
    worker._breaker.note_started(FIRST_CALLS + 1)
    _end(worker, FIRST_CALLS, Fail("broken"))

    def fail_another():
        store.on_requeue = lambda: None
        worker._on_ended(claimed(FIRST_CALLS), Fail("broken"), AttemptUsage())

    store.on_requeue = fail_another

    assert await _run(worker) is EndReason.PAUSED
    assert store.log[1:] == [("requeue", FIRST_CALLS), ("commit", 1), ("requeue", FIRST_CALLS + 1)]


async def test_worker_with_calls_in_flight_polls_other_workers_rarely(make_worker, store, monitor):
    """Each poll costs a transaction, so a busy worker does not poll with each of its commits."""
    worker = make_worker(processor=_wait_forever, lease_seconds=_NEVER_SECONDS)
    busy = replace(_REPORT, counts=ItemCounts(running=2))
    store.script = [replace(busy, claimed=[claimed()]), *[busy] * 5, _COMPLETED]
    store.on_commit = worker._wake.set

    assert await _run(worker) is EndReason.FINISHED
    assert monitor.polls == 1


async def test_worker_with_calls_in_flight_polls_other_workers_now_and_then(make_worker, store, monitor):
    """The lease of a dead worker is reclaimed by a busy worker, too."""
    worker = make_worker(processor=_wait_forever, lease_seconds=0.0)
    busy = replace(_REPORT, counts=ItemCounts(running=2))
    store.script = [replace(busy, claimed=[claimed()]), *[busy] * 5, _COMPLETED]
    store.on_commit = worker._wake.set

    await _run(worker)

    assert monitor.polls == 6


async def test_worker_that_waits_for_the_items_of_others_polls_them_each_time(make_worker, store, monitor):
    """A worker with nothing else to do notices soon that the others have died; without others it does not poll."""
    worker = make_worker(lease_seconds=_NEVER_SECONDS)
    store.script = [*[replace(_REPORT, counts=ItemCounts(running=2))] * 5, *[_REPORT] * 5, _COMPLETED]
    store.on_commit = worker._wake.set

    await _run(worker)

    assert monitor.polls == 5


async def test_results_that_one_commit_leaves_are_committed_without_a_wait(make_worker, store, monkeypatch):
    """A worker with more results than one commit takes does not wait for another call to end."""
    monkeypatch.setattr(worker_module, "_POLL_SECONDS", _NEVER_SECONDS)
    monkeypatch.setattr(worker_module, "_IDLE_SECONDS", _NEVER_SECONDS)
    worker = make_worker()
    _end(worker, MAX_GROUP_VERDICTS + 1)
    store.script = [_REPORT, _COMPLETED]

    assert await _run(worker) is EndReason.FINISHED
    assert store.log == [("commit", MAX_GROUP_VERDICTS), ("commit", 1)]


@pytest.mark.parametrize(
    ("concurrency", "due_seconds", "waits"),
    [
        *[(2, 0.2, 0.2), (2, 0.0, 0.01), (2, 1e6, worker_module._IDLE_SECONDS), (2, None, worker_module._IDLE_SECONDS)],
        *[(1, 0.2, worker_module._POLL_SECONDS), (1, None, worker_module._POLL_SECONDS)],
    ],
)
async def test_worker_waits_for_a_retry_only_with_a_free_slot(make_worker, concurrency, due_seconds, waits):
    """A worker whose slots are all taken does not ask the database for an item that it could not start."""
    worker = make_worker(processor=_wait_forever, concurrency=concurrency)
    worker._start([claimed()])
    timeouts = []
    worker._deadline.shorten = lambda seconds: timeouts.append(seconds) or 0.0

    await worker._wait(replace(_REPORT, next_due_seconds=due_seconds))
    worker._executor.abandon_all()

    assert timeouts == [waits]


@pytest.mark.parametrize(
    ("later", "end_reason"), [(JobState.RUNNING, EndReason.PAUSED), (JobState.CANCELLED, EndReason.CANCELLED)]
)
async def test_worker_of_a_paused_job_ends_even_if_the_job_is_resumed(make_worker, store, later, end_reason):
    """A worker that has seen its job paused finishes its calls and ends; only a cancellation changes the reason."""
    is_resumed = asyncio.Event()

    async def answer(item):
        await is_resumed.wait()

    worker = make_worker(processor=answer)
    states = (JobState.RUNNING, JobState.PAUSED, later)
    store.script = [replace(_REPORT, claimed=[claimed()]), *(replace(_REPORT, state=state) for state in states[1:])]

    def wake():
        worker._wake.set()
        if not store.script:
            is_resumed.set()
            store.script = [replace(_REPORT, state=later)]

    store.on_commit = wake

    assert await _run(worker) is end_reason
    assert [claim.free_slots > 0 for claim in store.claims[:3]] == [True, True, False]


@pytest.mark.parametrize(
    ("cause", "grace_seconds", "end_reason"),
    [
        ("it pauses", 0.0, None),
        ("it pauses by Halt", 0.0, None),
        ("it pauses and is stopped", 0.0, EndReason.PAUSED),
        ("its job was paused", 0.0, EndReason.PAUSED),
        ("its job was paused", _NEVER_SECONDS, None),
        ("it is stopped", 0.0, EndReason.STOPPED),
        ("it is stopped", _NEVER_SECONDS, None),
        ("nothing", 0.0, None),
    ],
)
async def test_worker_that_ends_waits_for_its_calls(make_worker, cause, grace_seconds, end_reason):
    """A worker that pauses by itself waits for its calls, which are paid for; otherwise for the grace time."""
    worker = make_worker(processor=_wait_forever, grace_seconds=grace_seconds)
    worker._start([claimed(60)])
    if cause.startswith("it pauses"):
        _end(worker, *((1, Halt("no money")) if "Halt" in cause else (50, Fail("broken"))))
        await worker._commit()
    if "pause" in cause:
        worker._state = JobState.PAUSED
    if cause.endswith("is stopped"):
        worker._stop.request()

    assert worker._end_reason() is end_reason

    worker._on_ended(claimed(60), Skip(), AttemptUsage())
    assert worker._end_reason() is None, "its result is not committed yet"
    worker._executor.abandon_all()


async def test_worker_with_a_limit_ends_when_its_last_result_is_committed(make_worker):
    """A limit ends a run only after that many items were claimed, their calls ended and their results committed."""
    worker = make_worker(processor=_wait_forever, limit=1)
    assert worker._end_reason() is None
    worker._start([claimed()])
    assert worker._end_reason() is None
    worker._executor.abandon_all()
    _end(worker, 1)
    assert worker._end_reason() is None
    await worker._commit()
    assert worker._end_reason() is EndReason.LIMIT


async def test_worker_claims_again_when_its_suspect_has_ended(make_worker, store):
    """Only the end of the item that runs alone lets a worker claim others."""
    worker = make_worker(processor=_wait_forever)
    worker._start([claimed(alone=True)])
    _end(worker, 1)
    await worker._commit()
    worker._executor.abandon_all()
    worker._on_ended(claimed(alone=True), Skip(), AttemptUsage())
    await worker._commit()

    assert [claim.free_slots > 0 for claim in store.claims] == [False, True]


async def test_outcomes_that_the_database_refuses_trip_the_breaker(make_worker):
    """Calls whose results are all refused by the database have succeeded, but their job must pause as well."""
    worker = make_worker()
    worker._on_committed([failed(claimed(position)) for position in range(FIRST_CALLS)])
    assert worker._tripped is None
    refused = [failed(claimed(position), OutcomeRefused.code) for position in range(FIRST_CALLS)]
    worker._on_committed(refused[:-1])
    assert worker._tripped is None
    worker._on_committed(refused[-1:])
    assert worker._tripped is not None

    _end(worker, 5)
    worker._on_committed(refused[:1])
    assert worker._tripped is not None, "it stays tripped"


@pytest.mark.parametrize("outcome", [Skip(), Fail("no", code="broken")], ids=["succeeded", "failed"])
async def test_refused_outcomes_replace_those_that_were_counted(make_worker, outcome):
    """A job whose results are all refused pauses after its first calls, and waits for the calls in flight."""
    worker = make_worker(processor=_wait_forever, grace_seconds=0.0)
    worker._start([claimed(99)])
    await asyncio.sleep(0)
    _end(worker, FIRST_CALLS - 1, outcome)
    assert worker._tripped is None
    refused = [failed(claimed(position), OutcomeRefused.code) for position in range(FIRST_CALLS)]
    worker._on_committed(refused[:-1])
    assert worker._tripped is None
    worker._on_ended(claimed(FIRST_CALLS - 1), Skip(), AttemptUsage())
    worker._on_committed(refused[-1:])

    assert (
        worker._tripped.message == f"the first {FIRST_CALLS} calls all ended in outcome_refused: it is outcome_refused"
    )
    assert worker._breaker.failed_positions == list(range(FIRST_CALLS))
    worker._committer._waiting.clear()
    worker._state = JobState.PAUSED
    assert worker._end_reason() is None, "a call is in flight, and may be paid for"
    worker._executor.abandon_all()
    assert worker._end_reason() is EndReason.PAUSED
