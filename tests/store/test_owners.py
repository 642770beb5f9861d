"""Owners never see each other's records: a foreign name is treated like a missing one."""

import pytest

from backstay.batch.job import JobAction, JobSettings
from backstay.batch.progress import ItemCounts
from backstay.errors import ConversationNotFound, JobNotFound
from backstay.library.lists import ConversationLists
from backstay.library.selection import Selection
from support.data.conversations import conversation, items
from support.data.verdicts import completed, failed
from support.fakes.workers import card
from support.stores.jobs import acquire_lease, claim, claim_one, commit, create, job, stage

pytestmark = pytest.mark.promise("K4")

_ALL = Selection(everything=True)


@pytest.fixture
async def shared(store):
    """Return a store in which `you` have a half-done, a completed and a staged job."""
    await create(store, 3, owner="you")
    lease = await acquire_lease(store, owner="you")
    first, second = await claim(store, lease, 2)
    await commit(store, lease, completed(first, conversation("yours", id="c")), failed(second), room=1)
    await create(store, 1, owner="you", job_id="done")
    finished = await acquire_lease(store, "done", owner="you")
    await commit(store, finished, completed(await claim_one(store, finished)))
    await store.batches.work.release(finished)
    return store


def _everything(store):
    tables = ("failures", "jobs", "workers", "items", "item_inputs", "attempts", "conversations", "turns")
    return {table: store.sql(f"SELECT * FROM {table}") for table in tables}


_ASKED = {
    "job": lambda s: s.batches.jobs.job("me", "job"),
    "move": lambda s: s.batches.jobs.apply_action("me", "job", JobAction.CANCEL),
    "retry": lambda s: s.batches.jobs.retry("me", "job", None),
    "retry one": lambda s: s.batches.jobs.retry("me", "job", ["item-2"]),
    "skip": lambda s: s.batches.jobs.skip("me", "job", ["item-2"]),
    "pause_evidence": lambda s: s.batches.jobs.pause_evidence("me", "job"),
    "failure_codes": lambda s: s.batches.jobs.failure_codes("me", "job"),
    "failures": lambda s: s.batches.jobs.failures("me", "job", after=-1, limit=9),
    "clean_step": lambda s: s.batches.jobs.clean_step("me", "done"),
    "discard": lambda s: s.batches.jobs.discard("me", "done"),
    "revisions": lambda s: s.batches.revisions.revisions("me", "job"),
    "remaining": lambda s: s.batches.revisions.remaining("me", "job", with_failed=True, after=-1, limit=9),
    "item": lambda s: s.batches.revisions.item("me", "job", "item-2"),
    "acquire_lease": lambda s: s.batches.work.acquire_lease("me", "job", card(), after_lease_loss=False),
}


@pytest.mark.parametrize("call", _ASKED)
async def test_foreign_job_is_not_found(shared, call):
    """Every method raises JobNotFound for another owner's job and changes nothing of it."""
    before = _everything(shared)

    with pytest.raises(JobNotFound) as foreign:
        await _ASKED[call](shared)

    assert _everything(shared) == before
    with pytest.raises(JobNotFound) as missing:
        await shared.batches.jobs.job("me", "none")
    assert foreign.value.message == missing.value.message.replace("none", foreign.value.context["job_id"])


async def test_lists_hold_the_owners_own(shared):
    """Lists of jobs, workers, items and leftovers have only the owner's own."""
    batches = shared.batches

    assert await batches.jobs.jobs("me", incomplete=False, limit=9) == []
    assert await batches.jobs.jobs("me", incomplete=True, limit=9) == []
    assert await batches.jobs.jobs_to_clean("me") == []
    await batches.jobs.apply_action("you", "job", JobAction.CANCEL)
    assert await batches.jobs.finished_jobs_with_leases("me") == []
    assert await batches.work.workers("me", "job") == []
    assert await batches.intake.identities("me", "job", after=-1, limit=9) == []
    await stage(shared, items(1), owner="you")
    assert await batches.intake.orphaned_staging("me") == []


async def test_same_name_is_free_for_each_owner(shared):
    """Two owners may have jobs of the same name."""
    await create(shared, 2, owner="me")
    lease = await acquire_lease(shared, owner="me")

    report = await commit(shared, lease, *map(completed, await claim(shared, lease, 5)))

    assert report.counts == ItemCounts(completed=2)
    assert (await job(shared, owner="you")).counts == ItemCounts(running=1, completed=1, failed=1)


async def test_lease_of_a_foreign_worker_is_not_reclaimed(shared):
    """A lease of another owner's worker cannot be reclaimed, even with its row."""
    (row,) = await shared.batches.work.workers("you", "job")
    before = _everything(shared)

    assert not await shared.batches.work.reclaim("me", row, crash_limit=1)

    assert _everything(shared) == before


async def test_foreign_staging_is_not_dropped(shared):
    """Dropping another owner's staging does nothing."""
    staged = await stage(shared, items(2), owner="you")

    assert not await shared.batches.intake.drop_step("me", staged.job_key)
    await shared.batches.intake.stage_items(staged, [])
    assert await shared.batches.intake.publish(staged, "whole", "caller", JobSettings())

    assert (await job(shared, "whole", owner="you")).counts == ItemCounts(pending=2)


async def test_foreign_job_is_not_compared(shared):
    """A staged job is compared with and copied from the owner's own jobs only."""
    staged = await stage(shared, items(1), owner="me")

    with pytest.raises(JobNotFound):
        await shared.batches.intake.difference(staged, "job")
    with pytest.raises(JobNotFound):
        await shared.batches.intake.accept_new(staged, "job")
    await shared.batches.intake.stage_copies(staged, "done", 1)

    assert shared.sql("SELECT count(*) FROM items WHERE owner = 'me'") == [(1,)]


async def test_foreign_conversations_are_not_there(shared):
    """Another owner's conversations are not found by id, in lists, pages or counts."""
    reader = shared.conversations

    with pytest.raises(ConversationNotFound):
        await reader.conversation("me", "c")
    for selection in (_ALL, Selection(ids=("c",)), Selection(job_id="job")):
        assert (await ConversationLists(store=shared.lists, owner="me").page(selection)).conversations == []
        assert (await reader.page("me", selection, after=0, limit=9)).conversations == []
        assert await reader.count("me", selection) == 0
        assert await reader.count("you", selection) >= 1


async def test_owner_is_any_text(store):
    """An owner may be any text, since it is always a bound value of statements."""
    owner = "x' OR '1'='1"
    await create(store, 1, owner=owner)

    assert [entry.owner for entry in await store.batches.jobs.jobs(owner, incomplete=False, limit=9)] == [owner]
    assert await store.batches.jobs.jobs("x", incomplete=False, limit=9) == []
