"""Plans of revisions, what is refused, and what a run with the original recipe or input meets afterwards."""

import re

import pytest

from backstay import Recipe
from backstay.batch.item_edit import ItemEdit
from backstay.batch.liveness import LivenessLock
from backstay.batch.progress import TokenCounts
from backstay.errors import (
    InvalidRow,
    InvalidTransition,
    ItemNotFound,
    ItemsDiffer,
    JobDiffers,
    JobHasWorkers,
    PlanOutdated,
    RecipeError,
    SettingsError,
)
from backstay.generate.prompt_preview import preview
from backstay.remedy import Remedy
from support.data.conversations import items

_FIRST = Recipe(model="ollama:tiny", turns=2, temperature=0.7)
_SECOND = Recipe(model="ollama:large", turns=4, prompt="Write about {{ topic }}.")
_NEEDY = Recipe(model="ollama:tiny", prompt="Write about {{ topic }}, for {{ audience }}.")


@pytest.fixture
async def batches(backstay):
    await backstay.batches.create("batch", items(5), _FIRST)
    return backstay.batches


async def test_a_plan_shows_everything_and_changes_nothing(batches, tmp_path):
    """A plan has each field that differs, the items, and the estimates of a dry run; the job stays unchanged."""
    await batches.skip("batch", ["item-2"])
    before = await batches.checkpoint("batch")
    topics = tmp_path / "topics.csv"
    topics.write_text("topic\n" + "".join(f"topic {n}\n" for n in (1, 3, 4, 5)))
    expected = await preview(_SECOND, str(topics), 1)

    plan = await batches.plan_revision("batch", _SECOND)

    assert [line.partition(":")[0] for line in plan.differences] == ["model", "prompt", "turns", "temperature"]
    assert plan.differences[3] == "temperature: 0.7, now none"
    assert (plan.revision, plan.items, plan.failed, plan.calls, plan.has_workers) == (2, 4, 0, 4, False)
    assert plan.tokens == TokenCounts(expected.tokens_in, expected.tokens_out)
    assert await batches.checkpoint("batch") == before
    assert len(await batches.revisions("batch")) == 1


async def test_an_item_that_cannot_be_rendered_is_named(batches):
    """A recipe that needs a column which an item lacks is refused with that item and its line."""
    for change in (batches.plan_revision, batches.revise_recipe):
        with pytest.raises(RecipeError, match=re.escape("item 'item-1' (line 1 of the input)")) as caught:
            await change("batch", _NEEDY)
        assert "audience" in caught.value.message

    assert (await batches.checkpoint("batch")).recipe == _FIRST.frozen()


async def test_only_what_the_revision_applies_to_is_rendered(batches):
    """Items that are skipped need not have the columns of the new recipe, and those that remain may get them."""
    for number in range(2, 6):
        await batches.skip("batch", [f"item-{number}"])
    await batches.edit_item("batch", "item-1", ItemEdit(set_parameters={"audience": "children"}))

    result = await batches.revise_recipe("batch", _NEEDY)

    assert (result.is_new, result.job.revision, result.plan.items) == (True, 2, 1)


async def test_the_same_recipe_makes_no_revision(batches):
    """A recipe that does not differ changes nothing."""
    result = await batches.revise_recipe("batch", Recipe(model="ollama:tiny", turns=2, temperature=0.7))

    assert (result.is_new, result.plan.differences, result.plan.revision) == (False, [], 1)
    assert len(await batches.revisions("batch")) == 1


async def test_a_plan_that_was_shown_is_what_is_carried_out(batches):
    """A revision with the digest of a plan is refused once the job has changed, and stored while it has not."""
    plan = await batches.plan_revision("batch", _SECOND)
    await batches.skip("batch", ["item-2"])

    with pytest.raises(PlanOutdated):
        await batches.revise_recipe("batch", _SECOND, plan_digest=plan.digest)

    again = await batches.plan_revision("batch", _SECOND)
    assert (await batches.revise_recipe("batch", _SECOND, plan_digest=again.digest)).job.revision == 2


async def test_a_job_without_a_recipe_has_none_to_revise(backstay):
    """The recipe of a job with another processor cannot be revised."""
    await backstay.batches.create("named", items(1), "scripted")

    with pytest.raises(SettingsError, match="Job 'named' has no recipe to revise: its conversations come from 'script"):
        await backstay.batches.revise_recipe("named", _SECOND)


@pytest.mark.parametrize("is_alive", [True, False])
async def test_a_live_worker_prevents_a_revision(backstay, batches, is_alive):
    """A revision is refused while a worker is alive; one that is dead loses its lease first."""
    life = LivenessLock.open(backstay._store.locks_folder)
    await backstay._store.batches.work.acquire_lease("local", "batch", life.identity, after_lease_loss=False)
    if not is_alive:
        life.close(remove=False)

    if is_alive:
        with pytest.raises(JobHasWorkers) as caught:
            await batches.revise_recipe("batch", _SECOND)
        assert caught.value.remedy is Remedy.PAUSE_JOB
        life.close(remove=True)
    else:
        assert (await batches.revise_recipe("batch", _SECOND)).job.workers == 0
    assert len(await batches.revisions("batch")) == (1 if is_alive else 2)


async def test_a_run_never_goes_back_to_an_earlier_revision(batches):
    """A run with the original recipe is refused with both numbers and the time; going back is a revision, too."""
    await batches.revise_recipe("batch", _SECOND)

    with pytest.raises(JobDiffers) as caught:
        await batches.create("batch", items(5), _FIRST)
    with pytest.raises(
        JobDiffers, match="and this one is not among its revisions: model: ollama:large, now ollama:other"
    ):
        await batches.create("batch", items(5), Recipe(model="ollama:other", turns=2))
    assert (await batches.create("batch", items(5), _SECOND)).revision == 2
    back = await batches.revise_recipe("batch", _FIRST)

    assert re.match(
        r"Job 'batch' exists with revision 2 of its recipe, since \d{4}-\d\d-\d\d \d\d:\d\dZ, and this is revision 1: "
        "model: ollama:large, now ollama:tiny; ",
        caught.value.message,
    )
    assert (caught.value.remedy, caught.value.context["revision"]) == (Remedy.USE_STORED_RECIPE, 2)
    revisions = await batches.revisions("batch")
    assert back.job.revision == 3
    assert [each.fingerprint for each in revisions] == [_FIRST.fingerprint, _SECOND.fingerprint, _FIRST.fingerprint]


# -- edits of items --------------------------------------------------------------------------------------------------


async def test_the_same_input_neither_refuses_nor_undoes_an_edit(batches):
    """After an edit, the original input is the job's, and so is one with the edited content; a third is refused."""
    await batches.edit_item("batch", "item-3", ItemEdit(topic="other"))
    edited = [dict(item, topic="other") if item["id"] == "item-3" else item for item in items(5)]
    third = [dict(item, topic="third") if item["id"] == "item-3" else item for item in items(5)]

    for source in (items(5), edited):
        assert (await batches.create("batch", source, _FIRST)).counts.planned == 5
        assert (await batches.item("batch", "item-3")).topic == "other"
    with pytest.raises(ItemsDiffer, match=r"1 changed \(changed: item-3 in line 3\)"):
        await batches.create("batch", third, _FIRST)


async def test_an_edited_item_without_an_id_of_its_own_keeps_its_id(backstay):
    """An item whose id was made from its content keeps it, so that the original input is still the job's."""
    await backstay.batches.create("batch", [{"topic": "a"}, {"topic": "b"}], _FIRST)
    (first, _) = await backstay.batches.items_page("batch")

    edited = await backstay.batches.edit_item("batch", first.id, ItemEdit(topic="c"))

    assert edited.id == first.id
    assert (await backstay.batches.create("batch", [{"topic": "a"}, {"topic": "b"}], _FIRST)).counts.planned == 2


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (ItemEdit(topic=" "), InvalidRow, "The topic is empty"),
        (ItemEdit(topic="a\x00"), InvalidRow, "The topic has a NUL character"),
        (ItemEdit(persona="\ud800"), InvalidRow, "half of a surrogate pair"),
        (ItemEdit(set_parameters={"a": {1}}), InvalidRow, "A parameter cannot be stored as JSON"),
        (ItemEdit(unset_parameters=["none"]), InvalidRow, "The item has no parameter 'none'"),
        (ItemEdit(unset_parameters=["audience"]), RecipeError, "item 'item-1'"),
    ],
)
async def test_an_edit_that_cannot_be_used_is_refused(backstay, edit, error, message):
    """An edit that cannot be stored, or after which the recipe lacks a column, is refused and changes nothing."""
    await backstay.batches.create("batch", [{"id": "item-1", "topic": "a", "audience": "children"}], _NEEDY)
    before = await backstay.batches.item("batch", "item-1")

    with pytest.raises(error, match=message):
        await backstay.batches.edit_item("batch", "item-1", edit)

    assert await backstay.batches.item("batch", "item-1") == before


async def test_an_edit_of_content_that_has_changed_is_refused(batches):
    """The second of two who edit the same content is refused; so is an edit of an item that is settled or missing."""
    shown = await batches.item("batch", "item-1")
    await batches.edit_item("batch", "item-1", ItemEdit(topic="first"), digest=shown.digest)
    await batches.skip("batch", ["item-2"])

    with pytest.raises(PlanOutdated, match="Item 'item-1' of job 'batch', or the job's recipe, has changed meanwhile"):
        await batches.edit_item("batch", "item-1", ItemEdit(topic="second"), digest=shown.digest)
    with pytest.raises(InvalidTransition, match="Item 'item-2' of job 'batch' is skipped; only pending and failed"):
        await batches.edit_item("batch", "item-2", ItemEdit(topic="x"))
    with pytest.raises(ItemNotFound):
        await batches.edit_item("batch", "none", ItemEdit(topic="x"))

    assert (await batches.item("batch", "item-1")).topic == "first"


async def test_an_item_of_a_cleaned_job_has_its_input(backstay):
    """The item of a completed job is shown with the input that the job keeps compressed."""
    await backstay.batches.run("job", [{"id": "a", "topic": "sea", "persona": "cook", "level": 3}], "scripted")

    item = await backstay.batches.item("job", "a")

    assert (item.state, item.topic, item.persona, item.parameters) == ("completed", "sea", "cook", {"level": 3})
