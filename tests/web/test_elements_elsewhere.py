"""The elements on a page of another site, with a token of that site, as the reference shows it."""

import re
import sqlite3
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from support.browser.pages import SETTINGS, prepared
from support.servers.api import served
from support.servers.site import other_site

pytestmark = pytest.mark.asyncio(loop_scope="session")

_REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "elements.md"


@pytest.fixture(scope="module")
def site():
    """Another site, which serves the pages in `content`."""
    with other_site() as running:
        yield running


@pytest.fixture(scope="module")
def server(site, tmp_path_factory):
    """A server that allows cross-origin calls from the other site."""
    folder = prepared(tmp_path_factory.mktemp("elements"))
    with served(folder, f'{SETTINGS}cors_origins = ["{site.origin()}"]\n') as running:
        items = [{"id": f"i{number}", "topic": f"Topic {number}"} for number in range(5)]
        for name, start in (("topics", True), ("waiting", False)):
            body = {"jobId": name, "items": items, "processor": "scripted", "start": start}
            running.client.post("/api/batches", json=body).raise_for_status()
        running.wait_for(lambda: running.client.get("/api/batches/topics").json()["state"] == "completed")
        yield running


@asynccontextmanager
async def _page(browser):
    """Yield a page in a fresh browser context."""
    context = await browser.new_context()
    try:
        context.set_default_timeout(30_000)
        yield await context.new_page()
    finally:
        await context.close()


async def test_the_page_of_the_reference_works(browser, server, site):
    """The reference's page can resume, follow and delete with a ticket download, and receives the events."""
    page_of_reference = re.search(r"```html\n(.*?)```", _REFERENCE.read_text(), re.DOTALL)[1]
    site.content = page_of_reference.replace("https://backstay.example", server.url).replace("TOKEN", server.token)
    async with _page(browser) as page:
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"http://127.0.0.1:{site.server_port}/")
        await page.get_by_role("dialog", name="A batch is not finished").wait_for()
        await page.get_by_role("button", name="Resume", exact=True).click()
        await page.get_by_text("Completed: 100% of 5 items.").first.wait_for()
        ids = [row["id"] for row in server.client.get("/api/conversations?jobId=topics").json()["conversations"]]
        await page.evaluate("(ids) => document.querySelector('pre-delete-backup').ask({conversationIds: ids})", ids[:2])
        await page.get_by_role("button", name="Back up and delete").click()
        await page.get_by_role("dialog", name="2 conversations deleted").wait_for()
        async with page.expect_download() as waiting:
            await page.get_by_role("link", name="Download backup").click()

        assert (await waiting.value).suggested_filename.startswith("backup-")
        assert errors == []
        assert "deleted 2" in await page.inner_text("#log")
        assert "resumed waiting" in await page.inner_text("#log")


async def test_a_page_may_do_it_its_own_way(browser, server, site):
    """A cancelled event prevents the action, and a summary displays the page's own numbers."""
    site.content = f"""<!doctype html><html lang="en"><title>x</title><batch-summary></batch-summary>
        <pre-delete-backup></pre-delete-backup><script type="module">
        import {{ configure }} from "{server.url}/static/backstay.js";
        configure({{ api: "{server.url}", token: async () => "{server.token}" }});
        document.querySelector("batch-summary").progress = {{
          totalItems: 10, completedItems: 4, failedItems: 1, pendingItems: 5, progressPercentage: 50 }};
        const dialog = document.querySelector("pre-delete-backup");
        dialog.addEventListener("confirm-delete", (event) => event.preventDefault());
        </script></html>"""
    async with _page(browser) as page:
        await page.goto(f"http://127.0.0.1:{site.server_port}/")
        await page.get_by_text("50%").first.wait_for()
        before = server.client.get("/api/conversations").json()["conversations"]
        await page.evaluate("(id) => { const one = document.querySelector('pre-delete-backup');"
                            " one.conversationIds = [id]; one.isOpen = true; }", before[0]["id"])  # fmt: skip
        sent = []
        page.on("request", lambda request: sent.append(request.url))
        await page.get_by_role("button", name="Back up and delete").click()
        await page.get_by_role("dialog").wait_for(state="detached")
        await page.evaluate("fetch('/late')")  # any other request would have been sent by now

        assert [address.rpartition("/")[2] for address in sent] == ["late"]
        assert server.client.get("/api/conversations").json()["conversations"] == before


async def test_attributes_may_come_late(browser, server, site):
    """Attributes set after the element is on the page take effect, and the last value counts."""
    site.content = f"""<!doctype html><html lang="en"><title>x</title><batch-summary></batch-summary>
        <script type="module">
        import {{ configure }} from "{server.url}/static/backstay.js";
        configure({{ api: "{server.url}", token: "{server.token}" }});
        </script></html>"""
    async with _page(browser) as page:
        await page.goto(f"http://127.0.0.1:{site.server_port}/")
        await page.evaluate("document.querySelector('batch-summary').setAttribute('job-id', 'none')")
        await page.get_by_text("Job 'none' not found").wait_for()
        await page.evaluate("document.querySelector('batch-summary').setAttribute('job-id', 'topics')")
        await page.get_by_text("Completed: 100% of 5 items.").wait_for()


@pytest.mark.parametrize(("deleted", "status"), [(2, 200), (1, 500), (0, 200)])
async def test_an_app_deletes_by_itself(browser, server, site, deleted, status):
    """An app that deletes by itself gets a verified backup, and the dialog shows and undoes the result."""
    html, snippet = re.findall(r"```html\n(.*?)```", _REFERENCE.read_text(), re.DOTALL)
    assert 'delete-by="app"' in snippet
    listed = server.client.get("/api/conversations?jobId=topics").json()["conversations"]
    ids = sorted(row["id"] for row in listed)[:2]
    head = (
        html.replace("https://backstay.example", server.url).replace("TOKEN", server.token).partition("<resume-dialog>")
    )
    site.content = head[0] + snippet.replace('"conv-1", "conv-2"', ", ".join(f'"{row_id}"' for row_id in ids))
    requests = []

    def delete(asked):
        (backup, *_) = server.client.get("/api/backups").json()["backups"]
        requests.append((asked, backup["state"], backup["deletion"], backup["conversationCount"]))
        with closing(sqlite3.connect(server.log.parent / ".backstay" / "backstay.db")) as database:
            database.execute("PRAGMA foreign_keys = ON")
            database.executemany("DELETE FROM conversations WHERE id = ?", [(row_id,) for row_id in asked[:deleted]])
            database.commit()
        return status

    site.delete = delete
    async with _page(browser) as page:
        await page.goto(f"http://127.0.0.1:{site.server_port}/")
        await page.get_by_role("dialog", name="Delete 2 conversations?").wait_for()
        assert await page.get_by_label("Back up first").count() == 0
        await page.get_by_role("button", name="Back up and delete").click()
        heading = {0: "Nothing was deleted", 1: "1 conversation deleted", 2: "2 conversations deleted"}[deleted]
        await page.get_by_role("dialog", name=heading).wait_for()
        text = await page.get_by_role("dialog").inner_text()
        remaining = server.client.get("/api/conversations?jobId=topics").json()["conversations"]

        assert requests == [(ids, "verified", None, 2)]
        assert len(listed) - len(remaining) == deleted
        assert ("could not be deleted" in text) == (status == 500)
        assert ("still in the library" in text) == (deleted < 2)
        assert await page.get_by_role("button", name="Undo").count() == (deleted > 0)
        if deleted:
            await page.get_by_role("button", name="Undo").click()
            restored = "1 conversation" if deleted == 1 else f"{deleted} conversations"
            await page.get_by_text(f"{restored} restored.").wait_for()


async def test_an_app_whose_backup_fails_is_not_asked_to_delete(browser, server, site):
    """If the selection has changed since the plan, the app gets neither a backup nor an event."""
    site.content = f"""<!doctype html><html lang="en"><title>x</title>
        <pre-delete-backup delete-by="app"></pre-delete-backup><script type="module">
        import {{ configure }} from "{server.url}/static/backstay.js";
        configure({{ api: "{server.url}", token: "{server.token}" }});
        const dialog = document.querySelector("pre-delete-backup");
        dialog.addEventListener("backup-ready", () => {{ window.isReady = true; }});
        dialog.ask({{ all: true }});
        </script></html>"""
    async with _page(browser) as page:
        await page.goto(f"http://127.0.0.1:{site.server_port}/")
        await page.get_by_role("button", name="Back up and delete").wait_for()
        body = {"jobId": "more", "items": [{"topic": "x"}], "processor": "scripted"}
        server.client.post("/api/batches", json=body).raise_for_status()
        server.wait_for(lambda: server.client.get("/api/batches/more").json()["state"] == "completed")
        await page.get_by_role("button", name="Back up and delete").click()
        await page.get_by_role("dialog", name="Nothing was deleted").wait_for()

        assert "have changed since the plan was made" in await page.get_by_role("dialog").inner_text()
        assert await page.evaluate("window.isReady") is None


async def test_an_app_that_edits_instead_sees_how_many_are_left(browser, server, site):
    """All conversations that changed in the meantime are counted, although the plan lists only a thousand."""
    body = {"jobId": "many", "items": [{"topic": f"x {number}"} for number in range(1_001)], "processor": "scripted"}
    server.client.post("/api/batches", json=body).raise_for_status()
    server.wait_for(lambda: server.client.get("/api/batches/many").json()["state"] == "completed")

    def edit(_):
        with closing(sqlite3.connect(server.log.parent / ".backstay" / "backstay.db")) as database:
            database.execute("UPDATE conversations SET topic = 'y' WHERE job_id = 'many'")
            database.commit()
        return 200

    site.delete = edit
    site.content = f"""<!doctype html><html lang="en"><title>x</title>
        <pre-delete-backup delete-by="app"></pre-delete-backup><script type="module">
        import {{ configure }} from "{server.url}/static/backstay.js";
        configure({{ api: "{server.url}", token: "{server.token}" }});
        const dialog = document.querySelector("pre-delete-backup");
        dialog.addEventListener("backup-ready", ({{ detail }}) => {{
          detail.waitUntil(fetch("/conversations/delete", {{ method: "POST", body: "[]" }}));
        }});
        dialog.ask({{ jobId: "many" }});
        </script></html>"""
    async with _page(browser) as page:
        await page.goto(f"http://127.0.0.1:{site.server_port}/")
        await page.get_by_role("button", name="Back up and delete").click()
        await page.get_by_role("dialog", name="Nothing was deleted").wait_for()

        assert "1,001 conversations kept: changed in the meantime" in await page.get_by_role("dialog").inner_text()
