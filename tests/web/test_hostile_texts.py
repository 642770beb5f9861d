"""Pages show hostile texts as text: nothing runs, nothing is requested, and the policy refuses nothing."""

import json
from urllib.parse import quote

import pytest
import pytest_asyncio

from backstay.library.id_text import id_fault
from support.browser.pages import page_of, prepared, put_off
from support.harness.async_waiting import until
from support.servers.api import served
from web._hostile_texts import HOSTILE, MILLION

pytestmark = pytest.mark.asyncio(loop_scope="session")

_FAILING = """
async def failing(item):
    if item.parameters["number"] % 2:
        raise ValueError(item.topic)
"""
_SETTINGS = 'processors = ["scripted", "failing:failing"]\npoll_seconds = 0.05\n'
_NAMES = [text for text in HOSTILE if text.isprintable() and text.strip() and len(text) <= 500]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server whose library has every hostile text in every possible place."""
    folder = prepared(tmp_path_factory.mktemp("hostile"))
    (folder / "failing.py").write_text(_FAILING)
    with served(folder, _SETTINGS) as running:
        _fill(running)
        yield running


def _fill(server):
    texts = [*HOSTILE, MILLION]
    rows = [
        {
            "id": f"c{number}",
            "topic": text[:200_000],
            "persona": text,
            "content": text,
            "metadata": {"note": text, "reasoning": text},
            "conversation_turns": [{"role": "user", "content": text}],
        }
        for number, text in enumerate(texts)
    ]
    turns = [{"role": text if text in _NAMES else "assistant", "content": text} for text in HOSTILE]
    notes = {text: text for text in _NAMES}
    rows.append({"id": "all", "topic": "all", "metadata": notes, "conversation_turns": turns})
    rows.append(
        {
            "id": "fields",
            "topic": "fields",
            "metadata": {"tools": [{"type": "function", "function": {"name": text}} for text in HOSTILE]},
            "conversation_turns": [turn for text in texts for turn in _turns_with_fields(text)],
        }
    )
    lines = "\n".join(json.dumps(row) for row in rows)
    files = {"file": ("hostile.jsonl", lines.encode())}
    server.client.post("/api/conversations/import", files=files).raise_for_status()
    ids = [text if id_fault(text) is None else f"i{at}" for at, text in enumerate(_NAMES)]
    items = [
        {"id": item_id, "topic": text, "persona": text, "number": at}
        for at, (item_id, text) in enumerate(zip(ids, _NAMES, strict=True))
    ]
    for name in ("<img src=x onerror=alert(1)>", "'\"><script>alert(1)</script>"):
        body = {"jobId": name, "items": items, "processor": "failing:failing", "maxAttempts": 1}
        server.client.post("/api/batches", json=body).raise_for_status()
    later = {"jobId": _NAMES[2], "items": items, "processor": "failing:failing", "start": False}
    server.client.post("/api/batches", json=later).raise_for_status()
    for text in _NAMES[:20]:
        body = {"conversationIds": ["c1"], "reason": text[:100]}
        server.client.post("/api/backup/create", json=body).raise_for_status()


def _turns_with_fields(text):
    """Return turns with a text in each field: a call with its reasoning, the result, and parts."""
    arguments = json.dumps({"text": text}) if len(text) < 100 else text
    call = {"id": text, "type": "function", "function": {"name": text, "arguments": arguments}}
    picture = {"type": "image_url", "image_url": {"url": text}}
    parts = [{"type": "text", "text": text}, picture, {"type": text, "data": {"source": text, "alt": text}}]
    return (
        {"role": "assistant", "content": "", "metadata": {"name": text, "reasoning": text, "tool_calls": [call]}},
        {"role": "tool", "content": text, "metadata": {"name": text, "tool_call_id": text, "weight": text}},
        {"role": "user", "content": text, "metadata": {"parts": parts}},
        {"role": "user", "content": "edited", "metadata": {"parts": parts}},
    )


@pytest_asyncio.fixture(loop_scope="session")
async def opened(browser, server):
    """A page, and its forbidden actions."""
    async with page_of(browser, server) as (page, seen):
        yield page, seen


async def test_there_are_more_than_a_hundred():
    """The collection has more than a hundred hostile texts."""
    assert len(set(HOSTILE)) >= 100


async def test_lists_show_them_as_text(opened):
    """Lists of conversations, batches, items and backups, and their dialogs, show hostile texts as text."""
    page, seen = opened
    for address in ("/conversations", "/backups", "/backups?every=true", "/batches"):
        await page.goto(address)
    await page.get_by_role("dialog").wait_for()
    await page.keyboard.press("Escape")
    await page.goto(f"/batches/one?id={quote('<img src=x onerror=alert(1)>')}")
    await page.locator("batch-summary .failed").first.wait_for()

    assert "<img src=x onerror=alert(1)>" in await page.locator("h1").inner_text()
    assert seen.everything == []


async def test_every_page_of_the_list_and_its_dialog(opened):
    """All pages of the list and the delete dialog of the whole selection show hostile texts as text."""
    page, seen = opened
    await page.goto("/conversations")
    while await page.get_by_role("link", name="Older conversations").count():
        await page.get_by_role("link", name="Older conversations").click()
        await page.wait_for_load_state()
    await page.get_by_role("button", name="Select all").click()
    await page.get_by_text(f"{len(HOSTILE) + 3} conversations selected").wait_for()
    await page.get_by_role("button", name="Delete…").click()
    await page.get_by_role("dialog", name=f"Delete {len(HOSTILE) + 3} conversations?").wait_for()

    assert seen.everything == []


async def test_each_is_read_as_it_is(opened):
    """A page shows exactly the stored text, character by character."""
    page, seen = opened
    await page.goto("/conversations/one?id=all")
    texts = await page.locator(".turn .text").evaluate_all("(all) => all.map((one) => one.textContent)")
    await page.goto(f"/conversations/one?id=c{len(HOSTILE)}")
    million = await page.locator(".turn .text").evaluate("(one) => one.textContent")
    reasoning = await page.locator(".folded .text").evaluate("(one) => one.textContent")

    assert texts == [text.replace("\r\n", "\n") for text in HOSTILE]  # HTML normalizes line ends
    assert million == reasoning == MILLION
    assert seen.everything == []


async def test_fields_of_turns_are_read_as_they_are(opened):
    """Reasoning, tool calls, their results, parts and tools are shown exactly as they are stored, as text."""
    page, seen = opened
    await page.goto("/conversations/one?id=fields")
    reasoning, arguments, results, parts, addresses = [
        await page.locator(selector).evaluate_all("(all) => all.map((one) => one.textContent)")
        for selector in (
            ".turn-assistant details:not(.call) .text",
            ".turn-assistant .call .text",
            ".turn-tool > .text",
            ".turn-user > section.part .text",
            ".turn-user > details.part:nth-of-type(1) .text",
        )
    ]
    await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    tools = await page.locator(".folded h2").evaluate_all("(all) => all.map((one) => one.textContent)")

    whole = [text.replace("\r\n", "\n") for text in (*HOSTILE, MILLION)]  # HTML normalizes line ends
    assert reasoning == results == parts == whole
    assert [json.loads(text)["text"] if text.startswith("{\n") else text for text in arguments] == [
        text if len(text) < 100 else text.replace("\r\n", "\n") for text in (*HOSTILE, MILLION)
    ]
    embedded = [text for text in whole if text.startswith("data:") or len(set(text)) == 1 < len(text)]
    assert [address for address, text in zip(addresses, whole, strict=True) if text not in embedded] == [
        text for text in whole if text not in embedded
    ]
    assert len(embedded) == 3
    assert all("bytes)" in text or "characters)" in text for text in addresses if text not in whole)
    assert tools == whole[:-1]
    assert seen.everything == []


async def test_a_hostile_file_is_shown_before_it_is_started(opened, tmp_path):
    """The preview of a file shows its hostile name, columns and rows as text."""
    page, seen = opened
    bad = '<img src=x onerror=alert(1)>"'
    file = tmp_path / "<svg onload=alert(1)>.jsonl"
    file.write_text(json.dumps({"topic": bad, bad: bad, "persona": bad}) + "\n")
    await page.goto("/batches")
    await put_off(page)
    await page.set_input_files("input[type=file]", file)
    await page.locator("form[data-drop]").evaluate("(form) => form.requestSubmit()")
    await page.wait_for_url("**/batches/new*")

    assert bad in await page.locator(".prompt h3").inner_text()
    assert seen.everything == []


async def test_hostile_addresses_are_answered_as_text(opened):
    """Hostile searches, ids and cursors in an address appear on the page as text."""
    page, seen = opened
    for text in _NAMES[::16]:
        for address in ("/conversations?search=", "/conversations/one?id=", "/batches/one?id=", "/backups/one?id="):
            await page.goto(address + quote(text), wait_until="domcontentloaded")

    assert seen.everything == []


async def test_what_is_not_text_is_noticed(opened):
    """Control: markup in a page violates the policy, and these tests detect it."""
    page, seen = opened
    await page.goto("/batches")
    await page.evaluate(
        """() => {
          const image = document.createElement("img");
          try { image.setAttribute("onerror", "alert(1)"); } catch { }
          image.src = "https://evil.example/x";
          document.body.append(image);
          try { document.body.innerHTML = "<b>x</b>"; } catch { }
        }"""
    )
    await until(lambda: len(_refused(seen, "img-src")) >= 1 and len(_refused(seen, "require-trusted-types-for")) >= 2)

    assert any("evil.example" in refusal for refusal in _refused(seen, "img-src"))
    assert len(_refused(seen, "require-trusted-types-for")) == 2


def _refused(seen, directive):
    return [refusal for refusal in seen.refused if refusal.startswith(directive)]
