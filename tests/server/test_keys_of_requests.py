"""Idempotency-Key: the same key with the same request is done once."""

import asyncio

import pytest

from support.eventstream import parsed
from support.serving import serving

_BODY = {"jobId": "j", "items": [{"topic": "x"}], "processor": "scripted"}


def _key(value="k1"):
    return {"Idempotency-Key": value}


async def test_same_key_same_answer(api):
    """A backup that is asked for twice is made once, and the second answer says that it is the first."""
    (conversation,) = await api.made(1)
    body = {"conversationIds": [conversation]}

    first = await api.ann.post("/api/backup/create", json=body, headers=_key())
    second = await api.ann.post("/api/backup/create", json=body, headers=_key())

    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert first.headers["location"] == second.headers["location"]
    assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (False, "true")
    assert len((await api.ann.get("/api/backups")).json()["backups"]) == 1


async def test_without_a_key_it_is_done_again(api):
    """The control."""
    (conversation,) = await api.made(1)

    for _ in range(2):
        await api.ann.post("/api/backup/create", json={"conversationIds": [conversation]})

    assert len((await api.ann.get("/api/backups")).json()["backups"]) == 2


async def test_same_key_other_body(api):
    """Or another address: refused, and nothing is done."""
    await api.ann.post("/api/batches", json=_BODY, headers=_key())

    other = await api.ann.post("/api/batches", json={**_BODY, "jobId": "k"}, headers=_key())
    elsewhere = await api.ann.post("/api/backup/create", json={"conversationIds": ["c"]}, headers=_key())

    for answer in (other, elsewhere):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "key_reused")
    assert (await api.ann.get("/api/batches/k")).status_code == 404


async def test_same_key_other_user(api):
    """Keys are each one's own."""
    await api.ann.post("/api/batches", json=_BODY, headers=_key())

    assert (await api.bob.post("/api/batches", json={**_BODY, "jobId": "b"}, headers=_key())).status_code == 201


async def test_same_file_same_answer(api):
    """Whatever boundary a browser puts between the parts."""
    answers = [
        await api.ann.post(
            "/api/batches/upload",
            content=(
                f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="t.csv"\r\n\r\ntopic\nx\n\r\n'
                f'--{mark}\r\nContent-Disposition: form-data; name="jobId"\r\n\r\nj\r\n'
                f'--{mark}\r\nContent-Disposition: form-data; name="processor"\r\n\r\nscripted\r\n--{mark}--\r\n'
            ).encode(),
            headers={**_key(), "Content-Type": f"multipart/form-data; boundary={mark}"},
        )
        for mark in ("one", "two")
    ]

    assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
    assert answers[1].headers["idempotency-replayed"] == "true"


async def test_in_flight(api):
    """Of many at once one is done; the others are told that it is under way, or what it came to."""
    (conversation,) = await api.made(1)
    body = {"conversationIds": [conversation]}

    answers = await asyncio.gather(*(api.ann.post("/api/backup/create", json=body, headers=_key()) for _ in range(8)))

    made = {answer.json()["backupId"] for answer in answers if answer.status_code == 201}
    refused = {answer.json()["error"]["code"] for answer in answers if answer.status_code == 409}
    assert len(made) == 1
    assert refused <= {"key_in_flight"}
    assert len((await api.ann.get("/api/backups")).json()["backups"]) == 1


async def test_what_failed_may_be_tried_again(api):
    """Under the same key, once what was wrong is mended."""
    missing = await api.ann.post("/api/batches", json={**_BODY, "processor": "none"}, headers=_key())
    again = await api.ann.post("/api/batches", json={**_BODY, "processor": "none"}, headers=_key())
    mended = await api.ann.post("/api/batches", json=_BODY, headers=_key())

    assert (missing.status_code, again.status_code, mended.status_code) == (403, 403, 201)


async def test_another_server_knows_the_answer(settings):
    """The keys are in the database."""
    async with serving(settings) as one:
        first = await one.ann.post("/api/batches", json=_BODY, headers=_key())
    async with serving(settings) as other:
        second = await other.ann.post("/api/batches", json=_BODY, headers=_key())

    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"


async def test_a_key_is_printable(api):
    """And not endless."""
    for key in ("", "a b", "x" * 256):
        answer = await api.ann.post("/api/batches", json=_BODY, headers=_key(key))
        assert answer.status_code == 422
        assert answer.json()["error"]["details"]["fields"][0]["field"] == "Idempotency-Key"


async def test_a_delete_is_done_once(api):
    """Who has lost the events of a delete learns from the same request what it came to."""
    await api.made(3)
    plan = await api.ann.post("/api/conversations/delete-plan", json={"selection": {"all": True}})
    body = {"selection": {"all": True}, "digest": plan.json()["digest"]}

    first, second = [
        list(
            parsed(
                iter(
                    (
                        await api.ann.post("/api/conversations/delete/events", json=body, headers=_key())
                    ).text.splitlines()
                )
            )
        )
        for _ in range(2)
    ]

    assert [event.name for event in second] == ["deleted"]
    assert second[0].data == first[-1].data
    assert len((await api.ann.get("/api/backups")).json()["backups"]) == 1


@pytest.mark.parametrize(
    ("action", "body"),
    [("pause", {}), ("cancel", {}), ("skip", {"itemIds": ["i0"]}), ("retry", {}), ("discard", {}), ("resume", {})],
)
async def test_a_job_is_steered_once(api, action, body):
    """What would be refused a second time, or done a second time, is answered as it was the first time."""
    job = {"jobId": "j", "items": [{"id": "i0", "topic": "x"}], "processor": "scripted:0.5", "start": action == "pause"}
    await api.ann.post("/api/batches", json=job)

    first, second = [await api.ann.post(f"/api/batches/j/{action}", json=body, headers=_key()) for _ in range(2)]

    assert first.is_success, first.text
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert second.headers["idempotency-replayed"] == "true"


async def test_another_job_under_the_same_key(api):
    """A key stands for one job: under that of one, another is not steered."""
    for name in ("one", "two"):
        await api.ann.post("/api/batches", json={**_BODY, "jobId": name, "start": False})
    await api.ann.post("/api/batches/one/cancel", headers=_key())

    assert (await api.ann.post("/api/batches/two/cancel", headers=_key())).json()["error"]["code"] == "key_reused"


async def test_a_restore_is_done_once(api):
    """And says the second time, too, how many it has restored."""
    ids = await api.made(2)
    plan = await api.ann.post("/api/conversations/delete-plan", json={"selection": {"conversationIds": ids}})
    body = {"selection": {"conversationIds": ids}, "digest": plan.json()["digest"]}
    undo = (await api.ann.post("/api/conversations/delete", json=body)).json()["undo"]

    restored = [(await api.ann.post(undo, headers=_key())).json()["restored"] for _ in range(2)]

    assert restored == [2, 2]
