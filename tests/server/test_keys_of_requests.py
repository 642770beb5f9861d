"""Idempotency-Key: the same key with the same request is done once."""

import asyncio
import json

import httpx
import pytest

from support.eventstream import parsed
from support.serving import served, serving
from support.sql import ask

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
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "idempotency_key_reused")
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
    assert refused <= {"idempotency_key_in_flight"}
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
    """A client that lost the events of a delete gets its result from the same request."""
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
    """A request that would be refused or repeated the second time gets the first answer again."""
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

    refused = await api.ann.post("/api/batches/two/cancel", headers=_key())

    assert refused.json()["error"]["code"] == "idempotency_key_reused"


async def test_a_restore_is_done_once(api):
    """A restore is done once, and the second answer has the same number of restored conversations."""
    ids = await api.made(2)
    plan = await api.ann.post("/api/conversations/delete-plan", json={"selection": {"conversationIds": ids}})
    body = {"selection": {"conversationIds": ids}, "digest": plan.json()["digest"]}
    undo = (await api.ann.post("/api/conversations/delete", json=body)).json()["undo"]

    restored = [(await api.ann.post(undo, headers=_key())).json()["restored"] for _ in range(2)]

    assert restored == [2, 2]


_ROWS = json.dumps({"messages": [{"role": "user", "content": "Hello"}]}).encode()


def _bring_in(client):
    files = {"file": ("in.jsonl", _ROWS)}
    return client.post("/api/conversations/import", files=files, headers=_key())


def _create(client):
    return client.post("/api/batches", json={**_BODY, "start": False}, headers=_key())


def _after_a_crash(folder, ask_for, address, *, without="answering"):
    """Ask a server that dies once it has done it, then another one twice; return both answers, and what is there."""
    toml = 'processors = ["scripted"]\n'
    with served(folder, toml, without=without) as dying, pytest.raises(httpx.TransportError):
        ask_for(dying.client)
    with served(folder, toml) as server:
        # Three minutes later: a claim has lapsed, a receipt has not.
        ask(folder / ".backstay" / "backstay.db", "UPDATE notes SET expires_at = expires_at - 180000000")
        answers = [ask_for(server.client) for _ in range(2)]
        return answers, server.client.get(address).json()


async def test_an_import_is_done_once_over_a_crash(tmp_path):
    """A server that dies after an import's commit has answered: the same key brings that answer, and nothing twice."""
    answers, there = _after_a_crash(tmp_path, _bring_in, "/api/conversations")

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["imported"] == 1
    assert answers[0].headers["idempotency-replayed"] == "true"
    assert len(there["conversations"]) == 1


async def test_without_a_receipt_an_import_is_done_twice(tmp_path):
    """The control: where the receipt is not written with the import, a crash between them has it done again."""
    _, there = _after_a_crash(tmp_path, _bring_in, "/api/conversations", without="answering,receipts")

    assert len(there["conversations"]) == 2


async def test_a_job_is_made_once_over_a_crash(tmp_path):
    """A job is made again under its name by the same items only, so the same key comes to the same job."""
    answers, there = _after_a_crash(tmp_path, _create, "/api/batches")

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert [job["id"] for job in there["jobs"]] == ["j"]


async def test_options_are_part_of_the_request(api):
    """The same file under the same key, with another option or as another kind of file, is another request."""
    upload = {"jobId": "j", "processor": "scripted", "start": "false", "idColumn": "topic", "topicColumn": "topic"}
    rows = b"topic,other\nx,y\n"

    async def send(name="t.csv", **changed):
        said = {name: value for name, value in {**upload, **changed}.items() if value is not None}
        return await api.ann.post("/api/batches/upload", files={"file": (name, rows)}, data=said, headers=_key("u"))

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


async def test_a_receipt_outlasts_a_request_that_was_given_up(api, monkeypatch):
    """A client that goes away after the commit leaves the receipt: sent again, nothing is stored twice."""
    store = api.state.backstay.once._store  # the last step of a request under a key

    async def gone(*_, **__):
        raise asyncio.CancelledError

    asked = {"url": "/api/conversations/import", "files": {"file": ("in.jsonl", _ROWS)}, "headers": _key("g")}
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "put", gone)
        with pytest.raises(asyncio.CancelledError):
            await api.ann.post(**asked)
    again = await api.ann.post(**asked)

    assert again.headers["idempotency-replayed"] == "true"
    assert len((await api.ann.get("/api/conversations")).json()["conversations"]) == 1
