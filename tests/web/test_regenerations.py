"""The pages that make conversations again."""

import re

import pytest

from backstay import Conversation, Fail, Turn
from support.harness.async_waiting import until
from support.servers.api import KINDS, cookied, library, serving


async def _old(item):
    return Fail("no") if item.id == "i2" else Conversation([Turn("user", item.topic), Turn("assistant", "<b>old</b>")])


@pytest.fixture
async def local(tmp_path):
    """An application with pages, with two conversations of a job whose inputs are stored."""
    with library(KINDS[0], tmp_path) as settings:
        async with serving(settings, local=True) as running:
            services = running.state.backstay.for_owner("local")
            items = [{"id": f"i{number}", "topic": f"topic {number}"} for number in range(3)]
            await services.batches.run("job", items, _old)
            yield running


@pytest.fixture
async def browser(local):
    async with cookied(local, Accept="text/html,application/xhtml+xml,*/*;q=0.8") as client:
        yield client


async def _ids(local):
    summaries = await local.state.backstay.for_owner("local").conversations.list()
    return {summary.item_id: summary.id for summary in summaries}


def _fields(page, action):
    """Return the hidden fields of the form with this action."""
    (form,) = re.findall(rf'<form method="post" action="{action}"[^>]*>(.*?)</form>', page, re.DOTALL)
    return dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form))


async def test_selected_conversations_are_made_again(local, browser):
    """The plan names job, calls and model; the start leads to the job's page, which offers to put the old ones back."""
    old = await _ids(local)

    plan = await browser.post(
        "/conversations/regenerate-plan", data={"id": list(old.values()), "writer": "processor:scripted"}
    )
    started = await browser.post("/conversations/regenerate", data=_fields(plan.text, "/conversations/regenerate"))
    services = local.state.backstay.for_owner("local")

    async def is_done():
        return (await services.batches.checkpoint("job-again-1")).state == "completed"

    await until(is_done)
    new = await _ids(local)
    job = await browser.get(started.headers["location"])
    shown = await browser.get("/conversations/one", params={"id": new["i1"]})
    undone = await browser.post(
        "/conversations/regenerate-undo", data=_fields(job.text, "/conversations/regenerate-undo")
    )

    assert "Make 2 conversations again?" in plan.text
    assert "2 calls or more of <code>scripted</code>" in plan.text
    assert started.headers["location"] == "/batches/one?id=job-again-1"
    assert set(new.values()).isdisjoint(old.values())
    assert old["i1"] in shown.text
    assert undone.headers["location"] == "/conversations?putBack=yes"
    assert await _ids(local) == old


async def test_a_plan_that_is_not_possible_says_why(local, browser):
    """A function that is not here refuses each conversation, and a wrong model is reported."""
    ids = list((await _ids(local)).values())

    own = await browser.post("/conversations/regenerate-plan", data={"id": ids})
    wrong = await browser.post("/conversations/regenerate-plan", data={"id": ids, "model": "nothing"})

    assert "2 made by a function that is not here" in own.text
    assert ids[0] in own.text
    assert 'class="problem"' in wrong.text
    assert "Back up and make again" not in own.text + wrong.text


async def test_the_list_and_a_conversation_offer_it(local, browser):
    """The list and the page of a conversation have a button that leads to the plan."""
    ids = list((await _ids(local)).values())

    for page in ("/conversations", f"/conversations/one?id={ids[0]}"):
        assert 'formaction="/conversations/regenerate-plan"' in (await browser.get(page)).text
