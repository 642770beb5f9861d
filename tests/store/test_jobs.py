"""Actions on jobs as a whole."""

from dataclasses import replace

import pytest

from backstay.batch.call_limits import CallLimits
from backstay.batch.job import JobAction, JobState, Pause
from backstay.batch.outcome import AttemptUsage
from backstay.batch.progress import ItemCounts
from backstay.errors import InvalidTransition, ItemNotFound, JobHasWorkers, JobNotFound
from backstay.library.selection import Selection
from support.data.verdicts import completed, completed_with_none, failed, retried, skipped
from support.fakes.clock import NOON
from support.stores.jobs import OWNER, acquire_lease, claim, claim_one, commit, create, die, job


async def _finish(store, count, *, failing=0, job_id="job"):
    """Create a job and process it; the first `failing` items fail."""
    await create(store, count, job_id=job_id)
    lease = await acquire_lease(store, job_id)
    held = await claim(store, lease, count)
    await commit(store, lease, *map(failed, held[:failing]), *map(completed, held[failing:]))
    await store.batches.work.release(lease)


async def _move(store, move, pause=None, *, job_id="job"):
    return await store.batches.jobs.apply_action(OWNER, job_id, move, pause)


async def _retry(store, ids=None):
    return await store.batches.jobs.retry(OWNER, "job", ids)


async def _clean(store, **limit):
    steps = 1
    while await store.batches.jobs.clean_step(OWNER, "job", **limit):
        steps += 1
    return steps


def _count(store, table):
    return store.sql(f"SELECT count(*) FROM {table}")[0][0]


# -- lists -----------------------------------------------------------------------------------------


async def test_unknown_job_is_not_found(store):
    """Every method raises JobNotFound for an unknown job."""
    jobs = store.batches.jobs
    for call in (
        jobs.job(OWNER, "none"),
        jobs.apply_action(OWNER, "none", JobAction.PAUSE),
        jobs.retry(OWNER, "none", None),
        jobs.skip(OWNER, "none", ["item-1"]),
        jobs.failures(OWNER, "none", after=-1, limit=1),
        jobs.failure_codes(OWNER, "none"),
        jobs.pause_evidence(OWNER, "none"),
        jobs.clean_step(OWNER, "none"),
        jobs.set_limits(OWNER, "none", CallLimits(1)),
        jobs.discard(OWNER, "none"),
    ):
        with pytest.raises(JobNotFound) as caught:
            await call
        assert caught.value.context["job_id"] == "none"


async def test_jobs_are_listed_latest_first(store):
    """Jobs are listed newest first, up to the limit."""
    for name in "abc":
        await create(store, 1, job_id=name)

    listed = await store.batches.jobs.jobs(OWNER, incomplete=False, limit=2)

    assert [entry.id for entry in listed] == ["c", "b"]
    assert listed[0] == await job(store, "c")


async def test_list_of_the_incomplete_leaves_out_the_others(store):
    """The list of incomplete jobs has those that are pending, running or paused."""
    await _finish(store, 1, job_id="completed")
    await _finish(store, 1, failing=1, job_id="failed")
    for name in ("cancelled", "pending", "running", "paused"):
        await create(store, 1, job_id=name)
    await _move(store, JobAction.CANCEL, job_id="cancelled")
    await _move(store, JobAction.PAUSE, job_id="paused")
    await acquire_lease(store, "running")

    listed = await store.batches.jobs.jobs(OWNER, incomplete=True, limit=10)

    assert [entry.id for entry in listed] == ["paused", "running", "pending"]


async def test_counts_are_the_sum_over_all_workers(store):
    """A job's counts include the work of present and past workers."""
    await create(store, 6)
    gone, first, second = (
        await acquire_lease(store),
        await acquire_lease(store, name="b"),
        await acquire_lease(store, name="c"),
    )
    await commit(store, gone, completed(await claim_one(store, gone)), room=1)
    await store.batches.work.release(gone)
    await commit(store, first, failed(await claim_one(store, first)))
    await commit(store, second, skipped(await claim_one(store, second)), room=1)

    now = await job(store)

    assert now.counts == ItemCounts(pending=2, running=1, completed=1, failed=1, skipped=1)
    assert now.workers == 2
    assert (await store.batches.jobs.jobs(OWNER, incomplete=False, limit=1))[0] == now


async def test_job_was_updated_by_its_last_commit(store):
    """The time of a job's last update is that of its last commit by any worker."""
    await create(store, 2)
    lease = await acquire_lease(store)
    store.clock.move(60)
    await commit(store, lease, completed(await claim_one(store, lease)))

    now = await job(store)

    assert (now.updated_at - now.created_at).total_seconds() == 60


# -- actions ---------------------------------------------------------------------------------------


async def test_pause_keeps_its_reason(store):
    """A paused job has its reason until it is resumed."""
    await create(store)

    paused = await _move(store, JobAction.PAUSE, Pause("by_user", "paused by the user"))

    assert paused == await job(store)
    assert (paused.state, paused.pause) == (JobState.PAUSED, Pause("by_user", "paused by the user"))
    assert paused.finished_at is None


async def test_cancelled_job_is_at_its_end(store):
    """A cancelled job cannot be resumed, and its conversations stay."""
    await create(store)
    store.clock.move(5)

    cancelled = await _move(store, JobAction.CANCEL)

    assert (cancelled.state, cancelled.counts) == (JobState.CANCELLED, ItemCounts(pending=3))
    assert (cancelled.finished_at - NOON).total_seconds() == 5


async def test_illegal_move_changes_nothing(store):
    """An illegal action is refused and changes nothing."""
    await create(store)
    before = await _move(store, JobAction.CANCEL)

    for move in (JobAction.PAUSE, JobAction.CANCEL):
        with pytest.raises(InvalidTransition):
            await _move(store, move)
    with pytest.raises(InvalidTransition):
        await _retry(store)

    assert await job(store) == before


# -- retrying --------------------------------------------------------------------------------------


async def test_failed_items_are_retried(store):
    """A retry returns all failed items to pending with all their tries, and reopens the finished job."""
    await _finish(store, 4, failing=2)

    assert await _retry(store) == 2

    now = await job(store)
    assert (now.state, now.counts, now.finished_at) == (JobState.PENDING, ItemCounts(pending=2, completed=2), None)
    held = await claim(store, await acquire_lease(store), 5)
    assert [(item.position, item.attempt, item.tries) for item in held] == [(0, 2, 0), (1, 2, 0)]


async def test_named_items_are_retried(store):
    """A retry counts each named item once, even if it is named twice."""
    await _finish(store, 4, failing=3)

    assert await _retry(store, ["item-2", "item-3", "item-2"]) == 2

    assert (await job(store)).counts == ItemCounts(pending=2, completed=1, failed=1)


async def test_fresh_count_of_tries(store):
    """Tries from before a retry no longer count."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, retried(await claim_one(store, lease)))
    await commit(store, lease, failed(await claim_one(store, lease)))
    await _retry(store)

    assert (await claim_one(store, await acquire_lease(store))).tries == 0


@pytest.mark.parametrize(
    ("ids", "error"),
    [(["item-1", "none"], ItemNotFound), (["item-1", "item-2"], InvalidTransition), (["item-3"], InvalidTransition)],
)
async def test_all_named_items_or_none(store, ids, error):
    """A retry with an item that is unknown or has not failed changes no item."""
    await create(store, 3)
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)
    await commit(store, lease, failed(first), completed(second))
    before = await job(store)

    with pytest.raises(error) as caught:
        await _retry(store, ids)

    assert caught.value.context["item_id"] == ids[-1]
    assert await job(store) == before


@pytest.mark.parametrize("ids", [None, []])
async def test_nothing_to_retry(store, ids):
    """A retry without failed items changes nothing, not even the job's state."""
    await _finish(store, 2)
    before = await job(store)

    assert await _retry(store, ids) == 0

    assert await job(store) == before


async def test_retry_while_the_job_is_running(store):
    """A worker claims retried items with its next commit."""
    await create(store, 2)
    lease = await acquire_lease(store)
    await commit(store, lease, failed(await claim_one(store, lease)))

    assert await _retry(store) == 1

    assert (await job(store)).state is JobState.RUNNING
    assert [item.position for item in await claim(store, lease, 2)] == [0, 1]


async def test_worker_continues_a_job_that_was_about_to_end(store):
    """A worker continues if the last failed item is retried before it leaves."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, failed(await claim_one(store, lease)))
    await _retry(store)
    assert (await job(store)).state is JobState.PENDING

    report = await commit(store, lease, room=1)

    assert (report.state, [item.attempt for item in report.claimed]) == (JobState.RUNNING, [2])


async def test_paused_job_stays_paused(store):
    """A retry leaves a paused job paused with its reason."""
    await create(store, 2)
    lease = await acquire_lease(store)
    await commit(store, lease, failed(await claim_one(store, lease)))
    await _move(store, JobAction.PAUSE, Pause("no_key", "there is no key"))

    await _retry(store)

    now = await job(store)
    assert (now.state, now.pause) == (JobState.PAUSED, Pause("no_key", "there is no key"))


# -- failures --------------------------------------------------------------------------------------


async def test_failure_has_the_attempt_that_settled_it(store):
    """A failure has the attempt that settled it and the number of attempts."""
    await create(store, [{"id": "a", "topic": "tea"}, {"id": "b", "topic": "milk"}])
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)
    await commit(store, lease, retried(first), completed(second))
    store.clock.move(7)
    await commit(store, lease, failed(await claim_one(store, lease), "http_400", usage=AttemptUsage(raw="<html>")))

    (failure,) = await store.batches.jobs.failures(OWNER, "job", after=-1, limit=10)

    assert (failure.position, failure.item_id, failure.topic, failure.attempts) == (0, "a", "tea", 2)
    assert (failure.error_code, failure.error_message, failure.raw) == ("http_400", "it is http_400", "<html>")
    assert failure.failed_at == "2024-02-29T12:00:07.123456Z"


async def test_failures_are_paged(store):
    """Failures are paged by position, without items that were retried."""
    await _finish(store, 9, failing=7)
    await _retry(store, ["item-4"])
    page = store.batches.jobs.failures

    first = await page(OWNER, "job", after=-1, limit=4)
    second = await page(OWNER, "job", after=first[-1].position, limit=4)

    assert [item.position for item in first] == [0, 1, 2, 4]
    assert [item.position for item in second] == [5, 6]
    assert await page(OWNER, "job", after=6, limit=4) == []


# -- cleaning --------------------------------------------------------------------------------------


async def test_cleaned_job_keeps_its_thin_rows(store):
    """Cleaning keeps ids, digests, states and results, and removes inputs and attempts."""
    await create(store, 3)
    lease = await acquire_lease(store)
    first, second, third = await claim(store, lease, 3)
    await commit(store, lease, completed(first), completed_with_none(second), skipped(third))
    await store.batches.work.release(lease)
    before = await store.batches.intake.identities(OWNER, "job", after=-1, limit=9)
    rows = store.sql("SELECT position, state, conversation_id FROM items ORDER BY position")

    await _clean(store)

    now = await job(store)
    assert (now.state, now.cleaned, now.counts) == (JobState.COMPLETED, True, ItemCounts(completed=2, skipped=1))
    assert await store.batches.intake.identities(OWNER, "job", after=-1, limit=9) == before
    assert store.sql("SELECT position, state, conversation_id FROM items ORDER BY position") == rows
    assert (_count(store, "item_inputs"), _count(store, "attempts"), _count(store, "conversations")) == (0, 0, 1)


async def test_cleaning_is_done_in_bounded_steps(store):
    """Cleaning may be interrupted between its steps, and the job counts as cleaned only after the last one."""
    await _finish(store, 25)

    steps = 0
    while True:
        before = _count(store, "item_inputs") + _count(store, "attempts")
        more = await store.batches.jobs.clean_step(OWNER, "job", limit=10)
        assert before - _count(store, "item_inputs") - _count(store, "attempts") <= 10
        assert (await job(store)).cleaned == (not more)
        assert await store.batches.jobs.jobs_to_clean(OWNER) == (["job"] if more else [])
        steps += 1
        if not more:
            break

    assert steps >= 6
    assert await _clean(store) == 1


@pytest.mark.parametrize("state", ["pending", "running", "paused", "cancelled", "failed"])
async def test_other_jobs_are_not_cleaned(store, state):
    """A job with failures or pending items keeps its checkpoint."""
    if state == "failed":
        await _finish(store, 2, failing=1)
    else:
        await create(store, 2)
    match state:
        case "running":
            await acquire_lease(store)
        case "paused":
            await _move(store, JobAction.PAUSE)
        case "cancelled":
            await _move(store, JobAction.CANCEL)

    assert not await store.batches.jobs.clean_step(OWNER, "job")

    assert not (await job(store)).cleaned
    assert await store.batches.jobs.jobs_to_clean(OWNER) == []
    assert _count(store, "item_inputs") == 2


async def test_jobs_to_clean_are_found(store):
    """Completed jobs whose cleaning was interrupted or has not begun are found."""
    await _finish(store, 1)
    await _finish(store, 1, job_id="other")
    await _finish(store, 1, failing=1, job_id="failed")
    await create(store, 1, job_id="pending")

    assert sorted(await store.batches.jobs.jobs_to_clean(OWNER)) == ["job", "other"]
    await _clean(store)
    assert await store.batches.jobs.jobs_to_clean(OWNER) == ["other"]


async def test_finished_jobs_with_leases_are_found(store):
    """Jobs without items left on which a worker still holds a lease are found."""
    for name in ("completed", "cancelled", "running", "left"):
        await create(store, 1, job_id=name)
    for name in ("completed", "left"):
        lease = await acquire_lease(store, name)
        await commit(store, lease, completed(await claim_one(store, lease)))
    await store.batches.work.release(lease)
    for name in ("cancelled", "running"):
        await acquire_lease(store, name)
    await acquire_lease(store, "cancelled", name="b")
    await _move(store, JobAction.CANCEL, job_id="cancelled")

    assert sorted(await store.batches.jobs.finished_jobs_with_leases(OWNER)) == ["cancelled", "completed"]


# -- discarding ------------------------------------------------------------------------------------


async def test_discarded_job_frees_its_name_at_once(store):
    """A discarded job frees its name before its rows are gone, and its conversations stay."""
    store.is_left_unchecked = True  # the conversations are of an earlier job of this name
    await _finish(store, 3, failing=1)

    key = await store.batches.jobs.discard(OWNER, "job")

    with pytest.raises(JobNotFound):
        await job(store)
    assert await store.batches.jobs.jobs(OWNER, incomplete=False, limit=9) == []
    again = await create(store, 5)
    assert again.counts == ItemCounts(pending=5)
    while await store.batches.intake.drop_step(OWNER, key):
        pass
    assert (await job(store)) == again
    assert await store.conversations.count(OWNER, Selection(everything=True)) == 2


async def test_job_is_not_discarded_under_a_worker(store):
    """A job with a worker, alive or dead, cannot be discarded until its lease has ended."""
    await create(store, 1)
    lease = await acquire_lease(store)

    with pytest.raises(JobHasWorkers):
        await store.batches.jobs.discard(OWNER, "job")
    await die(store, lease)
    await store.batches.jobs.discard(OWNER, "job")

    with pytest.raises(JobNotFound):
        await job(store)


# -- limits ----------------------------------------------------------------------------------------


async def test_limits_stay_until_they_are_set_again(store):
    """Each limit stays until it is set again, and nothing else of the job changes."""
    created = await create(store)

    await store.batches.jobs.set_limits(OWNER, "job", CallLimits(concurrency=4, rpm=60))
    await store.batches.jobs.set_limits(OWNER, "job", CallLimits(rpm=90, tpm=7))

    stored = await job(store)
    await store.batches.jobs.set_limits(OWNER, "job", CallLimits(rpm=0))

    assert stored.settings.limits == CallLimits(4, 90, 7)
    assert (await job(store)).settings.limits == CallLimits(4, None, 7)
    assert replace(stored, settings=created.settings) == created
