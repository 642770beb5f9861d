"""A revised recipe is followed for what is left, and a run that began before it calls nothing more."""

import asyncio

import pytest

from backstay import Backstay, ItemCounts
from backstay.errors import RecipeRevised
from support.fakes.provider import Hang, Said, Status
from support.faults.batch_invariants import violations
from support.harness.async_waiting import until

pytestmark = pytest.mark.promise("B1", "B2", "B4", "B5", "B7")

_TOPICS = [{"id": f"i{n}", "topic": f"topic {n}"} for n in range(6)]


def _models(provider):
    return [call.body["model"] for call in provider.calls]


@pytest.fixture
def other(recipe):
    return recipe.model_copy(update={"model": recipe.model.replace("writer", "other")})


async def test_what_is_left_follows_the_revision(provider, recipe, other, path):
    """Completed items keep their conversations, and all others, also failed ones, get theirs from the new model."""
    provider.behaviour = lambda call: Status(400) if call.number == 3 else Said()
    async with Backstay.open(path) as backstay:
        await backstay.batches.run("job", _TOPICS, recipe, limit=3, concurrency=1)

        result = await backstay.batches.revise_recipe("job", other, retry_failed=True)
        resumed = await backstay.batches.resume("job")
        origins = [stored.metadata["generation"] async for stored in backstay.conversations.export()]

    assert [(origin["recipe_revision"], origin["model"].split(":")[-1]) for origin in origins] == (
        [(1, "writer")] * 2 + [(2, "other")] * 4
    )
    assert (result.plan.items, result.plan.failed, result.plan.calls) == (3, 1, 4)
    assert resumed.counts == ItemCounts(completed=6)
    assert _models(provider) == ["writer"] * 3 + ["other"] * 4
    assert sorted(topic for topic, _ in provider.answered) == sorted(item["topic"] for item in _TOPICS)
    assert violations(path, planned=6) == []


@pytest.mark.parametrize("is_fenced", [True, False])
async def test_a_run_that_lost_its_lease_before_a_revision_calls_nothing_more(
    provider, recipe, other, path, monkeypatch, is_fenced
):
    """A run that lost its lease and finds the recipe revised ends; without the fence it calls the former model."""
    provider.behaviour = lambda call: Hang() if call.number <= 2 else Said()
    revised = asyncio.Event()
    async with Backstay.open(path) as backstay:
        work = backstay._store.batches.work
        acquire_lease = work.acquire_lease

        async def acquire_after_the_revision(*arguments, after_lease_loss, revision):
            if after_lease_loss:
                await revised.wait()
            fenced = {"revision": revision} if is_fenced else {}
            return await acquire_lease(*arguments, after_lease_loss=after_lease_loss, **fenced)

        monkeypatch.setattr(work, "acquire_lease", acquire_after_the_revision)
        run = asyncio.create_task(backstay.batches.run("job", _TOPICS, recipe, concurrency=2))
        await until(lambda: len(provider.calls) == 2)
        (row,) = await work.workers("local", "job")
        assert await work.reclaim("local", row, crash_limit=3)
        await backstay.batches.revise_recipe("job", other)
        revised.set()

        if is_fenced:
            with pytest.raises(RecipeRevised, match="this run follows revision 1, and the job has revision 2"):
                await run
            assert provider.answered == []
            await backstay.batches.resume("job")
            assert _models(provider) == ["writer"] * 2 + ["other"] * 6
        else:
            await run
            assert _models(provider) == ["writer"] * 8
    assert violations(path, planned=6) == []
