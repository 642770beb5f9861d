"""Leases, and claims of items under them."""

import asyncio

import pytest

from backstay.batch.item import ClaimedItem, Item
from backstay.batch.job import JobAction, JobState
from backstay.batch.progress import ItemCounts
from backstay.errors import InvalidTransition, JobNotFound
from support.data.verdicts import completed, doomed, failed, retried
from support.fakes.clock import NOON
from support.fakes.workers import card
from support.stores.jobs import OWNER, acquire_lease, claim, claim_one, commit, create, die, job, stage


async def _enter(store, *, after_lease_loss=False):
    return await store.batches.work.acquire_lease(OWNER, "job", card(), after_lease_loss=after_lease_loss)


# -- leases ----------------------------------------------------------------------------------------


async def test_job_is_running_from_its_first_lease_on(store):
    """A job is running from its first lease on, and the worker's row holds its identity."""
    await create(store)

    entered = await _enter(store)

    assert entered.job.state is JobState.RUNNING
    assert entered.job.workers == 1
    assert entered.job == await job(store)
    assert (entered.lease.owner, entered.lease.job_id) == (OWNER, "job")
    (row,) = await store.batches.work.workers(OWNER, "job")
    assert (row.token, row.identity) == (entered.lease.token, card())


async def test_each_lease_has_a_token_of_its_own(store):
    """Tokens are never reused, even after the row of an earlier worker is gone."""
    await create(store)
    first = await acquire_lease(store)
    second = await acquire_lease(store)
    await store.batches.work.release(first)
    await store.batches.work.release(second)

    third = await acquire_lease(store)

    assert first.token < second.token < third.token


async def test_unknown_job_has_no_lease(store):
    """Acquiring a lease on an unknown job raises JobNotFound."""
    with pytest.raises(JobNotFound):
        await _enter(store)


async def test_paused_job_is_resumed_by_a_lease(store):
    """A lease on a paused job resumes it and clears the reason of the pause."""
    await create(store)
    await store.batches.jobs.apply_action(OWNER, "job", JobAction.PAUSE)

    entered = await _enter(store)

    assert entered.lease is not None
    assert (entered.job.state, entered.job.pause) == (JobState.RUNNING, None)


@pytest.mark.parametrize("move", [JobAction.PAUSE, JobAction.CANCEL])
async def test_run_that_lost_its_lease_respects_what_was_decided_meanwhile(store, move):
    """A run that lost its lease does not resume a job that was paused or cancelled in the meantime."""
    await create(store)
    await store.batches.jobs.apply_action(OWNER, "job", move)

    entered = await _enter(store, after_lease_loss=True)

    assert entered.lease is None
    assert entered.job.state is (JobState.PAUSED if move is JobAction.PAUSE else JobState.CANCELLED)


async def test_run_that_lost_its_lease_continues(store):
    """A run that lost its lease gets a new one if the job was neither paused nor cancelled."""
    await create(store)

    assert (await _enter(store, after_lease_loss=True)).lease is not None


async def test_cancelled_job_has_no_lease(store):
    """A cancelled job grants no lease."""
    await create(store)
    await store.batches.jobs.apply_action(OWNER, "job", JobAction.CANCEL)

    with pytest.raises(InvalidTransition):
        await _enter(store)


@pytest.mark.parametrize(("verdict", "state"), [(completed, "completed"), (failed, "completed_with_failures")])
async def test_finished_job_has_no_lease(store, verdict, state):
    """A finished job grants no lease, as nothing is left to do."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, verdict(await claim_one(store, lease)))
    await store.batches.work.release(lease)

    entered = await _enter(store)

    assert entered.lease is None
    assert entered.job.state == state
    assert entered.job.workers == 0


async def test_job_whose_last_item_crashed_is_settled_by_the_next_lease(store):
    """A job whose last item failed when a lease was reclaimed is settled by the next attempt to acquire a lease."""
    await create(store, 1)
    lease = await acquire_lease(store)
    for _ in range(2):
        await claim(store, lease)
        await die(store, lease)
        lease = await acquire_lease(store)
    await claim_one(store, lease, alone=True)
    await die(store, lease, crash_limit=1)
    assert (await job(store)).state is JobState.RUNNING

    entered = await _enter(store)

    assert entered.lease is None
    assert entered.job.state is JobState.COMPLETED_WITH_FAILURES


# -- claims ----------------------------------------------------------------------------------------


async def test_claim_takes_no_more_than_the_free_slots(store):
    """A claim takes at most as many items as there are free slots, in input order, and records their attempts."""
    await create(store, 5)
    lease = await acquire_lease(store)

    report = await commit(store, lease, room=2)

    assert report.claimed == [
        ClaimedItem(Item("topic 1", id="item-1"), 0, 1, 0, False, NOON),
        ClaimedItem(Item("topic 2", id="item-2"), 1, 1, 0, False, NOON),
    ]
    assert (report.state, report.counts) == (JobState.RUNNING, ItemCounts(pending=3, running=2))
    assert (await job(store)).counts == report.counts


async def test_without_free_slots_nothing_is_claimed(store):
    """A commit without free slots only writes."""
    await create(store)
    lease = await acquire_lease(store)

    assert await claim(store, lease, 0) == []
    assert (await job(store)).counts == ItemCounts(pending=3)


async def test_claims_never_share_an_item(store):
    """No item is claimed by two of many concurrent workers."""
    await create(store, 100)
    leases = [await acquire_lease(store, name=str(n)) for n in range(4)]

    results = await asyncio.gather(*(claim(store, lease, 7) for lease in leases * 4))

    positions = [claimed.position for claims in results for claimed in claims]
    assert sorted(positions) == list(range(100))


@pytest.mark.parametrize("move", [JobAction.PAUSE, JobAction.CANCEL])
async def test_nothing_is_claimed_once_a_job_was_stopped(store, move):
    """A commit on a stopped job claims nothing, reports the job's state, and still writes results."""
    await create(store)
    lease = await acquire_lease(store)
    held = await claim_one(store, lease)
    await store.batches.jobs.apply_action(OWNER, "job", move)

    report = await commit(store, lease, completed(held), room=5)

    assert report.claimed == []
    assert report.state is (JobState.PAUSED if move is JobAction.PAUSE else JobState.CANCELLED)
    assert report.counts == ItemCounts(pending=2, completed=1)


async def test_claim_rides_in_the_commit_that_freed_the_slot(store):
    """One transaction writes results and claims the next items."""
    await create(store, 3)
    lease = await acquire_lease(store)
    held = await claim_one(store, lease)

    report = await commit(store, lease, completed(held), room=1)

    assert [claimed.position for claimed in report.claimed] == [1]
    assert report.counts == ItemCounts(pending=1, running=1, completed=1)


async def test_next_attempt_has_the_next_number(store):
    """A retried item gets the next attempt number and its number of counted tries."""
    await create(store, 1)
    lease = await acquire_lease(store)

    seen = []
    for _ in range(3):
        held = await claim_one(store, lease)
        seen.append((held.attempt, held.tries))
        await commit(store, lease, retried(held))

    assert seen == [(1, 0), (2, 1), (3, 2)]


# -- due times -------------------------------------------------------------------------------------


async def test_item_is_not_claimed_before_it_is_due(store):
    """An item that is not due is not claimed, and the report says in how many seconds it is."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, retried(await claim_one(store, lease), delay=30))

    report = await commit(store, lease, room=1)
    assert (report.claimed, report.next_due_seconds) == ([], 30.0)
    store.clock.move(29.5)
    assert (await commit(store, lease, room=1)).next_due_seconds == 0.5
    store.clock.move(0.5)

    assert (await claim_one(store, lease)).attempt == 2


async def test_items_that_are_due_go_before_those_that_wait(store):
    """An item that is not due does not block others, and of the due ones the longest due is claimed first."""
    await create(store, 3)
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)
    await commit(store, lease, retried(first, delay=20), retried(second, delay=10))
    store.clock.move(30)

    assert [(await claim_one(store, lease)).position for _ in range(3)] == [2, 1, 0]


async def test_report_knows_when_nothing_is_pending(store):
    """The report has no next due time if no item is pending."""
    await create(store, 1)
    lease, other = await acquire_lease(store), await acquire_lease(store, name="b")
    await claim_one(store, lease)

    report = await commit(store, other, room=1)

    assert (report.claimed, report.next_due_seconds) == ([], None)
    assert report.counts == ItemCounts(running=1)


@pytest.mark.parametrize("seconds", [-3_600, -86_400 * 365])
async def test_clock_that_was_set_back_holds_nothing_up(store, seconds):
    """An item due further ahead than any possible wait is claimed, as the clock must have been set back."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, retried(await claim_one(store, lease), delay=30))
    store.clock.move(seconds)

    assert (await claim_one(store, lease)).attempt == 2


async def test_clock_that_was_set_forward_only_shortens_waits(store):
    """A clock set forward only makes items due earlier."""
    await create(store, 2)
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)
    await commit(store, lease, retried(first, delay=600))
    store.clock.move(86_400)

    report = await commit(store, lease, completed(second), room=2)

    assert [claimed.position for claimed in report.claimed] == [0]


# -- suspects --------------------------------------------------------------------------------------


async def _suspect(store, *, others=0):
    """Make a job whose item, and `others` more, were running in two workers that died."""
    await create(store, 1 + others)
    for _ in range(2):
        lease = await acquire_lease(store)
        assert len(await claim(store, lease, 1 + others)) == 1 + others
        await die(store, lease)


async def test_suspect_runs_alone(store):
    """A suspect is claimed only by a worker with nothing else in flight, and its claim is marked."""
    await _suspect(store)
    lease = await acquire_lease(store)

    report = await commit(store, lease, room=5)
    assert (report.claimed, report.next_due_seconds) == ([], None)
    (suspect,) = await claim(store, lease, 5, alone=True)

    assert (suspect.position, suspect.attempt, suspect.tries, suspect.runs_alone) == (0, 3, 0, True)


async def test_suspects_are_claimed_one_by_one(store):
    """Suspects are claimed one at a time, however many slots are free."""
    await _suspect(store, others=3)
    lease = await acquire_lease(store)

    assert len(await claim(store, lease, 10, alone=True)) == 1
    report = await commit(store, lease, room=10)
    assert (report.claimed, report.next_due_seconds) == ([], None)
    assert len(await claim(store, lease, 10, alone=True)) == 1
    await store.batches.work.release(lease)


async def test_others_go_before_suspects(store):
    """Suspects are claimed only when no other item is due."""
    await _suspect(store)
    staged = await stage(store, [{"id": "item-1", "topic": "topic 1"}, {"id": "new", "topic": "new"}])
    await store.batches.intake.accept_new(staged, "job")
    lease = await acquire_lease(store)

    (first,) = await claim(store, lease, 5, alone=True)
    (second,) = await claim(store, lease, 5, alone=True)

    assert (first.item.id, first.runs_alone) == ("new", False)
    assert (second.item.id, second.runs_alone) == ("item-1", True)


async def test_an_item_that_is_no_suspect_is_due_later(store):
    """The report names the time until an item is due, unlike for suspects, which wait for an idle worker."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, retried(await claim_one(store, lease), delay=30))

    assert (await commit(store, lease, room=1, alone=True)).next_due_seconds == 30.0


async def test_doomed_verdict_claims_nothing(store):
    """A commit with a doomed verdict claims nothing."""
    await create(store)
    lease = await acquire_lease(store)

    report = await commit(store, lease, doomed(await claim_one(store, lease)), room=5)

    assert (report.claimed, report.state) == ([], JobState.PAUSED)
