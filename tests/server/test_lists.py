"""Lists of conversations over HTTP: filters, orders, pages in both directions, totals, and the pages of the browser."""

import json
import re
from contextlib import suppress

import pytest

from backstay.errors import SettingsError
from backstay.library.selection import Selection
from backstay.server.index_filler import IndexFiller
from support.servers.api import ANN, cookied, serving


def _row(number):
    """Return a conversation that grows with its number; every third has tools, and the first no topic."""
    messages = [{"role": ("user", "assistant")[turn % 2], "content": f"text {turn}"} for turn in range(2 * number)]
    row = {"id": f"c{number}", "messages": messages, "model": f"m{number % 2}", "persona": f"Person {number}"}
    tools = {"tools": [{"name": "look"}]} if number % 3 == 0 else {}
    return {**row, **tools, **({"topic": f"topic {number}"} if number > 1 else {})}


_ROWS = "".join(json.dumps(_row(number)) + "\n" for number in range(1, 8)).encode()


@pytest.fixture
async def listed(settings):
    """Serve a library with seven imported conversations."""
    async with serving(settings) as api:
        imported = await api.ann.post("/api/conversations/import", files={"file": ("in.jsonl", _ROWS)})
        assert imported.status_code == 201, imported.text
        yield api


async def _ids(api, **params):
    answer = await api.ann.get("/api/conversations", params=params)
    assert answer.status_code == 200, answer.text
    return [conversation["id"] for conversation in answer.json()["conversations"]]


async def test_each_condition_is_a_parameter_and_a_field(listed):
    """A list and a selection in a body take the same conditions and find the same."""
    conditions = [
        {"minTurns": 10},
        {"maxTurns": 4, "model": "m1"},
        {"minCharacters": 70, "maxCharacters": 80},
        {"hasTools": True},
        {"topicContains": "TOPIC 5"},
        {"personaContains": "son 3"},
        {"importId": "last", "search": "text 9"},
        {"importId": "last", "hasTools": False},
        {"createdAfter": "2100-01-01T00:00:00Z"},
    ]
    for condition in conditions:
        found = await _ids(listed, **{name: str(value) for name, value in condition.items()})
        plan = await listed.ann.post("/api/conversations/delete-plan", json={"selection": condition})

        expected = len(found) if plan.status_code == 200 else 0
        assert plan.status_code in (200, 422), plan.text
        assert (plan.json()["conversations"] if expected else 0) == expected, condition


async def test_a_list_is_walked_in_both_directions(listed):
    """A sorted list is read to its end and back by its cursors, with a total if one is requested."""
    first = (await listed.ann.get("/api/conversations?sort=longest&limit=3&total=true")).json()
    second = (await listed.ann.get(f"/api/conversations?sort=longest&limit=3&cursor={first['nextCursor']}")).json()
    back = await listed.ann.get(
        f"/api/conversations?sort=longest&limit=3&back=true&cursor={second['previousCursor']}&total=true"
    )
    other = await listed.ann.get(f"/api/conversations?cursor={first['nextCursor']}")

    assert first["total"] == {"count": 7, "isExact": True}
    assert [page["conversations"][0]["id"] for page in (first, second)] == ["c7", "c4"]
    assert second["total"] is None
    assert back.json() == first
    assert (other.status_code, other.json()["error"]["code"]) == (422, "settings_error")


async def test_the_server_indexes_in_the_background(listed):
    """What is not indexed yet is indexed by the server, one batch at a time, and no list changes."""
    before = await _ids(listed, minTurns="6", sort="fewest-turns")
    filler, index = IndexFiller(listed.state.backstay), listed.state.backstay.for_owner(ANN).index

    while await filler.fill_once():
        pass

    assert (await index.status()).unindexed == 0
    assert await _ids(listed, minTurns="6", sort="fewest-turns") == before


async def test_the_server_indexes_texts_and_purges_them_once_a_day(listed, monkeypatch):
    """A server indexes the texts of a text index, and removes what is left of deleted ones; the next day again."""
    filler, index = IndexFiller(listed.state.backstay), listed.state.backstay.for_owner(ANN).index
    with suppress(SettingsError):  # on a server without the extension
        await index.create_text_index()
    has_index = (await index.status()).texts is not None
    while await filler.fill_once():
        pass
    indexed = (await index.status()).texts

    left = []
    for conversation_id, day in (("c1", 0), ("c2", 0), ("c3", 1)):
        if day:
            monkeypatch.setattr("backstay.server.index_filler._PURGE_SECONDS", 0)
            filler = IndexFiller(listed.state.backstay)
        await listed.state.backstay.for_owner(ANN).conversations.delete(Selection(ids=(conversation_id,)))
        await filler.purge_texts()
        left.append(await index.has_removed_texts())

    assert indexed == (7 if has_index else None)
    assert left == [False, has_index, False]


async def test_first_words_stand_for_a_missing_topic(listed):
    """A conversation without a topic is listed by its first words."""
    page = (await listed.ann.get("/api/conversations?maxTurns=2")).json()

    assert [(each["topic"], each["opening"]) for each in page["conversations"]] == [(None, "text 0")]


async def test_the_page_shows_where_it_is(settings, monkeypatch):
    """The page of the list has a total, first words, models to choose, and links to the pages on either side."""
    monkeypatch.setattr("backstay.server.web.conversations._PAGE_SIZE", 3)
    async with serving(settings, local=True) as running, cookied(running) as browser:
        await browser.post("/conversations/import", files={"file": ("in.jsonl", _ROWS)})
        filler = IndexFiller(running.state.backstay)
        while await filler.fill_once():
            pass
        pages = [(await browser.get("/conversations?maxTurns=12&sort=longest&import=last")).text]
        for rel in ("next", "prev"):
            link = pages[-1].split(f'rel="{rel}" href="')[1].split('"')[0].replace("&amp;", "&")
            pages.append((await browser.get(link)).text)

    first, second, again = pages
    assert "1–3 of 6" in first
    assert '<option value="m0">m0</option>' in first
    assert 'rel="prev"' not in first
    assert "4–6 of 6" in second
    assert ">text 0</a>" in second
    assert 'rel="next"' not in second
    place = re.compile(r'name="place" value="([^"]*)"')
    assert "cursor=" in place.search(again)[1]
    assert place.sub("", again) == place.sub("", first)
