"""The page of a conversation in the list that it was opened from: as plain links and forms, and by its keys."""

import html
import json
import re

import pytest

from backstay import Selection
from support.browser import axe
from support.browser.pages import page_of
from support.servers.api import cookied
from web._hostile_texts import HOSTILE

pytestmark = pytest.mark.asyncio(loop_scope="session")

_HOSTILE = '<img src=x onerror=alert(1)> "quoted" \u202e'


def _rows(prefix, count, **fields):
    """Return rows that get longer with their number."""
    rows = []
    for number in range(count):
        messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "x" * (number + 1)}]
        rows.append({"id": f"{prefix}{number}", "topic": f"{prefix} {number}", "messages": messages, **fields})
    return "\n".join(map(json.dumps, rows)).encode()


def _import(server, rows):
    files = {"file": ("rows.jsonl", rows)}
    server.client.post("/api/conversations/import", files=files).raise_for_status()


@pytest.fixture
async def client(local):
    """A signed-in client that sends links and forms like a browser without scripts, with four conversations."""
    stored = await local.ann.post("/api/conversations/import", files={"file": ("rows.jsonl", _rows("c", 4))})
    assert stored.status_code == 201, stored.text
    async with cookied(local, Accept="text/html,*/*;q=0.8") as opened:
        yield opened


async def _open(client, address):
    answer = await client.get(address)
    assert answer.status_code == 200, answer.text
    return answer.text


async def _first(client, query):
    """Open the first conversation of a list."""
    page = await _open(client, f"/conversations?{query}")
    return await _open(client, html.unescape(re.search(r'href="(/conversations/one\?[^"]*)"', page)[1]))


def _link(page, rel):
    found = re.search(rf'rel="{rel}" href="([^"]*)"', page)
    return html.unescape(found[1]) if found is not None else None


def _topic(page):
    return html.unescape(re.search(r'<h1 class="long">(.*?)</h1>', page)[1])


def _place(page):
    return re.search(r'class="place">([^<]*)<', page)[1]


def _review_form(page):
    """Return the address of the form of a review, and its hidden fields."""
    form = re.search(r'<form method="post" action="([^"]*)"[^>]* id="review".*?</form>', page, re.DOTALL)
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0])
    return html.unescape(form[1]), dict(fields)


async def _judge(client, page, judge):
    """Press a button that judges, and return the page that it leads to."""
    action, data = _review_form(page)
    sent = await client.post(action, data={**data, "status": "unreviewed", "judge": judge})
    assert sent.status_code == 303, sent.text
    return await _open(client, sent.headers["location"])


async def _undo(client, page):
    form = re.search(r'<form method="post" action="([^"]*(?:review-undo|revert)[^"]*)">(.*?)</form>', page)
    data = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[2]))
    return await client.post(html.unescape(form[1]), data=data)


async def _status(local, conversation_id):
    return (await local.ann.get(f"/api/conversations/{conversation_id}")).json()["review"]["status"]


@pytest.mark.parametrize(
    ("sort", "topics"),
    [
        ("oldest", ["c 0", "c 1", "c 2", "c 3"]),
        ("newest", ["c 3", "c 2", "c 1", "c 0"]),
        ("longest", ["c 3", "c 2", "c 1", "c 0"]),
        ("shortest", ["c 0", "c 1", "c 2", "c 3"]),
    ],
)
async def test_a_list_is_read_in_its_order(client, sort, topics):
    """From the first conversation of a list, Next leads through it in its order, and Previous back again."""
    page = await _first(client, f"sort={sort}&topic=c")
    seen = [(_topic(page), _place(page))]
    while (following := _link(page, "next")) is not None:
        page = await _open(client, following)
        seen.append((_topic(page), _place(page)))
    assert "End of the list" in page
    back = []
    while (previous := _link(page, "prev")) is not None:
        page = await _open(client, previous)
        back.append(_topic(page))

    assert seen == [(topic, f"{number} of 4") for number, topic in enumerate(topics, start=1)]
    assert back == topics[-2::-1]
    assert "Start of the list" in page


async def test_a_conversation_that_leaves_the_filter_keeps_its_place(local, client):
    """A judgement that takes a conversation out of the list leads to the one after it, and its undo back to it."""
    page = await _first(client, "status=unreviewed&sort=oldest")
    second = await _judge(client, page, "rejected")
    third = await _judge(client, second, "kept")
    judged = [await _status(local, f"c{number}") for number in range(3)]
    undone = await _open(client, (await _undo(client, third)).headers["location"])
    after = await _open(client, _link(undone, "next"))

    assert [(_topic(each), _place(each)) for each in (page, second, third)] == [
        ("c 0", "1 of 4"), ("c 1", "2 of 4"), ("c 2", "3 of 4"),
    ]  # fmt: skip
    assert "<bdi>c 1</bdi>: kept." in third
    assert judged == ["rejected", "kept", "unreviewed"]
    assert await _status(local, "c1") == "unreviewed"
    assert (_topic(undone), _place(undone), _topic(after)) == ("c 1", "2 of 4", "c 2")


async def test_an_order_by_what_is_judged_is_read_to_its_end(local, client):
    """A rating that moves a conversation to the start of the order leaves the reader where it was."""
    for number in range(4):
        await local.ann.patch(f"/api/conversations/c{number}", json={"rating": number + 1})
    page = await _first(client, "sort=highest-rated")
    seen = [_topic(page)]
    for _ in range(3):
        page = await _judge(client, page, "5")
        page = await _open(client, _link(page, "next"))
        seen.append(_topic(page))

    assert seen == ["c 3", "c 2", "c 1", "c 0"]


async def test_a_rating_stays_on_its_page_and_is_undone_there(local, client):
    """A rating keeps the place, and its undo restores the former one."""
    page = await _judge(client, await _first(client, "sort=oldest"), "4")
    rated = (await local.ann.get("/api/conversations/c0")).json()["review"]["rating"]
    undone = await _open(client, (await _undo(client, page)).headers["location"])

    assert (_topic(page), _place(page), rated) == ("c 0", "1 of 4", 4)
    assert (_topic(undone), _place(undone)) == ("c 0", "1 of 4")
    assert (await local.ann.get("/api/conversations/c0")).json()["review"]["rating"] is None


async def test_a_judgement_saves_what_was_typed(local, client):
    """A button that judges stores the tags and the note that are in the form, too, and its undo leaves them."""
    page = await _first(client, "sort=oldest")
    action, data = _review_form(page)
    typed = {"status": "unreviewed", "tags": _HOSTILE, "note": "typed"}
    sent = await client.post(action, data={**data, **typed, "judge": "rejected"})
    await _undo(client, await _open(client, sent.headers["location"]))

    review = (await local.ann.get("/api/conversations/c0")).json()["review"]
    assert (review["status"], review["tags"], review["note"]) == ("unreviewed", [_HOSTILE.strip()], "typed")


async def test_an_undo_overwrites_no_newer_review(local, client):
    """An undo is refused if the review was changed since, and changes nothing."""
    page = await _judge(client, await _first(client, "sort=oldest"), "rejected")
    await local.ann.patch("/api/conversations/c0", json={"note": "newer"})
    refused = await _undo(client, page)

    assert refused.status_code == 409
    assert await _status(local, "c0") == "rejected"


async def test_an_edit_keeps_the_place_and_is_undone(local, client):
    """The form of an edit returns to the place in the list, where the edit can be undone."""
    page = await _first(client, "sort=oldest")
    address = html.unescape(re.search(r'href="(/conversations/edit\?[^"]*)#text-2"', page)[1])
    form = await _open(client, address)
    action = html.unescape(re.search(r'<form method="post" action="([^"]*)"', form)[1])
    expected = re.search(r'name="expected" value="(\w+)"', form)[1]
    fields = {"source": ["1", "2"], "role": ["user", "assistant"], "text": ["Hi", "better"]}
    saved = await client.post(action, data={"id": "c0", "expected": expected, "topic": "c 0", **fields})
    page = await _open(client, saved.headers["location"])
    edited = (await local.ann.get("/api/conversations/c0")).json()["turns"][1]["content"]
    undone = await _open(client, (await _undo(client, page)).headers["location"])

    assert (_place(page), _place(undone), edited) == ("1 of 4", "1 of 4", "better")
    assert (await local.ann.get("/api/conversations/c0")).json()["turns"][1]["content"] == "x"


async def test_the_link_back_leads_to_the_page_of_the_list(local, client, monkeypatch):
    """The link to the list leads to the page that has the conversation, wherever the reading began."""
    monkeypatch.setattr("backstay.server.web.conversations._PAGE_SIZE", 2)
    page = await _first(client, "sort=oldest")
    for _ in range(2):
        page = await _open(client, _link(page, "next"))
    back = html.unescape(re.search(r'href="(/conversations\?[^"]*)" data-key="l"', page)[1])
    listed = await _open(client, back)

    assert _topic(page) == "c 2"
    assert "3–4 of 4" in listed
    assert re.findall(r'class="clip">(c \d)</a>', listed) == ["c 2", "c 3"]


async def test_a_conversation_without_a_list_has_no_neighbours(client):
    """A page that was opened from no list has no links to others, and a judgement stays on it."""
    page = await _open(client, "/conversations/one?id=c1")
    judged = await _judge(client, page, "kept")

    assert (_link(page, "next"), _link(page, "prev")) == (None, None)
    assert _topic(judged) == "c 1"


async def test_a_place_may_be_missing_or_gone(local, client):
    """With a filter alone, neighbours are found from the conversation itself; a deleted neighbour is passed over."""
    page = await _open(client, "/conversations/one?id=c1&sort=oldest")
    opened = _link(page, "next")
    services = local.state.backstay.for_owner("local")
    await services.conversations.delete(Selection(ids=("c2",)), backup=False)
    gone = await client.get(opened)
    following = await _open(client, _link(await _open(client, "/conversations/one?id=c1&sort=oldest"), "next"))

    assert gone.status_code == 404
    assert _topic(following) == "c 3"


@pytest.mark.parametrize(
    "query", ["page=2", "number=0", "number=x", "total=many", "cursor=x", "cursor=1-2", "was=good-9", "saved=all"]
)
async def test_a_wrong_place_is_refused(client, query):
    """An address with an unknown parameter, or with a value that is none, is refused."""
    assert (await client.get(f"/conversations/one?id=c1&{query}")).status_code == 422


async def test_keys_read_and_judge(browser, server):
    """On the page, keys go to the next and previous one, judge, select, undo, and say where the list ends."""
    _import(server, _rows("key", 3))
    async with page_of(browser, server) as (page, seen):
        await page.goto("/conversations?topic=key&sort=oldest")
        heading = page.get_by_role("heading", level=1)

        async def press(key, topic):
            await page.keyboard.press(key)
            await heading.get_by_text(topic, exact=True).wait_for()
            await page.wait_for_load_state()

        await press("o", "key 0")
        await page.keyboard.press("k")
        await page.locator("[data-said]").get_by_text("Start of the list").wait_for()
        await press("ArrowRight", "key 1")
        await press("ArrowLeft", "key 0")
        await press("n", "key 1")
        await page.get_by_role("status").get_by_text("key 0: rejected.").wait_for()
        await press("u", "key 0")
        await page.get_by_role("status").get_by_text("Undone.").wait_for()
        await page.keyboard.press("3")
        await page.get_by_role("status").get_by_text("key 0: unreviewed, rated 3.").wait_for()
        await page.wait_for_load_state()
        await press("y", "key 1")
        await page.keyboard.press("x")
        await page.get_by_role("button", name="Select", pressed=True).wait_for()
        await press("j", "key 2")
        await page.keyboard.press("j")
        await page.locator("[data-said]").get_by_text("End of the list").wait_for()
        await page.keyboard.press("?")
        await page.get_by_role("dialog", name="Keys").wait_for()
        assert await axe.violations(page) == []
        await page.keyboard.press("k")  # does nothing in a dialog
        await page.keyboard.press("Escape")
        await page.get_by_role("dialog").wait_for(state="detached")
        assert await heading.text_content() == "key 2"
        await page.keyboard.press("l")
        await page.get_by_text("1 conversation selected").wait_for()
        assert await page.evaluate("document.activeElement.textContent") == "key 2"
    reviews = [server.client.get(f"/api/conversations/key{number}").json()["review"] for number in range(3)]

    assert [(review["status"], review["rating"]) for review in reviews] == [
        ("kept", 3), ("unreviewed", None), ("unreviewed", None),
    ]  # fmt: skip
    assert seen.everything == []


async def test_two_people_judge_one_conversation(browser, server):
    """Of two people who judge one conversation, the second is told, keeps place and texts, and may save."""
    _import(server, _rows("both", 2))
    address = "/conversations/one?id=both0&sort=oldest&topic=both"
    async with page_of(browser, server) as (first, seen), page_of(browser, server) as (second, seen_too):
        await first.goto(address)
        await second.goto(address)
        await first.keyboard.press("n")
        await first.get_by_role("heading", name="both 1", exact=True).wait_for()
        await second.get_by_label("Note").fill("typed")
        await second.locator("body").press("Escape")
        await second.keyboard.press("y")
        await second.get_by_role("alert").get_by_text("yours was not saved").wait_for()
        stored = server.client.get("/api/conversations/both0").json()["review"]
        typed = await second.get_by_label("Note").input_value(), await second.get_by_label("Status").input_value()
        assert await axe.violations(second) == []
        await second.keyboard.press("y")
        await second.get_by_role("heading", name="both 1", exact=True).wait_for()
    saved = server.client.get("/api/conversations/both0").json()["review"]

    assert (stored["status"], stored["note"], typed) == ("rejected", None, ("typed", "kept"))
    assert (saved["status"], saved["note"]) == ("kept", "typed")
    assert (seen.everything, seen_too.everything) == ([], [])


async def test_keys_leave_typing_alone(browser, server):
    """While a field has the focus or a modifier is held, no key acts; Escape leaves the field, Ctrl+Enter saves it."""
    _import(server, _rows("typed", 2))
    async with page_of(browser, server) as (page, seen):
        await page.goto("/conversations/one?id=typed0&sort=oldest&topic=typed")
        for key in ("Control+n", "Alt+y", "Meta+5", "Control+j"):
            await page.keyboard.press(key)
        await page.keyboard.press("t")
        await page.keyboard.type("jkny5 d?u")
        await page.keyboard.press("Escape")
        focused = await page.evaluate("document.activeElement.localName")
        await page.keyboard.press("t")
        await page.keyboard.press("Control+Enter")
        await page.get_by_role("status").get_by_text("Review saved.").wait_for()
    stored = server.client.get("/api/conversations/typed0").json()["review"]

    assert focused == "body"
    assert (stored["tags"], stored["status"], stored["rating"]) == (["jkny5 d?u"], "unreviewed", None)
    assert seen.everything == []


async def test_d_asks_before_it_deletes(browser, server):
    """The key for deleting opens the dialog that asks, and afterwards the list offers the undo."""
    _import(server, _rows("gone", 3))
    async with page_of(browser, server) as (page, seen):
        await page.goto("/conversations?topic=gone&sort=oldest")
        await page.keyboard.press("o")
        await page.get_by_role("heading", name="gone 0", exact=True).wait_for()
        await page.wait_for_load_state()
        await page.keyboard.press("d")
        await page.get_by_role("dialog", name="Delete 1 conversation?").wait_for()
        await page.keyboard.press("n")  # judges nothing behind the dialog
        await page.get_by_role("button", name="Back up and delete").press("Enter")
        await page.get_by_role("dialog", name="1 conversation deleted").wait_for()
        await page.keyboard.press("Escape")
        await page.get_by_text("1 conversation deleted.").wait_for()
        await page.get_by_text("1–2 of 2", exact=True).wait_for()
        await page.get_by_role("button", name="Undo").press("Enter")
        await page.get_by_text("The delete has been undone").wait_for()
    stored = server.client.get("/api/conversations/gone0").json()["review"]

    assert stored["status"] == "unreviewed"
    assert seen.everything == []


async def test_keys_judge_in_the_list(browser, server):
    """In the list, keys move the focus, select, judge the focused conversation in place, and undo that."""
    _import(server, _rows("row", 3))
    async with page_of(browser, server) as (page, seen):
        await page.goto("/conversations?topic=row&sort=oldest")
        review = page.locator("[data-label=Review]")
        await page.keyboard.press("n")
        await page.locator("[data-said]").get_by_text("press j first").wait_for()
        await page.keyboard.press("j")
        await page.keyboard.press("x")
        await page.get_by_text("1 conversation selected").wait_for()
        await page.keyboard.press("2")
        await review.nth(0).get_by_text("2/5").wait_for()
        await page.keyboard.press("n")
        await review.nth(0).get_by_text("rejected 2/5").wait_for()
        await page.wait_for_function("document.activeElement.textContent === 'row 1'")
        await page.keyboard.press("u")
        await page.locator("[data-said]").get_by_text("row 0: unreviewed, rated 2.").wait_for()
        await page.wait_for_function("document.activeElement.textContent === 'row 0'")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="row 1", exact=True).wait_for()
    stored = server.client.get("/api/conversations/row0").json()["review"]

    assert (stored["status"], stored["rating"]) == ("unreviewed", 2)
    assert seen.everything == []


async def test_hostile_texts_are_read_as_texts(browser, server):
    """Topics, tags, notes and filters that try to be more than text are shown as text, on each page of the way."""
    topics = [text for text in HOSTILE if text.strip() and "\0" not in text][:12]
    rows = [
        {"id": f"bad{number}", "topic": topic, "messages": [{"role": "user", "content": topic}], "persona": "hostile"}
        for number, topic in enumerate(topics)
    ]
    _import(server, "\n".join(map(json.dumps, rows)).encode())
    for row, topic in zip(rows, topics, strict=True):
        body = {"note": topic, "tags": [topic[:40].strip()]}
        server.client.patch(f"/api/conversations/{row['id']}", json=body).raise_for_status()
    async with page_of(browser, server) as (page, seen):
        await page.goto("/conversations?persona=hostile&sort=oldest")
        await page.keyboard.press("o")
        for topic in topics:
            if topic != topics[0]:
                await page.keyboard.press("n")
            await page.wait_for_function(
                "(topic) => document.querySelector('h1').textContent === topic", arg=topic[:300]
            )
            await page.wait_for_load_state()
            shown = await page.locator("#note").input_value()
            assert shown.strip() == topic.strip().replace("\r\n", "\n")
    assert seen.everything == []
