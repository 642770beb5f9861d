"""Results, states, attempts and counts are written together or not at all."""

from dataclasses import replace

import pytest

from backstay.batch.item import Item
from backstay.batch.job import JobAction, JobState, Pause
from backstay.batch.outcome import AttemptUsage
from backstay.batch.progress import ItemCounts, ProviderWait, TokenCounts
from backstay.errors import LeaseLost, OutcomeRefused, StorageError
from backstay.library.conversation import Conversation
from backstay.library.selection import Selection
from backstay.library.turn import Turn
from support.data.conversations import conversation
from support.data.verdicts import completed, completed_with_none, doomed, failed, retried, skipped
from support.fakes.clock import NOON
from support.stores.jobs import OWNER, acquire_lease, claim, claim_one, commit, create, job

pytestmark = pytest.mark.promise("B1", "B2")

_ALL = Selection(everything=True)


async def _stored(store):
    return (await store.conversations.page(OWNER, _ALL, after=0, limit=100)).conversations


def _attempts(store):
    """Return the recorded attempts that have ended."""
    return store.sql("SELECT position, number, result, error_code, raw FROM attempts ORDER BY position, number")


# -- one outcome -----------------------------------------------------------------------------------


async def test_completed_item_has_its_conversation(store):
    """A commit returns with conversation, turns, item state, attempt and counts all stored."""
    await create(store, [{"id": "a", "topic": "tea", "persona": "a monk"}])
    lease = await acquire_lease(store)
    held = await claim_one(store, lease)
    turns = [Turn("user", "x", id="t1", metadata={"m": [1]}), Turn("assistant", "y\n😀")]

    report = await commit(store, lease, completed(held, Conversation(turns, metadata={"k": None}, content="sum")))

    assert (report.state, report.counts) == (JobState.COMPLETED, ItemCounts(completed=1))
    (stored,) = await _stored(store)
    assert stored == Conversation(
        turns,
        id=stored.id,
        topic="tea",
        persona="a monk",
        content="sum",
        metadata={"k": None},
        job_id="job",
        item_id="a",
        created_at=NOON,
        updated_at=NOON,
    )
    assert _attempts(store) == [(0, 1, "completed", None, None)]
    assert store.sql("SELECT state, conversation_id FROM items") == [("completed", stored.id)]
    assert (await job(store)).finished_at == NOON


async def test_conversation_has_its_origin(store):
    """The commit that stores a conversation stores its origin, except for keys that its own metadata has."""
    await create(store, 2)
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)
    origin = {"generation": {"attempt": 1}, "parameters": {"a": 1}}
    verdicts = (completed(first, conversation(metadata={"k": 1})), completed(second, conversation(metadata=origin)))

    await commit(store, lease, *(replace(each, provenance={**origin, "parameters": {}}) for each in verdicts))

    assert [dict(stored.metadata) for stored in await _stored(store)] == [{**origin, "parameters": {}, "k": 1}, origin]


async def test_conversation_may_know_better_than_its_item(store):
    """A conversation's own id, topic and persona replace those of its item, but its job and item do not change."""
    await create(store, [{"id": "a", "topic": "tea", "persona": "a monk"}])
    lease = await acquire_lease(store)
    own = conversation("x", id="mine", topic="green tea", persona="", job_id="other", item_id="other")

    await commit(store, lease, completed(await claim_one(store, lease), own))

    (stored,) = await _stored(store)
    assert (stored.id, stored.topic, stored.persona) == ("mine", "green tea", "")
    assert (stored.job_id, stored.item_id) == ("job", "a")


async def test_item_may_be_completed_without_a_conversation(store):
    """An item may be completed by an effect of the processor, without a conversation."""
    await create(store, 1)
    lease = await acquire_lease(store)

    report = await commit(store, lease, completed_with_none(await claim_one(store, lease)))

    assert report.state is JobState.COMPLETED
    assert await _stored(store) == []
    assert store.sql("SELECT state, conversation_id FROM items") == [("completed", None)]


@pytest.mark.parametrize(
    ("verdict", "counts", "state", "recorded"),
    [
        (failed, ItemCounts(failed=1), JobState.COMPLETED_WITH_FAILURES, (0, 1, "failed", "broken", None)),
        (skipped, ItemCounts(skipped=1), JobState.COMPLETED, (0, 1, "skipped", "skipped", None)),
        (retried, ItemCounts(pending=1), JobState.RUNNING, (0, 1, "retried", "transient", None)),
        (doomed, ItemCounts(pending=1), JobState.PAUSED, (0, 1, "doomed", "no_key", None)),
    ],
)
async def test_any_other_outcome_stores_no_conversation(store, verdict, counts, state, recorded):
    """Any other outcome stores the attempt with its result, and no conversation."""
    await create(store, 1)
    lease = await acquire_lease(store)

    report = await commit(store, lease, verdict(await claim_one(store, lease)))

    assert (report.counts, report.state) == (counts, state)
    assert (await job(store)).counts == counts
    assert _attempts(store) == [recorded]
    assert await _stored(store) == []


async def test_doomed_verdict_pauses_the_job(store):
    """A doomed verdict pauses the job with its reason, does not count as a try, and lets the group be written."""
    await create(store, 3)
    lease = await acquire_lease(store)
    first, second, third = await claim(store, lease, 3)

    report = await commit(store, lease, completed(first), doomed(second), completed(third))

    assert (report.state, report.counts) == (JobState.PAUSED, ItemCounts(pending=1, completed=2))
    assert (await job(store)).pause == Pause("no_key", "there is no key", ((1, 1),))
    again = await acquire_lease(store, name="b")
    assert (await claim_one(store, again)).tries == 0


async def test_doomed_verdict_leaves_a_cancelled_job(store):
    """A doomed verdict does not change a job that was cancelled meanwhile."""
    await create(store, 1)
    lease = await acquire_lease(store)
    held = await claim_one(store, lease)
    await store.batches.jobs.apply_action(OWNER, "job", JobAction.CANCEL)

    report = await commit(store, lease, doomed(held))

    assert report.state is JobState.CANCELLED
    assert (await job(store)).state is JobState.CANCELLED


async def test_raw_answer_is_kept_of_what_went_wrong(store):
    """Raw answers are stored for failures, and not for completed items."""
    await create(store, 3)
    lease = await acquire_lease(store)
    first, second, third = await claim(store, lease, 3)
    usage = AttemptUsage(1, 2, "<html>")

    await commit(
        store,
        lease,
        completed(first, usage=usage),
        failed(second, usage=usage),
        replace(retried(third), usage=usage),
    )

    assert [(number, raw) for number, *_, raw in _attempts(store)] == [(0, None), (1, "<html>"), (2, "<html>")]


async def test_tokens_are_summed(store):
    """Tokens are summed over attempts and workers, including failures, and remain when the workers leave."""
    await create(store, 3)
    first, second = await acquire_lease(store), await acquire_lease(store, name="b")
    item_a, item_b = await claim(store, first, 2)
    three = await claim_one(store, second)

    await commit(store, first, completed(item_a, usage=AttemptUsage(1, 10)), failed(item_b, usage=AttemptUsage(2, 20)))
    report = await commit(store, second, completed(three, usage=AttemptUsage(4, 40)))
    assert report.tokens == TokenCounts(7, 70)
    await store.batches.work.release(first)
    await store.batches.work.release(second)

    assert (await job(store)).tokens == TokenCounts(7, 70)


# -- the state of the job --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "state"),
    [
        (completed, JobState.COMPLETED),
        (skipped, JobState.COMPLETED),
        (failed, JobState.COMPLETED_WITH_FAILURES),
    ],
)
async def test_job_is_settled_with_its_last_item(store, last, state):
    """A job is settled with its last item, and one failed item decides its final state."""
    await create(store, 2)
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)

    assert (await commit(store, lease, completed(first))).state is JobState.RUNNING
    assert (await job(store)).finished_at is None
    assert (await commit(store, lease, last(second))).state is state

    assert (await job(store)).state is state
    assert (await job(store)).finished_at == NOON


async def test_paused_job_is_settled_by_what_was_in_flight(store):
    """A paused job is settled if its calls in flight were the last items."""
    await create(store, 1)
    lease = await acquire_lease(store)
    held = await claim_one(store, lease)
    await store.batches.jobs.apply_action(OWNER, "job", JobAction.PAUSE)

    report = await commit(store, lease, completed(held))

    assert report.state is JobState.COMPLETED
    assert (await job(store)).pause is None


async def test_cancelled_job_stays_cancelled(store):
    """A cancelled job stays cancelled even if all its items are finished."""
    await create(store, 1)
    lease = await acquire_lease(store)
    held = await claim_one(store, lease)
    await store.batches.jobs.apply_action(OWNER, "job", JobAction.CANCEL)

    report = await commit(store, lease, completed(held))

    assert (report.state, report.counts) == (JobState.CANCELLED, ItemCounts(completed=1))


# -- large groups ----------------------------------------------------------------------------------


async def test_group_of_any_size_is_one_commit(store):
    """One commit stores many long conversations in their order."""
    await create(store, 700)
    lease = await acquire_lease(store)
    held = await claim(store, lease, 700)
    long = [conversation(f"topic {n}", metadata={"n": n}) for n in range(700)]
    long[3] = Conversation([Turn("user", str(n)) for n in range(3_000)])

    report = await commit(store, lease, *map(completed, held, long))

    assert report.counts == ItemCounts(completed=700)
    assert await store.conversations.count(OWNER, _ALL) == 700
    stored = await _stored(store)
    assert [entry.item_id for entry in stored] == [f"item-{n}" for n in range(1, 101)]
    assert [turn.content for turn in stored[3].turns] == [str(n) for n in range(3_000)]


async def test_ids_rise_in_the_order_of_storing(store):
    """Generated ids rise in the order of storing, so that new rows are adjacent in the index."""
    await create(store, 50)
    lease = await acquire_lease(store)

    await commit(store, lease, *map(completed, await claim(store, lease, 50)))

    made = [entry.id for entry in await _stored(store)]
    assert made == sorted(set(made))


# -- refused outcomes ------------------------------------------------------------------------------


async def _refused(store, *conversations):
    """Commit verdicts together with a failure, and check that the commit is refused and writes nothing."""
    await create(store, len(conversations) + 1)
    lease = await acquire_lease(store)
    *held, last = await claim(store, lease, len(conversations) + 1)
    before, attempts, turns = await job(store), _attempts(store), store.sql("SELECT * FROM turns")

    with pytest.raises(OutcomeRefused):
        await commit(store, lease, failed(last, usage=AttemptUsage(3, 3)), *map(completed, held, conversations), room=5)

    assert await job(store) == before
    assert _attempts(store) == attempts
    assert store.sql("SELECT * FROM turns") == turns
    return lease, held, last


async def test_same_conversation_id_twice_is_refused(store):
    """Two verdicts with one conversation id refuse the group; written singly, only the second is refused."""
    first, second = conversation("a", id="same"), conversation("b", id="same")
    lease, held, last = await _refused(store, first, second)

    await commit(store, lease, failed(last))
    await commit(store, lease, completed(held[0], first))
    with pytest.raises(OutcomeRefused):
        await commit(store, lease, completed(held[1], second))
    report = await commit(store, lease, failed(held[1], "outcome_refused"))

    assert report.counts == ItemCounts(completed=1, failed=2)
    assert [stored.id for stored in await _stored(store)] == ["same"]


async def test_conversation_id_of_an_earlier_job_is_refused(store):
    """A conversation id that the owner already has is refused, whichever job stored it."""
    await create(store, 1, job_id="earlier")
    lease = await acquire_lease(store, "earlier")
    await commit(store, lease, completed(await claim_one(store, lease), conversation(id="same")))

    await _refused(store, conversation(id="new"), conversation(id="same"))

    assert [stored.id for stored in await _stored(store)] == ["same"]


@pytest.mark.own_tables("ids of user tables are unique over all owners")
async def test_other_owner_may_have_the_same_id(store):
    """Two owners may have a conversation with the same id."""
    for owner in ("me", "you"):
        await create(store, 1, owner=owner)
        lease = await acquire_lease(store, owner=owner)
        await commit(store, lease, completed(await claim_one(store, lease), conversation(owner, id="same")))

    stored = [await store.conversations.conversation(owner, "same") for owner in ("me", "you")]
    assert [entry.turns[0].content for entry in stored] == ["me", "you"]


async def test_text_that_no_database_takes_is_refused(store):
    """Half of a surrogate pair that reaches the store is refused."""
    await _refused(store, conversation("good"), conversation("bad \ud800"))


async def test_refusal_is_a_storage_error(store):
    """OutcomeRefused is a StorageError, so that a caller that cannot replay verdicts stops."""
    assert issubclass(OutcomeRefused, StorageError)


# -- items not held --------------------------------------------------------------------------------


async def test_attempt_is_written_once(store):
    """A second verdict for the same attempt is rejected."""
    await create(store, 2)
    lease = await acquire_lease(store)
    held = await claim_one(store, lease)
    await commit(store, lease, completed(held))

    for verdict in (completed(held), failed(held), retried(held)):
        with pytest.raises(LeaseLost):
            await commit(store, lease, verdict)

    assert (await job(store)).counts == ItemCounts(pending=1, completed=1)
    assert len(await _stored(store)) == 1


async def test_item_of_another_worker_is_not_written(store):
    """A verdict for another worker's item is rejected, with the whole group."""
    await create(store, 2)
    mine, other = await acquire_lease(store), await acquire_lease(store, name="b")
    item_a, item_b = await claim_one(store, mine), await claim_one(store, other)

    with pytest.raises(LeaseLost):
        await commit(store, mine, completed(item_a), completed(item_b))

    assert (await job(store)).counts == ItemCounts(running=2)
    assert await _stored(store) == []


async def test_earlier_attempt_is_not_written_over_a_later_one(store):
    """A late verdict of an earlier attempt is rejected, even if the same worker holds the later one."""
    await create(store, 1)
    lease = await acquire_lease(store)
    early = await claim_one(store, lease)
    await commit(store, lease, retried(early))
    await claim_one(store, lease)

    with pytest.raises(LeaseLost):
        await commit(store, lease, completed(early))

    assert (await job(store)).counts == ItemCounts(running=1)


async def test_pending_item_is_not_written(store):
    """A verdict for an item that no worker claimed is rejected."""
    await create(store, 2)
    lease = await acquire_lease(store)
    held = await claim_one(store, lease)

    with pytest.raises(LeaseLost):
        await commit(store, lease, completed(replace(held, position=1, item=Item("topic 2", id="item-2"))))

    assert (await job(store)).counts == ItemCounts(pending=1, running=1)


# -- provider waits --------------------------------------------------------------------------------


async def test_provider_wait_is_visible_until_it_is_over(store):
    """The job shows what a worker waits for until the wait is over or the worker has left."""
    await create(store, 1)
    lease = await acquire_lease(store)
    waiting = ProviderWait("Rate limited by models.example", "429: per-minute quota", NOON)

    assert (await job(store)).provider_wait is None
    await store.batches.work.note_waiting(lease, waiting)
    assert (await job(store)).provider_wait == waiting
    await store.batches.work.note_waiting(lease, None)
    assert (await job(store)).provider_wait is None
    await store.batches.work.note_waiting(lease, waiting)
    await store.batches.work.release(lease)
    assert (await job(store)).provider_wait is None


# -- requeuing -------------------------------------------------------------------------------------


async def test_failed_items_are_requeued(store):
    """Requeued items are pending with no counted tries, and the job is paused with the reason."""
    await create(store, 4)
    lease = await acquire_lease(store)
    first, second, third = await claim(store, lease, 3)
    await commit(store, lease, failed(first), failed(second), completed(third))

    await store.batches.work.requeue(lease, [0, 1], Pause("broken", "all were broken"))

    now = await job(store)
    assert (now.state, now.counts) == (JobState.PAUSED, ItemCounts(pending=3, completed=1))
    assert now.pause == Pause("broken", "all were broken")
    await store.batches.work.release(lease)
    again = await acquire_lease(store)
    assert [(c.position, c.attempt, c.tries) for c in await claim(store, again, 2)] == [(0, 2, 0), (1, 2, 0)]


async def test_tries_of_pending_items_are_forgotten_too(store):
    """A requeue also resets the tries of pending items, which keep their place in the order."""
    await create(store, 2)
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)
    await commit(store, lease, retried(first), completed(second))

    await store.batches.work.requeue(lease, [0, 1], Pause("broken", "all"))

    assert (await job(store)).counts == ItemCounts(pending=1, completed=1)
    await store.batches.work.release(lease)
    assert [(c.position, c.tries) for c in await claim(store, await acquire_lease(store), 2)] == [(0, 0)]


async def test_only_failed_items_are_requeued(store):
    """A requeue leaves items that have not failed in their state."""
    await create(store, 3)
    lease = await acquire_lease(store)
    first, second = await claim(store, lease, 2)
    await commit(store, lease, failed(first), completed(second))
    await store.batches.jobs.retry(OWNER, "job", None)

    await store.batches.work.requeue(lease, [0, 1, 2], Pause("broken", "all"))

    assert (await job(store)).counts == ItemCounts(pending=2, completed=1)


async def test_job_that_was_settled_is_paused_again(store):
    """A requeue pauses a job even if its last failure had settled it."""
    await create(store, 2)
    lease = await acquire_lease(store)
    report = await commit(store, lease, *map(failed, await claim(store, lease, 2)))
    assert report.state is JobState.COMPLETED_WITH_FAILURES

    await store.batches.work.requeue(lease, [0, 1], Pause("broken", "all"))

    now = await job(store)
    assert (now.state, now.counts, now.finished_at) == (JobState.PAUSED, ItemCounts(pending=2), None)


async def test_cancelled_job_is_not_paused_instead(store):
    """A requeue on a cancelled job returns the items to pending and leaves the job cancelled."""
    await create(store, 2)
    lease = await acquire_lease(store)
    await commit(store, lease, *map(failed, await claim(store, lease, 1)))
    await store.batches.jobs.apply_action(OWNER, "job", JobAction.CANCEL)

    await store.batches.work.requeue(lease, [0], Pause("broken", "all"))

    now = await job(store)
    assert (now.state, now.counts, now.pause) == (JobState.CANCELLED, ItemCounts(pending=2), None)
