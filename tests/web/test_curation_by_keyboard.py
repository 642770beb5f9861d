"""The whole loop in a real browser by keyboard: read, judge, correct, make again, export, without a mouse."""

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from statistics import median

import pytest

from support.browser import axe
from support.browser.pages import page_of
from support.fakes.provider import ProviderServer
from support.servers.api import served

pytestmark = pytest.mark.asyncio(loop_scope="session")

_COUNT = 50
_MAX_KEYS = 90
_REJECTED = (1, 4, 9, 13, 17, 22, 28, 33, 41, 49)
_CORRECTED = (2, 20, 37)


@pytest.fixture(scope="module")
def provider():
    with ProviderServer() as running:
        yield running


@pytest.fixture(scope="module")
def library(provider, tmp_path_factory):
    """A server with fifty conversations that a model of a recipe has made."""
    folder = tmp_path_factory.mktemp("loop")
    recipe = f'model = "first"\nbase_url = "{provider.base_url}"\nturns = 2\n'
    (folder / "first.toml").write_text(recipe)
    settings = 'poll_seconds = 0.05\nrecipes = { first = "first.toml" }\n'
    with served(folder, settings) as running:
        items = [{"id": f"i{number:02}", "topic": f"Topic {number:02}"} for number in range(_COUNT)]
        body = {"jobId": "loop", "items": items, "recipe": "first"}
        running.client.post("/api/batches", json=body).raise_for_status()
        running.wait_for(lambda: running.client.get("/api/batches/loop").json()["state"] == "completed")
        yield running


class Keyboard:
    """The keys of a page, counted; typed text is not."""

    def __init__(self, page):
        self._page = page
        self.presses = []
        self.seconds = []

    async def press(self, key):
        await self._page.wait_for_load_state()
        self.presses.append(key)
        await self._page.keyboard.press(key)

    async def type(self, text):
        await self._page.keyboard.type(text)

    async def read(self, key, topic):
        """Press a key, and wait until the conversation about a topic can be read, with its answer."""
        await self._page.wait_for_load_state()
        started = time.perf_counter()
        await self.press(key)
        await self._page.get_by_role("heading", name=topic, exact=True).wait_for()
        await self._page.locator(".turn-assistant .text").first.wait_for()
        self.seconds.append(time.perf_counter() - started)


def _ask(server, statement):
    with closing(sqlite3.connect(server.log.parent / ".backstay" / "backstay.db")) as database:
        return database.execute(statement).fetchall()


async def test_fifty_conversations_are_curated_by_keyboard(browser, library, provider):
    """Fifty conversations are read, ten rejected and made again by another model, three corrected, and all exported."""
    async with page_of(browser, library) as (page, seen):
        keys, faults = Keyboard(page), []
        order = [f"Topic {number:02}" for number in range(_COUNT)]
        topics = [row[0] for row in _ask(library, "SELECT topic FROM conversations ORDER BY rowid")]
        assert sorted(topics) == order
        await page.goto("/conversations?job=loop&sort=oldest")
        faults += await axe.violations(page)

        await keys.read("o", topics[0])
        for number, topic in enumerate(topics):
            await page.get_by_text(f"{number + 1} of {_COUNT}", exact=True).wait_for()
            if number == 0:
                faults += await axe.violations(page)
            following = topics[number + 1] if number + 1 < _COUNT else topic
            if number in _CORRECTED:
                await keys.press("e")
                await page.get_by_role("heading", name="Edit the conversation").wait_for()
                await page.wait_for_function("() => document.activeElement?.name === 'text'")
                faults += await axe.violations(page)
                await keys.press("Control+a")
                await keys.type(f"A better answer about {topic}.")
                await keys.press("Control+Enter")
                await page.get_by_role("status").get_by_text("Conversation saved").wait_for()
                await page.get_by_text(f"A better answer about {topic}.", exact=True).wait_for()
            if number in _REJECTED:
                await keys.press("x")
                await page.get_by_role("button", name="Select", pressed=True).wait_for()
                await keys.read("n", following)
                await page.get_by_role("status").get_by_text(f"{topic}: rejected.").wait_for()
            elif number + 1 < _COUNT:
                await keys.read("j", following)
        await page.get_by_text("End of the list").wait_for()
        statuses = _ask(library, "SELECT status, count(*) FROM conversation_reviews GROUP BY status")
        faults += await axe.violations(page)

        await keys.press("l")
        await page.get_by_text("10 conversations selected").wait_for()
        await keys.press("m")
        await page.get_by_role("heading", name="Make 10 conversations again?").wait_for()
        faults += await axe.violations(page)
        await keys.press("m")
        await keys.type("second")
        await keys.press("Enter")
        await page.get_by_text("10 calls or more of").wait_for()
        await page.wait_for_function("() => document.querySelector('#model').value === 'second'")
        await keys.press("Control+Enter")
        await page.wait_for_url("**/batches/one?id=loop-again-1")
        await asyncio.to_thread(
            library.wait_for,
            lambda: library.client.get("/api/batches/loop-again-1").json()["state"] == "completed",
        )
        faults += await axe.violations(page)

        while await page.evaluate("document.activeElement.textContent") != "Conversations":
            await keys.press("Tab")
        await keys.press("Enter")
        await page.get_by_text("No conversations selected").wait_for()
        async with page.expect_download() as downloading:
            await keys.press("s")
        rows = [json.loads(line) for line in (await (await downloading.value).path()).read_text().splitlines()]
        everything = seen.everything

    # The keys of the loop, and the seconds from a key to the next conversation: see the guide on curating.
    milliseconds = sorted(round(1000 * each) for each in keys.seconds)
    print(
        f"\n{len(keys.presses)} keys; next conversation: median {median(milliseconds)} ms, most {milliseconds[-1]} ms"
    )
    assert len(keys.presses) <= _MAX_KEYS, keys.presses
    assert faults == []
    assert everything == []
    assert statuses == [("rejected", len(_REJECTED))]
    _check_library(library, provider, topics)
    _check_export(rows, topics)


def _check_library(library, provider, topics):
    """Check what is stored: ten made again and unreviewed, three corrected, and one conversation for each item."""
    assert _ask(library, "SELECT count(*) FROM conversations") == [(_COUNT,)]
    assert _ask(library, "SELECT count(DISTINCT item_id) FROM conversations WHERE job_id = 'loop'") == [(_COUNT,)]
    assert _ask(library, "SELECT count(*) FROM conversation_versions") == [(len(_CORRECTED),)]
    assert _ask(library, "SELECT count(*) FROM conversation_reviews WHERE status = 'rejected'") == [(0,)]
    again = {call.topic for call in provider.calls if call.body["model"] == "second"}
    assert again == {topics[number] for number in _REJECTED}
    replaced = "SELECT count(*), count(DISTINCT new_id) FROM replacements JOIN conversations ON id = new_id"
    assert _ask(library, replaced) == [(len(_REJECTED), len(_REJECTED))]
    backups = library.client.get("/api/backups").json()["backups"]
    assert [backup["conversationCount"] for backup in backups] == [len(_REJECTED)]


def _check_export(rows, topics):
    """Check the exported rows: one for each item, with the corrected answers."""
    texts = [row["messages"][-1]["content"] for row in rows]
    assert len(texts) == _COUNT
    assert {text for text in texts if text.startswith("A better")} == {
        f"A better answer about {topics[number]}." for number in _CORRECTED
    }
