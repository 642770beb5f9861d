"""Inputs of cleaned jobs, and items that are made again because their conversations were deleted."""

import orjson
import pytest

from backstay.batch.deleted_results import DeletedResults, DeletedRetryResult
from backstay.batch.job import JobAction, JobState
from backstay.batch.progress import ItemCounts
from backstay.errors import InvalidTransition, JobNotFound
from backstay.storage.sql import input_blocks
from support.data.verdicts import completed, failed, skipped
from support.faults.batch_invariants import BrokenPromise, refuse
from support.stores.jobs import OWNER, acquire_lease, claim, commit, create, job

pytestmark = pytest.mark.promise("B2", "B7")

_REOPENED = frozenset({"job"})


def _items(count):
    return [
        {"id": f"i{n}", "topic": f"topic {n}", "persona": f"persona {n}", "level": n, "notes": {"ü": [n, None]}}
        for n in range(count)
    ]


async def _finish(store, count=8, *, clean=True):
    """Create a job, complete its items and clean it; return the claimed items."""
    await create(store, _items(count))
    lease = await acquire_lease(store)
    held = await claim(store, lease, count)
    await commit(store, lease, *map(completed, held))
    await store.batches.work.release(lease)
    if clean:
        await _clean(store)
    return held


async def _clean(store, **limit):
    while await store.batches.jobs.clean_step(OWNER, "job", **limit):
        pass


def _delete_conversations(store, *item_ids):
    """Delete the conversations of items, and record it as a delete does."""
    for item_id in item_ids:
        store.sql(
            "DELETE FROM turns WHERE conversation_key = (SELECT key FROM conversations WHERE item_id = ?)", item_id
        )
        store.sql("DELETE FROM conversations WHERE item_id = ?", item_id)
        store.sql("UPDATE items SET deleted_at = 5 WHERE id = ?", item_id)


async def _retry_deleted(store):
    """Do what the service does."""
    while await store.batches.deleted_results.unpack_step(OWNER, "job"):
        pass
    return await store.batches.deleted_results.retry(OWNER, "job")


async def _listed(store):
    listed = await store.batches.jobs.items(OWNER, "job", after=-1, limit=10_000)
    return [(item.id, item.topic, item.persona) for item in listed]


def _counts(store):
    return tuple(store.sql(f"SELECT count(*) FROM {table}")[0][0] for table in ("item_inputs", "input_blocks"))


def _check_reopened(store):
    """Check the invariants of a job that was cleaned before; its earlier attempts are gone."""
    store.is_left_unchecked = True
    refuse(store.violations(reopened=_REOPENED))


# -- blocks ----------------------------------------------------------------------------------------


async def test_cleaning_keeps_the_inputs_in_blocks(store):
    """A cleaned job lists the topics and personas of its inputs, even where the conversation was deleted."""
    await _finish(store, clean=False)
    before = await _listed(store)

    await _clean(store)
    _delete_conversations(store, "i3")

    assert await _listed(store) == before
    assert _counts(store) == (0, 1)


async def test_blocks_are_of_a_limited_size(store, monkeypatch):
    """Blocks hold a limited number of inputs and bytes, and a step of the cleaning makes a limited number of them."""
    monkeypatch.setattr(input_blocks, "_BLOCK_INPUTS", 4)
    monkeypatch.setattr(input_blocks, "_BLOCK_BYTES", 1_000)
    monkeypatch.setattr(input_blocks, "_STEP_BYTES", 2_000)
    large = [{"id": f"i{n}", "topic": f"topic {n}", "text": "x" * (900 if n in (5, 6) else 1)} for n in range(12)]
    await create(store, large)
    lease = await acquire_lease(store)
    await commit(store, lease, *map(completed, await claim(store, lease, 12)))
    await store.batches.work.release(lease)
    before = await _listed(store)

    await _clean(store, limit=7)

    bounds = store.sql("SELECT first_position, last_position FROM input_blocks ORDER BY first_position")
    assert bounds == [(0, 3), (4, 5), (6, 6), (7, 10), (11, 11)]
    assert await _listed(store) == before


async def test_discarded_job_leaves_no_blocks(store):
    """Discarding a cleaned job removes its blocks, and none of another job."""
    store.is_left_unchecked = True  # the conversations are of a job that is gone
    await _finish(store)
    await create(store, 2, job_id="other")
    key = await store.batches.jobs.discard(OWNER, "job")

    while await store.batches.intake.drop_step(OWNER, key):
        pass

    assert _counts(store) == (2, 0)


def _lost(store):
    """Return what the checker finds about inputs."""
    return [line for line in store.violations() if line.startswith("inputs:")]


async def test_interrupted_cleaning_loses_no_input(store, monkeypatch):
    """An error between the deletion of the rows and the storage of their block undoes both."""
    await _finish(store, clean=False)
    monkeypatch.setattr(input_blocks, "_compress", lambda _: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        await _clean(store)

    assert _lost(store) == []
    assert _counts(store) == (8, 0)


async def test_inputs_that_are_lost_are_detected(store):
    """Control: if rows and block were written in transactions of their own, an error between them would lose inputs."""
    store.is_left_unchecked = True
    await _finish(store, clean=False)
    key = (await job(store)).key
    values = {"job_key": key, "owner": OWNER, "first": 0, "last": 7}

    await store.batches.jobs._database.write(lambda session: session.rows("take_inputs", values))

    assert len(_lost(store)) == 8
    with pytest.raises(BrokenPromise, match="with 0 inputs as rows, 0 in blocks"):
        refuse(store.violations())


# -- items with deleted conversations --------------------------------------------------------------


async def test_items_with_deleted_conversations_are_made_again(store):
    """They are pending with the inputs that they had; the job is open, and is cleaned again once they are completed."""
    first = await _finish(store)
    _delete_conversations(store, "i2", "i5")
    assert await store.batches.deleted_results.count(OWNER, "job") == DeletedResults(2, with_input=2)

    assert await _retry_deleted(store) == DeletedRetryResult(2, without_input=0)

    now = await job(store)
    assert (now.state, now.cleaned, now.finished_at) == (JobState.PENDING, False, None)
    assert now.counts == ItemCounts(pending=2, completed=6)
    assert await store.batches.deleted_results.count(OWNER, "job") == DeletedResults(0, with_input=0)
    _check_reopened(store)
    lease = await acquire_lease(store)
    held = await claim(store, lease, 8)
    assert [(each.item, each.attempt, each.parameters_json) for each in held] == [
        (first[n].item, 2, first[n].parameters_json) for n in (2, 5)
    ]
    await commit(store, lease, *map(completed, held))
    await store.batches.work.release(lease)
    await _clean(store)
    assert (await job(store)).cleaned
    assert _counts(store) == (0, 1)
    refuse(store.violations())


async def test_only_the_blocks_that_are_needed_become_rows(store, monkeypatch):
    """Blocks without an item that is made again stay, and those that became rows become the same blocks again."""
    monkeypatch.setattr(input_blocks, "_BLOCK_INPUTS", 3)
    await _finish(store, 11)
    before, listed = store.sql("SELECT first_position, content FROM input_blocks"), await _listed(store)
    _delete_conversations(store, "i4", "i10")

    await _retry_deleted(store)

    assert store.sql("SELECT first_position FROM input_blocks ORDER BY 1") == [(0,), (6,)]
    assert await _listed(store) == listed
    _check_reopened(store)
    lease = await acquire_lease(store)
    await commit(store, lease, *map(completed, await claim(store, lease, 2)))
    await store.batches.work.release(lease)
    await _clean(store)
    after = store.sql("SELECT first_position, content FROM input_blocks")
    assert [first for first, _ in sorted(after)] == [first for first, _ in sorted(before)]
    assert await _listed(store) == listed


async def test_named_item_of_a_cleaned_job_is_made_again(store):
    """A retry of one item by id takes its input from the block."""
    await _finish(store)
    _delete_conversations(store, "i6", "i7")

    assert await store.batches.jobs.retry(OWNER, "job", ["i6"]) == 1

    assert (await job(store)).counts == ItemCounts(pending=1, completed=7)
    assert not (await job(store)).cleaned
    (held,) = await claim(store, await acquire_lease(store), 8)
    assert (held.item.id, held.item.parameters) == ("i6", {"level": 6, "notes": {"ü": [6, None]}})
    _check_reopened(store)


async def test_inputs_that_became_rows_become_blocks_again(store):
    """If nothing is retried after inputs became rows, as after a kill, the next cleaning makes them blocks again."""
    await _finish(store)
    _delete_conversations(store, "i1")

    assert await store.batches.deleted_results.unpack_step(OWNER, "job")

    assert _counts(store) == (8, 0)
    assert await store.batches.jobs.jobs_to_clean(OWNER) == ["job"]
    refuse(store.violations())
    await _clean(store)
    assert (_counts(store), (await job(store)).cleaned) == ((0, 1), True)
    assert await _retry_deleted(store) == DeletedRetryResult(1, without_input=0)
    _check_reopened(store)


async def test_interrupted_retry_changes_nothing(store, monkeypatch):
    """An error after the items became pending, before they are counted, undoes the retry."""
    await _finish(store)
    _delete_conversations(store, "i1")
    before = await job(store)

    monkeypatch.setattr("backstay.storage.sql.deleted_results.set_state", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await store.batches.deleted_results.retry(OWNER, "job")

    assert await job(store) == before
    assert store.violations() == []


async def test_uncounted_retry_is_detected(store):
    """Control: if the states were changed in a transaction of their own, an error after it would break the counts."""
    store.is_left_unchecked = True
    await _finish(store, clean=False)
    _delete_conversations(store, "i1")
    values = {"job_key": (await job(store)).key, "owner": OWNER}

    assert await store.batches.jobs._database.write(lambda session: session.execute("deleted_to_pending", values)) == 1

    with pytest.raises(BrokenPromise, match="B7"):
        refuse(store.violations())


async def test_inputs_that_an_earlier_version_removed_are_counted(store):
    """Items without an input stay completed, and are counted; the job stays as it is."""
    store.is_left_unchecked = True
    await _finish(store)
    _delete_conversations(store, "i0", "i7")
    store.sql("DELETE FROM input_blocks")
    before = await job(store)

    assert await store.batches.deleted_results.count(OWNER, "job") == DeletedResults(2, with_input=0)
    assert await _retry_deleted(store) == DeletedRetryResult(0, without_input=2)

    assert await job(store) == before
    with pytest.raises(InvalidTransition, match="an earlier version removed its input"):
        await store.batches.jobs.retry(OWNER, "job", ["i0"])
    assert (await _listed(store))[0] == ("i0", None, None)


async def test_other_items_stay_as_they_are(store):
    """Failed, skipped and completed items with their conversations are no items to make again."""
    await create(store, _items(4))
    lease = await acquire_lease(store)
    first, second, third, fourth = await claim(store, lease, 4)
    await commit(store, lease, completed(first), failed(second), skipped(third), completed(fourth))
    _delete_conversations(store, "i3")

    assert await _retry_deleted(store) == DeletedRetryResult(1, without_input=0)

    assert (await job(store)).counts == ItemCounts(pending=1, completed=1, failed=1, skipped=1)
    assert (await job(store)).state is JobState.PENDING
    assert [each.position for each in await claim(store, lease, 4)] == [3]


async def test_deleted_conversations_of_a_cancelled_job_are_not_made_again(store):
    """A cancelled job refuses; an unknown one, or that of another owner, is not found."""
    await create(store)
    await store.batches.jobs.apply_action(OWNER, "job", JobAction.CANCEL)

    with pytest.raises(InvalidTransition):
        await _retry_deleted(store)
    for call in (
        store.batches.deleted_results.count("other", "job"),
        store.batches.deleted_results.unpack_step("other", "job"),
        store.batches.deleted_results.retry("other", "job"),
    ):
        with pytest.raises(JobNotFound):
            await call


async def test_blocks_hold_inputs_exactly(store):
    """Parameters come back to the byte, whatever is in them."""
    awkward = [{"id": "i0", "topic": " \x1b😀", "b": 1.50, "a": 2**63, "c": "é\u2028", "d": None}]
    await create(store, awkward)
    (stored,) = store.sql("SELECT topic, persona, parameters, line FROM item_inputs")
    lease = await acquire_lease(store)
    await commit(store, lease, *map(completed, await claim(store, lease, 1)))
    await store.batches.work.release(lease)
    await _clean(store)
    key = (await job(store)).key

    packed = await store.batches.jobs._database.read(lambda s: input_blocks.packed_inputs(s, OWNER, key, [0]))

    assert tuple(packed[0]) == stored
    assert orjson.loads(stored[2])["a"] == 2**63
