"""Contact is lost after a request has arrived: no element claims what it cannot know."""

import asyncio
import re
import signal
import sqlite3
from contextlib import asynccontextmanager, closing

import pytest

from support.browser import axe
from support.browser.pages import SETTINGS, calls, come_in, page_of, prepared, put_off
from support.browser.proxy import CuttingProxy
from support.servers.api import Server, served

pytestmark = pytest.mark.asyncio(loop_scope="session")

# The first step of a delete takes 16 conversations; the next one ends only long after the test has read that.
_STOPS_AT_16 = """
CREATE TRIGGER slowly BEFORE DELETE ON conversations WHEN (SELECT count(*) FROM conversations) <= 44 BEGIN
    SELECT count(*) FROM (
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT i FROM n
    );
END
"""
_CLAIMS = re.compile(r"Nothing|failed|not found|was done|was interrupted|deleted$", re.IGNORECASE)


@pytest.fixture
def job(server, request):
    """The name of a job with three conversations."""
    name = re.sub(r"\W+", "-", request.node.name)
    items = [{"id": f"i{number}", "topic": f"{name} {number}"} for number in range(3)]
    server.client.post("/api/batches", json={"jobId": name, "items": items, "processor": "scripted"}).raise_for_status()
    server.wait_for(lambda: server.client.get(f"/api/batches/{name}").json()["state"] == "completed")
    return name


@asynccontextmanager
async def _page(browser, server):
    """Yield a page that is signed in through a proxy, and the proxy."""
    with CuttingProxy(server.port) as proxy:
        behind = Server(server.process, proxy.url, server.token, server.log)
        async with page_of(browser, behind) as (page, seen):
            yield page, proxy
        behind.client.close()
        assert seen.everything == []


def _remaining(server, job):
    return len(server.client.get("/api/conversations", params={"jobId": job}).json()["conversations"])


def _backups(server, job):
    listed = server.client.get("/api/backups?every=true&limit=200").json()["backups"]
    return [backup for backup in listed if backup["deletion"] is not None]


async def _begin_to_delete(page, job, *, backup=True):
    await page.goto(f"/conversations?job={job}")
    await page.get_by_label("Select this page").check()
    await page.get_by_role("button", name="Delete…").click()
    await page.get_by_role("dialog", name="Delete 3 conversations?").wait_for()
    if not backup:
        await page.get_by_label("Back up first").uncheck()
        await page.get_by_label("Type “delete for good”").fill("delete for good")
    await page.get_by_role("button", name="Back up and delete" if backup else "Delete for good").click()


async def _does_not_know(page):
    """Wait until the dialog says that the result is unknown; return its text."""
    dialog = page.get_by_role("dialog")
    await dialog.get_by_text("Until then it is not known whether they were deleted.").wait_for()
    assert await axe.violations(page) == []
    return await dialog.inner_text()


@pytest.mark.parametrize(
    ("backup", "answer"),
    [(True, b"HTTP/1.1 "), (True, b'"verifying"'), (False, b"HTTP/1.1 ")],
    ids=["backup unknown", "backup known", "for good"],
)
async def test_a_delete_without_an_answer_is_found_out(browser, server, job, backup, answer):
    """The dialog says that the result is unknown, and shows it once contact returns."""
    before = len(_backups(server, job))
    async with _page(browser, server) as (page, proxy):
        proxy.cut_at(b"POST /api/conversations/delete/events", answer)
        await _begin_to_delete(page, job, backup=backup)
        text = await _does_not_know(page)
        server.wait_for(lambda: _remaining(server, job) == 0)
        proxy.mend()
        await page.get_by_role("dialog", name="3 conversations deleted").wait_for()

        assert not _CLAIMS.search(text)
        assert ("✓" in text or "Backing up" in text) == backup
        assert len(_backups(server, job)) - before == backup  # requested twice, made once
        assert await page.get_by_role("button", name="Undo").count() == backup
        if backup:
            proxy.cut_at(b"/restore")
            await page.get_by_role("button", name="Undo").click()
            await page.get_by_text("Until then it is not known whether they were restored.").wait_for()
            server.wait_for(lambda: _remaining(server, job) == 3)
            proxy.mend()
            await page.get_by_text("3 conversations restored.").wait_for()


async def _altered(page, file, before, after):
    """Serve a page one of its scripts without a protection."""

    async def answer(route):
        got = await route.fetch()
        text = await got.text()
        assert before in text
        await route.fulfill(response=got, body=text.replace(before, after))

    await page.route(f"**/static/*/{file}", answer)


async def test_an_element_that_does_not_ask_again_claims_what_is_wrong(browser, server, job):
    """Control: without repeated requests, the dialog does not say that the result is unknown."""
    async with _page(browser, server) as (page, proxy):
        await _altered(page, "client.js", "if (!isLost || !isTransient(error)) throw error;", "throw error;")
        proxy.cut_at(b"POST /api/conversations/delete/events")
        await _begin_to_delete(page, job)
        await page.get_by_role("dialog").get_by_role("alert").wait_for()
        server.wait_for(lambda: _remaining(server, job) == 0)

        assert _CLAIMS.search(await page.get_by_role("dialog").inner_text())


async def test_without_its_key_a_delete_that_is_asked_for_again_is_refused(browser, server, job):
    """Control: without its key, the repeated request cannot find a completed delete."""
    async with _page(browser, server) as (page, proxy):
        await _altered(page, "pre-delete-backup.js", '"Idempotency-Key": work.key', "")
        proxy.cut_at(b"POST /api/conversations/delete/events")
        await _begin_to_delete(page, job)
        await _does_not_know(page)
        server.wait_for(lambda: _remaining(server, job) == 0)
        proxy.mend()
        await page.get_by_role("dialog", name="They are no longer in the library").wait_for()

        assert not _CLAIMS.search(await page.get_by_role("dialog").inner_text())


async def test_a_dialog_that_does_not_know_can_be_closed(browser, server, job):
    """A dialog with an unknown result can be closed, and the page then shows the current conversations."""
    async with _page(browser, server) as (page, proxy):
        proxy.cut_at(b"POST /api/conversations/delete/events")
        await _begin_to_delete(page, job)
        await _does_not_know(page)
        server.wait_for(lambda: _remaining(server, job) == 0)
        proxy.mend()
        await page.keyboard.press("Escape")
        await page.get_by_text("No conversation").or_(page.locator(".empty")).first.wait_for()

        assert await page.locator("input[name=id]").count() == 0


async def test_a_delete_whose_server_was_killed_is_finished_or_undone(browser, tmp_path):
    """After a killed server restarts, the dialog offers to finish or undo the delete."""
    folder = prepared(tmp_path)
    items = [{"id": f"i{number}", "topic": f"Topic {number}"} for number in range(60)]
    async with asyncio.timeout(120):
        with served(folder, SETTINGS) as server:
            body = {"jobId": "many", "items": items, "processor": "scripted"}
            server.client.post("/api/batches", json=body).raise_for_status()
            server.wait_for(lambda: server.client.get("/api/batches/many").json()["state"] == "completed")
            with closing(sqlite3.connect(folder / ".backstay" / "backstay.db")) as database:
                database.execute(_STOPS_AT_16)
            async with page_of(browser, server) as (page, _):
                await page.goto("/conversations?job=many")
                await page.get_by_role("button", name="Select all").click()
                await page.get_by_text("60 conversations selected").wait_for()
                await page.get_by_role("button", name="Delete…").click()
                await page.get_by_role("button", name="Back up and delete").click()
                await page.get_by_text("16 of 60 conversations").wait_for()
                port = server.port
                server.stop(signal.SIGKILL)
                assert not _CLAIMS.search(await _does_not_know(page))
                with closing(sqlite3.connect(folder / ".backstay" / "backstay.db")) as database:
                    database.execute("DROP TRIGGER slowly")
                with served(folder, SETTINGS, "--new-token", port=port) as again:
                    await page.get_by_text("You are signed out.").wait_for()
                    other = await page.context.new_page()
                    await come_in(other, again)
                    await page.get_by_role("dialog", name="The delete was interrupted").wait_for()
                    assert await axe.violations(page) == []
                    text = await page.get_by_role("dialog").inner_text()
                    assert re.search(r"(\d+) conversations of 60 deleted so far", text)
                    await page.get_by_role("button", name="Finish deleting").click()
                    await page.get_by_role("dialog", name="60 conversations deleted").wait_for()
                    assert _remaining(again, "many") == 0
                    await page.get_by_role("button", name="Undo").click()
                    await page.get_by_text("60 conversations restored.").wait_for()


@pytest.fixture
def paused(server, request):
    """The name of a batch with a failed and a pending item."""
    name = re.sub(r"\W+", "-", request.node.name)
    items = [{"id": f"{name}-bad", "topic": "bad"}, {"id": f"{name}-good", "topic": "good"}]
    body = {"jobId": name, "items": items, "processor": "slow:slow", "maxAttempts": 1, "start": False}
    server.client.post("/api/batches", json=body).raise_for_status()
    server.client.post(f"/api/batches/{name}/resume", json={"limit": 1}).raise_for_status()
    server.wait_for(lambda: (job := _job(server, name))["failed"] == 1 and not job["workers"])
    return name


def _job(server, name):
    return server.client.get(f"/api/batches/{name}").json()


@pytest.mark.parametrize(
    ("press", "request_", "what", "tried", "is_keyed"),
    [
        ("Resume and retry 1 failed item", b"/resume", "it was resumed", 2, True),
        ("Retry all", b"/resume", "they will be retried", 2, True),
        ("Retry all", b"/resume", "they will be retried", 3, False),
        ("Skip", b"/skip", "it was skipped", 1, True),
    ],
)
async def test_what_is_asked_of_a_batch_is_done_once(browser, server, paused, press, request_, what, tried, is_keyed):
    """Despite lost contact a failed item is retried once; without a key, once per request."""
    async with _page(browser, server) as (page, proxy):
        if not is_keyed:
            await _altered(page, "client.js", '"Idempotency-Key": newIdempotencyKey()', "")
        await page.goto(f"/batches/one?id={paused}")
        await page.get_by_role("dialog").wait_for()
        if not press.startswith("Resume"):
            await put_off(page)
        proxy.cut_at(request_)
        await page.get_by_role("button", name=press).first.click()
        await page.get_by_text(f"Until then it is not known whether {what}.").wait_for()
        if tried > 1:
            server.wait_for(lambda: _job(server, paused)["state"] == "completed_with_failures")
        proxy.mend()
        await page.get_by_text("Until then it is not known").wait_for(state="detached")

        server.wait_for(lambda: calls(server.log.parent)[f"{paused}-bad"] == tried)
        server.wait_for(lambda: not _job(server, paused)["workers"])
        assert calls(server.log.parent)[f"{paused}-bad"] == tried
        assert _job(server, paused)["skipped"] == (tried == 1)


async def test_a_connection_that_is_silent_is_lost(browser, server):
    """A summary without heartbeats for a minute reports the lost connection, and recovers with the network."""
    items = [{"id": f"s{number}", "topic": f"Topic {number}"} for number in range(3)]
    body = {"jobId": "silent", "items": items, "processor": "scripted", "start": False}
    server.client.post("/api/batches", json=body).raise_for_status()
    async with _page(browser, server) as (page, proxy):
        await page.clock.install()
        await page.goto("/batches/one?id=silent")
        await put_off(page)
        await page.get_by_text("Pending: 0% of 3 items.").wait_for()
        proxy.fall_silent()
        await page.clock.fast_forward(61_000)
        await page.get_by_text("The connection was lost. Trying again…").wait_for()
        server.client.post("/api/batches/silent/resume").raise_for_status()
        proxy.mend()
        await page.evaluate("window.dispatchEvent(new Event('online'))")
        await page.get_by_text("Completed: 100% of 3 items.").wait_for()
