"""Accessibility of pages and dialogs: axe-core finds no violations, and the keyboard is enough."""

import asyncio
import json

import pytest
import pytest_asyncio

from support.browser import axe
from support.browser.pages import drawn, page_of, put_off
from support.data.conversations import with_tools

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module", autouse=True)
def filled(server):
    """The id of the backup in a library with conversations, a paused batch and one with failures."""
    topics = [{"id": f"i{number}", "topic": f"Topic {number}", "persona": "a keeper"} for number in range(60)]
    for name, items, made in (
        ("good", topics, "scripted"),
        ("some", [*topics[:2], {"id": "b", "topic": "bad"}], "slow:slow"),
    ):
        body = {"jobId": name, "items": items, "processor": made, "maxAttempts": 1}
        server.client.post("/api/batches", json=body).raise_for_status()
        server.wait_for(lambda name=name: server.client.get(f"/api/batches/{name}").json()["state"].startswith("comp"))
    server.client.post(
        "/api/batches", json={"jobId": "later", "items": topics, "processor": "scripted", "start": False}
    )
    listed = server.client.get("/api/conversations?limit=5").json()["conversations"]
    file = {
        "file": (
            "tools.jsonl",
            json.dumps(with_tools(id="tools", metadata={"reasoning": "A tower."}).to_dict()).encode(),
        )
    }
    server.client.post("/api/conversations/import", files=file).raise_for_status()
    body = {"conversationIds": [conversation["id"] for conversation in listed]}
    return server.client.post("/api/backup/create", json=body).json()["backupId"]


@pytest_asyncio.fixture(params=["light", "dark"], loop_scope="session")
async def page(request, browser, server):
    """A page in each colour scheme, without motion."""
    options = {"color_scheme": request.param, "reduced_motion": "reduce"}
    async with page_of(browser, server, **options) as (opened, _):
        await put_off(opened)
        yield opened


async def test_axe_finds_nothing_on_pages(page, server, filled, request):
    """No page, with or without content, has accessibility violations in either colour scheme."""
    is_dark = "dark" in request.node.name
    conversation = server.client.get("/api/conversations?limit=1").json()["conversations"][0]["id"]
    violations = {}
    for address in (
        "/batches",
        "/batches/one?id=some",
        "/batches/cancel?id=later",
        "/batches/discard?id=some",
        "/batches/resume?id=some",
        "/conversations",
        "/conversations?search=nothing-like-this",
        "/conversations/import",
        f"/conversations/one?id={conversation}",
        "/conversations/one?id=tools",
        "/conversations/one?id=tools&sort=oldest&number=3&total=70&judged=tools&was=kept-2",
        "/conversations/edit?id=tools",
        "/conversations/history?id=tools",
        "/backups",
        f"/backups/one?id={filled}",
        f"/backups/restore?id={filled}",
        f"/backups/remove?id={filled}",
        "/backups/one?id=none",
        "/nosuch",
        "/docs",
    ):
        await drawn(page, address)
        await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        violations[address] = await axe.violations(page, only_colours=is_dark)

    assert {address: wrong for address, wrong in violations.items() if wrong} == {}


async def test_axe_finds_nothing_where_a_batch_is_prepared(page, server):
    """The page that prepares a batch has no accessibility violations."""
    await page.goto("/batches")
    await page.set_input_files("input[type=file]", server.log.parent / "topics.csv")
    await page.get_by_role("button", name="Choose columns").click()
    await page.wait_for_url("**/batches/new*")
    assert await axe.violations(page) == []
    await page.get_by_text("Options for reading the file").click()
    await page.get_by_label("Delimiter of CSV").fill("tabs")
    await page.get_by_role("button", name="Update preview").click()
    await page.get_by_role("alert").get_by_text("The delimiter is one character").wait_for()
    assert await axe.violations(page) == []


async def test_axe_finds_nothing_where_a_file_was_read_in_part(page, tmp_path):
    """The pages after an import and after a start, which report rows left out, have no accessibility violations."""
    (tmp_path / "chats.csv").write_text("prompt;completion\nHi;Hello\nshort\n")
    (tmp_path / "part.csv").write_text("topic;tone\nTea;warm\nshort\n")
    await page.goto("/conversations")
    await page.get_by_role("link", name="Import a file…").click()
    await page.set_input_files("input[type=file]", tmp_path / "chats.csv")
    await page.get_by_text("Options").click()
    await page.get_by_label("Leave out rows that cannot be used").check()
    await page.get_by_role("button", name="Import").click()
    await page.get_by_role("heading", name="1 conversation imported").wait_for()
    await page.get_by_text("1 row was left out:").wait_for()
    assert await axe.violations(page) == []

    await page.goto("/batches")
    await page.set_input_files("input[type=file]", tmp_path / "part.csv")
    await page.get_by_role("button", name="Choose columns").click()
    await page.get_by_role("alert").get_by_text("part.csv line 3: 1 cell where the header has 2").wait_for()
    await page.get_by_label("Batch name").fill(tmp_path.name)
    await page.get_by_label("Recipe or processor").select_option("processor:scripted")
    await page.get_by_label("Leave out rows that cannot be used").check()
    await page.get_by_role("button", name="Update preview").click()
    await page.get_by_role("alert").wait_for(state="detached")
    await page.get_by_role("button", name="Start batch").click()
    await page.get_by_role("heading", name="Batch started").wait_for()
    assert await axe.violations(page) == []
    await page.get_by_role("link", name="Show the batch").click()
    await page.wait_for_url("**/batches/one*")


async def test_axe_finds_nothing_in_dialogs(page, server):
    """The resume and delete dialogs have no accessibility violations in any of their states."""
    await page.evaluate("sessionStorage.clear()")
    await page.goto("/batches")
    await page.get_by_role("dialog").wait_for()
    assert await axe.violations(page) == []
    await page.get_by_role("button", name="Discard…").click()
    assert await axe.violations(page) == []

    await page.goto("/conversations")
    await page.get_by_label("Select Topic 59", exact=True).or_(page.locator("input[name=id]").first).first.check()
    await page.get_by_role("button", name="Delete…").click()
    await page.get_by_role("dialog", name="Delete 1 conversation?").wait_for()
    assert await axe.violations(page) == []
    await page.get_by_label("Back up first").uncheck()
    assert await axe.violations(page) == []
    await page.get_by_label("Back up first").check()
    held = await _held(page, "**/delete/events")
    await page.get_by_role("button", name="Back up and delete").click()
    await page.get_by_role("dialog", name="Backing up, then deleting").wait_for()
    assert await axe.violations(page) == []
    held.set_result({"status": 507, "json": {"error": {"code": "x", "message": "No space left", "details": {}}}})
    await page.get_by_role("dialog", name="Nothing was deleted").wait_for()
    assert await axe.violations(page) == []
    await page.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="Delete…").click()
    await page.get_by_role("button", name="Back up and delete").click()
    await page.get_by_role("dialog", name="1 conversation deleted").wait_for()
    assert await axe.violations(page) == []
    await page.get_by_role("button", name="Done").click()
    await page.get_by_role("status").filter(has_text="1 conversation deleted.").wait_for()
    assert await axe.violations(page) == []
    await page.get_by_role("button", name="Undo").click()
    await page.get_by_text("The delete has been undone: the conversations are back in the library.").wait_for()


async def test_axe_finds_nothing_where_something_is_gone(page):
    """The page about missing conversations of an export has no accessibility violations."""
    await page.goto("/conversations?job=good")
    await page.locator("input[name=id]").first.check()
    await page.locator("input[name=id]").first.evaluate("(box) => { box.value = 'gone'; }")
    await page.locator("input[name=id]").first.dispatch_event("change", {"bubbles": True})
    await page.get_by_role("button", name="Export").click()
    await page.get_by_role("heading", name="1 selected conversation no longer exists").wait_for()
    assert await axe.violations(page) == []

    async with page.expect_download():
        await page.get_by_role("button", name="Export the 1 other").click()
    await page.goto("/conversations")
    await page.get_by_text("1 conversation selected").wait_for()


async def test_axe_finds_nothing_where_an_export_would_lose_something(page, server):
    """The page about losses has no accessibility violations, and its button exports anyway."""
    call = {"type": "function", "id": "c", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "", "metadata": {"tool_calls": [call]}},
    ]
    rows = [
        {"id": "lossy", "persona": "lossy", "conversation_turns": turns},
        {"id": "asking", "persona": "asking", "conversation_turns": turns[:1]},
    ]
    file = {"file": ("a.json", json.dumps(rows).encode())}
    server.client.post("/api/conversations/import", files=file).raise_for_status()
    await page.goto("/conversations?persona=lossy")
    await page.get_by_label("Format").select_option("sharegpt")
    await page.get_by_role("button", name="Export all matching").click()
    await page.get_by_role("heading", name="This format cannot hold everything").wait_for()
    assert await axe.violations(page) == []

    async with page.expect_download() as download:
        await page.get_by_role("button", name="Export without it").click()
    assert (await (await download.value).path()).read_text().count("\n") == 1

    await page.goto("/conversations?persona=asking")
    await page.get_by_role("button", name="Export all matching").click()
    await page.get_by_role("heading", name="Trainers would refuse some of these conversations").wait_for()
    assert await axe.violations(page) == []
    async with page.expect_download():
        await page.get_by_role("button", name="Export anyway").click()


async def _held(page, address):
    """Hold one response back; return the future that receives it, or None to let the request through."""
    held = asyncio.get_running_loop().create_future()

    async def answer(route):
        response = await held
        await (route.continue_() if response is None else route.fulfill(**response))

    await page.route(address, answer, times=1)
    return held


async def test_axe_notices(page):
    """Control: axe reports an image without alternative text."""
    await page.goto("/backups")
    await page.evaluate("document.body.append(document.createElement('img'))")

    assert any(line.startswith("image-alt") for line in await axe.violations(page))


async def _tab_to(page, name, *, role="button", most=60):
    """Press Tab until an element has the focus, like a user without a mouse."""
    for _ in range(most):
        await page.keyboard.press("Tab")
        target = page.get_by_role(role, name=name, exact=True).first
        if await target.count() and await target.evaluate("(one) => one.getRootNode().activeElement === one"):
            return
    raise AssertionError(f"Tab does not lead to {name}")


async def test_a_dialog_that_was_closed_this_instant_opens_anew(browser, server):
    """A dialog that is reopened before its close event arrives stays open."""
    async with page_of(browser, server) as (page, _):
        await put_off(page)
        await page.goto("/conversations?job=good")
        await page.get_by_text("No conversations selected").wait_for()
        await page.evaluate("""() => {
            const [element, id] = ["pre-delete-backup", "input[name=id]"].map((one) => document.querySelector(one));
            element.ask({ conversationIds: [id.value] });
            element.shadowRoot.querySelector("dialog").close();
            element.ask({ conversationIds: [id.value] });
        }""")

        await page.get_by_role("dialog", name="Delete 1 conversation?").wait_for()


async def test_a_delete_and_its_undo_by_keyboard_alone(browser, server):
    """In a delete by keyboard, the focus enters the dialog, stays inside, and returns afterwards."""
    async with page_of(browser, server) as (page, seen):
        await put_off(page)
        await page.goto("/conversations?job=good")
        await page.get_by_text("No conversations selected").wait_for()
        await page.locator("input[name=id]").first.focus()
        await page.keyboard.press("Space")
        await page.locator("[data-format], #format").focus()
        await _tab_to(page, "Delete…")
        await page.keyboard.press("Enter")
        await page.get_by_role("dialog", name="Delete 1 conversation?").wait_for()
        await page.keyboard.press("Escape")
        assert await page.evaluate("document.activeElement.textContent") == "Delete…"

        await page.keyboard.press("Enter")
        await page.get_by_role("dialog", name="Delete 1 conversation?").wait_for()
        await _tab_to(page, "Back up and delete", most=5)
        await page.keyboard.press("Enter")
        await page.get_by_role("dialog", name="1 conversation deleted").wait_for()
        await _tab_to(page, "Undo", most=3)
        await page.keyboard.press("Enter")
        await page.get_by_text("1 conversation restored.").wait_for()
        assert seen.everything == []


_FOCUS = """() => {
  let at = document.activeElement;
  while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at.closest("dialog") !== null ? "dialog" : at === document.body ? "browser" : at.outerHTML.slice(0, 80);
}"""


async def _places_of_tab(page, key):
    """Press a key for a full round of the focus; return the focused elements."""
    focused = set()
    for _ in range(9):
        await page.keyboard.press(key)
        focused.add(await page.evaluate(_FOCUS))
    return focused


async def test_dialogs_keep_the_focus(browser, server):
    """In a dialog, Tab moves the focus within it or to the browser's own controls, never to the page behind."""
    async with page_of(browser, server) as (page, _):
        dialog = page.get_by_role("dialog")
        await dialog.wait_for()
        resuming = await _places_of_tab(page, "Tab") | await _places_of_tab(page, "Shift+Tab")
        await page.keyboard.press("Escape")
        await dialog.wait_for(state="detached")
        behind = await _places_of_tab(page, "Tab")

        await page.get_by_role("link", name="Conversations").click()
        await page.get_by_role("row").get_by_role("link").first.click()
        await page.wait_for_url("**/conversations/one*")
        await page.get_by_role("button", name="Delete…").press("Enter")
        await page.get_by_role("dialog", name="Delete 1 conversation?").wait_for()
        deleting = await _places_of_tab(page, "Tab") | await _places_of_tab(page, "Shift+Tab")
        await page.keyboard.press("Escape")
        await dialog.wait_for(state="detached")

        assert {"dialog"} <= resuming <= {"dialog", "browser"}
        assert {"dialog"} <= deleting <= {"dialog", "browser"}
        assert behind - {"dialog", "browser"}  # without a dialog, the focus moves in the page
        assert await page.evaluate("document.activeElement.textContent") == "Delete… d"


async def test_the_dialog_of_a_running_delete_stays_open(browser, server):
    """Escape does not close the dialog of a running delete, which later shows the result and the undo."""
    async with page_of(browser, server) as (page, seen):
        await put_off(page)
        await page.goto("/conversations?job=good")
        await page.locator("input[name=id]").first.check()
        await page.get_by_role("button", name="Delete…").click()
        held = await _held(page, "**/delete/events")
        await page.get_by_role("button", name="Back up and delete").click()
        going = page.get_by_role("dialog", name="Backing up, then deleting")
        await going.wait_for()
        for _ in range(3):
            await page.keyboard.press("Escape")
        await going.wait_for()
        held.set_result(None)
        await page.get_by_role("dialog", name="1 conversation deleted").wait_for()
        await page.keyboard.press("Escape")

        await page.get_by_role("status").filter(has_text="1 conversation deleted.").wait_for()
        assert await page.get_by_role("link", name="Download backup").count() == 1
        assert await page.get_by_text("1 conversation selected").count() == 0
        await page.get_by_role("button", name="Undo").click()
        await page.get_by_text("The delete has been undone: the conversations are back in the library.").wait_for()
        assert "job=good" in page.url  # the list is still filtered
        assert seen.everything == []


@pytest.mark.parametrize(("motion", "moves"), [("reduce", False), ("no-preference", True)])
async def test_nothing_moves_with_reduced_motion(browser, server, motion, moves):
    """With reduced motion nothing is animated; otherwise dialogs fade in."""
    async with page_of(browser, server, reduced_motion=motion) as (page, _):
        await page.get_by_role("dialog").wait_for()
        name = await page.get_by_role("dialog").evaluate("(one) => getComputedStyle(one).animationName")
        rules = await page.evaluate(
            """() => [...document.styleSheets, ...document.querySelector("resume-dialog").shadowRoot.adoptedStyleSheets]
              .flatMap((sheet) => [...sheet.cssRules])
              .filter((rule) => /animation|transition|scroll-behavior/.test(rule.style?.cssText ?? ""))
              .map((rule) => rule.cssText)"""
        )

        assert (name != "none") is moves
        assert rules == []  # all animations are inside a media query for the preference


async def test_a_batch_is_resumed_by_keyboard_alone(browser, server):
    """The resume dialog has the focus when it opens, and can be used by keyboard alone."""
    async with page_of(browser, server) as (page, _):
        await page.goto("/batches")
        await page.get_by_role("dialog", name="A batch is not finished").wait_for()
        await _tab_to(page, "Discard…", most=5)
        await page.keyboard.press("Enter")
        await page.get_by_text("Discard this batch? The remaining items will not be generated.").wait_for()
        await page.keyboard.press("Enter")
        assert await page.get_by_role("button", name="Discard…").count() == 1
        await page.keyboard.press("Escape")
        assert await page.get_by_role("dialog").count() == 0


async def test_a_batch_is_started_by_keyboard_alone(browser, server):
    """A batch can be started by keyboard alone, except for the browser's own file chooser."""
    async with page_of(browser, server) as (page, _):
        await put_off(page)
        await page.set_input_files("input[type=file]", server.log.parent / "topics.csv")
        await page.locator("input[type=file]").focus()
        await _tab_to(page, "Choose columns", most=3)
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/batches/new*")
        await page.get_by_label("Batch name").focus()
        await page.keyboard.press("Control+A")
        await page.keyboard.type("by-keys")
        await _tab_to(page, "Start batch", most=10)
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/batches/one*")


@pytest.mark.parametrize("width", [320, 390, 1600])
async def test_nothing_is_wider_than_the_screen(browser, server, width):
    """No page scrolls sideways on a phone or any wider screen."""
    async with page_of(browser, server, viewport={"width": width, "height": 800}) as (page, _):
        await put_off(page)
        for address in (
            "/batches",
            "/conversations",
            "/backups",
            "/batches/one?id=some",
            "/conversations/one?id=tools",
        ):
            await drawn(page, address)
            await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, address
