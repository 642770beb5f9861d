"""Evidence of a pause: the attempts that led to it are found although their items are pending."""

import pytest

from backstay.batch.job import MAX_EVIDENCE_ATTEMPTS, JobAction, JobState, Pause
from backstay.batch.outcome import AttemptUsage
from backstay.errors import JobNotFound
from support.data.verdicts import completed, doomed, failed, retried
from support.stores.jobs import OWNER, acquire_lease, claim, claim_one, commit, create, die, job


async def _evidence(store, *, owner=OWNER):
    attempts = await store.batches.jobs.pause_evidence(owner, "job")
    return [(attempt.item_id, attempt.attempts, attempt.error_code, str(attempt.state)) for attempt in attempts]


async def _stored(store):
    return store.sql("SELECT pause_evidence FROM jobs")[0][0]


async def _trip(store, lease, held, evidence):
    """Fail the held items and requeue them, as the circuit breaker does."""
    await commit(store, lease, *map(failed, held))
    pause = Pause("broken", "all were broken", evidence)
    await store.batches.work.requeue(lease, [claimed.position for claimed in held], pause)


async def test_a_doomed_attempt_is_the_evidence_of_its_pause(store):
    """The attempt that paused the job is found with its code, message and raw answer, and its item is pending."""
    await create(store, [{"id": "a", "topic": "tea"}, {"id": "b", "topic": "milk"}])
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)
    store.clock.move(7)

    await commit(store, lease, completed(first), doomed(second, usage=AttemptUsage(raw="<html>")))

    (attempt,) = await store.batches.jobs.pause_evidence(OWNER, "job")
    assert (attempt.position, attempt.item_id, attempt.topic, attempt.attempts) == (1, "b", "milk", 1)
    assert (attempt.error_code, attempt.error_message, attempt.raw) == ("no_key", "there is no key", "<html>")
    assert (attempt.failed_at, attempt.state) == ("2024-02-29T12:00:07.123456Z", "pending")
    assert await store.batches.jobs.failures(OWNER, "job", after=-1, limit=9) == []


async def test_earlier_attempts_follow_the_one_that_paused_the_job(store):
    """The attempts named by a doomed verdict follow it in the evidence, in their order."""
    await create(store, 3)
    lease = await acquire_lease(store)
    first, second, third = await claim(store, lease, 3)
    await commit(store, lease, retried(first), retried(second))

    await commit(store, lease, doomed(third, evidence=((1, 1), (0, 1))))

    assert await _evidence(store) == [
        ("item-3", 1, "no_key", "pending"),
        ("item-2", 1, "transient", "pending"),
        ("item-1", 1, "transient", "pending"),
    ]
    assert (await job(store)).pause == Pause("no_key", "there is no key", ((2, 1), (1, 1), (0, 1)))


async def test_requeued_items_are_the_evidence_of_their_pause(store):
    """The failures of requeued items are found although the items are pending."""
    await create(store, 3)
    lease = await acquire_lease(store)
    held = await claim(store, lease, 3)

    await _trip(store, lease, held, ((2, 1), (0, 1)))

    assert await _evidence(store) == [("item-3", 1, "broken", "pending"), ("item-1", 1, "broken", "pending")]


async def test_evidence_is_limited_to_the_newest(store):
    """Only the first attempts of a long list are stored as evidence, each once."""
    await create(store, MAX_EVIDENCE_ATTEMPTS + 5)
    lease = await acquire_lease(store)
    held = await claim(store, lease, MAX_EVIDENCE_ATTEMPTS + 5)
    attempts = tuple((claimed.position, claimed.attempt) for claimed in reversed(held))

    await _trip(store, lease, held, (attempts[0], *attempts))

    assert (await job(store)).pause.evidence == attempts[:MAX_EVIDENCE_ATTEMPTS]
    assert len(await _evidence(store)) == MAX_EVIDENCE_ATTEMPTS


async def test_each_attempt_of_an_item_is_shown_as_it_was(store):
    """Evidence names attempts by number, so that a later attempt of the item does not replace it."""
    await create(store, 2)
    lease = await acquire_lease(store)
    await commit(store, lease, retried(await claim_one(store, lease)))
    first, second = await claim(store, lease, 2)
    await commit(store, lease, retried(first))

    await commit(store, lease, doomed(second, evidence=((0, 2), (0, 1))))

    assert [attempt[:3] for attempt in await _evidence(store)] == [
        ("item-2", 1, "no_key"),
        ("item-1", 2, "transient"),
        ("item-1", 1, "transient"),
    ]


@pytest.mark.parametrize("how", ["resumed", "cancelled", "skipped", "by user", "of a running job"])
async def test_evidence_goes_with_its_pause(store, how):
    """A job that is resumed, cancelled, finished or paused by its user has no evidence."""
    await create(store, 1)
    lease = await acquire_lease(store)
    held = await claim_one(store, lease)
    if how != "of a running job":
        await commit(store, lease, doomed(held))
        assert await _stored(store) == "[[0,1]]"
    match how:
        case "resumed":
            await acquire_lease(store, name="b")
        case "cancelled":
            await store.batches.jobs.apply_action(OWNER, "job", JobAction.CANCEL)
        case "skipped":
            await store.batches.jobs.skip(OWNER, "job", ["item-1"])
        case "by user":
            await acquire_lease(store, name="b")
            await store.batches.jobs.apply_action(OWNER, "job", JobAction.PAUSE, Pause("by_user", "paused by the user"))

    assert (await _evidence(store), await _stored(store)) == ([], None)


async def test_evidence_stays_when_failed_items_are_retried(store):
    """Retrying failed items of a paused job does not change its evidence."""
    await create(store, 3)
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)
    await commit(store, lease, failed(first), doomed(second))

    await store.batches.jobs.retry(OWNER, "job", None)
    await store.batches.jobs.skip(OWNER, "job", ["item-2"])

    assert await _evidence(store) == [("item-2", 1, "no_key", "skipped")]
    assert (await job(store)).state is JobState.PAUSED


async def test_removed_attempts_are_left_out(store):
    """Attempts that were removed are left out of the evidence."""
    await create(store, 2)
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)
    await commit(store, lease, retried(first))
    await commit(store, lease, doomed(second, evidence=((0, 1),)))
    store.is_left_unchecked = True
    store.sql("DELETE FROM attempts WHERE position = 0")

    assert [attempt[0] for attempt in await _evidence(store)] == ["item-2"]


async def test_a_doomed_attempt_does_not_pause_a_job_that_was_cancelled(store):
    """A cancelled job gets neither a pause nor evidence, from a verdict or from the breaker."""
    await create(store, 2)
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)
    await store.batches.jobs.apply_action(OWNER, "job", JobAction.CANCEL)

    await commit(store, lease, doomed(first))
    await _trip(store, lease, [second], ((1, 1),))

    assert (await job(store)).pause is None
    assert await _evidence(store) == []


async def test_evidence_is_the_owners_own(store):
    """The evidence of another owner's job raises JobNotFound."""
    await create(store, 1)

    with pytest.raises(JobNotFound):
        await _evidence(store, owner="you")


async def test_a_dead_worker_leaves_the_pause_as_it_is(store):
    """Reclaiming a lease returns items to pending and does not change the pause and its evidence."""
    await create(store, 3)
    lease, other = await acquire_lease(store), await acquire_lease(store, name="b")
    held = await claim_one(store, lease)
    await claim_one(store, other)
    await commit(store, lease, doomed(held))

    await die(store, other)

    assert await _evidence(store) == [("item-1", 1, "no_key", "pending")]
