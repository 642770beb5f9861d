"""Concurrent jobs with two models of one account: errors of one model do not count against items of the other."""

import asyncio

import pytest

from backstay import Backstay, BatchResult, ItemCounts, JobState, Recipe
from support.fakes.provider import KEY, Call, ProviderServer, Reply, Said, Status

pytestmark = pytest.mark.promise("B5", "B6")

_FORBIDDEN = Status(403, {"error": {"message": "You don't have access to this."}})


@pytest.fixture(autouse=True)
def _quick(monkeypatch, quick_waits):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def _items(count: int) -> list[dict[str, str]]:
    return [{"id": f"{number}", "topic": f"t{number}"} for number in range(count)]


async def _run_beside(backstay: Backstay, provider: ProviderServer) -> BatchResult:
    """Run a job with the model `bad` while a job with the model `good` runs, and return its result."""

    async def run(model: str, count: int) -> BatchResult:
        recipe = Recipe(model=model, base_url=provider.base_url, turns=2)
        return await backstay.batches.run(model, _items(count), recipe, concurrency=4)

    good = asyncio.create_task(run("good", 2_000))
    result = await run("bad", 12)
    assert not good.done()
    await backstay.batches.cancel("good")
    await good
    return result


async def test_a_model_that_is_refused_beside_another_pauses_its_job(provider, path):
    """A rejected model pauses its job although another model of the account succeeds, and no item fails."""
    provider.behaviour = lambda call: _FORBIDDEN if call.body["model"] == "bad" else Said()
    async with Backstay.open(path) as backstay:
        result = await _run_beside(backstay, provider)

    assert (result.state, result.counts) == (JobState.PAUSED, ItemCounts(pending=12))
    assert result.pause.code == "forbidden"


async def test_a_model_that_is_down_beside_another_is_waited_for(provider, path):
    """A model that is down costs its items no try while another model of the account answers."""
    errors_left = 60

    def down_at_first(call: Call) -> Reply:
        nonlocal errors_left
        if call.body["model"] == "good" or not errors_left:
            return Said()
        errors_left -= 1
        return Status(503)

    provider.behaviour = down_at_first
    async with Backstay.open(path) as backstay:
        result = await _run_beside(backstay, provider)

    assert result.counts == ItemCounts(completed=12)


async def test_patience_with_a_model_ends_while_another_answers(provider, path):
    """A job whose model is down pauses in the end, even if another model of the account answers."""
    provider.behaviour = lambda call: Status(503) if call.body["model"] == "bad" else Said(seconds=0.01)
    async with Backstay.open(path, patience_seconds=1.0) as backstay:
        result = await _run_beside(backstay, provider)

    assert (result.state, result.counts) == (JobState.PAUSED, ItemCounts(pending=12))
    assert result.pause.code == "provider_unavailable"


async def test_items_of_a_later_job_are_not_suspected_for_their_ids(provider, path):
    """A later job with the same item ids is not affected by errors before the account was fixed."""
    recipes = [Recipe(model="m", base_url=provider.base_url, turns=2, prompt=f"{n} {{{{topic}}}}") for n in range(2)]
    async with Backstay.open(path) as backstay:
        provider.behaviour = lambda _: _FORBIDDEN
        await backstay.batches.run("before", _items(12), recipes[0], concurrency=4)
        provider.behaviour = lambda _: Said()
        mended = await backstay.batches.resume("before", concurrency=4)
        provider.behaviour = lambda _: _FORBIDDEN
        result = await backstay.batches.run("after", _items(12), recipes[1], concurrency=4)

    assert mended.counts == ItemCounts(completed=12)
    assert (result.state, result.counts) == (JobState.PAUSED, ItemCounts(pending=12))
