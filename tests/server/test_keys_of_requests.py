"""Idempotency-Key: a request that is repeated with its key runs once."""

import asyncio
import json

import httpx
import pytest

from support.servers.api import served, serving
from support.servers.event_listener import parsed
from support.stores.sql import ask

_BODY = {"jobId": "j", "items": [{"topic": "x"}], "processor": "scripted"}


def _key(value="k1"):
    return {"Idempotency-Key": value}


async def test_same_key_same_answer(api):
    """A backup that is requested twice with one key is made once, and the second response is marked as replayed."""
    (conversation,) = await api.made(1)
    body = {"conversationIds": [conversation]}

    first = await api.ann.post("/api/backup/create", json=body, headers=_key())
    second = await api.ann.post("/api/backup/create", json=body, headers=_key())

    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert first.headers["location"] == second.headers["location"]
    assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (False, "true")
    assert len((await api.ann.get("/api/backups")).json()["backups"]) == 1


async def test_without_a_key_it_is_done_again(api):
    """Control: without a key, a repeated request runs again."""
    (conversation,) = await api.made(1)

    for _ in range(2):
        await api.ann.post("/api/backup/create", json={"conversationIds": [conversation]})

    assert len((await api.ann.get("/api/backups")).json()["backups"]) == 2


async def test_same_key_other_body(api):
    """A key that is reused with another body or address is refused, and nothing is done."""
    await api.ann.post("/api/batches", json=_BODY, headers=_key())

    other = await api.ann.post("/api/batches", json={**_BODY, "jobId": "k"}, headers=_key())
    elsewhere = await api.ann.post("/api/backup/create", json={"conversationIds": ["c"]}, headers=_key())

    for answer in (other, elsewhere):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "idempotency_key_reused")
    assert (await api.ann.get("/api/batches/k")).status_code == 404


async def test_same_key_other_user(api):
    """Two users can use the same key for different requests."""
    await api.ann.post("/api/batches", json=_BODY, headers=_key())

    assert (await api.bob.post("/api/batches", json={**_BODY, "jobId": "b"}, headers=_key())).status_code == 201


async def test_same_file_same_answer(api):
    """The same file under the same key gets the same response, whatever the multipart boundary is."""
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
    """Of many simultaneous requests with one key one runs, and the others get its response or a conflict."""
    (conversation,) = await api.made(1)
    body = {"conversationIds": [conversation]}

    answers = await asyncio.gather(*(api.ann.post("/api/backup/create", json=body, headers=_key()) for _ in range(8)))

    made = {answer.json()["backupId"] for answer in answers if answer.status_code == 201}
    refused = {answer.json()["error"]["code"] for answer in answers if answer.status_code == 409}
    assert len(made) == 1
    assert refused <= {"idempotency_key_in_flight"}
    assert len((await api.ann.get("/api/backups")).json()["backups"]) == 1


async def test_a_failed_request_may_be_repeated(api):
    """A failed request can be repeated with its key once the cause is fixed."""
    missing = await api.ann.post("/api/batches", json={**_BODY, "processor": "none"}, headers=_key())
    again = await api.ann.post("/api/batches", json={**_BODY, "processor": "none"}, headers=_key())
    fixed = await api.ann.post("/api/batches", json=_BODY, headers=_key())

    assert (missing.status_code, again.status_code, fixed.status_code) == (403, 403, 201)


async def test_another_server_knows_the_answer(settings):
    """Another server on the same database knows the response of a key."""
    async with serving(settings) as api:
        first = await api.ann.post("/api/batches", json=_BODY, headers=_key())
    async with serving(settings) as other:
        second = await other.ann.post("/api/batches", json=_BODY, headers=_key())

    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"


async def test_a_key_is_printable(api):
    """A key that is empty, too long or not printable is refused."""
    for key in ("", "a b", "x" * 256):
        answer = await api.ann.post("/api/batches", json=_BODY, headers=_key(key))
        assert answer.status_code == 422
        assert answer.json()["error"]["details"]["fields"][0]["field"] == "Idempotency-Key"


async def test_a_delete_is_done_once(api):
    """A client that lost the events of a delete gets its result by repeating the request."""
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
async def test_a_job_is_controlled_once(api, action, body):
    """A repeated request that controls a job gets the first response again."""
    job = {"jobId": "j", "items": [{"id": "i0", "topic": "x"}], "processor": "scripted:0.5", "start": action == "pause"}
    await api.ann.post("/api/batches", json=job)

    first, second = [await api.ann.post(f"/api/batches/j/{action}", json=body, headers=_key()) for _ in range(2)]

    assert first.is_success, first.text
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert second.headers["idempotency-replayed"] == "true"


async def test_another_job_under_the_same_key(api):
    """A key that was used for one job does not control another job."""
    for name in ("one", "two"):
        await api.ann.post("/api/batches", json={**_BODY, "jobId": name, "start": False})
    await api.ann.post("/api/batches/one/cancel", headers=_key())

    refused = await api.ann.post("/api/batches/two/cancel", headers=_key())

    assert refused.json()["error"]["code"] == "idempotency_key_reused"


async def test_a_restore_is_done_once(api):
    """A repeated restore gets the first response, with the same number of restored conversations."""
    ids = await api.made(2)
    plan = await api.ann.post("/api/conversations/delete-plan", json={"selection": {"conversationIds": ids}})
    body = {"selection": {"conversationIds": ids}, "digest": plan.json()["digest"]}
    undo = (await api.ann.post("/api/conversations/delete", json=body)).json()["undo"]

    restored = [(await api.ann.post(undo, headers=_key())).json()["restored"] for _ in range(2)]

    assert restored == [2, 2]


_ROWS = json.dumps({"messages": [{"role": "user", "content": "Hello"}]}).encode()


def _import(client):
    files = {"file": ("in.jsonl", _ROWS)}
    return client.post("/api/conversations/import", files=files, headers=_key())


def _create(client):
    return client.post("/api/batches", json={**_BODY, "start": False}, headers=_key())


def _after_a_crash(folder, ask_for, address, *, without="answering"):
    """Send a request to a server that dies after its work, then twice to another; return the results."""
    toml = 'processors = ["scripted"]\n'
    with served(folder, toml, without=without) as dying, pytest.raises(httpx.TransportError):
        ask_for(dying.client)
    with served(folder, toml) as server:
        # Three minutes later, a claim has expired but a receipt has not.
        ask(folder / ".backstay" / "backstay.db", "UPDATE notes SET expires_at = expires_at - 180000000")
        answers = [ask_for(server.client) for _ in range(2)]
        return answers, server.client.get(address).json()


async def test_an_import_is_done_once_over_a_crash(tmp_path):
    """An import whose server died after the commit is answered from its receipt, and nothing is stored twice."""
    answers, there = _after_a_crash(tmp_path, _import, "/api/conversations")

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["imported"] == 1
    assert answers[0].headers["idempotency-replayed"] == "true"
    assert len(there["conversations"]) == 1


async def test_without_a_receipt_an_import_is_done_twice(tmp_path):
    """Control: without a receipt in the import's transaction, a crash makes the import run twice."""
    _, there = _after_a_crash(tmp_path, _import, "/api/conversations", without="answering,receipts")

    assert len(there["conversations"]) == 2


async def test_a_job_is_made_once_over_a_crash(tmp_path):
    """Creating a job again after a crash returns the same job."""
    answers, there = _after_a_crash(tmp_path, _create, "/api/batches")

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert [job["id"] for job in there["jobs"]] == ["j"]


async def test_options_are_part_of_the_request(api):
    """The same file and key with another option or file type is a different request."""
    upload = {"jobId": "j", "processor": "scripted", "start": "false", "idColumn": "topic", "topicColumn": "topic"}
    rows = b"topic,other\nx,y\n"

    async def send(name="t.csv", **changed):
        fields = {name: value for name, value in {**upload, **changed}.items() if value is not None}
        return await api.ann.post("/api/batches/upload", files={"file": (name, rows)}, data=fields, headers=_key("u"))

    first = await send(idColumn="other")
    others = [
        await send(idColumn=None, topicColumn="other"),
        await send(idColumn="other", concurrency="3"),
        await send(name="t.tsv", idColumn="other"),
    ]
    answers = [
        await api.ann.post("/api/conversations/import", files={"file": (name, _ROWS)}, headers=_key("i"))
        for name in ("x.jsonl", "x.ndjson")
    ]
    conversation, *_ = await api.made(1)
    body = {"conversationIds": [conversation]}
    made = await api.ann.post("/api/backup/create", json=body, headers=_key("b"))
    early = await api.ann.post("/api/backup/create", json=body, headers={**_key("b"), "Prefer": "respond-async"})

    assert (first.status_code, made.status_code) == (201, 201), first.text
    assert answers[0].status_code == 201
    refused = (*others, early, answers[1])
    assert [other.json()["error"]["code"] for other in refused] == ["idempotency_key_reused"] * 5


async def test_a_receipt_outlasts_a_disconnect(api, monkeypatch):
    """The receipt remains if the client disconnects after the commit, so a repeated request stores nothing twice."""
    store = api.state.backstay.idempotency._store  # the last step of a request under a key

    async def gone(*_, **__):
        raise asyncio.CancelledError

    request = {"url": "/api/conversations/import", "files": {"file": ("in.jsonl", _ROWS)}, "headers": _key("g")}
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "put", gone)
        with pytest.raises(asyncio.CancelledError):
            await api.ann.post(**request)
    again = await api.ann.post(**request)

    assert again.headers["idempotency-replayed"] == "true"
    assert len((await api.ann.get("/api/conversations")).json()["conversations"]) == 1
