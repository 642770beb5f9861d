"""Staging of items and publishing of jobs."""

import asyncio

import pytest

from backstay.batch.item import Item
from backstay.batch.items_difference import ItemsDifference
from backstay.batch.job import JobAction, JobSettings, JobState
from backstay.batch.progress import ItemCounts
from backstay.errors import DuplicateItem, InvalidTransition, JobNotFound, LeaseLost
from support.data.conversations import drafts_of, items
from support.data.verdicts import completed, failed
from support.fakes.clock import NOON
from support.fakes.workers import card
from support.stores.jobs import OWNER, acquire_lease, claim, claim_one, commit, create, job, stage


async def _add(store, staged, rows):
    return await store.batches.intake.stage_items(staged, await drafts_of(rows))


async def _publish(store, staged, job_id="job", **settings):
    return await store.batches.intake.publish(staged, job_id, "caller", JobSettings(**settings))


async def _ids(store, job_id="job"):
    """Return the ids of a job's items, after checking their positions."""
    stored = await store.batches.intake.identities(OWNER, job_id, after=-1, limit=100_000)
    assert [identity.position for identity in stored] == list(range(len(stored)))
    return [identity.id for identity in stored]


async def _drop(store, staged, *, limit=5_000):
    steps = 1
    while await store.batches.intake.drop_step(staged.owner, staged.job_key, limit=limit):
        steps += 1
    return steps


# -- staging and publishing ------------------------------------------------------------------------


async def test_staged_job_is_invisible(store):
    """A staged job is not found in any way until it is published."""
    staged = await stage(store, items(3))

    assert await store.batches.jobs.jobs(OWNER, incomplete=False, limit=10) == []
    assert await store.batches.jobs.jobs(OWNER, incomplete=True, limit=10) == []
    with pytest.raises(JobNotFound):
        await job(store)
    assert await _ids(store) == []
    assert store.sql("SELECT * FROM batch_checkpoints") == []
    assert await _publish(store, staged)
    assert await _ids(store) == ["item-1", "item-2", "item-3"]


async def test_published_job_is_pending(store):
    """A published job is pending and has all its properties."""
    staged = await stage(store, items(3))

    assert await _publish(store, staged, max_attempts=7, timeout_seconds=1.5)
    made = await job(store)

    assert (made.id, made.owner, made.state, made.processor) == ("job", OWNER, JobState.PENDING, "caller")
    assert made.settings == JobSettings(7, 1.5)
    assert made.counts == ItemCounts(pending=3)
    assert (made.workers, made.pause, made.cleaned, made.finished_at) == (0, None, False, None)
    assert made.created_at == made.updated_at == NOON


async def test_items_keep_the_order_of_the_input(store):
    """Items keep the input's order across chunks, with positions without gaps."""
    staged = await stage(store)

    for start in (1, 4, 7):
        await _add(store, staged, items(3, start=start))
    await _publish(store, staged)

    assert await _ids(store) == [f"item-{n}" for n in range(1, 10)]


async def test_item_comes_out_as_it_went_in(store):
    """An item is claimed with the topic, persona and parameters that were stored."""
    item = Item("tea\n😀", id="ä", persona="a monk", parameters={"a": [1, {"b": None}], "é": "\x00", "c": 2.5})
    await create(store, [item, {"id": "b", "topic": "plain"}])

    first, second = await claim(store, await acquire_lease(store), 2)

    assert first.item == item
    assert second.item == Item("plain", id="b", persona=None, parameters={})


async def test_many_items_at_once(store):
    """A chunk of any size is stored whole."""
    staged = await stage(store)

    await _add(store, staged, items(2_777))
    await _publish(store, staged)

    assert (await job(store)).counts == ItemCounts(pending=2_777)
    assert await _ids(store) == [f"item-{n}" for n in range(1, 2_778)]


async def test_name_is_given_to_one_of_two(store):
    """Of two concurrent publishes with one name one succeeds, and the other can compare its items."""
    first, second = await stage(store, items(3)), await stage(store, items(2))

    published = await asyncio.gather(_publish(store, first), _publish(store, second))

    assert sorted(published) == [False, True]
    loser = second if published[0] else first
    assert not (await store.batches.intake.difference(loser, "job")).is_empty
    assert len(await store.batches.jobs.jobs(OWNER, incomplete=False, limit=10)) == 1


async def test_published_once_is_published(store):
    """Nothing can be staged or published again through a published staging."""
    staged = await stage(store, items(3))
    assert await _publish(store, staged)

    with pytest.raises(LeaseLost):
        await _publish(store, staged, "other")
    with pytest.raises(LeaseLost):
        await _add(store, staged, items(1, start=9))

    assert await _ids(store) == ["item-1", "item-2", "item-3"]


async def test_items_of_a_job_are_paged(store):
    """The items of a job are paged by their positions."""
    await create(store, 7)
    page = store.batches.intake.identities

    assert [i.position for i in await page(OWNER, "job", after=-1, limit=3)] == [0, 1, 2]
    assert [i.position for i in await page(OWNER, "job", after=2, limit=3)] == [3, 4, 5]
    assert [i.position for i in await page(OWNER, "job", after=5, limit=3)] == [6]
    assert await page(OWNER, "job", after=6, limit=3) == []
    assert await page(OWNER, "none", after=-1, limit=3) == []


async def test_digest_is_stored_unchanged(store):
    """The stored digest is that of the new item, by which an unchanged input is recognised."""
    (new_item,) = await drafts_of([{"id": "a", "topic": "tea", "depth": 3}])
    await create(store, [{"id": "a", "topic": "tea", "depth": 3}])

    (identity,) = await store.batches.intake.identities(OWNER, "job", after=-1, limit=1)

    assert (identity.id, bytes(identity.digest)) == ("a", new_item.digest)


# -- repetitions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [[4], [2, 2], [1, 1, 1, 1]])
async def test_same_id_with_same_content_is_one_item(store, chunks):
    """An item repeated with the same id and content is stored once, and the repetitions are counted."""
    rows = [{"id": "a", "topic": "tea"}, {"id": "b", "topic": "milk"}, {"id": "a", "topic": "tea"}] * 2
    new_items = (await drafts_of(rows))[:4]
    staged, repeated = await stage(store), 0

    for size in chunks:
        repeated += await store.batches.intake.stage_items(staged, new_items[:size])
        new_items = new_items[size:]
    await _publish(store, staged)

    assert repeated == 2
    assert await _ids(store) == ["a", "b"]


@pytest.mark.parametrize("across", [False, True])
async def test_same_id_with_other_content_is_refused(store, across):
    """An id with two contents refuses its chunk, names both lines, and lets the staging continue without it."""
    new_items = await drafts_of([{"id": "a", "topic": "tea"}, {"id": "b", "topic": "x"}, {"id": "a", "topic": "milk"}])
    staged = await stage(store)
    if across:
        await store.batches.intake.stage_items(staged, new_items[:1])
        new_items = new_items[1:]

    with pytest.raises(DuplicateItem) as caught:
        await store.batches.intake.stage_items(staged, new_items)
    await _add(store, staged, [{"id": "c", "topic": "coffee"}])
    await _publish(store, staged)

    assert caught.value.message == ("Two different items have the id 'a' (lines 1 and 3); give each its own id")
    assert caught.value.context == {"item_id": "a", "line": 3, "other_line": 1}
    assert await _ids(store) == (["a", "c"] if across else ["c"])


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_equal_items_without_ids_are_numbered(store, size):
    """Repeated items without ids get the number of their occurrence, across chunks."""
    new_items = await drafts_of(
        [{"topic": "tea"}, {"topic": "milk"}, {"topic": "tea"}, {"topic": "tea"}, {"topic": "milk"}]
    )
    tea, milk = new_items[0].base_id, new_items[1].base_id
    staged, repeated = await stage(store), 0

    for start in range(0, 5, size):
        repeated += await store.batches.intake.stage_items(staged, new_items[start : start + size])
    await _publish(store, staged)

    assert repeated == 0
    assert await _ids(store) == [tea, milk, f"{tea}-2", f"{tea}-3", f"{milk}-2"]


async def test_refused_chunk_does_not_count_occurrences(store):
    """Items of a refused chunk do not count as occurrences."""
    (tea,) = await drafts_of([{"topic": "tea"}])
    staged = await stage(store, [{"topic": "tea"}, {"id": "a", "topic": "x"}])

    with pytest.raises(DuplicateItem):
        await _add(store, staged, [{"topic": "tea"}, {"id": "a", "topic": "y"}])
    await _add(store, staged, [{"topic": "tea"}])
    await _publish(store, staged)

    assert await _ids(store) == [tea.base_id, "a", f"{tea.base_id}-2"]


# -- existing jobs ---------------------------------------------------------------------------------


async def test_no_difference(store):
    """The same items in another order have no difference."""
    await create(store, 3)
    staged = await stage(store, reversed(items(3)))

    difference = await store.batches.intake.difference(staged, "job")

    assert difference == ItemsDifference()
    assert difference.is_empty


async def test_difference_has_examples(store):
    """A difference has up to three examples, with the input's lines where it has them."""
    await create(store, [{"id": name, "topic": name} for name in "abcde"])
    staged = await stage(store, [{"id": "a", "topic": "a"}, {"id": "b", "topic": "changed"}, {"id": "z", "topic": "z"}])

    difference = await store.batches.intake.difference(staged, "job")

    assert difference == ItemsDifference(1, 3, 1, ("changed: b in line 2", "new: z in line 3", "missing: c"))


async def test_new_items_are_appended(store):
    """Accepted new items are appended without gaps and counted, and the existing ones stay unchanged."""
    await create(store, 3)
    lease = await acquire_lease(store)
    await commit(store, lease, completed(await claim_one(store, lease)))
    staged = await stage(store, [*items(2, start=9), *items(2), {"id": "z", "topic": "zebra", "stripes": 7}])

    added = await store.batches.intake.accept_new(staged, "job")

    assert added == 3
    assert await _ids(store) == ["item-1", "item-2", "item-3", "item-9", "item-10", "z"]
    assert (await job(store)).counts == ItemCounts(pending=5, completed=1)
    claimed = await claim(store, lease, 10)
    assert [c.position for c in claimed] == [1, 2, 3, 4, 5]
    assert claimed[-1].item == Item("zebra", id="z", parameters={"stripes": 7})


async def test_nothing_new_changes_nothing(store):
    """Accepting without new items changes nothing, not even the state of a finished job."""
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, completed(await claim_one(store, lease)))
    await store.batches.work.release(lease)
    before = await job(store)
    staged = await stage(store, items(1))

    assert await store.batches.intake.accept_new(staged, "job") == 0

    assert await job(store) == before


async def test_finished_job_with_new_items_is_pending_again(store):
    """A finished job with new items is pending again, even if it was cleaned."""
    store.is_left_unchecked = True  # cleaning removed the attempt
    await create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, completed(await claim_one(store, lease)))
    await store.batches.work.release(lease)
    while await store.batches.jobs.clean_step(OWNER, "job"):
        pass
    staged = await stage(store, items(2))

    await store.batches.intake.accept_new(staged, "job")

    now = await job(store)
    assert (now.state, now.counts, now.cleaned, now.finished_at) == (
        JobState.PENDING,
        ItemCounts(pending=1, completed=1),
        False,
        None,
    )


async def test_cancelled_job_takes_no_new_items(store):
    """A cancelled job refuses new items."""
    await create(store, 1)
    await store.batches.jobs.apply_action(OWNER, "job", JobAction.CANCEL)
    staged = await stage(store, items(2))

    with pytest.raises(InvalidTransition):
        await store.batches.intake.accept_new(staged, "job")

    assert await _ids(store) == ["item-1"]


async def test_first_items_are_copied(store):
    """The matching first items are copied from the job, and occurrences continue to be numbered from there."""
    (tea,) = await drafts_of([{"topic": "tea"}])
    await create(store, [{"topic": "tea"}, {"id": "a", "topic": "x"}, {"topic": "tea"}, {"id": "b", "topic": "y"}])
    staged = await stage(store)

    await store.batches.intake.stage_copies(staged, "job", 3)
    repeated = await _add(store, staged, [{"topic": "tea"}, {"id": "a", "topic": "x"}, {"id": "c", "topic": "z"}])

    assert repeated == 1
    difference = await store.batches.intake.difference(staged, "job")
    assert (difference.new, difference.missing, difference.changed) == (2, 1, 0)
    assert await store.batches.intake.accept_new(staged, "job") == 2
    assert (await _ids(store))[4:] == [f"{tea.base_id}-3", "c"]


async def test_copied_item_conflicts_with_other_content(store):
    """A new item with the id of a copied one and other content is refused, without a line for the copied one."""
    await create(store, [{"id": "a", "topic": "x"}])
    staged = await stage(store)
    await store.batches.intake.stage_copies(staged, "job", 1)

    with pytest.raises(DuplicateItem, match=r"\(line 1 and the job\)"):
        await _add(store, staged, [{"id": "a", "topic": "other"}])


# -- dropping --------------------------------------------------------------------------------------


async def test_staged_job_is_dropped_in_bounded_steps(store):
    """A staged job is dropped in steps of limited size, after which nothing is left."""
    staged = await stage(store, items(25))

    steps = 0
    while True:
        before = store.sql("SELECT (SELECT count(*) FROM items) + (SELECT count(*) FROM item_inputs)")[0][0]
        more = await store.batches.intake.drop_step(OWNER, staged.job_key, limit=10)
        after = store.sql("SELECT (SELECT count(*) FROM items) + (SELECT count(*) FROM item_inputs)")[0][0]
        assert before - after <= 10
        steps += 1
        if not more:
            break

    assert steps >= 6
    assert [store.sql(f"SELECT count(*) FROM {table}") for table in ("jobs", "workers", "items", "item_inputs")] == [
        [(0,)]
    ] * 4
    assert not await store.batches.intake.drop_step(OWNER, staged.job_key)


async def test_published_job_is_not_dropped(store):
    """Dropping a published job through its staging does nothing."""
    staged = await stage(store, items(3))
    await _publish(store, staged)

    assert await _drop(store, staged) == 1

    assert await _ids(store) == ["item-1", "item-2", "item-3"]


async def test_dropped_staging_is_lost(store):
    """Nothing can be written to a staging that was dropped because its creator was taken for dead."""
    await create(store, 1)
    staged = await stage(store, items(3))
    await _drop(store, staged)

    with pytest.raises(LeaseLost):
        await _add(store, staged, items(1, start=9))
    with pytest.raises(LeaseLost):
        await store.batches.intake.stage_copies(staged, "job", 1)
    with pytest.raises(LeaseLost):
        await _publish(store, staged, "other")
    with pytest.raises(LeaseLost):
        await store.batches.intake.accept_new(staged, "job")
    with pytest.raises(LeaseLost):
        await store.batches.intake.difference(staged, "job")

    assert await _ids(store) == ["item-1"]


async def test_orphaned_staging_is_found(store):
    """Staged jobs are found with their creator's identity, and half-discarded ones without it."""
    staged = await stage(store, items(3))
    await create(store, 3)
    discarded = await store.batches.jobs.discard(OWNER, "job")

    stored = dict(await store.batches.intake.orphaned_staging(OWNER))

    assert set(stored) == {staged.job_key, discarded}
    assert stored[discarded] is None
    assert (stored[staged.job_key].token, stored[staged.job_key].identity) == (staged.token, card("creator"))


async def test_discarded_job_is_dropped_with_its_attempts(store):
    """A discarded job is dropped with all its items and attempts."""
    await create(store, 8)
    lease = await acquire_lease(store)
    first, second, *_ = await claim(store, lease, 3)
    await commit(store, lease, completed(first), failed(second))
    await store.batches.work.release(lease)

    key = await store.batches.jobs.discard(OWNER, "job")
    while await store.batches.intake.drop_step(OWNER, key, limit=3):
        pass

    tables = ("jobs", "workers", "items", "item_inputs", "attempts")
    assert [store.sql(f"SELECT count(*) FROM {table}")[0][0] for table in tables] == [0] * 5
    assert store.sql("SELECT count(*) FROM conversations") == [(1,)]
