"""Controls of the checklists: with a protection switched off, the violations occur."""

import signal

import pytest

from backstay import Selection
from support.browser.pages import SETTINGS, begin_boats, calls, checkpoints, prepared
from support.faults.sabotage import switch_off
from support.servers.api import KINDS, ORIGIN, library, served, serving
from support.stores.sql import ask


@pytest.fixture
async def local(tmp_path):
    """An application with pages; its client `ann` sends requests like its own pages."""
    with library(KINDS[0], tmp_path) as settings:
        async with serving(settings, local=True) as running:
            running.ann.headers["Origin"] = ORIGIN
            yield running


def test_without_outcomes_an_interruption_leaves_an_empty_checkpoint(tmp_path):
    """Without stored outcomes, an interruption leaves a checkpoint without completed items."""
    with served(prepared(tmp_path), SETTINGS, without="outcomes") as server:
        begin_boats(server)
        server.wait_for(lambda: sum(calls(tmp_path).values()) >= 2)
        server.stop(signal.SIGKILL)

    ((_, completed, _),) = checkpoints(tmp_path)
    assert completed == "[]"


def test_without_its_memory_a_resume_makes_completed_items_again(tmp_path):
    """Without stored outcomes, a resume generates completed items again."""
    with served(prepared(tmp_path), SETTINGS) as server:
        begin_boats(server)
        server.wait_for(lambda: server.client.get("/api/batches/boats").json()["completed"] >= 4)
        server.stop(signal.SIGKILL)
    ((_, completed, _),) = checkpoints(tmp_path)
    before = calls(tmp_path)
    with served(tmp_path, SETTINGS, without="memory") as server:
        server.client.post("/api/batches/boats/resume", json={}).raise_for_status()
        server.wait_for(lambda: any(f'"{one}"' in completed for one in calls(tmp_path) - before))


async def test_without_cleaning_the_checkpoint_stays(local, monkeypatch):
    """Without cleanup the checkpoint of a completed job stays, until the next job's cleanup removes it."""
    switch_off("cleaning", monkeypatch.setattr)
    await local.made(1)
    url = local.state.backstay.settings.database_url
    assert [name for (name,) in ask(url, "SELECT job_id FROM batch_checkpoints")] == ["job"]

    monkeypatch.undo()
    await local.made(1, job_id="next")
    assert ask(url, "SELECT job_id FROM batch_checkpoints") == []


async def _delete(local):
    """Delete everything like the dialog does; return the names of the events and phases."""
    selection = {"all": True}
    plan = (await local.ann.post("/api/conversations/delete-plan", json={"selection": selection})).json()
    body = {"selection": selection, "digest": plan["digest"]}
    answer = await local.ann.post("/api/conversations/delete/events", json=body)
    return [part for part in ("writing", "verifying", "deleting", "event: deleted") if part in answer.text]


async def test_without_verification_its_phase_is_missing(local, monkeypatch):
    """Without verification, the events of a delete lack its phase."""
    await local.made(2)
    switch_off("verification", monkeypatch.setattr)

    assert await _delete(local) == ["writing", "deleting", "event: deleted"]


async def test_unless_it_stops_a_failed_backup_deletes_all_the_same(local, monkeypatch, tmp_path):
    """Without the stop on errors, a failed backup still deletes everything."""
    await local.made(2)
    (tmp_path / "backups").write_text("no folder")
    conversations = local.state.backstay.for_owner("local").conversations
    assert await _delete(local) == []
    assert await conversations.count(Selection(everything=True)) == 2

    switch_off("stop-at-failures", monkeypatch.setattr)
    assert await _delete(local) == ["event: deleted"]
    assert await conversations.count(Selection(everything=True)) == 0


async def test_without_removal_the_file_of_an_expired_backup_stays(local, monkeypatch, tmp_path):
    """Without the removal, the file of an expired backup stays although its record says it is gone."""
    ids = await local.made(1)
    created = await local.ann.post("/api/backup/create", json={"conversationIds": ids})
    switch_off("removal", monkeypatch.setattr)
    backup = created.json()["backupId"]
    await local.ann.delete(f"/api/backups/{backup}")

    assert (await local.ann.get(f"/api/backups/{backup}")).json()["state"] == "expired"
    assert list((tmp_path / "backups").rglob(f"{backup}*"))
