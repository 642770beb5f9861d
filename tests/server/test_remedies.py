"""Errors over HTTP give hints that work there, and no terminal commands."""

import pytest

from backstay import errors
from backstay.remedy import Remedy
from backstay.server.remedies import HINTS, full_message


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.JobNotFound("Job 'a--b; c' not found"), "Job 'a--b; c' not found. The list of batches shows all"),
        (errors.JobNotFound("Job 'x' not found"), "Job 'x' not found; the list of batches shows all"),
        (errors.ItemsDiffer("Other items", remedy=Remedy.CHOOSE_JOB_NAME), "Other items; choose another name"),
        (errors.ConversationNotFound("Not in the backup", remedy=None), "Not in the backup"),
        (errors.StoreCorrupt("It is damaged", remedy=Remedy.EXAMINE), "It is damaged"),
    ],
)
def test_a_hint_follows_the_message(error, message):
    """A message is followed by the hint for its remedy, if a client can follow one."""
    assert full_message(error) == message


def test_no_hint_speaks_of_a_command():
    """No hint names a command or an option."""
    assert all("backstay " not in hint and "--" not in hint for hint in HINTS.values())


async def test_errors_name_their_remedy_and_no_commands(api):
    """Errors over HTTP have the remedy as a value for programs, a hint for people, and no command."""
    await api.made(1, job_id="over")
    requests = [
        (await api.ann.get("/api/batches/none"), "list_jobs"),
        (await api.ann.get("/api/conversations/none"), "list_conversations"),
        (await api.ann.get("/api/backups/none"), "list_backups"),
        (await api.ann.post("/api/batches/none/resume"), "list_jobs"),
        (
            await api.ann.post("/api/conversations/delete-plan", json={"selection": {"conversationIds": ["none"]}}),
            "ignore_missing",
        ),
        (
            await api.ann.post("/api/conversations/delete-plan", json={"selection": {"persona": "nobody"}}),
            "list_conversations",
        ),
        (await api.ann.post("/api/conversations/export", json={"conversationIds": ["none"]}), "list_conversations"),
        (await api.ann.post("/api/batches/over/pause"), "show_job"),
        (
            await api.ann.post(
                "/api/batches", json={"jobId": "over", "items": [{"topic": "x"}], "processor": "scripted"}
            ),
            "accept_new_items",
        ),
        (
            await api.ann.post(
                "/api/batches", json={"jobId": "y", "items": [{"topic": "x"}], "processor": "os:system"}
            ),
            "allow_processor",
        ),
    ]

    for answer, remedy in requests:
        error = answer.json()["error"]
        assert answer.status_code >= 400
        assert error["remedy"] == remedy
        assert HINTS[Remedy(remedy)] in error["message"].replace("Choose", "choose").replace("The", "the")
        assert "backstay" not in error["message"]
        assert "--" not in error["message"]


async def test_a_remedy_has_the_arguments_that_its_hint_names(api):
    """`ignoreMissing`, which the hint for unknown ids names, plans the delete of the others."""
    await api.made(1, job_id="one")
    (made,) = (await api.ann.get("/api/conversations")).json()["conversations"]
    body = {"selection": {"conversationIds": [made["id"], "none"]}}

    refused = await api.ann.post("/api/conversations/delete-plan", json=body)
    planned = await api.ann.post("/api/conversations/delete-plan", json={**body, "ignoreMissing": True})

    assert "`ignoreMissing`" in refused.json()["error"]["message"]
    assert (planned.status_code, planned.json()["conversations"]) == (200, 1)
