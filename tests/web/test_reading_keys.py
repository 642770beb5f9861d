"""The keys of a conversation's page and of the list, in a real browser."""

import json

import pytest

from support.browser import axe
from support.browser.pages import page_of
from web._hostile_texts import HOSTILE

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _rows(prefix, count):
    """Return rows of conversations with a topic each."""
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    rows = [{"id": f"{prefix}{number}", "topic": f"{prefix} {number}", "messages": messages} for number in range(count)]
    return "\n".join(map(json.dumps, rows)).encode()


def _import(server, rows):
    files = {"file": ("rows.jsonl", rows)}
    server.client.post("/api/conversations/import", files=files).raise_for_status()


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


async def test_typed_tags_are_not_left_unasked(browser, server):
    """A key that would leave the page with tags that were typed is asked about first, and a judgement saves them."""
    _import(server, _rows("left", 2))
    async with page_of(browser, server) as (page, seen):
        await page.goto("/conversations/one?id=left0&sort=oldest&topic=left")
        await page.keyboard.press("t")
        await page.keyboard.type("good")
        await page.keyboard.press("Escape")
        async with page.expect_event("dialog") as asked:
            await page.keyboard.press("j")
        kind, stayed = (await asked.value).type, await page.get_by_label("Tags").input_value()
        await page.keyboard.press("y")
        await page.get_by_role("heading", name="left 1", exact=True).wait_for()
    stored = server.client.get("/api/conversations/left0").json()["review"]

    assert (kind, stayed) == ("beforeunload", "good")
    assert (stored["status"], stored["tags"]) == ("kept", ["good"])
    assert seen.everything == [""]


async def test_keys_of_other_alphabets_are_those_of_their_place(browser, server):
    """On a keyboard without Latin letters, the key in the place of a letter does what that does."""
    _import(server, _rows("place", 2))
    async with page_of(browser, server) as (page, seen):
        await page.goto("/conversations/one?id=place0&sort=oldest&topic=place")
        await page.locator("body").dispatch_event("keydown", {"key": "о", "code": "KeyJ"})
        await page.get_by_role("heading", name="place 1", exact=True).wait_for()
        await page.wait_for_load_state()
        await page.keyboard.press("u")
        await page.locator("[data-said]").get_by_text("Nothing to undo").wait_for()
    assert seen.everything == []


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
        await page.keyboard.press("x")
        await page.keyboard.press("d")
        await page.get_by_role("dialog", name="Delete 1 conversation?").wait_for()
        await page.keyboard.press("n")  # judges nothing behind the dialog
        await page.get_by_role("button", name="Back up and delete").press("Enter")
        await page.get_by_role("dialog", name="1 conversation deleted").wait_for()
        await page.keyboard.press("Escape")
        await page.get_by_text("1 conversation deleted.").wait_for()
        await page.get_by_text("1–2 of 2", exact=True).wait_for()
        await page.get_by_text("No conversations selected").wait_for()
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
        await page.wait_for_function("() => document.activeElement?.textContent === 'row 1'")
        await page.keyboard.press("u")
        await page.locator("[data-said]").get_by_text("row 0: unreviewed, rated 2.").wait_for()
        await page.wait_for_function("() => document.activeElement?.textContent === 'row 0'")
        await page.keyboard.press("y")
        await review.nth(0).get_by_text("kept 2/5").wait_for()
        server.client.patch("/api/conversations/row0", json={"rating": 1}).raise_for_status()
        await page.keyboard.press("u")  # takes back nothing that another person has changed since
        await page.locator("[data-said]").get_by_text("was changed since").wait_for()
        newer = server.client.get("/api/conversations/row0").json()["review"]
        server.client.patch("/api/conversations/row0", json={"status": "unreviewed", "rating": 2}).raise_for_status()
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="row 1", exact=True).wait_for()
    stored = server.client.get("/api/conversations/row0").json()["review"]

    assert (newer["status"], newer["rating"]) == ("kept", 1)
    assert (stored["status"], stored["rating"]) == ("unreviewed", 2)
    assert seen.everything == []


async def test_the_focus_goes_on_to_the_next_page(browser, server):
    """At the end of a page of the list, the focus goes to the first conversation of the next page, and back again."""
    _import(server, _rows("paged", 51))
    async with page_of(browser, server) as (page, seen):
        await page.goto("/conversations?topic=paged&sort=oldest")
        await page.get_by_role("link", name="paged 49", exact=True).focus()
        await page.keyboard.press("j")
        await page.get_by_text("51–51 of 51").wait_for()
        await page.wait_for_function("() => document.activeElement?.textContent === 'paged 50'")
        await page.keyboard.press("j")
        await page.locator("[data-said]").get_by_text("End of the list").wait_for()
        await page.keyboard.press("k")
        await page.get_by_text("1–50 of 51").wait_for()
        await page.wait_for_function("() => document.activeElement?.textContent === 'paged 49'")
        await page.keyboard.press("o")
        await page.get_by_text("50 of 51", exact=True).wait_for()
        await page.wait_for_load_state()
        await page.keyboard.press("j")
        await page.get_by_text("51 of 51", exact=True).wait_for()
        await page.wait_for_load_state()
        await page.keyboard.press("l")
        await page.get_by_text("51–51 of 51").wait_for()
        await page.wait_for_function("() => document.activeElement?.textContent === 'paged 50'")
    assert seen.everything == []


_BEGINNINGS = (
    "<script>", "<img src=x", '">', "\u202e", "شعر", "\ufeff", "Z\u0351", "👩", "aaa", "line\n", "a\u2028", "null",
    "undefined", "__proto__", "?id=x", "%3C", '"', "{{",
)  # fmt: skip


async def test_hostile_texts_are_read_as_texts(browser, server):
    """Topics, tags and notes that try to be more than text are shown as text, and keys lead from one to the next."""
    topics = [next(text for text in HOSTILE if text.startswith(beginning)) for beginning in _BEGINNINGS]
    rows = [
        {"id": f"bad{number}", "topic": topic, "messages": [{"role": "user", "content": topic}], "persona": "hostile"}
        for number, topic in enumerate(topics)
    ]
    _import(server, "\n".join(map(json.dumps, rows)).encode())
    for row, topic in zip(rows, topics, strict=True):
        tags = [topic.strip()] if topic.isprintable() and len(topic) <= 100 and "," not in topic else []
        body = {"note": topic, "tags": tags}
        server.client.patch(f"/api/conversations/{row['id']}", json=body).raise_for_status()
    shown = []
    async with page_of(browser, server) as (page, seen):
        await page.goto("/conversations?persona=hostile&sort=oldest")
        for number, topic in enumerate(topics):
            await page.keyboard.press("n" if number else "o")
            await page.get_by_text(f"{number + 1} of {len(topics)}", exact=True).wait_for()
            await page.wait_for_load_state()
            heading = await page.locator("h1").text_content()
            assert heading.startswith(topic[:100].replace("\r\n", "\n"))
            shown.append(await page.locator("#note").input_value())
    reviews = [server.client.get(f"/api/conversations/{row['id']}").json()["review"] for row in rows]

    assert shown == [topic.replace("\r\n", "\n") for topic in topics]
    # The last one is only read. What was not typed is as it was, whatever the browser makes of line ends.
    assert [review["status"] for review in reviews] == ["rejected"] * (len(topics) - 1) + ["unreviewed"]
    assert [review["note"].replace("\r\n", "\n") for review in reviews] == shown
    assert seen.everything == []


async def test_a_selection_spans_pages_until_it_is_reviewed(browser, server):
    """The list says how many selected conversations another page has, and selects none once they were reviewed."""
    _import(server, _rows("span", 60))
    async with page_of(browser, server) as (page, seen):
        await page.goto("/conversations?topic=span&sort=oldest")
        await page.get_by_label("Select span 3", exact=True).check()
        await page.get_by_role("link", name="Next page").click()
        await page.get_by_text("1 conversation selected, 1 not on this page").wait_for()
        await page.get_by_label("Select span 52", exact=True).check()
        await page.get_by_text("2 conversations selected, 1 not on this page").wait_for()
        await page.get_by_role("button", name="Keep").click()
        await page.get_by_text("2 conversations reviewed.").wait_for()
        await page.get_by_text("No conversations selected").wait_for()
        await page.get_by_label("Select span 53", exact=True).check()
        await page.reload()  # with the result in its address
        await page.get_by_text("1 conversation selected").wait_for()
    kept = server.client.get("/api/conversations?status=kept&topicContains=span").json()["conversations"]

    assert {conversation["id"] for conversation in kept} == {"span3", "span52"}
    assert seen.everything == []
