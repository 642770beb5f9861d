"""Jobs that another program has begun: what it has settled stays settled, and everything else comes with a run."""

import asyncio

import pytest

from backstay.batch.item import SettledItem
from backstay.batch.job import TAKEN_OVER, JobAction, JobSettings, JobState, Pause
from backstay.batch.progress import ItemCounts
from backstay.errors import InvalidTransition, ItemsNeeded, LeaseLost
from support.conversations import items
from support.jobs import OWNER, claim, commit, create, enter, job, stage
from support.verdicts import completed

PAUSE = Pause("taken_over", "run it with its items")


async def taken(store, *settled, job_id="job"):
    """Take over a job of these items: an id that begins with `!` has failed."""
    staged = await stage(store)
    known = [SettledItem(name.lstrip("!"), "it was late" if name.startswith("!") else None) for name in settled]
    repeated = await store.batches.intake.stage_settled(staged, known)
    assert await store.batches.intake.publish_settled(staged, job_id, JobSettings(), PAUSE)
    return repeated


async def taken_up(store, given, job_id="job"):
    staged = await stage(store, given)
    return await store.batches.intake.attach_items(staged, job_id, "scripted", JobSettings(7, 1.5))


async def test_job_is_paused_with_what_is_known(store):
    """Completed items are completed without a conversation, failed ones failed for the reason that was recorded."""
    await taken(store, "item-1", "!item-2", "item-3")

    made = await job(store)
    standing = [(i.id, i.state, i.attempts, i.conversation_id) for i in await store.batches.jobs.items(
        OWNER, "job", after=-1, limit=9)]  # fmt: skip
    (failure,) = await store.batches.jobs.failures(OWNER, "job", after=-1, limit=9)

    assert (made.state, made.pause, made.processor, made.lacks_items) == (JobState.PAUSED, PAUSE, TAKEN_OVER, True)
    assert made.counts == ItemCounts(completed=2, failed=1)
    assert standing == [
        ("item-1", "completed", 0, None),
        ("item-2", "failed", 1, None),
        ("item-3", "completed", 0, None),
    ]
    assert (failure.item_id, failure.error_code, failure.error_message) == ("item-2", "taken_over", "it was late")


async def test_of_two_with_one_id_the_first_counts(store):
    """Within a chunk and across chunks: an item that was completed is not failed by what is said of it later."""
    staged = await stage(store)
    intake = store.batches.intake

    assert await intake.stage_settled(staged, [SettledItem("a"), SettledItem("a", "no"), SettledItem("b", "no")]) == 1
    assert await intake.stage_settled(staged, [SettledItem("b"), SettledItem("c")]) == 1
    assert await intake.publish_settled(staged, "job", JobSettings(), PAUSE)

    assert (await job(store)).counts == ItemCounts(completed=2, failed=1)


async def test_a_name_that_is_taken_stays_whose_it_is(store):
    """A name that is in use stays that of the existing job, whichever program created it."""
    await create(store, 2)
    staged = await stage(store)
    await store.batches.intake.stage_settled(staged, [SettledItem("item-1")])

    assert not await store.batches.intake.publish_settled(staged, "job", JobSettings(), PAUSE)

    assert (await job(store)).counts == ItemCounts(pending=2)


async def test_its_items_come_with_a_run(store):
    """The settled ones stay so and are known from then on; the others are to be worked on, by what came with them."""
    await taken(store, "item-3", "!item-1")

    added = await taken_up(store, items(4))
    made = await job(store)
    lease = await enter(store)
    held = await claim(store, lease, 9)

    assert added == 2
    assert (made.state, made.pause, made.processor, made.lacks_items) == (JobState.PENDING, None, "scripted", False)
    assert made.settings == JobSettings(7, 1.5)
    assert made.counts == ItemCounts(pending=2, completed=1, failed=1)
    assert [one.item.id for one in held] == ["item-2", "item-4"]
    await commit(store, lease, *[completed(one) for one in held])
    assert (await job(store)).state is JobState.COMPLETED_WITH_FAILURES


async def test_a_failed_item_is_retried_with_what_it_was_given(store):
    """A failed item can be retried once a run has attached the content of the items."""
    await taken(store, "!item-1")
    await taken_up(store, items(1))

    assert await store.batches.jobs.retry(OWNER, "job", None) == 1
    (held,) = await claim(store, await enter(store), 9)

    assert (held.item.id, held.item.topic, held.attempt, held.tries) == ("item-1", "topic 1", 2, 0)


async def test_without_its_items_nothing_is_retried(store):
    """A job without its items refuses to retry all or one of them."""
    await taken(store, "!item-1")

    for named in (None, ["item-1"]):
        with pytest.raises(ItemsNeeded, match="does not know its items yet"):
            await store.batches.jobs.retry(OWNER, "job", named)


async def test_without_its_items_nothing_is_skipped(store):
    """A job that waits for its items refuses to pass any of them."""
    await taken(store, "!item-1")

    with pytest.raises(ItemsNeeded, match="does not know its items yet"):
        await store.batches.jobs.skip(OWNER, "job", ["item-1"])


async def test_an_item_that_did_not_come_can_be_skipped(store):
    """It needs nothing that is not known of it."""
    await taken(store, "!item-1", "!lost")
    await taken_up(store, items(1))

    assert await store.batches.jobs.skip(OWNER, "job", ["lost"]) == 1


async def test_an_item_that_did_not_come_is_not_retried(store):
    """The others are; this one has failed for good, until it comes with items that are accepted later."""
    await taken(store, "!item-1", "!lost")
    await taken_up(store, items(1))

    assert await store.batches.jobs.retry(OWNER, "job", None) == 1
    with pytest.raises(InvalidTransition, match="its input is unknown"):
        await store.batches.jobs.retry(OWNER, "job", ["lost"])
    staged = await stage(store, [*items(1), {"id": "lost", "topic": "found"}])
    assert (await store.batches.intake.difference(staged, "job")).new == 1
    assert await store.batches.intake.accept_new(staged, "job") == 0
    assert await store.batches.jobs.retry(OWNER, "job", ["lost"]) == 1


async def test_new_items_are_taken_up_once(store):
    """New items are attached once, after which the job is like any other."""
    await taken(store, "item-1")
    staged = await stage(store, items(3))

    assert await taken_up(store, items(2)) == 1
    assert await store.batches.intake.attach_items(staged, "job", "caller", JobSettings()) is None

    assert (await job(store)).counts == ItemCounts(pending=1, completed=1)
    assert str(await store.batches.intake.difference(staged, "job")) == "1 new (new: item-3 in line 3)"


async def test_many_take_it_up_at_once(store):
    """Of concurrent runs exactly one attaches all items."""
    await taken(store, "item-1", "item-2")

    added = await asyncio.gather(*[taken_up(store, items(5)) for _ in range(6)])

    assert sorted(added, key=str) == [3, None, None, None, None, None]
    assert (await job(store)).counts == ItemCounts(pending=3, completed=2)


async def test_a_cancelled_job_is_not_taken_up(store):
    """A cancelled job refuses the items and stays unchanged."""
    await taken(store, "item-1")
    await store.batches.jobs.apply_action(OWNER, "job", JobAction.CANCEL)

    with pytest.raises(InvalidTransition):
        await taken_up(store, items(3))

    assert (await job(store)).counts == ItemCounts(completed=1)


async def test_what_was_dropped_takes_nothing_more(store):
    """A creator that was taken for dead cannot go on."""
    staged = await stage(store)
    while await store.batches.intake.drop_step(OWNER, staged.job_key):
        pass

    with pytest.raises(LeaseLost):
        await store.batches.intake.stage_settled(staged, [SettledItem("a")])
