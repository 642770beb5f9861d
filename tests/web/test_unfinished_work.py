"""Unfinished business: interrupted deletes, jobs that only their program can resume, and conflicts."""

import re

import pytest

from backstay import Backstay, Conversation, Halt, Turn
from support.faults.interrupted_delete import cut_off
from support.servers.api import KINDS, ORIGIN, cookied, library, serving
from support.stores.sql import ask


@pytest.fixture
async def local(tmp_path):
    """An application with pages; its client `ann` sends requests like its own pages."""
    with library(KINDS[0], tmp_path) as settings:
        async with serving(settings, local=True) as running:
            running.ann.headers["Origin"] = ORIGIN
            yield running


@pytest.mark.parametrize(
    ("action", "notice", "remaining"),
    [("continue", "The delete is finished.", 0), ("undo", "The delete has been undone", 3)],
)
async def test_an_interrupted_delete_is_shown_at_the_top(local, action, notice, remaining):
    """An interrupted delete is shown at the top of the backups, and can be finished or undone there."""
    await local.made(3)
    backup = await cut_off(local.state.backstay.for_owner("local"))
    listed = await local.ann.get("/backups")
    page = await local.ann.post("/backups/act", data={"id": backup, "action": action}, follow_redirects=True)

    assert "A delete was interrupted" in listed.text
    assert backup in listed.text
    assert notice in page.text
    assert len((await local.ann.get("/api/conversations")).json()["conversations"]) == remaining
    assert "A delete was interrupted" not in (await local.ann.get("/backups")).text


async def test_a_damaged_backup_offers_only_what_can_be_done_with_it(local):
    """A damaged backup shows since when, and its delete can continue only after a successful verification."""
    await local.made(3)
    owned = local.state.backstay.for_owner("local")
    backup = await cut_off(owned)
    path = await owned.backups.path_for(await owned.backups.show(backup))
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    refused = await local.ann.post("/backups/act", data={"id": backup, "action": "verify"})
    listed, page = await local.ann.get("/backups"), await local.ann.get("/backups/one", params={"id": backup})
    path.write_bytes(whole)
    await local.ann.post("/backups/act", data={"id": backup, "action": "verify"})
    sound = await local.ann.get("/backups/one", params={"id": backup})

    assert (refused.status_code, refused.headers["location"]) == (303, f"/backups/one?id={backup}")
    assert "chip-damaged" in listed.text
    assert "which is damaged (found" in listed.text
    assert "(found" in page.text
    for offer in ("Undo the delete", "Finish deleting"):
        assert offer not in listed.text + page.text
        assert offer in sound.text
    assert "Restore…" not in page.text
    assert "Verify again" in page.text


async def test_a_restore_over_other_content_asks_what_to_do(local):
    """A restore keeps different content by default, and backs it up before replacing it."""
    (conversation_id,) = await local.made(1)
    backup = (await local.ann.post("/api/backup/create", json={"conversationIds": [conversation_id]})).json()[
        "backupId"
    ]
    ask(local.state.backstay.settings.database_url, "UPDATE conversations SET topic = 'edited'")
    plan = await local.ann.get("/backups/restore", params={"id": backup})
    topics = []
    for choice in ("skip", "replace"):
        restored = await local.ann.post("/backups/restore", data={"id": backup, "onConflict": choice})
        assert restored.status_code == 303, restored.text
        topics.append((await local.ann.get(f"/api/conversations/{conversation_id}")).json()["topic"])

    assert "1 conversation is in the library with different content" in plan.text
    assert re.search(r'value="skip" checked', plan.text)
    assert topics == ["edited", "topic 0"]
    assert len((await local.ann.get("/api/backups")).json()["backups"]) == 2


async def _own(item):
    return Conversation(turns=[Turn("user", item.topic), Turn("assistant", "Indeed.")])


async def test_the_page_of_a_programs_own_job_offers_nothing_it_cannot_do(local):
    """The page of a job that only its program can resume has no resume button."""
    async with cookied(local) as client:
        await local.state.backstay.for_owner("local").batches.run(
            "own", [{"topic": "x"}, {"topic": "y"}], _own, limit=1
        )
        page = await client.get("/batches/one", params={"id": "own"})

    assert "only that program can resume it" in page.text
    assert ">Resume<" not in page.text


@pytest.mark.parametrize(("code", "is_offered"), [("refused", True), ("bad_key", False), ("length", False)])
async def test_an_item_is_to_be_skipped_where_it_can_be_at_fault(local, code, is_offered):
    """The page offers to skip an item only if the item, and not a key or recipe, can be the cause."""

    async def doomed(item, work):
        work.raw("no")
        return Halt("it was refused", code=code)

    await local.state.backstay.for_owner("local").batches.run("own", [{"topic": "x"}], doomed)
    async with cookied(local) as client:
        page = await client.get("/batches/one", params={"id": "own"})

    assert "1 attempt led to this pause" in page.text
    assert ("Skip this item" in page.text) == is_offered


@pytest.mark.asyncio(loop_scope="session")
async def test_the_dialog_lists_several_and_says_which_it_cannot_resume(page, server):
    """The dialog lists several jobs, handles each separately, and says which it cannot resume."""
    async with Backstay.open(server.log.parent / ".backstay" / "backstay.db") as backstay:
        await backstay.batches.run("own", [{"topic": "x"}, {"topic": "y"}], _own, limit=1)
    body = {"jobId": "waiting", "items": [{"topic": "x"}], "processor": "scripted", "start": False}
    server.client.post("/api/batches", json=body).raise_for_status()
    await page.goto("/batches")
    await page.get_by_role("dialog", name="2 batches are not finished").wait_for()
    own = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="own", exact=True))

    assert "only that program can resume it" in await own.inner_text()
    assert await own.get_by_role("button", name="Resume").count() == 0
    await own.get_by_role("button", name="Discard…").click()
    await own.get_by_role("button", name="Discard", exact=True).click()
    await page.wait_for_url("**/batches")  # the page reloads, and the dialog shows the remaining jobs
    await page.get_by_role("dialog", name="A batch is not finished").wait_for()
    assert [job["id"] for job in server.client.get("/api/batches").json()["jobs"]] == ["waiting"]


@pytest.mark.asyncio(loop_scope="session")
async def test_a_file_can_be_dropped(page):
    """A dropped file leads to its columns, like a chosen one."""
    await page.goto("/batches")
    await page.keyboard.press("Escape")
    await page.get_by_text("Or drop a file here.").wait_for()
    await page.evaluate(
        """() => {
          const dropped = new DataTransfer();
          dropped.items.add(new File(["topic\\nBoats\\n"], "dropped.csv", { type: "text/csv" }));
          const event = new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true });
          document.querySelector("[data-drop]").dispatchEvent(event);
        }"""
    )
    await page.wait_for_url("**/batches/new*")

    assert await page.get_by_label("Batch name").input_value() == "dropped"
    assert "Boats" in await page.locator("main").inner_text()
