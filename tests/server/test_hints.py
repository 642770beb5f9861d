"""Errors over HTTP give hints that work there, and no terminal commands."""

import pytest

from backstay import errors
from backstay.server.hints import HINTS, message_of


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            errors.JobNotFound("Job 'a--b; c' not found; `backstay jobs` lists all"),
            "Job 'a--b; c' not found; the list of batches shows those there are",
        ),
        (
            errors.InvalidTransition(
                "Job 'x' is cancelled: resume is not possible. `backstay discard x` frees its name"
            ),
            "Job 'x' is cancelled: resume is not possible; look at it again: its state has changed, and says what is "
            "possible",
        ),
        (
            errors.JobDiffers("Job 'x' exists with another recipe: a; b. `backstay resume x` goes on; or use --job y"),
            "Job 'x' exists with another recipe: a; b; choose another name, or discard the batch that has this one",
        ),
        (errors.SettingsError("This is too long; `backstay doctor` says more"), "This is too long"),
        (errors.JobNotFound("There is no job"), "There is no job"),
        (errors.PlanOutdated("It has changed; look at a new plan"), "It has changed; look at a new plan"),
    ],
)
def test_a_hint_replaces_commands(error, message):
    """A hint replaces the part of a message that names commands, and other messages stay unchanged."""
    assert message_of(error) == message


def test_no_hint_speaks_of_a_command():
    """No hint names a command, and only the project's errors have hints."""
    assert all(issubclass(kind, errors.BackstayError) for kind in HINTS)
    assert all("backstay " not in hint and " --" not in hint for hint in HINTS.values())


async def test_errors_of_missing_objects_name_no_commands(api):
    """Errors about missing objects and finished jobs name no commands over HTTP."""
    await api.made(1, job_id="over")
    answers = [
        await api.ann.get("/api/batches/none"),
        await api.ann.get("/api/conversations/none"),
        await api.ann.get("/api/backups/none"),
        await api.ann.post("/api/batches/none/resume"),
        await api.ann.post("/api/conversations/delete-plan", json={"selection": {"conversationIds": ["none"]}}),
        await api.ann.post("/api/conversations/delete-plan", json={"selection": {"persona": "nobody"}}),
        await api.ann.post("/api/conversations/export", json={"conversationIds": ["none"]}),
        await api.ann.post("/api/batches/over/pause"),
        await api.ann.post("/api/batches", json={"jobId": "over", "items": [{"topic": "x"}], "processor": "scripted"}),
        await api.ann.post("/api/batches", json={"jobId": "y", "items": [{"topic": "x"}], "processor": "os:system"}),
    ]
    messages = [answer.json()["error"]["message"] for answer in answers]

    assert all(answer.status_code >= 400 for answer in answers), messages
    assert [message for message in messages if "backstay" in message or "--" in message] == []
    assert "the list of batches shows those there are" in messages[0]
    assert "the list of conversations shows those there are" in messages[1]
    assert "the list of backups shows those there are" in messages[2]
