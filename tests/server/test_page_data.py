"""What pages and other apps need from the API: the items of a job, and deletes that report their progress."""

import pytest

from support.servers.api import ANN, serving
from support.servers.event_listener import parsed


async def test_items_are_listed_in_their_order(settings, picky):
    """Items are listed in order, each with its result or its error."""
    items = [{"id": f"i{number}", "topic": "bad" if number == 1 else f"topic {number}"} for number in range(3)]
    async with serving(settings, processors=("picky:picky",)) as api:
        await api.ann.post("/api/batches", json={"jobId": "j", "items": items, "processor": "picky:picky"})
        await api.settled("j")
        first = (await api.ann.get("/api/batches/j/items", params={"limit": 2})).json()
        rest = (await api.ann.get("/api/batches/j/items", params={"cursor": first["nextCursor"]})).json()

    assert [(item["id"], item["state"]) for item in first["items"]] == [("i0", "completed"), ("i1", "failed")]
    assert first["items"][1]["errorMessage"] == "ValueError: there is no such topic"
    assert first["items"][0]["conversationId"]
    assert [item["id"] for item in rest["items"]] == ["i2"]
    assert rest["nextCursor"] is None


async def test_failed_items_do_not_say_where_files_are(settings, picky):
    """The API omits the traceback of a failed item, because it names files of the server."""
    async with serving(settings, processors=("picky:picky",)) as api:
        items = [{"id": "i", "topic": "bad"}]
        await api.ann.post("/api/batches", json={"jobId": "j", "items": items, "processor": "picky:picky"})
        await api.settled("j")

        failed_items = (await api.ann.get("/api/batches/j/failed")).json()["items"]
        (stored,) = await api.state.backstay.for_owner(ANN).batches.failed_page("j")

    assert "traceback" not in failed_items[0]
    assert "picky.py" in stored.traceback


async def test_items_keep_their_topic_when_the_checkpoint_is_cleaned(api):
    """After the cleanup of the checkpoint, an item shows the topic of its conversation."""
    await api.made(2, job_id="j")

    items = (await api.ann.get("/api/batches/j/items")).json()["items"]

    assert [item["topic"] for item in items] == ["topic 0", "topic 1"]


async def test_items_of_others_are_not_there(api):
    """The items of another owner's job get 404, like the job."""
    await api.made(1, job_id="j")

    assert (await api.bob.get("/api/batches/j/items")).status_code == 404


async def _followed(api, body):
    answer = await api.ann.post("/api/conversations/delete/events", json=body)
    return answer.status_code, list(parsed(iter(answer.text.splitlines()))) if answer.status_code == 200 else answer


async def _planned(api, selection):
    plan = await api.ann.post("/api/conversations/delete-plan", json={"selection": selection})
    return {"selection": selection, "digest": plan.json()["digest"]}


async def test_a_delete_reports_its_progress(api):
    """The last event of a delete holds its result and the address that undoes it."""
    await api.made(5)

    status, events = await _followed(api, await _planned(api, {"jobId": "job"}))

    assert status == 200
    assert events[-1].name == "deleted"
    assert events[-1].data["deleted"] == 5
    assert {event.data["phase"] for event in events[:-1]} <= {"writing", "verifying", "deleting"}
    assert (await api.ann.post(events[-1].data["undo"])).json()["restored"] == 5


async def test_a_delete_that_cannot_begin_is_an_error_of_the_request(api):
    """A delete that cannot start gets an error response instead of an event."""
    await api.made(2)
    planned = await _planned(api, {"jobId": "job"})
    await api.made(1, job_id="other")

    status, answer = await _followed(api, {"selection": {"all": True}, "digest": planned["digest"]})

    assert (status, answer.json()["error"]["code"]) == (409, "plan_outdated")


async def test_a_delete_without_a_backup_needs_the_phrase(api):
    """A delete without a backup needs the exact phrase, and cannot be undone."""
    await api.made(2)
    planned = await _planned(api, {"jobId": "job"})

    refused = await api.ann.post("/api/conversations/delete", json={**planned, "withoutBackup": "yes"})
    deleted = await api.ann.post("/api/conversations/delete", json={**planned, "withoutBackup": "delete for good"})

    assert refused.status_code == 422
    assert (deleted.json()["backupId"], deleted.json()["undo"], deleted.json()["deleted"]) == (None, None, 2)


@pytest.mark.parametrize("continued", ["none", "backup-1-a"])
async def test_a_continued_delete_has_its_backup(api, continued):
    """A continued delete cannot be requested without a backup."""
    body = {"continueBackupId": continued, "withoutBackup": "delete for good"}

    assert (await api.ann.post("/api/conversations/delete", json=body)).status_code == 422


@pytest.mark.parametrize("extra", [{"reason": "tidy"}, {"ignoreMissing": True}])
async def test_a_continued_delete_refuses_what_belongs_to_a_new_one(api, extra):
    """A continued delete has the reason of its backup and its own list of ids, so neither can be given."""
    body = {"continueBackupId": "backup-1-a", **extra}

    answer = await api.ann.post("/api/conversations/delete", json=body)

    assert answer.status_code == 422
    assert "continueBackupId" in answer.json()["error"]["message"]
