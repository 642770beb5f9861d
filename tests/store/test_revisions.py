"""Revisions of a job's recipe, and edits of its items: whole or not at all, and never under a worker."""

from dataclasses import replace

import pytest

from backstay import Recipe
from backstay.batch.item import ItemState
from backstay.batch.item_edit import ItemEdit
from backstay.batch.job import JobAction, JobSettings, JobState
from backstay.batch.progress import ItemCounts, TokenCounts
from backstay.batch.recipe_revision import PlanDigest, RevisionPlan
from backstay.errors import InvalidTransition, ItemNotFound, JobHasWorkers, LeaseLost, PlanOutdated, RecipeRevised
from backstay.remedy import Remedy
from backstay.storage.sql import revisions
from support.data.conversations import drafts_of, items
from support.data.verdicts import completed, failed
from support.fakes.workers import card
from support.stores.jobs import OWNER, acquire_lease, claim, claim_one, commit, create, die, job, stage

_FIRST = Recipe(model="ollama:tiny", temperature=0.7)
_SECOND = Recipe(model="ollama:large", temperature=0.2)


async def _create(store, count=3, *, job_id="job", owner=OWNER):
    staged = await stage(store, items(count), owner=owner)
    frozen = _FIRST.frozen()
    assert await store.batches.intake.publish(staged, job_id, _FIRST.model, JobSettings(), frozen)
    return await job(store, job_id, owner=owner)


async def _plan(store, recipe=_SECOND, *, retry_failed=False):
    """Return a plan of what is stored now, without the texts that people read."""
    present = await job(store)
    digest = PlanDigest(present, recipe.frozen(), retry_failed=retry_failed)
    remaining = await store.batches.revisions.remaining(OWNER, "job", with_failed=retry_failed, after=-1, limit=99)
    for content in remaining:
        digest.add(content.position, content.digest)
    return RevisionPlan(
        "job",
        2,
        ["model"],
        len(remaining),
        0,
        0,
        TokenCounts(),
        False,
        digest.hexdigest(),
        retry_failed,
        recipe.frozen(),
    )


async def _revise(store, recipe=_SECOND, *, retry_failed=False):
    plan = await _plan(store, recipe, retry_failed=retry_failed)
    return await store.batches.revisions.revise(OWNER, plan)


async def _edit(store, item_id="item-1", edit=None, *, retry=False):
    before = await store.batches.revisions.item(OWNER, "job", item_id)
    after = (edit or ItemEdit(topic="other")).apply(before)
    return await store.batches.revisions.edit_item(OWNER, await job(store), before, after, retry=retry)


def _everything(store):
    tables = ("jobs", "recipe_revisions", "workers", "items", "item_inputs", "attempts", "conversations")
    return {table: sorted(store.sql(f"SELECT * FROM {table}"), key=repr) for table in tables}


# -- revisions -----------------------------------------------------------------------------------------------------


async def test_a_job_begins_with_revision_1(store):
    """A job with a recipe has its first revision from its creation on, and a job with another processor has none."""
    created = await _create(store)
    await create(store, 1, job_id="other")

    (first,) = await store.batches.revisions.revisions(OWNER, "job")

    assert (first.number, first.recipe, first.fingerprint) == (1, _FIRST.frozen(), _FIRST.fingerprint)
    assert created.revision == 1
    assert (await job(store, "other")).revision is None
    assert await store.batches.revisions.revisions(OWNER, "other") == []


async def test_a_revision_is_the_recipe_of_what_is_left(store):
    """A revision becomes the job's recipe, keeps those before it, and changes neither items nor other jobs."""
    await _create(store)
    await _create(store, owner="you")
    lease = await acquire_lease(store)
    await commit(store, lease, completed(await claim_one(store, lease)))
    await store.batches.work.release(lease)
    before = _everything(store)

    revised = await _revise(store)

    assert (revised.recipe, revised.revision, revised.processor) == (_SECOND.frozen(), 2, "ollama:large")
    assert revised.counts == ItemCounts(pending=2, completed=1)
    listed = await store.batches.revisions.revisions(OWNER, "job")
    assert [(each.number, each.fingerprint) for each in listed] == [(1, _FIRST.fingerprint), (2, _SECOND.fingerprint)]
    assert _everything(store)["items"] == before["items"]
    other = await job(store, owner="you")
    assert (other.recipe, other.revision) == (_FIRST.frozen(), 1)


@pytest.mark.promise("B4")
@pytest.mark.parametrize("is_held", [True, False])
async def test_a_recipe_is_not_revised_under_a_worker(store, is_held):
    """While a worker holds a lease, a revision is refused and changes nothing; once it has left, it is stored."""
    await _create(store)
    lease = await acquire_lease(store)
    await claim(store, lease, 2)
    plan = await _plan(store)
    if not is_held:
        await store.batches.work.release(lease)
    before = _everything(store)

    if is_held:
        with pytest.raises(JobHasWorkers, match="Cannot revise its recipe: a worker is running job 'job'") as caught:
            await store.batches.revisions.revise(OWNER, plan)
        assert caught.value.remedy is Remedy.PAUSE_JOB
    else:
        assert (await store.batches.revisions.revise(OWNER, plan)).revision == 2

    assert (_everything(store) == before) is is_held


async def _stale_worker_completes(store, *, revision):
    """Have a worker lose its lease, and go on after a revision; return how many items it completes."""
    await _create(store)
    work = store.batches.work
    stale = (await work.acquire_lease(OWNER, "job", card("a"), after_lease_loss=False, revision=revision)).lease
    held = await claim(store, stale, 2)
    await die(store, stale)
    await _revise(store)
    try:
        await commit(store, stale, *map(completed, held))
    except LeaseLost:
        try:
            again = await work.acquire_lease(OWNER, "job", card("a"), after_lease_loss=True, revision=revision)
        except RecipeRevised:
            return (await job(store)).counts.completed
        await commit(store, again.lease, *map(completed, await claim(store, again.lease, 2)))
    return (await job(store)).counts.completed


@pytest.mark.promise("B4")
async def test_a_stale_worker_completes_nothing_under_the_former_recipe(store):
    """A worker that follows the former revision gets no lease after the revision, and completes no item."""
    assert await _stale_worker_completes(store, revision=1) == 0


@pytest.mark.promise("B4")
async def test_control_a_worker_without_a_revision_goes_on(store):
    """A worker that does not say which revision it follows completes items after the revision."""
    assert await _stale_worker_completes(store, revision=None) == 2


async def test_a_lease_knows_its_revision(store):
    """A lease says which revision its worker follows, and a new one follows the current revision only."""
    await _create(store)
    await _revise(store)
    acquire_lease = store.batches.work.acquire_lease

    acquired = await acquire_lease(OWNER, "job", card("a"), after_lease_loss=False, revision=2)
    with pytest.raises(RecipeRevised, match="this run follows revision 1, and the job has revision 2") as caught:
        await acquire_lease(OWNER, "job", card("b"), after_lease_loss=False, revision=1)

    assert acquired.lease.revision == 2
    assert caught.value.remedy is Remedy.RESUME_JOB
    assert len(store.sql("SELECT token FROM workers")) == 1


async def _skip(store):
    await store.batches.jobs.skip(OWNER, "job", ["item-2"])


async def _retry(store):
    await store.batches.jobs.retry(OWNER, "job", None)


async def _add(store):
    staged = await stage(store, items(4))
    await store.batches.intake.accept_new(staged, "job")
    while await store.batches.intake.drop_step(OWNER, staged.job_key):
        pass


async def _revise_otherwise(store):
    await _revise(store, Recipe(model="ollama:other"))


@pytest.mark.parametrize("change", [_skip, _retry, _add, _revise_otherwise, lambda store: _edit(store, "item-2")])
async def test_a_plan_of_an_earlier_state_changes_nothing(store, change):
    """A revision is refused if items or the recipe have changed since it was planned."""
    await _create(store)
    lease = await acquire_lease(store)
    await commit(store, lease, failed(await claim_one(store, lease)))
    await store.batches.work.release(lease)
    plan = await _plan(store)
    await change(store)
    before = _everything(store)

    with pytest.raises(PlanOutdated, match="Job 'job' has changed since the plan was made"):
        await store.batches.revisions.revise(OWNER, plan)

    assert _everything(store) == before


@pytest.mark.promise("B1", "B7")
@pytest.mark.parametrize("is_interrupted", [True, False])
async def test_a_revision_is_whole_or_not_at_all(store, monkeypatch, is_interrupted):
    """A revision that is interrupted leaves the recipe, its revisions and the failed items as they were."""
    await _create(store)
    lease = await acquire_lease(store)
    await commit(store, lease, *map(failed, await claim(store, lease, 2)))
    await store.batches.work.release(lease)
    plan = await _plan(store, retry_failed=True)
    before, retry_items = _everything(store), revisions.retry_items

    def interrupted(*arguments):
        retry_items(*arguments)
        if is_interrupted:
            raise KeyboardInterrupt
        return 0

    monkeypatch.setattr(revisions, "retry_items", interrupted)
    if is_interrupted:
        with pytest.raises(KeyboardInterrupt):
            await store.batches.revisions.revise(OWNER, plan)
        assert _everything(store) == before
    else:
        revised = await store.batches.revisions.revise(OWNER, plan)
        assert (revised.revision, revised.counts) == (2, ItemCounts(pending=3))


async def test_a_cancelled_job_is_not_changed(store):
    """Neither the recipe nor an item of a cancelled job can be changed."""
    await _create(store)
    await store.batches.jobs.apply_action(OWNER, "job", JobAction.CANCEL)
    before = _everything(store)

    for refused in (_revise(store), _edit(store)):
        with pytest.raises(InvalidTransition, match="job 'job' is cancelled"):
            await refused

    assert _everything(store) == before


async def test_a_discarded_job_leaves_no_revisions(store):
    """The revisions of a job go with it, and those of other jobs stay."""
    await _create(store)
    await _create(store, job_id="other")
    await _revise(store)
    key = await store.batches.jobs.discard(OWNER, "job")

    while await store.batches.intake.drop_step(OWNER, key):
        pass

    other = (await job(store, "other")).key
    assert store.sql("SELECT job_key, number FROM recipe_revisions") == [(other, 1)]


# -- edits of items --------------------------------------------------------------------------------------------------


async def test_an_edited_item_is_claimed_as_it_was_edited(store):
    """An edit changes topic, persona and parameters of a pending item; the next claim gets them under the same id."""
    await _create(store)
    edit = ItemEdit("new", "a keeper", {"level": 3})

    edited = await _edit(store, edit=edit)

    assert (edited.topic, edited.persona, edited.parameters, edited.is_edited) == (
        "new",
        "a keeper",
        {"level": 3},
        True,
    )
    claimed = await claim_one(store, await acquire_lease(store))
    assert claimed.item == replace(edited.item, id="item-1")


async def test_an_edited_item_keeps_the_digest_of_its_input(store):
    """The digest of the input is kept through several edits, and dropped by the edit that restores the content."""
    await _create(store)
    (original,) = store.sql("SELECT digest FROM items WHERE position = 0")

    await _edit(store)
    again = await _edit(store, edit=ItemEdit(topic="third"))
    kept = store.sql("SELECT original_digest FROM items WHERE position = 0")
    back = await _edit(store, edit=ItemEdit(topic="topic 1"))

    assert (again.is_edited, kept) == (True, [original])
    assert back.is_edited is False
    assert store.sql("SELECT digest, original_digest FROM items WHERE position = 0") == [(*original, None)]


@pytest.mark.parametrize("topic", ["topic 1", "other", "third"])
async def test_an_edited_item_is_the_item_of_its_input(store, topic):
    """An input with the former or the new content of an edited item is the job's; one with a third content is not."""
    await _create(store)
    await _edit(store)
    staged = await stage(store, [{"id": "item-1", "topic": topic}, *items(2, start=2)])

    difference = await store.batches.intake.difference(staged, "job")

    assert (difference.changed, difference.is_empty) == ((1, False) if topic == "third" else (0, True))
    identity, *_ = await store.batches.intake.identities(OWNER, "job", after=-1, limit=1)
    ((draft,), (edited,)) = await drafts_of(items(1)), await drafts_of([{"topic": "other"}])
    assert (identity.original_digest, identity.digest) == (draft.digest, edited.digest)


async def test_a_copy_of_an_edited_item_is_that_of_its_input(store):
    """The staged copy of an edited item has the content of the input, with which a repeated row is compared."""
    await _create(store)
    await _edit(store)
    staged = await stage(store)
    await store.batches.intake.stage_copies(staged, "job", 2)

    repeated = await store.batches.intake.stage_items(staged, await drafts_of(items(1)))

    assert repeated == 1
    assert (await store.batches.intake.difference(staged, "job")).changed == 0


@pytest.mark.parametrize("state", ["running", "completed", "skipped"])
async def test_only_pending_and_failed_items_are_edited(store, state):
    """An edit of an item that is running, completed or skipped is refused, and changes nothing."""
    await _create(store)
    if state == "skipped":
        await store.batches.jobs.skip(OWNER, "job", ["item-1"])
    else:
        lease = await acquire_lease(store)
        held = await claim_one(store, lease)
        if state == "completed":
            await commit(store, lease, completed(held))
    before = _everything(store)

    with pytest.raises(InvalidTransition, match=f"is {state}; only pending and failed items can be edited"):
        await _edit(store)
    with pytest.raises(ItemNotFound, match="Job 'job' has no item 'none'"):
        await _edit(store, "none")

    assert _everything(store) == before


async def test_of_two_edits_the_second_is_refused(store):
    """An edit is refused, and changes nothing, once the content or the recipe has changed meanwhile."""
    created = await _create(store)
    before = await store.batches.revisions.item(OWNER, "job", "item-1")
    after = ItemEdit(topic="second").apply(before)
    await _edit(store)
    with pytest.raises(PlanOutdated, match="has changed meanwhile"):
        await store.batches.revisions.edit_item(OWNER, created, before, after, retry=False)
    await _revise(store)
    other = await store.batches.revisions.item(OWNER, "job", "item-2")
    stored = _everything(store)

    with pytest.raises(PlanOutdated, match="or the job's recipe, has changed meanwhile"):
        await store.batches.revisions.edit_item(OWNER, created, other, ItemEdit("x").apply(other), retry=False)

    assert _everything(store) == stored


@pytest.mark.promise("B7")
@pytest.mark.parametrize("retry", [True, False])
async def test_a_failed_item_is_edited_and_retried_at_once(store, retry):
    """With `retry`, the edit of a failed item returns it to pending and its job to work; without, it stays failed."""
    await _create(store, 1)
    lease = await acquire_lease(store)
    await commit(store, lease, failed(await claim_one(store, lease)))
    await store.batches.work.release(lease)

    edited = await _edit(store, retry=retry)

    now = await job(store)
    assert edited.state is (ItemState.PENDING if retry else ItemState.FAILED)
    assert now.state is (JobState.PENDING if retry else JobState.COMPLETED_WITH_FAILURES)
    assert now.counts == (ItemCounts(pending=1) if retry else ItemCounts(failed=1))
