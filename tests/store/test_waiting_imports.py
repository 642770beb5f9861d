"""Jobs that another program has begun: what it has settled stays settled, and everything else comes with a run."""

import asyncio

import pytest

from backstay.batch.job import JobAction, JobSettings, JobState
from backstay.batch.progress import ItemCounts
from backstay.errors import ItemsDiffer, JobNotFound, OutcomeRefused
from backstay.legacy.imported_jobs import WaitingImport
from backstay.other_owners import OwnedKind
from backstay.remedy import Remedy
from support.data.conversations import items
from support.data.verdicts import completed
from support.stores.jobs import OWNER, acquire_lease, claim, commit, create, job, stage


async def imported(store, *settled, job_id="job", owner=OWNER):
    """Import a job of these items, of which those that begin with `!` have failed; return whether it is new."""
    known = {name.lstrip("!"): "it was late" if name.startswith("!") else None for name in settled}
    return await store.waiting_imports.add(owner, job_id, known)


async def published(store, source, **options):
    """Create a job of these items; return whether it was published."""
    staged = await stage(store, source)
    return await store.batches.intake.publish(staged, "job", "scripted", JobSettings(7, 1.5), **options)


async def test_job_waits_with_what_is_known(store):
    """An imported job is listed with the numbers of its settled items, and is not a job yet."""
    assert await imported(store, "item-1", "!item-2", "item-3")
    assert await imported(store, job_id="empty", owner="you")

    (waiting,) = await store.waiting_imports.waiting(OWNER)
    (other,) = await store.waiting_imports.waiting("you")

    assert waiting == WaitingImport("job", 2, 1, waiting.imported_at)
    assert (other.job_id, other.settled) == ("empty", 0)
    assert await store.batches.jobs.jobs(OWNER, incomplete=False, limit=9) == []
    with pytest.raises(JobNotFound, match="was imported and waits for all its items") as caught:
        await job(store)
    assert (caught.value.remedy, caught.value.context) == (Remedy.RUN_IMPORTED_JOB, {"job_id": "job"})
    with pytest.raises(JobNotFound, match="not found"):
        await job(store, "empty")


async def test_other_owners_are_reported_to_have_it(store):
    """An imported job counts as a job of its owner, for one who looks under another name."""
    await imported(store, "item-1", owner="you")

    others = [await store.notes.count_other_owners(OWNER, noun) for noun in (OwnedKind.JOB, OwnedKind.UNFINISHED_JOB)]

    assert [(other.owners, other.count) for other in others] == [(1, 1), (1, 1)]
    assert (await store.notes.count_other_owners("you", OwnedKind.JOB)).count == 0


async def test_a_name_that_is_used_stays_whose_it_is(store):
    """An import changes nothing under the name of a job, or of an imported one that waits."""
    await create(store, 2)
    assert await imported(store, "a", job_id="other")
    await create(store, 1, job_id="x", owner="you")

    assert not await imported(store, "item-1")
    assert not await imported(store, "a", "b", job_id="other")

    assert (await job(store)).counts == ItemCounts(pending=2)
    assert [(entry.job_id, entry.settled) for entry in await store.waiting_imports.waiting(OWNER)] == [("other", 1)]
    assert [await store.waiting_imports.is_name_used(OWNER, name) for name in ("job", "other", "x")] == [
        True,
        True,
        False,
    ]


async def test_many_import_it_at_once(store):
    """Of concurrent imports exactly one stores the job, whole."""
    settled = {f"item-{number}": None for number in range(9_000)}

    are_new = await asyncio.gather(*[store.waiting_imports.add(OWNER, "job", settled) for _ in range(5)])

    assert sorted(are_new) == [False, False, False, False, True]
    assert store.sql("SELECT count(*) FROM legacy_settled") == [(9_000,)]


async def test_an_import_that_fails_leaves_nothing(store):
    """An import whose last items cannot be stored leaves none of them, and not the job either."""
    settled = {f"item-{number}": None for number in range(9_000)}
    with pytest.raises(OutcomeRefused):
        await store.waiting_imports.add(OWNER, "job", {**settled, None: None})

    assert await store.waiting_imports.waiting(OWNER) == []
    assert store.sql("SELECT count(*) FROM legacy_settled") == [(0,)]


async def test_its_items_come_with_a_run(store):
    """The settled items stay so, and the others are to be worked on by the processor that came with them."""
    await imported(store, "item-3", "!item-1")

    assert await published(store, items(4))
    made = await job(store)
    (failure,) = await store.batches.jobs.failures(OWNER, "job", after=-1, limit=9)
    states = [
        (i.id, i.state, i.attempts, i.conversation_id)
        for i in await store.batches.jobs.items(OWNER, "job", after=-1, limit=9)
    ]
    lease = await acquire_lease(store)
    held = await claim(store, lease, 9)

    assert (made.state, made.pause, made.processor) == (JobState.PENDING, None, "scripted")
    assert made.settings == JobSettings(7, 1.5)
    assert made.counts == ItemCounts(pending=2, completed=1, failed=1)
    assert (failure.item_id, failure.error_code, failure.error_message) == ("item-1", "legacy_failure", "it was late")
    assert states == [
        ("item-1", "failed", 1, None),
        ("item-2", "pending", 0, None),
        ("item-3", "completed", 0, None),
        ("item-4", "pending", 0, None),
    ]
    assert [claimed.item.id for claimed in held] == ["item-2", "item-4"]
    await commit(store, lease, *[completed(claimed) for claimed in held])
    assert (await job(store)).state is JobState.COMPLETED_WITH_FAILURES
    assert await store.waiting_imports.waiting(OWNER) == []
    assert store.sql("SELECT count(*) FROM legacy_settled") == [(0,)]


async def test_only_the_import_of_that_name_and_owner_counts(store):
    """Imports of other names and owners settle nothing, and still wait afterwards."""
    await imported(store, "item-1")
    await imported(store, "!item-2", "item-3", job_id="other")
    await imported(store, "!item-2", "item-3", owner="you")

    assert await published(store, items(3))

    assert (await job(store)).counts == ItemCounts(pending=2, completed=1)
    assert len([*await store.waiting_imports.waiting(OWNER), *await store.waiting_imports.waiting("you")]) == 2


async def test_a_failed_item_is_retried_with_what_it_was_given(store):
    """A failed item can be retried with the content that the run gave."""
    await imported(store, "!item-1")
    await published(store, items(1))

    assert await store.batches.jobs.retry(OWNER, "job", None) == 1
    (held,) = await claim(store, await acquire_lease(store), 9)

    assert (held.item.id, held.item.topic, held.attempt, held.tries) == ("item-1", "topic 1", 2, 0)


async def test_without_its_items_nothing_is_done_with_it(store):
    """A job that waits cannot be retried, skipped, paused or cancelled, and the refusal says how it continues."""
    await imported(store, "!item-1")
    jobs = store.batches.jobs

    for refused in (
        jobs.retry(OWNER, "job", None),
        jobs.retry(OWNER, "job", ["item-1"]),
        jobs.skip(OWNER, "job", ["item-1"]),
        jobs.apply_action(OWNER, "job", JobAction.PAUSE),
        jobs.apply_action(OWNER, "job", JobAction.CANCEL),
    ):
        with pytest.raises(JobNotFound, match="waits for all its items"):
            await refused

    assert len(await store.waiting_imports.waiting(OWNER)) == 1


async def test_items_that_did_not_come_are_named(store):
    """A run without some of the settled items publishes no job, unless it accepts that they are forgotten."""
    await imported(store, "item-1", "!lost", "item-5", "mine")
    await create(store, 5, job_id="large")
    await imported(store, "a", job_id="other")
    await imported(store, "a", owner="you")

    with pytest.raises(ItemsDiffer, match=r"3 missing \(missing: item-5; missing: lost\)\. Pass all items") as refusal:
        await published(store, items(2))
    assert refusal.value.context["missing"] == 3
    assert {entry.job_id: entry.settled for entry in await store.waiting_imports.waiting(OWNER)} == {
        "job": 4,
        "other": 1,
    }
    with pytest.raises(JobNotFound):
        await job(store)

    assert await published(store, items(2), accept_missing=True)
    assert (await job(store)).counts == ItemCounts(pending=1, completed=1)
    assert [entry.job_id for entry in await store.waiting_imports.waiting(OWNER)] == ["other"]


async def test_many_bring_its_items_at_once(store):
    """Of concurrent runs exactly one creates the job, with what was settled."""
    await imported(store, "item-1", "item-2")

    are_published = await asyncio.gather(*[published(store, items(5)) for _ in range(6)])

    assert sorted(are_published) == [False, False, False, False, False, True]
    assert (await job(store)).counts == ItemCounts(pending=3, completed=2)


async def test_a_discarded_import_is_gone(store):
    """A job that waits can be discarded, and then be imported again."""
    await imported(store, "item-1", "!item-2")

    assert await store.batches.jobs.discard(OWNER, "job") is None

    assert store.sql("SELECT count(*) FROM legacy_settled") == [(0,)]
    with pytest.raises(JobNotFound, match="not found"):
        await store.batches.jobs.discard(OWNER, "job")
    assert await imported(store, "item-1")
