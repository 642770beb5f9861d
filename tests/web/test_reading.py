"""The page of a conversation in the list that it was opened from, as plain links and forms."""

import html
import json
import re

import pytest

from backstay import Selection
from support.servers.api import cookied

pytestmark = pytest.mark.asyncio(loop_scope="session")

_HOSTILE = '<img src=x onerror=alert(1)> "quoted" \u202e'


def _rows(prefix, count):
    """Return rows that get longer with their number."""
    rows = []
    for number in range(count):
        messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "x" * (number + 1)}]
        rows.append({"id": f"{prefix}{number}", "topic": f"{prefix} {number}", "messages": messages})
    return "\n".join(map(json.dumps, rows)).encode()


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


async def _read_while_rating(local, client):
    """Read four conversations from the lowest rated one on, rate each of them 5, and return their topics."""
    for number in range(4):
        await local.ann.patch(f"/api/conversations/c{number}", json={"rating": number + 1})
    page = await _first(client, "sort=lowest-rated")
    seen = [_topic(page)]
    while len(seen) < 4:
        page = await _judge(client, page, "5")
        if (following := _link(page, "next")) is None:
            break
        page = await _open(client, following)
        seen.append(_topic(page))
    return seen


async def test_an_order_by_what_is_judged_is_read_to_its_end(local, client):
    """A rating that moves a conversation to the end of the order leaves the reader in its place."""
    assert await _read_while_rating(local, client) == ["c 0", "c 1", "c 2", "c 3"]


async def test_without_the_position_in_the_address_the_reader_is_moved(local, client, monkeypatch):
    """Control: if the position is that of the conversation as it is now, its rating takes the reader along."""
    monkeypatch.setattr("backstay.server.web.reading.position_of", lambda *_: None)

    assert await _read_while_rating(local, client) == ["c 0"]


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


async def test_one_that_came_before_the_first_is_counted(client):
    """A conversation that is listed before the first one since the list was opened is the first of one more."""
    page = await _open(client, "/conversations/one?id=c1&sort=oldest&number=1&total=3")
    before = await _open(client, _link(page, "prev"))

    assert (_topic(before), _place(before)) == ("c 0", "1 of 4")


async def test_a_large_list_has_no_exact_total(client):
    """A total that is not exact stays so from one conversation to the next."""
    page = await _open(client, "/conversations/one?id=c1&sort=oldest&number=49999&total=50000%2B")
    following = await _open(client, _link(page, "next"))

    assert (_place(page), _place(following)) == ("49,999 of 50,000+", "50,000 of 50,000+")


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
