"""Conversations that are made again: each new one takes the place of the old one, which a verified backup holds."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backstay import Backstay, Conversation, Fail, Recipe, ReviewChange, ReviewStatus, Selection, Skip, Turn
from backstay.batch.store import Claim
from backstay.errors import (
    BackupError,
    CannotRegenerate,
    ConversationNotFound,
    EmptySelection,
    ItemsDiffer,
    JobDiffers,
    LeaseLost,
    PlanOutdated,
    ProcessorNotFound,
    RestoreConflict,
    SettingsError,
)
from backstay.library.review import Review
from backstay.storage.sql import replacements
from support.data.verdicts import completed
from support.fakes.provider import ProviderServer
from support.fakes.workers import card
from support.faults.batch_invariants import violations
from support.stores.library import ALL
from support.stores.sql import ask, is_server

pytestmark = pytest.mark.promise("B2", "B5", "K1")

_COUNT = 6
_FAILING = "i9"
_REVIEWS = "INSERT INTO conversation_reviews (conversation_key, owner, reviewed_at"


def _answering(text):
    """Return a processor that answers every item but one, which keeps the job's inputs."""

    async def answer(item):
        if item.id == _FAILING:
            return Fail("no")
        return Conversation([Turn("user", item.topic), Turn("assistant", f"{text} {item.topic}")])

    return answer


def _items(count=_COUNT):
    return [
        *({"id": f"i{n}", "topic": f"topic {n}", "audience": "all"} for n in range(count)),
        {"id": _FAILING, "topic": "x"},
    ]


async def _sql(path, statement, *values):
    return await asyncio.to_thread(ask, path, statement, *values)


async def _texts(backstay):
    """Return the last turn of each item's conversation."""
    return {stored.item_id: stored.turns[-1].content async for stored in backstay.conversations.export(ALL)}


async def _ids(backstay):
    return {stored.item_id: stored.id async for stored in backstay.conversations.export(ALL)}


@pytest.fixture
async def library(path):
    """Open a library with the conversations of one job, whose invariants are checked at the end."""
    async with Backstay.open(path) as backstay:
        await backstay.batches.run("job", _items(), _answering("old"))
        yield backstay
    assert violations(path, at_rest=False) == []


async def _start(backstay, selection=ALL):
    return await backstay.regenerations.start(await backstay.regenerations.plan(selection, "scripted"))


async def _make_again(backstay, selection=ALL, *, processor=None, **options):
    """Make conversations again, and return the backup, the job and the result."""
    started = await _start(backstay, selection)
    (job_id,) = started.job_ids
    result = await backstay.batches.resume(job_id, processor or _answering("new"), **options)
    return started.backup_id, job_id, result


async def test_every_conversation_is_replaced(library, path):
    """Each new conversation becomes the result of the old one's item, and the old ones are in a verified backup."""
    old = await _ids(library)

    backup_id, job_id, result = await _make_again(library)

    new = await _ids(library)
    assert result.counts.completed == _COUNT
    assert await _texts(library) == {f"i{n}": f"new topic {n}" for n in range(_COUNT)}
    assert set(old.values()).isdisjoint(new.values())
    assert (await library.backups.verify(backup_id)).conversations == _COUNT
    assert (await library.backups.show(backup_id)).reason == "before_regenerate"
    assert {item.id: item.conversation_id for item in await library.batches.items_page("job")} == {
        **new,
        _FAILING: None,
    }
    made = await library.batches.items_page(job_id)
    assert [(item.id, item.conversation_id, item.topic) for item in made] == [
        (f"i{n}", new[f"i{n}"], f"topic {n}") for n in range(_COUNT)
    ]
    job = await library.batches.checkpoint(job_id)
    assert (job_id, job.regenerates.id, job.regenerates.backup_id) == ("job-again-1", "job", backup_id)


async def test_a_cleaned_job_is_made_again(library, path):
    """Items of a completed job, whose inputs are compressed, are made again with the inputs and lines that they had."""
    items = [*_items()[:2], *_items()[:2], *_items()[2:-1]]  # repeated rows, so that lines differ from positions
    await library.batches.run("done", items, _answering("old"))
    assert (await library.batches.checkpoint("done")).cleaned
    selection = Selection(job_id="done")
    old = {each.item_id: each async for each in library.conversations.export(selection)}

    await _start(library, Selection(ids=(old["i4"].id, old["i2"].id)))
    inputs = await _sql(
        path,
        """SELECT items.id, inputs.topic, inputs.line FROM item_inputs AS inputs JOIN jobs ON jobs.key = inputs.job_key
             JOIN items ON items.job_key = jobs.key AND items.position = inputs.position
            WHERE jobs.id = 'done-again-1' ORDER BY items.position""",
    )
    result = await library.batches.resume("done-again-1", _answering("new"))

    new = {each.item_id: each async for each in library.conversations.export(selection)}
    assert inputs == [("i2", "topic 2", 5), ("i4", "topic 4", 7)]
    assert (result.counts.completed, result.state.value) == (2, "completed")
    assert {item_id for item_id in new if new[item_id].turns != old[item_id].turns} == {"i2", "i4"}
    assert new["i2"].metadata["parameters"] == old["i2"].metadata["parameters"] == {"audience": "all"}


async def test_the_origin_names_the_job_that_made_it_again(library):
    """The new conversation belongs to the first job; its origin names the second one, with its recipe and attempt."""
    old = await _ids(library)
    with ProviderServer() as provider:
        recipes = [Recipe(model=model, base_url=provider.base_url, turns=2) for model in ("small", "large")]
        plan = await library.regenerations.plan(Selection(ids=(old["i1"], old["i2"])), recipes[0])
        (job_id,) = (await library.regenerations.start(plan)).job_ids
        first = await library.batches.resume(job_id, limit=1, concurrency=1)
        revised = await library.batches.revise_recipe(job_id, recipes[1])
        await library.batches.resume(job_id)

    new = {each.item_id: each async for each in library.conversations.export(Selection(job_id="job"))}
    origins = [new[item_id].metadata["generation"] for item_id in ("i1", "i2")]
    names = ("job_id", "model", "recipe_revision", "attempt")
    assert (first.counts.completed, revised.job.revision, revised.job.processor) == (1, 2, "large")
    assert [[origin[name] for name in names] for origin in origins] == [
        ["job-again-1", "small", 1, 1],
        ["job-again-1", "large", 2, 1],
    ]
    assert new["i0"].metadata["generation"] == {"processor": "caller", "attempt": 1}
    assert [revision.number for revision in await library.batches.revisions(job_id)] == [1, 2]


async def test_only_a_recipe_is_revised(library):
    """A job that makes conversations again without a recipe has none to revise."""
    (job_id,) = (await _start(library)).job_ids

    with pytest.raises(SettingsError, match="has no recipe to revise: its conversations come from 'scripted'"):
        await library.batches.plan_revision(job_id, Recipe(model="ollama:x"))


async def test_a_new_conversation_begins_unreviewed(library):
    """The backup has review, tags and earlier versions of the old one, the new one has none; an undo restores them."""
    old = (await _ids(library))["i1"]
    await library.edits.edit(old, turns=[Turn("user", "topic 1"), Turn("assistant", "corrected")])
    change = ReviewChange(ReviewStatus.REJECTED, rating=2, note="weak", add_tags=["short", "draft"])
    await library.reviews.change(Selection(ids=(old,)), change)
    before, versions = await library.conversations.show(old), await library.edits.versions(old)

    backup_id, _, result = await _make_again(library, Selection(job_id="job", status=ReviewStatus.REJECTED))
    new = await library.conversations.show((await _ids(library))["i1"])
    new_versions = await library.edits.versions(new.id)
    rejected = await library.conversations.count(Selection(status=ReviewStatus.REJECTED))
    await library.regenerations.undo(backup_id)

    assert (result.counts.completed, len(versions)) == (1, 2)
    assert (new.review or Review()).is_empty
    assert (len(new_versions), rejected) == (1, 0)
    assert await library.conversations.show(old) == before
    assert await library.edits.versions(old) == versions


async def test_old_and_new_know_each_other(library):
    """The new conversation names the old one and its backup; asking for the old one names the new one."""
    old = await _ids(library)
    backup_id, _, _ = await _make_again(library, Selection(ids=(old["i1"],)))
    new = await _ids(library)

    history = await library.regenerations.history(new["i1"])
    with pytest.raises(ConversationNotFound) as caught:
        await library.conversations.show(old["i1"])

    assert history.replaced_by is None
    assert (history.made_again_from.old_id, history.made_again_from.backup_id) == (old["i1"], backup_id)
    assert (caught.value.context["replaced_by"], caught.value.context["backup_id"]) == (new["i1"], backup_id)
    assert await library.regenerations.history(new["i2"]) == type(history)()


async def test_undo_swaps_back_and_again(library, path):
    """An undo puts back the old conversations with their reviews in one transaction; its own backup undoes that."""
    await _sql(path, f"{_REVIEWS}, rating) SELECT key, owner, created_at, 2 FROM conversations")
    old = await _ids(library)
    backup_id, _, _ = await _make_again(library)
    new = await _ids(library)
    rated_after = await _sql(path, "SELECT count(*) FROM conversation_reviews")

    undone = await library.regenerations.undo(backup_id)
    back, rated = await _ids(library), await _sql(path, "SELECT count(*) FROM conversation_reviews")
    await library.backups.restore(undone.replaced_backup_id, on_conflict="replace")

    assert (undone.restored, undone.replaced, undone.relinked) == (_COUNT, _COUNT, _COUNT)
    assert (rated_after, rated) == ([(0,)], [(_COUNT,)])
    assert back == old
    assert await _ids(library) == new
    assert violations(path, at_rest=False) == []
    await library.regenerations.undo(backup_id)
    with pytest.raises(EmptySelection):
        await library.regenerations.undo(backup_id)


async def test_a_restore_without_replace_is_refused(library):
    """An old backup of conversations that were made again conflicts with their items' new results."""
    backup_id, _, _ = await _make_again(library)

    plan = await library.backups.plan_restore(backup_id)
    with pytest.raises(RestoreConflict):
        await library.backups.restore(backup_id)

    assert {conflict.kind.value for conflict in plan.listed_conflicts} == {"item"}
    assert plan.conflicts == _COUNT


async def test_failed_attempts_leave_the_old_ones(library):
    """An item that fails, is skipped or returns None leaves its old conversation, and so does an undo."""
    old = await _ids(library)
    outcomes = {"i0": Fail("no"), "i1": Skip(), "i2": None}

    async def mixed(item):
        return outcomes[item.id] if item.id in outcomes else await _answering("new")(item)

    backup_id, _, result = await _make_again(library, processor=mixed)
    now = await _ids(library)
    undone = await library.regenerations.undo(backup_id)

    assert (result.counts.failed, result.counts.skipped, result.counts.completed) == (1, 1, 4)
    assert {item_id for item_id in old if now[item_id] == old[item_id]} == set(outcomes)
    assert undone.restored == 3
    assert await _ids(library) == old


async def test_failed_items_are_retried(library):
    """A retry of the failed items of such a job replaces their conversations, too."""

    async def failing(_):
        return Fail("no")

    _, job_id, _ = await _make_again(library, processor=failing)

    result = await library.batches.resume(job_id, _answering("new"), retry_failed=True)

    assert result.counts.completed == _COUNT
    assert set(await _texts(library)) == {f"i{n}" for n in range(_COUNT)}


# -- what happens meanwhile


def _meanwhile(backstay, act, *, item_id="i1"):
    """Return a processor that acts once, while an item is being made again."""

    async def answer(item):
        if item.id == item_id:
            await act()
        return await _answering("new")(item)

    return answer


async def _edit(path, conversation_id):
    key = "SELECT key FROM conversations WHERE id = ?"
    statement = f"UPDATE turns SET content = 'edited' WHERE sequence = 2 AND conversation_key = ({key})"
    await _sql(path, statement, conversation_id)


async def test_an_edited_conversation_stays(library, path):
    """A conversation that was edited after its backup stays; only its item fails, and keeps the answer."""
    old = await _ids(library)

    backup_id, job_id, result = await _make_again(
        library, processor=_meanwhile(library, lambda: _edit(path, old["i1"]))
    )

    assert (result.counts.completed, result.counts.failed) == (_COUNT - 1, 1)
    (failure,) = [item async for item in library.batches.failed(job_id)]
    assert (failure.item_id, failure.error_code) == ("i1", "replacement_refused")
    assert "new topic 1" in failure.raw
    assert (await _texts(library))["i1"] == "edited"
    await library.regenerations.undo(backup_id)
    assert (await _texts(library))["i1"] == "edited"


async def test_without_the_comparison_an_edit_is_lost(library, path, monkeypatch):
    """The control: if the versions were not compared, the edited conversation would be in no backup."""
    old = await _ids(library)
    monkeypatch.setattr(replacements._Replacer, "_check_version", lambda *_: None)

    await _make_again(library, processor=_meanwhile(library, lambda: _edit(path, old["i1"])))

    assert (await _texts(library))["i1"] == "new topic 1"


async def test_a_deleted_conversation_gets_a_successor(library, path):
    """A conversation that was deleted meanwhile is not replaced: the new one becomes the result of its item."""
    old = await _ids(library)

    async def delete():
        await library.conversations.delete(Selection(ids=(old["i1"],)))

    backup_id, _, result = await _make_again(library, processor=_meanwhile(library, delete))
    history = await library.regenerations.history((await _ids(library))["i1"])
    undone = await library.regenerations.undo(backup_id)

    assert result.counts.completed == _COUNT
    assert (history.made_again_from.old_id, history.made_again_from.backup_id) == (old["i1"], None)
    assert undone.restored == _COUNT - 1


async def test_an_item_that_is_retried_meanwhile_has_one_result(library):
    """If a conversation was deleted meanwhile, and its item is pending again, that item gets its own new result."""
    old = await _ids(library)

    async def delete_and_retry():
        await library.conversations.delete(Selection(ids=(old["i1"],)))
        await library.batches.retry_deleted("job")

    _, job_id, result = await _make_again(library, processor=_meanwhile(library, delete_and_retry))
    (failure,) = [item async for item in library.batches.failed(job_id)]
    await library.batches.resume("job", _answering("retried"))

    assert (result.counts.completed, result.counts.failed) == (_COUNT - 1, 1)
    assert (failure.item_id, failure.error_code) == ("i1", "replacement_refused")
    assert (await _texts(library))["i1"] == "retried topic 1"


async def test_a_review_meanwhile_is_kept(library, path):
    """A review that was added after the backup does not stop the replacement, and comes back with an undo."""
    old = await _ids(library)

    async def review():
        late = f"{_REVIEWS}, note) SELECT key, owner, created_at, 'late' FROM conversations WHERE id = ?"
        await _sql(path, late, old["i1"])

    backup_id, _, result = await _make_again(library, processor=_meanwhile(library, review))
    await library.regenerations.undo(backup_id)

    assert result.counts.completed == _COUNT
    assert await _sql(path, "SELECT note FROM conversation_reviews") == [("late",)]


async def test_two_regenerations_at_once(library, path):
    """Of two that make the same conversations again at once, the first to finish an item replaces its conversation."""
    first, second = await asyncio.gather(
        library.regenerations.plan(ALL, "scripted"), library.regenerations.plan(ALL, "scripted")
    )
    started = [await library.regenerations.start(first)]
    with pytest.raises(PlanOutdated):
        await library.regenerations.start(second)
    with pytest.raises(CannotRegenerate, match="being made again already"):
        await _start(library)
    await _sql(path, "UPDATE jobs SET state = 'cancelled' WHERE id = 'job-again-1'")  # so that a second one is created
    started.append(await _start(library))
    await _sql(path, "UPDATE jobs SET state = 'pending' WHERE id = 'job-again-1'")

    results = await asyncio.gather(
        *(library.batches.resume(each.job_ids[0], _answering("new"), concurrency=2) for each in started)
    )

    assert [each.job_ids for each in started] == [["job-again-1"], ["job-again-2"]]
    assert sum(result.counts.completed for result in results) == _COUNT
    assert sum(result.counts.failed for result in results) == _COUNT
    assert set(await _texts(library)) == {f"i{n}" for n in range(_COUNT)}


async def test_a_discarded_source_job_is_not_replaced(library):
    """If the job that made the conversations is discarded meanwhile, they stay, even if a new job has its name."""
    old = await _ids(library)
    started = await _start(library)
    await library.batches.discard("job")
    await library.batches.create("job", _items(), "scripted")

    result = await library.batches.resume(started.job_ids[0], _answering("new"))

    assert result.counts.failed == _COUNT
    assert await _ids(library) == old
    await library.batches.discard("job")


async def test_a_stale_worker_replaces_nothing(library):
    """A worker whose lease was reclaimed cannot replace a conversation."""
    old = await _ids(library)
    (job_id,) = (await _start(library)).job_ids
    work = library._store.batches.work
    slow = (await work.acquire_lease("local", job_id, card("slow"), after_lease_loss=False)).lease
    claimed = (await work.commit(slow, [], Claim(free_slots=2))).claimed
    (row,) = await work.workers("local", job_id)
    assert await work.reclaim("local", row, crash_limit=3)

    with pytest.raises(LeaseLost):
        await work.commit(slow, list(map(completed, claimed)), Claim())

    assert await _ids(library) == old
    await library.batches.cancel(job_id)


_KEEPING = (
    "CREATE TRIGGER keeping BEFORE DELETE ON conversations WHEN OLD.item_id = 'i1' BEGIN SELECT RAISE(IGNORE); END"
)
_KEEPING_ON_A_SERVER = """
    CREATE FUNCTION keeping() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.item_id = 'i1' THEN RETURN NULL; END IF;
        RETURN OLD;
    END $$;
    CREATE TRIGGER keeping BEFORE DELETE ON conversations FOR EACH ROW EXECUTE FUNCTION keeping()"""


@pytest.mark.own_tables("it creates a trigger on a built-in table")
async def test_what_a_trigger_keeps_is_not_replaced(library, path):
    """A conversation that a trigger keeps stays its item's result, and only that item fails."""
    old = await _ids(library)
    await _sql(path, _KEEPING_ON_A_SERVER if is_server(path) else _KEEPING)

    _, _, result = await _make_again(library)

    assert (result.counts.completed, result.counts.failed) == (_COUNT - 1, 1)
    assert (await _ids(library))["i1"] == old["i1"]


# -- the backup


def _file_of(path, backup_id, tmp_path):
    folder = tmp_path / "safe" if is_server(path) else Path(path).with_name(f"{Path(path).stem}.backups")
    (file,) = folder.glob(f"*/{backup_id}.json.zst")
    return file


async def test_a_lost_file_is_replaced_by_a_new_backup(library, path, tmp_path):
    """If the file of the backup is removed during the run, nothing is replaced until a new one holds what is left."""
    old = await _ids(library)
    started = await _start(library)

    async def remove():
        _file_of(path, started.backup_id, tmp_path).unlink()

    result = await library.batches.resume(started.job_ids[0], _meanwhile(library, remove, item_id="i3"), concurrency=1)

    backups = {backup.id: backup for backup in await library.backups.list()}
    (renewed,) = set(backups) - {started.backup_id}
    assert result.counts.completed == _COUNT
    assert backups[renewed].conversations == 3
    replaced = {(await library.regenerations.history(new)).made_again_from for new in (await _ids(library)).values()}
    held = {each.old_id: each.backup_id for each in replaced}
    assert {held[old[item_id]] for item_id in ("i0", "i1", "i2")} == {started.backup_id}
    assert {held[old[item_id]] for item_id in ("i3", "i4", "i5")} == {renewed}
    undone = await library.regenerations.undo(renewed)
    assert undone.restored == 3


async def test_without_the_check_the_old_ones_would_be_lost(library, path, tmp_path, monkeypatch):
    """The control: if the file were not looked for, conversations would be replaced that no backup holds."""
    monkeypatch.setattr(replacements._Replacer, "_check_backup", lambda _: None)
    started = await _start(library)

    async def remove():
        _file_of(path, started.backup_id, tmp_path).unlink()

    await library.batches.resume(started.job_ids[0], _meanwhile(library, remove, item_id="i0"), concurrency=1)

    with pytest.raises(BackupError):
        await library.regenerations.undo(started.backup_id)


async def test_an_expired_backup_is_made_anew(library, path):
    """A job that has waited until its backup was removed begins with a new one; each replacement prolongs it."""
    started = await _start(library)
    await _sql(path, "UPDATE backups SET expires_at = created_at + 1")
    await library.backups.cleanup(at_once=True)
    before = datetime.now(UTC)

    result = await library.batches.resume(started.job_ids[0], _answering("new"))

    (renewed,) = [backup for backup in await library.backups.list() if backup.state == "verified"]
    assert result.counts.completed == _COUNT
    assert renewed.conversations == _COUNT
    assert renewed.expires_at >= before + timedelta(days=6)
    await library.regenerations.undo(renewed.id)


async def test_a_replacement_prolongs_its_backup(library, path):
    """The retention of the backup begins anew with each replacement, as it does at the end of a delete."""
    started = await _start(library)
    await _sql(path, "UPDATE backups SET expires_at = expires_at - 86400000000")
    before = (await library.backups.show(started.backup_id)).expires_at

    await library.batches.resume(started.job_ids[0], _answering("new"))

    assert (await library.backups.show(started.backup_id)).expires_at >= before + timedelta(days=1)


async def test_an_edit_is_found_by_a_new_backup_too(library, path):
    """A conversation that was edited before the backup was made anew stays: it is not what was to be replaced."""
    old = await _ids(library)
    started = await _start(library)
    await _edit(path, old["i1"])
    await _sql(path, "UPDATE backups SET expires_at = created_at + 1")
    await library.backups.cleanup(at_once=True)

    result = await library.batches.resume(started.job_ids[0], _answering("new"))

    assert (result.counts.completed, result.counts.failed) == (_COUNT - 1, 1)
    assert (await _texts(library))["i1"] == "edited"


async def test_without_a_possible_backup_the_run_ends(library, path, tmp_path, monkeypatch):
    """If no new backup can be made, the run ends with that error, and the job can be resumed."""
    started = await _start(library)
    _file_of(path, started.backup_id, tmp_path).unlink()
    folder = library._folders

    async def broken(*_, **__):
        raise BackupError("the disk is full")

    monkeypatch.setattr(folder, "prepare", broken)
    with pytest.raises(BackupError):
        await library.batches.resume(started.job_ids[0], _answering("new"))
    monkeypatch.undo()
    result = await library.batches.resume(started.job_ids[0], _answering("new"))

    assert result.counts.completed == _COUNT


# -- the plan


async def test_a_plan_names_what_cannot_be_made_again(library, path):
    """A plan counts and names the conversations that cannot be made again, and nothing is done."""

    async def answer(item):
        return await _answering("x")(item)

    await library.batches.run("cleaned", [{"id": "c", "topic": "c"}], answer)
    await _sql(path, "UPDATE input_blocks SET owner = 'gone'")  # earlier versions kept no inputs of completed jobs
    await library.batches.run("gone", [{"id": "g", "topic": "g"}, {"id": "h", "topic": "h"}], answer)
    await library.batches.discard("gone")
    await library.batches.run("bare", [{"id": "b", "topic": "b"}, {"id": _FAILING, "topic": "x"}], answer)
    ids = await _ids(library)
    await _sql(path, "UPDATE items SET conversation_id = 'other' WHERE id = 'i5'")
    await _sql(path, "UPDATE conversations SET item_id = NULL WHERE id = ?", ids["i4"])
    before = await _sql(path, "SELECT count(*) FROM backups")

    own = await library.regenerations.plan(ALL)
    plan = await library.regenerations.plan(ALL, Recipe(model="ollama:x", prompt="{{ audience }}"))
    with pytest.raises(CannotRegenerate) as caught:
        await library.regenerations.start(plan)

    reasons = {refusal.reason.value: refusal.count for refusal in plan.refusals}
    assert reasons == {"no_job": 1, "job_discarded": 2, "not_its_result": 1, "input_gone": 1, "recipe": 1}
    assert {refusal.reason.value: refusal.count for refusal in own.refusals}["processor"] == 5
    assert "6 of 10 selected conversations" in caught.value.message
    assert f"1 made by no job ({ids['i4']!r})" in caught.value.message
    assert await _sql(path, "SELECT count(*) FROM backups") == before
    await _sql(path, "UPDATE items SET conversation_id = ? WHERE id = 'i5'", ids["i5"])
    await _sql(path, "UPDATE conversations SET item_id = 'i4' WHERE id = ?", ids["i4"])


async def test_a_plan_estimates_calls_and_tokens(library):
    """A plan names for each job the model, the number of conversations and an estimate of tokens."""
    plan = await library.regenerations.plan(ALL, Recipe(model="ollama:x"))
    other = await library.regenerations.plan(ALL, model="scripted")

    (job,) = plan.jobs
    assert (job.source.id, job.processor, job.conversations) == ("job", "ollama:x", _COUNT)
    assert plan.tokens.tokens_in > _COUNT
    assert plan.tokens.tokens_out > _COUNT
    assert (other.jobs[0].processor, other.jobs[0].recipe) == ("scripted", None)


async def test_an_unusable_processor_is_refused_at_once(library):
    """What cannot make conversations is refused before anything is planned."""
    with pytest.raises(ProcessorNotFound):
        await library.regenerations.plan(ALL, "nowhere:nothing")


async def test_an_outdated_plan_is_refused(library, path):
    """A plan whose conversations have changed creates no job."""
    plan = await library.regenerations.plan(ALL, "scripted")
    await library.conversations.delete(Selection(ids=((await _ids(library))["i1"],)))

    with pytest.raises(PlanOutdated):
        await library.regenerations.start(plan)

    assert await _sql(path, "SELECT count(*) FROM jobs") == [(1,)]
    assert await _sql(path, "SELECT count(*) FROM replacements") == [(0,)]


async def test_one_job_for_each_source(library):
    """Conversations of two jobs are made again by two jobs, which share one backup."""
    await library.batches.run("other", _items(2), _answering("old"))

    started = await _start(library)
    results = [await library.batches.resume(job_id, _answering("new")) for job_id in started.job_ids]
    undone = await library.regenerations.undo(started.backup_id)

    assert list(started.job_ids) == ["job-again-1", "other-again-1"]
    assert [result.counts.completed for result in results] == [_COUNT, 2]
    assert undone.restored == _COUNT + 2


async def test_such_a_job_takes_no_items_of_its_own(library):
    """A job that makes conversations again accepts no other items, and its name is taken."""
    (job_id,) = (await _start(library)).job_ids

    for accepts in (False, True):
        with pytest.raises((JobDiffers, ItemsDiffer)):
            await library.batches.run(job_id, _items(), "scripted", accept_new_items=accepts)
    with pytest.raises(JobDiffers):
        await library.batches.resume(job_id, accept_new_items=_items())


async def test_a_discard_forgets_only_what_is_planned(library, path):
    """A discarded job replaces nothing more; what it has replaced is remembered."""
    _, job_id, _ = await _make_again(library, limit=2)

    await library.batches.discard(job_id)

    assert await _sql(path, "SELECT count(*), count(new_id) FROM replacements") == [(2, 2)]
    assert await _sql(path, "SELECT count(*) FROM regenerations") == [(0,)]
    assert (await _start(library)).job_ids == ["job-again-1"]


async def test_other_owners_are_not_concerned(library, path):
    """Another owner can neither make these conversations again nor undo it, nor see what replaced what."""
    backup_id, _, _ = await _make_again(library)
    other = library.for_owner("other").regenerations

    with pytest.raises(EmptySelection):
        await other.plan(ALL, "scripted")
    with pytest.raises(EmptySelection):
        await other.undo(backup_id)
    assert (await other.history((await _ids(library))["i1"])).made_again_from is None
