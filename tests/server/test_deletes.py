"""Deletes over HTTP: plan, back up, verify, delete and undo; other ways must be explicit."""

import pytest

from backstay.backup.backup import BackupPhase, BackupProgress
from backstay.backup.writer import BackupWriter
from backstay.errors import BackupFailed, PlanOutdated
from backstay.library.service import Conversations
from backstay.server.background_backups import BackgroundBackups
from support.faults.interrupted_delete import cut_off
from support.servers.api import ANN
from support.servers.route_requests import addresses, description
from support.stores.sql import ask


async def _plan(api, **selection):
    return await api.ann.post("/api/conversations/delete-plan", json={"selection": selection})


async def _delete(api, digest, **selection):
    return await api.ann.post("/api/conversations/delete", json={"selection": selection, "digest": digest})


async def _ids(api):
    return [conversation["id"] for conversation in (await api.ann.get("/api/conversations")).json()["conversations"]]


async def test_a_delete_can_be_undone(api):
    """A plan changes nothing, and the response of the delete names the backup and the address that undoes it."""
    ids = await api.made(3)
    before = [(await api.ann.get(f"/api/conversations/{name}")).json() for name in ids]

    plan = (await _plan(api, jobId="job")).json()
    assert (plan["conversations"], plan["turns"], len(plan["sample"])) == (3, 12, 3)
    assert len(await _ids(api)) == 3
    deleted = (await _delete(api, plan["digest"], jobId="job")).json()

    assert (deleted["deleted"], deleted["changed"], deleted["gone"]) == (3, 0, 0)
    assert await _ids(api) == []
    backup = (await api.ann.get(f"/api/backups/{deleted['backupId']}")).json()
    assert plan["estimatedBytes"] == pytest.approx(backup["contentBytes"], rel=0.05)
    assert (backup["state"], backup["reason"], backup["deletion"]["state"]) == ("verified", "bulk_delete", "deleted")
    assert (await api.ann.post(f"/api/backups/{deleted['backupId']}/restore-plan")).json()["new"] == 3
    restored = await api.ann.post(deleted["undo"])
    assert restored.json()["restored"] == 3
    assert [(await api.ann.get(f"/api/conversations/{name}")).json() for name in ids] == before


async def test_an_outdated_plan_deletes_nothing(api):
    """A delete whose selection has changed since the plan gets 409 and deletes nothing."""
    await _check_that_an_outdated_plan_deletes_nothing(api)


async def test_control_without_the_digest_more_than_planned_is_deleted(api, monkeypatch):
    """If the digest is not compared, a delete also removes conversations that were added after the plan."""
    delete = Conversations.delete

    async def trusting(self, selection, **options):
        return await delete(self, selection, **{**options, "plan_digest": None})

    monkeypatch.setattr(Conversations, "delete", trusting)

    with pytest.raises(AssertionError, match=r"^4 of 4 conversations were deleted"):
        await _check_that_an_outdated_plan_deletes_nothing(api)


async def _check_that_an_outdated_plan_deletes_nothing(api):
    await api.made(3)
    digest = (await _plan(api, all=True)).json()["digest"]
    await api.made(1, job_id="more")

    refused = await _delete(api, digest, all=True)

    left = len(await _ids(api))
    assert left == 4, f"{4 - left} of 4 conversations were deleted"
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "plan_outdated")
    assert (await api.ann.get("/api/backups")).json()["backups"] == []


async def test_a_plan_of_another_selection_deletes_nothing(api):
    """The digest depends on the selected conversations, not on the form of the selection."""
    first, second, third = await api.made(3)
    digest = (await _plan(api, conversationIds=[first, second])).json()["digest"]

    refused = await _delete(api, digest, conversationIds=[first, third])

    assert refused.status_code == 409
    assert len(await _ids(api)) == 3


async def test_a_failed_backup_deletes_nothing(api, settings):
    """A delete whose backup cannot be written deletes nothing and reveals no path of the server."""
    await api.made(2)
    digest = (await _plan(api, all=True)).json()["digest"]
    (settings.here / "backups").write_text("in the way")

    refused = await _delete(api, digest, all=True)

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "backup_failed")
    assert str(settings.here) not in refused.text
    assert len(await _ids(api)) == 2


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (BackupFailed("the disk /mnt/b failed"), ("backup_failed", "the disk /mnt/b failed", None)),
        (KeyError("x"), ("backup_crashed", "KeyError", KeyError)),
    ],
    ids=repr,
)
async def test_the_log_says_why_a_background_backup_failed(caplog, error, logged):
    """The log has the message of a failure after the response, with a traceback if the error was unexpected."""

    async def work(report):
        report(BackupProgress("b", BackupPhase.WRITING, 0, 1, 0))
        raise error

    backups = BackgroundBackups()
    backups.begin(work)
    await backups.stop()

    [record] = caplog.records
    assert (record.message, record.error, record.exc_info and record.exc_info[0]) == logged


async def test_a_backup_that_never_began_is_not_logged_as_failed(caplog):
    """A request that is refused gets the error itself, so the log reports no failed backup."""

    async def work(report):
        raise PlanOutdated("no")

    backups = BackgroundBackups()
    task, _ = backups.begin(work)
    await backups.stop()

    assert isinstance(task.exception(), PlanOutdated)
    assert caplog.records == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"selection": {"all": True}},
        {"digest": "0" * 64},
        {"selection": {}, "digest": "0" * 64},
        {"selection": {"all": False}, "digest": "0" * 64},
        {"selection": {"conversationIds": []}, "digest": "0" * 64},
        {"selection": {"all": True}, "digest": "x"},
        {"selection": {"all": True}, "digest": "0" * 64, "backup": False},
        {"selection": {"all": True}, "digest": "0" * 64, "noBackup": True},
        {"selection": {"all": True}, "digest": "0" * 64, "continueBackupId": "b"},
    ],
)
async def test_nothing_less_deletes(api, body):
    """An empty selection, a missing plan or a wrong confirmation phrase deletes nothing."""
    await api.made(1)

    answer = await api.ann.post("/api/conversations/delete", json=body)

    assert answer.status_code == 422, answer.text
    assert len(await _ids(api)) == 1


def test_no_other_address_deletes():
    """Only the two delete addresses remove conversations, and the DELETE method only removes backups and sessions."""
    deleting = [
        f"{method} {path}"
        for path, methods in description()["paths"].items()
        for method, operation in methods.items()
        if "DeleteResultOut" in str(operation.get("responses", {}).get("200", {}))
    ]

    assert deleting == ["post /api/conversations/delete"]
    assert [address for address in addresses() if "/delete" in address] == [
        "POST /api/conversations/delete-plan",
        "POST /api/conversations/delete",
        "POST /api/conversations/delete/events",
    ]
    assert [address for address in addresses() if address.startswith("DELETE")] == [
        "DELETE /api/session",
        "DELETE /api/backups/{backupId}",
    ]


@pytest.mark.parametrize("ignored", [True, False])
async def test_ids_that_are_missing_are_left_out_when_that_was_planned(api, ignored):
    """A delete with `ignoreMissing` skips any number of missing ids, like its plan did."""
    (conversation_id,) = await api.made(1)
    selection = {"conversationIds": [conversation_id, *(f"gone-{number}" for number in range(30))]}
    body = {"selection": selection, "ignoreMissing": True}
    plan = (await api.ann.post("/api/conversations/delete-plan", json=body)).json()
    deleted = await api.ann.post(
        "/api/conversations/delete", json={**body, "digest": plan["digest"], "ignoreMissing": ignored}
    )

    assert (plan["conversations"], len(plan["missing"])) == (1, 10)
    assert deleted.status_code == (200 if ignored else 404), deleted.text
    assert len(await _ids(api)) == (0 if ignored else 1)


async def test_an_interrupted_delete_is_continued(api):
    """An interrupted delete is continued through its backup at the same address, and repeating that is safe."""
    await api.made(3)
    services = api.state.backstay.for_owner(ANN)
    plan = (await _plan(api, all=True)).json()
    backup_id = await cut_off(services)

    listed = (await api.ann.get(f"/api/backups/{backup_id}")).json()
    assert (listed["deletion"]["state"], listed["expiresAt"]) == ("deleting", None)
    for _ in range(2):
        ended = await api.ann.post("/api/conversations/delete", json={"continueBackupId": backup_id})
        assert (ended.status_code, ended.json()["deleted"]) == (200, 3), ended.text
    assert await _ids(api) == []
    assert plan["conversations"] == 3


async def test_conversations_edited_meanwhile_are_kept_and_named(api, settings, monkeypatch):
    """A conversation that changed after the backup had read it is kept, and the response names it."""
    first, second = await api.made(2)
    digest = (await _plan(api, all=True)).json()["digest"]
    write = BackupWriter.write

    async def write_and_edit(self, *arguments, **named):
        made = await write(self, *arguments, **named)
        ask(settings.database_url, "UPDATE conversations SET topic = 'edited' WHERE id = ?", second)
        return made

    monkeypatch.setattr(BackupWriter, "write", write_and_edit)
    deleted = (await _delete(api, digest, all=True)).json()

    assert (deleted["deleted"], deleted["changed"], deleted["changedIds"]) == (1, 1, [second])
    assert await _ids(api) == [second]
    assert first != second


async def test_a_backup_of_what_a_plan_shows_deletes_nothing(api):
    """A backup for a delete by the app holds exactly the planned conversations, without missing ids."""
    ids = await api.made(2)
    selection = {"conversationIds": [*ids, "gone"]}
    plan = await api.ann.post("/api/conversations/delete-plan", json={"selection": selection, "ignoreMissing": True})
    body = {"selection": selection, "digest": plan.json()["digest"]}
    created = await api.ann.post("/api/backup/create", json=body)
    outdated = await api.ann.post("/api/backup/create", json={**body, "digest": "0" * 64})
    both = await api.ann.post("/api/backup/create", json={**body, "conversationIds": ids})

    assert created.json()["conversationCount"] == 2
    backup = (await api.ann.get(f"/api/backups/{created.json()['backupId']}")).json()
    assert (backup["state"], backup["deletion"]) == ("verified", None)
    assert (outdated.status_code, outdated.json()["error"]["code"]) == (409, "plan_outdated")
    assert both.status_code == 422
    assert len(await _ids(api)) == 2
