"""Live events, derived from the tables: no failure of a job is missed, whichever process works on it."""

import asyncio
import time

import pytest

from backstay import Backstay
from backstay.server.auth.json_web_tokens import _LEEWAY_SECONDS
from backstay.server.events.job_feed import JobFeed
from support.harness.async_waiting import until
from support.harness.waiting import PATIENCE_SECONDS
from support.servers.api import ANN, bearer, served, serving, token_of
from support.servers.event_listener import Listener, parsed
from support.servers.route_requests import description
from support.stores.sql import ask

_EVENTS = "/api/batches/j/events"


def test_each_stream_documents_its_own_events():
    """Each stream documents the events it sends, and 204 only if its request can name the last event."""
    documented = {}
    for path, methods in description()["paths"].items():
        for operation in methods.values():
            if content := operation["responses"].get("200", {}).get("content", {}).get("text/event-stream"):
                names_last = any(one["name"] == "Last-Event-ID" for one in operation.get("parameters", ()))
                events = content["schema"]["properties"]["event"]["enum"]
                documented[path] = (events, names_last, "204" in operation["responses"])

    assert documented == {
        "/api/batches/{jobId}/events": (["progress", "state", "item_failed"], True, True),
        "/api/backups/{backupId}/events": (["progress", "state"], True, True),
        "/api/conversations/delete/events": (["progress", "deleted", "error"], False, False),
    }


async def _received(client, path=_EVENTS, *, last=None):
    """Return all events of a stream until its end."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    return list(parsed(iter(answer.text.split("\n"))))


async def _attached(api, count=1):
    """Wait until a number of listeners are connected."""
    await until(lambda: sum(feed.listener_count for feed in api.state.hub._feeds.values()) >= count)


async def _failing(api, count=3, *, good=0):
    items = [{"id": f"bad-{number}", "topic": "bad"} for number in range(count)]
    items += [{"id": f"good-{number}", "topic": "good"} for number in range(good)]
    await api.ann.post("/api/batches", json={"jobId": "j", "items": items, "processor": "picky:picky"})


@pytest.fixture
async def failing(settings, picky):
    """An application whose jobs have failing items."""
    async with serving(settings, processors=("picky:picky",)) as running:
        yield running


async def test_a_job_is_followed_to_its_end(api):
    """A stream sends progress first, then each change of state, and ends with the job."""
    items = [{"topic": f"t{number}"} for number in range(40)]
    await api.ann.post(
        "/api/batches", json={"jobId": "j", "items": items, "processor": "scripted:0.02", "concurrency": 4}
    )

    received = await _received(api.ann)

    progress = [event.data for event in received if event.name == "progress"]
    assert (received[0].name, received[0].id) == ("progress", "0")
    assert len(progress) >= 3
    assert [update["job"]["completed"] for update in progress] == sorted(
        update["job"]["completed"] for update in progress
    )
    assert progress[-1]["job"]["state"] == "completed"
    assert (progress[-1]["etaSeconds"], max(update["rate"] for update in progress) > 0) == (0.0, True)
    states = [event.data["state"] for event in received if event.name == "state"]
    assert states[-2:] == ["running", "completed"] or states[-1] == "completed"


async def test_failures_come_as_they_happen(failing):
    """Each failure is sent once, with its number, attempt and error."""
    await failing.ann.post(
        "/api/batches",
        json={
            "jobId": "j",
            "items": [{"id": f"bad-{n}", "topic": "bad"} for n in range(3)],
            "processor": "picky:picky",
            "start": False,
        },
    )
    listening = asyncio.create_task(_received(failing.ann))
    await _attached(failing)
    await failing.ann.post("/api/batches/j/resume")

    failed = [event for event in await listening if event.name == "item_failed"]

    assert sorted(event.data["id"] for event in failed) == ["bad-0", "bad-1", "bad-2"]
    assert [int(event.id) for event in failed] == sorted({int(event.id) for event in failed})
    assert {event.data["errorCode"] for event in failed} == {"processor_error.ValueError"}
    assert {event.data["attempt"] for event in failed} == {1}


async def test_a_reconnecting_client_misses_no_failure(failing):
    """A client that reconnects with any event number gets each later failure once, in order."""
    await _check_that_no_failure_is_missed(failing)


async def test_control_without_the_trigger_failures_are_missed(failing, settings):
    """If no trigger numbers the failures, no listener gets them."""
    ask(settings.database_url, "DROP TRIGGER item_failed" + (" ON items" if settings.postgres_url is not None else ""))

    with pytest.raises(AssertionError, match=r"^0 of 5 failures have a number"):
        await _check_that_no_failure_is_missed(failing)


async def _check_that_no_failure_is_missed(failing):
    await _failing(failing, 5)
    assert (await failing.settled("j"))["failed"] == 5
    numbers = [f.sequence for f in await failing.state.backstay.for_owner(ANN).batches.failures_since("j", 0)]
    assert len(numbers) == 5, f"{len(numbers)} of 5 failures have a number"

    for seen in [0, *numbers[:-1]]:
        received = await _received(failing.ann, last=seen)
        assert [int(event.id) for event in received if event.name == "item_failed"] == [n for n in numbers if n > seen]


async def test_a_stream_ends_with_its_token(api):
    """A stream ends when its token expires, others continue, and a new token misses no event."""
    body = {"jobId": "j", "items": [{"topic": "x"}], "processor": "scripted", "start": False}
    await api.ann.post("/api/batches", json=body)
    going_on = asyncio.create_task(_received(api.ann))
    await _attached(api)

    async with asyncio.timeout(PATIENCE_SECONDS):
        for seconds in (2, 4, 8, 16):  # on a busy machine, a token may expire before its request arrives
            ending = bearer(token_of(exp=int(time.time()) - _LEEWAY_SECONDS + seconds))
            answer = await api.anonymous.get(_EVENTS, headers=ending)
            if answer.status_code == 200:
                break

    received = list(parsed(iter(answer.text.split("\n"))))
    assert [event.name for event in received] == ["progress", "state"]
    assert (await api.anonymous.get(_EVENTS, headers=ending)).status_code == 401
    assert not going_on.done()
    await api.ann.post("/api/batches/j/cancel")
    assert (await going_on)[-1].data["state"] == "cancelled"
    assert (await api.ann.get(_EVENTS, headers={"Last-Event-ID": received[0].id})).status_code == 204


async def test_a_client_that_reconnects_after_the_end_gets_204(failing):
    """A client that reconnects after the end gets 204, so that browsers stop reconnecting."""
    await _failing(failing, 1)
    await failing.settled("j")
    last = await failing.state.backstay.for_owner(ANN).batches.last_failure("j")

    answer = await failing.ann.get(_EVENTS, headers={"Last-Event-ID": str(last)})

    assert answer.status_code == 204


@pytest.mark.parametrize("last", ["x", "-1", "1" * 19, "1.5", "", "0x1"])
async def test_a_number_that_is_none_is_refused(api, last):
    """An invalid `Last-Event-ID` gets 422 naming the header."""
    answer = await api.ann.get(_EVENTS, headers={"Last-Event-ID": last})

    assert answer.status_code == 422
    assert answer.json()["error"]["details"]["fields"][0]["field"] == "Last-Event-ID"


class _Interleaved:
    """The batches of an owner, with a callback between any two reads of a feed."""

    def __init__(self, batches):
        self._batches = batches
        self.max_number = None
        """The newest failure that a feed can read; None if all."""
        self.after_read = None

    async def checkpoint(self, job_id):
        return await self._read(self._batches.checkpoint(job_id))

    async def last_failure(self, job_id):
        return await self._read(self._batches.last_failure(job_id))

    async def failures_since(self, job_id, number, *, limit):
        page = await self._read(self._batches.failures_since(job_id, number, limit=limit))
        return [failure for failure in page if self.max_number is None or failure.sequence <= self.max_number]

    async def _read(self, reading):
        value = await reading
        if self.after_read is not None:
            callback, self.after_read = self.after_read, None
            await callback()
        return value


@pytest.fixture
async def pending(failing):
    """The batches of an owner with a pending job, of whose 60 items the last 40 will fail."""
    # Good items first, because a job whose first calls all fail would pause.
    items = [{"id": f"{n}", "topic": "good" if n < 20 else "bad"} for n in range(60)]
    body = {"jobId": "j", "items": items, "processor": "picky:picky", "start": False}
    await failing.ann.post("/api/batches", json=body)
    return _Interleaved(failing.state.backstay.for_owner(ANN).batches)


async def _settle(api):
    await api.ann.post("/api/batches/j/resume", json={"concurrency": 4})
    assert (await api.settled("j"))["failed"] == 40


def _failure_numbers(events):
    return [int(event.split(b"\n")[0].removeprefix(b"id: ")) for event in events if b"event: item_failed\n" in event]


async def _all_failures(batches):
    return [failure.sequence for failure in await batches.failures_since("j", 0, limit=1_000)]


async def test_a_listener_far_behind_reads_from_the_tables(failing, pending, monkeypatch):
    """A listener that is more failures behind than memory holds gets every failure exactly once."""
    monkeypatch.setattr("backstay.server.events.job_feed._MAX_FAILURES_IN_MEMORY", 7)
    monkeypatch.setattr("backstay.server.events.job_feed._PAGE", 3)
    feed = JobFeed(pending, "j", poll_seconds=60)
    await feed.begin()
    events = feed.events(None)
    assert b"event: progress\n" in await anext(events)
    assert b"event: state\n" in await anext(events)
    await _settle(failing)

    await feed.poll()
    received = [event async for event in events]

    assert _failure_numbers(received) == await _all_failures(pending)


async def test_a_listener_that_falls_behind_twice_misses_no_failure(failing, pending, monkeypatch):
    """A listener that reads old failures from the tables misses none that memory drops in the meantime."""
    monkeypatch.setattr("backstay.server.events.job_feed._MAX_FAILURES_IN_MEMORY", 7)
    feed = JobFeed(pending, "j", poll_seconds=60)
    await feed.begin()
    events = feed.events(None)
    received = [await anext(events), await anext(events)]
    await _settle(failing)
    numbers = await _all_failures(pending)
    pending.max_number = numbers[9]
    await feed.poll()

    received.append(await anext(events))
    pending.max_number = None
    await feed.poll()
    received += [event async for event in events]

    assert _failure_numbers(received) == numbers


async def test_a_job_that_ends_while_its_first_state_is_sent_sends_its_last(failing, pending):
    """A job that ends while a listener receives its first state sends its last progress and state too."""
    feed = JobFeed(pending, "j", poll_seconds=60)
    await feed.begin()
    events = feed.events(None)
    assert b'"pending"' in await anext(events)
    assert b"event: state\n" in await anext(events)

    await _settle(failing)
    await feed.poll()
    *_, progress, state = [event async for event in events]

    assert (b"event: progress\n" in progress, b"event: state\n" in state) == (True, True)
    assert (b'"completed_with_failures"' in progress, b'"completed_with_failures"' in state) == (True, True)


async def test_failures_right_before_the_end_are_sent(failing, pending):
    """A job that fails and ends between two reads of a poll sends those failures before its stream ends."""
    feed = JobFeed(pending, "j", poll_seconds=60)
    await feed.begin()
    events = feed.events(None)
    pending.after_read = lambda: _settle(failing)

    while not feed.is_over:
        await feed.poll()

    assert _failure_numbers([event async for event in events]) == await _all_failures(pending)


async def test_a_client_that_reconnects_right_before_the_end_misses_no_failure(failing, pending):
    """A client that reconnects while a job fails and ends is not informed that it has received everything."""
    feed = JobFeed(pending, "j", poll_seconds=60)
    pending.after_read = lambda: _settle(failing)

    await feed.begin()

    assert not feed.has_nothing_after(0)


async def test_a_job_of_another_process_is_followed(api, settings):
    """A job that another process runs on the same database sends live events."""
    async with Backstay.open(settings.database_url, owner=ANN) as backstay:
        items = [{"topic": f"t{number}"} for number in range(20)]
        await backstay.batches.create("j", items, "scripted:0.05")
        listening = asyncio.create_task(_received(api.ann))
        await _attached(api)
        await backstay.batches.resume("j", concurrency=2)

        received = await listening

    assert api.state.supervisor.job_count == 0
    assert "running" in [event.data["state"] for event in received if event.name == "state"]
    assert len({event.data["job"]["completed"] for event in received if event.name == "progress"}) >= 3


async def test_listeners_share_one_poller(api):
    """All listeners of a job share one poller, which stops with the last listener."""
    items = [{"topic": f"t{number}"} for number in range(4)]
    await api.ann.post("/api/batches", json={"jobId": "j", "items": items, "processor": "scripted", "start": False})

    listening = [asyncio.create_task(_received(api.ann)) for _ in range(20)]
    await _attached(api, 20)
    assert len(api.state.hub._feeds) == 1
    await api.ann.post("/api/batches/j/resume")
    ended = await asyncio.gather(*listening)

    assert {[event.data["state"] for event in events if event.name == "state"][-1] for events in ended} == {"completed"}
    assert (api.state.hub._feeds, api.state.hub._start_locks, api.state.hub.listener_count) == ({}, {}, 0)


async def test_so_many_listeners_and_no_more(settings):
    """A listener beyond the limit is refused with 429."""
    async with serving(settings, max_listeners=1) as api:
        items = [{"topic": "x"}]
        await api.ann.post("/api/batches", json={"jobId": "j", "items": items, "processor": "scripted", "start": False})
        first = asyncio.create_task(_received(api.ann))
        await _attached(api)

        second = await api.ann.get(_EVENTS)

        assert (second.status_code, second.json()["error"]["code"]) == (429, "too_many")
        await api.ann.post("/api/batches/j/resume")
        await first


async def test_a_job_that_is_discarded_ends_its_stream(api):
    """Discarding a job ends its event stream."""
    await api.ann.post(
        "/api/batches", json={"jobId": "j", "items": [{"topic": "x"}], "processor": "scripted", "start": False}
    )
    listening = asyncio.create_task(_received(api.ann))
    await _attached(api)

    await api.ann.post("/api/batches/j/discard")

    assert (await asyncio.wait_for(listening, PATIENCE_SECONDS))[-1].data["state"] == "pending"


async def test_unknown_names_leave_nothing_behind(api):
    """Listeners of unknown jobs are refused and leave nothing in memory."""
    for number in range(20):
        assert (await api.ann.get(f"/api/batches/none-{number}/events")).status_code == 404

    assert (api.state.hub._start_locks, api.state.hub.listener_count) == ({}, 0)


async def test_a_backup_is_followed(api):
    """The stream of a backup sends its progress and its states until the end."""
    ids = await api.made(60)
    begun = await api.ann.post("/api/backup/create", json={"conversationIds": ids}, headers={"Prefer": "respond-async"})
    assert begun.status_code == 202

    received = await _received(api.ann, f"{begun.json()['status']}/events")

    assert received[-1].name in {"progress", "state"}
    assert [event.data["state"] for event in received if event.name == "state"][-1] == "verified"
    assert [event.data["conversations"] for event in received if event.name == "progress"][-1] == 60


def test_heartbeats_come_while_nothing_happens(tmp_path):
    """An idle stream sends heartbeats, so that no proxy considers the connection dead."""
    with served(tmp_path, 'heartbeat_seconds = 0.1\nprocessors = ["scripted"]\n') as server:
        server.client.post(
            "/api/batches",
            json={"jobId": "j", "items": [{"topic": "x"}], "processor": "scripted", "start": False},
        )
        listener = Listener(server.url, _EVENTS, server.token)

        names = []
        for event in listener.events():
            names.append(event.name)
            if names.count("comment") >= 3 and "state" in names:
                break

        assert [name for name in names if name != "comment"] == ["progress", "state"]
        listener.close()
        server.stop()


def test_a_listener_that_does_not_read_slows_no_one(tmp_path):
    """A listener that does not read is disconnected, and slows neither the job nor other listeners."""
    toml = 'processors = ["scripted:0.005"]\nidle_seconds = 1.0\npoll_seconds = 0.02\n'
    with served(tmp_path, toml) as server:
        items = [{"topic": "x" * 2_000, "id": str(number)} for number in range(2_000)]
        server.client.post("/api/batches", json={"jobId": "j", "items": items, "processor": "scripted:0.005"})
        slow = [Listener(server.url, _EVENTS, server.token) for _ in range(10)]
        quick = Listener(server.url, _EVENTS, server.token, timeout=60)

        started = time.monotonic()
        last = [event for event in quick.events() if event.name == "state"][-1]

        assert last.data["state"] == "completed"
        assert time.monotonic() - started < 60
        for connection in slow:
            connection.close()
        quick.close()
        server.wait_for(lambda: b"backstay_event_listeners 0.0" in server.client.get("/metrics").content)
        assert server.stop() == 0
