"""The manual checklist of backups, line by line, in a real browser."""

import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backstay.app import Backstay
from backstay.clock import SystemClock
from support.faults.sabotage import switch_off
from support.servers.event_listener import parsed

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def job(server, request):
    """The name of a job with six conversations."""
    name = request.node.name
    items = [{"id": f"i{number}", "topic": f"{name} topic {number}"} for number in range(6)]
    server.client.post("/api/batches", json={"jobId": name, "items": items, "processor": "scripted"}).raise_for_status()
    server.wait_for(lambda: server.client.get(f"/api/batches/{name}").json()["state"] == "completed")
    return name


async def _open_delete_dialog(page, job, *, count=3):
    """Select conversations of a job and open the delete dialog; return the dialog."""
    await page.goto(f"/conversations?job={job}")
    boxes = page.locator("input[name=id]")
    for number in range(count):
        await boxes.nth(number).check()
    await page.get_by_role("button", name="Delete…").click()
    dialog = page.get_by_role("dialog", name=f"Delete {count} conversations?")
    await dialog.wait_for()
    return dialog


async def _deleted(page, job, *, count=3):
    """Delete conversations of a job with a backup; return its id."""
    await _open_delete_dialog(page, job, count=count)
    await page.get_by_role("button", name="Back up and delete").click()
    await page.get_by_role("dialog", name=f"{count} conversations deleted").wait_for()
    link = await page.get_by_role("link", name="Download backup").get_attribute("href")
    return link.rpartition("/")[2]


def _remaining(server, job):
    return server.client.get("/api/conversations", params={"jobId": job}).json()["conversations"]


async def test_conversations_are_selected_and_a_delete_begun(page, server, job):
    """Select conversations, initiate delete: it spans pages, and nothing is deleted before confirmation."""
    await page.goto(f"/conversations?job={job}")
    await page.get_by_label("Select this page").check()
    await page.reload()
    await page.get_by_text("6 conversations selected").wait_for()
    await page.get_by_role("button", name="Delete…").click()
    await page.get_by_role("dialog", name="Delete 6 conversations?").wait_for()
    await page.keyboard.press("Escape")

    assert len(_remaining(server, job)) == 6
    assert await page.get_by_role("dialog").count() == 0


async def test_the_backup_dialog_appears(page, job):
    """Verify backup dialog appears: it shows counts, a sample, and a backup option that is on by default."""
    dialog = await _open_delete_dialog(page, job)
    text = await dialog.inner_text()

    assert f"{job} topic 5" in text
    assert re.search(r"They have 12 turns; their backup needs about \d\.\d kB\.", text)
    assert await page.get_by_label("Back up first").is_checked()


async def test_a_backup_shows_its_progress(page, server, job):
    """Create backup, verify progress indicator: the backup is written and verified before the delete."""
    await _open_delete_dialog(page, job)
    await page.evaluate(
        """() => {
          window.phases = [];
          document.querySelector("pre-delete-backup").addEventListener("progress", (event) => {
            const shown = event.target.shadowRoot.querySelector("backup-progress").shadowRoot;
            window.phases.push([event.detail.phase, shown.querySelector("[aria-current]").textContent]);
          });
        }"""
    )
    await page.get_by_role("button", name="Back up and delete").click()
    await page.get_by_role("dialog", name="3 conversations deleted").wait_for()

    phases = list(dict.fromkeys(map(tuple, await page.evaluate("window.phases"))))
    _check_that_no_phase_is_skipped([phase for phase, _ in phases])
    assert [shown for _, shown in phases] == ["Backing up", "Verifying", "Deleting"]
    assert len(_remaining(server, job)) == 3


async def test_control_without_verification_its_phase_is_skipped(local, monkeypatch):
    """If backups are not verified, a delete skips that phase."""
    await local.made(2)
    _check_that_no_phase_is_skipped(await _phases_of_a_delete(local))
    await local.made(2, job_id="next")
    switch_off("verification", monkeypatch.setattr)

    with pytest.raises(AssertionError, match=r"^phases: \['writing', 'deleting'\]"):
        _check_that_no_phase_is_skipped(await _phases_of_a_delete(local))


async def _phases_of_a_delete(local):
    """Delete everything like the dialog does; return the phases that it reports."""
    selection = {"all": True}
    plan = (await local.ann.post("/api/conversations/delete-plan", json={"selection": selection})).json()
    body = {"selection": selection, "digest": plan["digest"]}
    answer = await local.ann.post("/api/conversations/delete/events", json=body)
    events = parsed(iter(answer.text.splitlines()))
    return list(dict.fromkeys(event.data["phase"] for event in events if event.name == "progress"))


def _check_that_no_phase_is_skipped(phases):
    assert phases == ["writing", "verifying", "deleting"], f"phases: {phases}"


async def test_a_backup_is_downloaded_and_holds_what_was_deleted(page, server, job):
    """Download backup, verify file contents: it holds exactly the deleted conversations."""
    before = {row["id"]: server.client.get(f"/api/conversations/{row['id']}").json() for row in _remaining(server, job)}
    await _deleted(page, job, count=2)
    async with page.expect_download() as waiting:
        await page.get_by_role("link", name="Download backup").click()
    document = json.loads(Path(await (await waiting.value).path()).read_text())

    gone = before.keys() - {row["id"] for row in _remaining(server, job)}
    assert {row["id"] for row in document["conversations"]} == gone
    assert _different(document, before) == []
    document["conversations"][0]["conversation_turns"][0]["content"] += " "
    assert _different(document, before) == [document["conversations"][0]["id"]]  # a difference would be noticed


def _different(document, before):
    """Return the conversations of a file that differ from the originals."""
    return [
        row["id"]
        for row in document["conversations"]
        if [(turn["role"], turn["content"]) for turn in row["conversation_turns"]]
        != [(turn["role"], turn["content"]) for turn in before[row["id"]]["turns"]]
    ]


async def test_after_a_delete_its_backup_undoes_it(page, server, job):
    """Complete delete, verify backup available: its restore undoes the delete."""
    backup = await _deleted(page, job)
    await page.goto("/backups")
    row = page.get_by_role("row").filter(has_text=backup)
    assert "verified" in await row.inner_text()
    await page.get_by_role("link", name=f"Restore {backup}").click()
    await page.get_by_role("heading", name="Restore 3 conversations?").wait_for()
    await page.get_by_role("button", name="Restore").click()
    await page.get_by_text("The backup has been restored.").wait_for()

    assert len(_remaining(server, job)) == 6


async def test_undo_is_one_press_away(page, server, job):
    """One click in the delete dialog undoes the delete."""
    await _deleted(page, job)
    assert len(_remaining(server, job)) == 3
    await page.get_by_role("button", name="Undo").click()
    await page.get_by_text("3 conversations restored.").wait_for()

    assert len(_remaining(server, job)) == 6


async def test_an_expired_backup_is_gone(page, server, job, monkeypatch):
    """Wait for expiration, verify backup deleted: a cleanup nine days later removes it."""
    backup = await _deleted(page, job)
    folder = server.log.parent
    await _check_that_an_expired_file_is_removed(folder / ".backstay", backup, monkeypatch)

    await page.goto("/backups")
    assert backup not in await page.locator("main").inner_text()
    await page.get_by_role("link", name="Show expired and failed backups too").click()
    assert "expired" in await page.get_by_role("row").filter(has_text=backup).inner_text()


async def test_control_without_removal_the_file_of_an_expired_backup_stays(page, server, job, monkeypatch):
    """If a cleanup reports files as removed and keeps them, the file of an expired backup stays."""
    backup = await _deleted(page, job)
    switch_off("removal", monkeypatch.setattr)

    with pytest.raises(AssertionError, match=f"^left: .*{backup}"):
        await _check_that_an_expired_file_is_removed(server.log.parent / ".backstay", backup, monkeypatch)


async def _check_that_an_expired_file_is_removed(folder, backup, monkeypatch):
    async with Backstay.open(folder / "backstay.db") as backstay:
        await backstay.backups.cleanup()
        assert list(folder.rglob(f"{backup}*"))  # nothing removes it before it expires
        for days in (8, 9):  # two daily cleanups must find it expired
            assert list(folder.rglob(f"{backup}*"))
            monkeypatch.setattr(SystemClock, "now", lambda _, days=days: datetime.now(UTC) + timedelta(days=days))
            await backstay.backups.cleanup()

    left = list(folder.rglob(f"{backup}*"))
    assert left == [], f"left: {left}"


async def test_without_a_backup_it_has_to_be_typed(page, server, job):
    """The button for a delete without a backup is disabled until the phrase is typed."""
    await _open_delete_dialog(page, job, count=2)
    await page.get_by_label("Back up first").uncheck()
    button = page.get_by_role("button", name="Delete for good")
    assert await button.is_disabled()
    await page.get_by_label("Type “delete for good”").fill("delete for good")
    await button.click()
    await page.get_by_role("dialog", name="2 conversations deleted").wait_for()

    assert len(_remaining(server, job)) == 4
    assert await page.get_by_role("button", name="Undo").count() == 0


async def test_a_failed_backup_deletes_nothing(page, server, job):
    """If the backup fails, the dialog says why and nothing is deleted."""
    folder = server.log.parent / ".backstay"
    (folders,) = folder.glob("*.backups")
    moved = folders.rename(folder / "elsewhere")
    folders.write_text("no folder")
    try:
        await _open_delete_dialog(page, job)
        await page.get_by_role("button", name="Back up and delete").click()
        await page.get_by_role("dialog", name="Nothing was deleted").wait_for()
        _check_that_all_remain(_remaining(server, job))
    finally:
        folders.unlink()
        moved.rename(folders)


async def test_control_unless_it_stops_a_failed_backup_deletes_all_the_same(local, monkeypatch, tmp_path):
    """If a delete does not stop at errors, a failed backup still deletes everything."""
    await local.made(6)
    (tmp_path / "backups").write_text("no folder")
    assert await _phases_of_a_delete(local) == []
    _check_that_all_remain(await _remaining_in(local))
    switch_off("stop-at-failures", monkeypatch.setattr)
    await _phases_of_a_delete(local)

    with pytest.raises(AssertionError, match=r"^0 of 6 conversations remain"):
        _check_that_all_remain(await _remaining_in(local))


async def _remaining_in(local):
    return (await local.ann.get("/api/conversations", params={"jobId": "job"})).json()["conversations"]


def _check_that_all_remain(remaining):
    assert len(remaining) == 6, f"{len(remaining)} of 6 conversations remain"


async def test_an_old_id_with_a_line_break_selects_no_others(page, server):
    """An id that consists of two others with a line break between them is deleted alone."""
    rows = [
        {"id": row_id, "topic": "lines", "messages": [{"role": "user", "content": "Hi"}]}
        for row_id in ("one", "two", "x")
    ]
    files = {"file": ("in.jsonl", "".join(json.dumps(row) + "\n" for row in rows))}
    server.client.post("/api/conversations/import", files=files).raise_for_status()
    with sqlite3.connect(server.log.parent / ".backstay" / "backstay.db") as direct:
        direct.execute("UPDATE conversations SET id = char(111, 110, 101, 10, 116, 119, 111) WHERE id = 'x'")

    await page.goto("/conversations?search=lines")
    await page.locator("input[name=id]").first.check()
    await page.goto("/conversations?search=lines")
    await page.get_by_text("1 conversation selected").wait_for()
    await page.get_by_role("button", name="Delete…").click()
    await page.get_by_role("button", name="Back up and delete").click()
    await page.get_by_role("dialog", name="1 conversation deleted").wait_for()

    remaining = server.client.get("/api/conversations", params={"search": "lines"}).json()["conversations"]
    assert [row["id"] for row in remaining] == ["two", "one"]
