"""Pages that correct a conversation, as plain forms and in two real browsers."""

import html
import json
import re

import pytest

from support.browser import axe
from support.browser.pages import page_of
from support.data.conversations import with_tools
from support.servers.api import cookied
from web._hostile_texts import HOSTILE

pytestmark = pytest.mark.asyncio(loop_scope="session")

_TURNS = [("user", "Hi"), ("assistant", "The quick fox"), ("user", "Bye")]


async def _store(client, conversation_id="c", turns=_TURNS, **fields):
    turns = [{"role": role, "content": content} for role, content in turns]
    row = json.dumps({"id": conversation_id, "topic": "T", "conversation_turns": turns, **fields})
    response = await client.post("/api/conversations/import", files={"file": ("a.jsonl", row.encode())})
    assert response.status_code == 201, response.text


async def _read(client, conversation_id="c"):
    return (await client.get(f"/api/conversations/{conversation_id}")).json()


def _texts(conversation):
    return [(turn["role"], turn["content"]) for turn in conversation["turns"]]


def _form(page):
    """Return the fields that a browser sends of the form on a page."""

    def values(pattern):
        return [html.unescape(value) for value in re.findall(pattern, page, re.DOTALL)]

    def area(name):
        # A browser leaves out the first line break of a field, and ends each line with CR LF.
        texts = values(rf'<textarea [^>]*name="{name}"[^>]*>\n(.*?)</textarea>')
        return [re.sub(r"\r\n|\r|\n", "\r\n", text) for text in texts]

    selects = re.findall(r'<select [^>]*name="role">(.*?)</select>', page, re.DOTALL)
    return {
        "id": values(r'name="id" value="([^"]*)"')[0],
        "expected": values(r'name="expected" value="([^"]*)"')[0],
        "topic": area("topic")[0],
        "persona": area("persona")[0],
        "source": values(r'name="source" value="([^"]*)"'),
        "role": [html.unescape(re.search(r'<option selected value="([^"]*)"', select)[1]) for select in selects],
        "text": area("text"),
    }


async def _opened(browser, conversation_id="c"):
    response = await browser.get("/conversations/edit", params={"id": conversation_id})
    assert response.status_code == 200, response.text
    return _form(response.text)


@pytest.fixture
async def browser_without_scripts(local):
    """A signed-in client that sends forms like a browser."""
    async with cookied(local, Accept="text/html,*/*;q=0.8") as client:
        yield client


async def test_form_that_is_not_changed_stores_nothing(local, browser_without_scripts):
    """A form with any texts that is sent as it is stores no version, whatever a browser makes of the line ends."""
    texts = ["\n first", "a\r\nb\rc\n\n", " \t x ", "</textarea><b>&amp;", *(text for text in HOSTILE if text.strip())]
    await _store(local.ann, turns=[("user", text) for text in texts[:60]], persona="\r\nP\n")
    before = await _read(local.ann)

    sent = await browser_without_scripts.post("/conversations/edit", data=await _opened(browser_without_scripts))

    assert (sent.status_code, sent.headers["location"]) == (303, "/conversations/one?id=c&saved=nothing")
    assert await _read(local.ann) == before


async def test_texts_are_edited(local, browser_without_scripts):
    """The form changes texts, roles, the topic and the persona, and what it does not show stays with its turn."""
    await _store(local.ann)
    fields = await _opened(browser_without_scripts)
    fields |= {"topic": "New\r\ntopic", "persona": "P", "role": ["user", "assistant", "tool"]}
    fields["text"][1] = "The slow\r\nfox"

    await browser_without_scripts.post("/conversations/edit", data=fields)

    edited = await _read(local.ann)
    assert (edited["topic"], edited["persona"]) == ("New\ntopic", "P")
    assert _texts(edited) == [("user", "Hi"), ("assistant", "The slow\nfox"), ("tool", "Bye")]


async def test_fields_that_the_form_does_not_show_stay(local, browser_without_scripts):
    """Reasoning, tool calls, parts and metadata of a turn stay when its text is edited or it is moved."""
    row = {**with_tools(id="tools").to_dict(), "created_at": None, "updated_at": None}
    await local.ann.post("/api/conversations/import", files={"file": ("a.jsonl", json.dumps(row).encode())})
    before = await _read(local.ann, "tools")
    page = await browser_without_scripts.get("/conversations/edit?id=tools")
    assert "reasoning, 2 tool calls" in page.text
    moved = await browser_without_scripts.post("/conversations/edit", data={**_form(page.text), "action": "up:3"})
    fields = _form(moved.text)
    fields["text"][2] = "Edited"

    stored = await browser_without_scripts.post("/conversations/edit", data=fields)

    assert stored.status_code == 303, re.findall(r'role="alert">.*', stored.text)

    turns = [{**turn, "sequence": None} for turn in before["turns"]]
    edited = [{**turn, "sequence": None} for turn in (await _read(local.ann, "tools"))["turns"]]
    assert edited == [turns[0], turns[2], {**turns[1], "content": "Edited"}, *turns[3:]]


@pytest.mark.parametrize(
    ("action", "turns"),
    [
        ("up:2", [_TURNS[1], _TURNS[0], _TURNS[2]]),
        ("down:2", [_TURNS[0], _TURNS[2], _TURNS[1]]),
        ("remove:2", [_TURNS[0], _TURNS[2]]),
        ("add:1", [_TURNS[0], ("assistant", ""), *_TURNS[1:]]),
        ("add:3", [*_TURNS, ("assistant", "")]),
        ("remove:9", _TURNS),
    ],
)
async def test_turns_are_arranged_without_storing(local, browser_without_scripts, action, turns):
    """A button moves, removes or adds a turn in the form, keeps what was typed, and stores nothing."""
    await _store(local.ann)
    before = await _read(local.ann)
    fields = await _opened(browser_without_scripts)
    fields["text"][0] = "typed"

    page = await browser_without_scripts.post("/conversations/edit", data={**fields, "action": action})

    arranged = _form(page.text)
    expected = [(role, "typed" if text == "Hi" else text) for role, text in turns]
    assert list(zip(arranged["role"], arranged["text"], strict=True)) == expected
    assert arranged["expected"] == before["digest"]
    assert await _read(local.ann) == before


async def test_second_editor_sees_both_versions(local, browser_without_scripts):
    """The second editor is shown what was changed meanwhile and what was typed, and can store it over the other."""
    await _store(local.ann)
    fields = await _opened(browser_without_scripts)
    fields["text"][1] = "The slow fox"
    first = {**await _opened(browser_without_scripts), "topic": "Meanwhile"}
    await browser_without_scripts.post("/conversations/edit", data=first)

    refused = await browser_without_scripts.post("/conversations/edit", data=fields)

    assert refused.status_code == 409
    assert "was changed since it was read; the edit was not stored" in refused.text
    assert "<del>T</del><ins>Meanwhile</ins>" in refused.text
    assert "<del>quick</del><ins>slow</ins>" in refused.text
    again = _form(refused.text)
    assert (again["topic"], again["text"]) == ("T", ["Hi", "The slow fox", "Bye"])
    assert (await _read(local.ann))["topic"] == "Meanwhile"
    stored = await browser_without_scripts.post("/conversations/edit", data=again)
    assert stored.status_code == 303
    assert ((await _read(local.ann))["topic"], _texts(await _read(local.ann))[1][1]) == ("T", "The slow fox")
    versions = (await local.ann.get("/api/conversations/c/versions")).json()["versions"]
    assert [version["number"] for version in versions] == [1, 2, 3]


@pytest.mark.parametrize(
    ("changed", "status", "message"),
    [
        ({"text": [" ", "b", "c"]}, 422, "The edit cannot be stored: turn 1 is empty"),
        ({"text": ["a", "b\0", "c"]}, 422, "The edit cannot be stored: turn 2 contains a NUL character"),
        ({"role": ["judge", "user", "user"]}, 422, "turn 1 has the role &#39;judge&#39;, which no format knows"),
        ({"source": [], "role": [], "text": []}, 422, "the conversation has no turns"),
        ({"id": "none"}, 404, "Conversation &#39;none&#39; not found"),
    ],
)
async def test_edit_that_cannot_be_stored_keeps_what_was_typed(
    local, browser_without_scripts, changed, status, message
):
    """Whatever the reason why an edit is not stored, the page shows it together with what was typed."""
    await _store(local.ann)
    before = await _read(local.ann)
    fields = {**await _opened(browser_without_scripts), "topic": "typed", **changed}

    refused = await browser_without_scripts.post("/conversations/edit", data=fields)

    assert refused.status_code == status
    assert message in refused.text
    assert _form(refused.text)["topic"] == "typed"
    assert [text.strip("\r\n") for text in _form(refused.text)["text"]] == [
        text.strip() or text for text in fields["text"]
    ]
    assert await _read(local.ann) == before


async def test_long_conversation_is_edited_elsewhere(local, browser_without_scripts):
    """A conversation that no form can hold is not shown in one, and the page names the command that edits it."""
    await _store(local.ann, "long", [("user", "x" * 70_000)])
    await _store(local.ann, "many", [("user", "x")] * 200)

    pages = [await browser_without_scripts.get(f"/conversations/edit?id={name}") for name in ("long", "many")]

    assert ["backstay conversations edit" in page.text and "<form" not in page.text for page in pages] == [True, True]


async def test_history_shows_changes_and_brings_back(local, browser_without_scripts):
    """The history lists the versions, shows what differs between two, and brings one back."""
    await _store(local.ann)
    assert (
        "This conversation has not been edited."
        in (await browser_without_scripts.get("/conversations/history?id=c")).text
    )
    for topic in ("U", "V"):
        await browser_without_scripts.post(
            "/conversations/edit", data={**await _opened(browser_without_scripts), "topic": topic}
        )

    page = (await browser_without_scripts.get("/conversations/history?id=c")).text
    both = (await browser_without_scripts.get("/conversations/history?id=c&before=1&after=3")).text

    assert "<del>U</del><ins>V</ins>" in page
    assert "<del>T</del><ins>V</ins>" in both
    expected = re.search(r'name="expected" value="(\w+)"', page)[1]
    data = {"id": "c", "expected": expected, "to": "1"}
    assert (await browser_without_scripts.post("/conversations/revert", data=data)).status_code == 303
    assert (await _read(local.ann))["topic"] == "T"
    assert (await browser_without_scripts.post("/conversations/revert", data={**data, "to": "2"})).status_code == 409
    assert (await browser_without_scripts.get("/conversations/history?id=c&after=9")).status_code == 404
    assert (await browser_without_scripts.get("/conversations/history?id=none")).status_code == 404


async def test_a_page_with_unsaved_changes_is_not_left_unasked(browser, server):
    """A browser asks before it leaves a form with changed texts, also after a move, but not when it is saved."""
    row = {"id": "asked", "topic": "T", "messages": [{"role": role, "content": text} for role, text in _TURNS]}
    server.client.post(
        "/api/conversations/import", files={"file": ("a.jsonl", json.dumps(row).encode())}
    ).raise_for_status()
    async with page_of(browser, server) as (page, seen):
        await page.goto("/conversations/edit?id=asked")
        await page.get_by_label("Topic").fill("Typed")
        await page.get_by_role("button", name="Move turn 2 up").click()
        await page.wait_for_url("**/edit#turn-1")
        async with page.expect_event("dialog") as asked:
            await page.get_by_role("link", name="Cancel").click(no_wait_after=True)
        stayed = await page.get_by_label("Topic").input_value()
        await page.get_by_role("button", name="Save").click()
        await page.get_by_role("status").get_by_text("Conversation saved").wait_for()

    assert ((await asked.value).type, stayed, seen.everything) == ("beforeunload", "Typed", [""])


async def test_two_browsers_edit_one_conversation(browser, server):
    """Of two people who edit one conversation in their browsers, the second sees both versions and loses nothing."""
    row = {"id": "two", "topic": "T", "messages": [{"role": role, "content": text} for role, text in _TURNS]}
    server.client.post(
        "/api/conversations/import", files={"file": ("a.jsonl", json.dumps(row).encode())}
    ).raise_for_status()
    async with page_of(browser, server) as (first, seen), page_of(browser, server) as (second, seen_too):
        for page in (first, second):
            await page.goto("/conversations/one?id=two")
            await page.get_by_role("link", name="Edit").click()
            await page.get_by_role("heading", name="Edit the conversation").wait_for()
        await second.get_by_label("Text of turn 2").fill("The slow fox")
        await second.get_by_role("button", name="Add a turn after turn 3").click()
        await second.get_by_label("Text of turn 4").fill("See you")
        await first.get_by_label("Topic").fill("Meanwhile")
        await first.get_by_role("button", name="Save").click()
        await first.get_by_role("heading", name="Meanwhile").wait_for()

        await second.get_by_role("button", name="Save").click()

        await second.get_by_role("alert").get_by_text("was changed since it was read").wait_for()
        assert await axe.violations(second) == []
        assert await second.get_by_label("Text of turn 4").input_value() == "See you"
        stored = server.client.get("/api/conversations/two").json()
        assert (stored["topic"], _texts(stored)) == ("Meanwhile", _TURNS)
        await second.get_by_label("Topic").fill("Meanwhile")
        await second.get_by_role("button", name="Save").click()
        await second.get_by_text("See you").wait_for()
        await second.get_by_role("link", name="History").click()
        await second.get_by_role("heading", name="From version 2 to version 3").wait_for()
        assert await axe.violations(second) == []
        await second.get_by_role("button", name="Bring back version 1").click()
        await second.get_by_role("heading", name="T", exact=True).wait_for()
        assert _texts(server.client.get("/api/conversations/two").json()) == _TURNS
        assert (seen.everything, seen_too.everything) == ([], [])


async def test_all_edited_conversations_are_selected(browser, server):
    """On the list of edited conversations, selecting all that match selects no others."""
    rows = [{"id": f"e{n}", "topic": "E", "messages": [{"role": "user", "content": "Hi"}]} for n in range(3)]
    lines = "\n".join(map(json.dumps, rows)).encode()
    server.client.post("/api/conversations/import", files={"file": ("a.jsonl", lines)}).raise_for_status()
    digest = server.client.get("/api/conversations/e1").json()["digest"]
    body = {"expected": digest, "topic": "Edited"}
    server.client.put("/api/conversations/e1/content", json=body).raise_for_status()
    async with page_of(browser, server) as (page, seen):
        await page.goto("/conversations?persona=none")
        await page.goto("/conversations")
        await page.get_by_text("More filters").click()
        await page.get_by_label("Edited", exact=True).check()
        await page.get_by_role("button", name="Search").click()
        await page.wait_for_url("**edited=true*")
        await page.get_by_role("button", name="Select all matching conversations").click()
        await page.get_by_role("button", name="Delete…").click()
        await page.get_by_role("button", name="Back up and delete").click()
        await page.get_by_role("button", name="Undo").wait_for()
        left = [each["id"] for each in server.client.get("/api/conversations").json()["conversations"]]
        assert {"e0", "e2"} <= set(left)
        assert "e1" not in left
        assert seen.everything == []


async def test_hostile_texts_are_texts(browser, server):
    """The form, the difference and the history show hostile texts, roles and editors as text, and run nothing."""
    texts = [text for text in HOSTILE if text.strip() and "\0" not in text][:80]
    role = next(text for text in texts if text.startswith("<script>"))
    turns = [{"role": role, "content": text} for text in texts]
    row = json.dumps({"id": "hostile", "topic": texts[0], "persona": texts[1], "conversation_turns": turns})
    server.client.post("/api/conversations/import", files={"file": ("a.jsonl", row.encode())}).raise_for_status()
    stored = server.client.get("/api/conversations/hostile").json()
    body = {"expected": stored["digest"], "turns": stored["turns"][::-1], "topic": texts[2], "editor": texts[0]}
    server.client.put("/api/conversations/hostile/content", json=body).raise_for_status()
    async with page_of(browser, server) as (page, seen):
        await page.goto("/conversations/edit?id=hostile")
        fields = await page.locator("textarea[name=text]").evaluate_all("(all) => all.map((one) => one.value)")
        roles = await page.locator("select[name=role]").evaluate_all("(all) => all.map((one) => one.value)")
        await page.goto("/conversations/history?id=hostile")
        editor = await page.get_by_role("row").nth(1).get_by_role("cell").nth(2).text_content()

        assert fields == [re.sub(r"\r\n?", "\n", text) for text in texts[::-1]]
        assert set(roles) == {role}
        assert editor == texts[0]
        assert seen.everything == []
