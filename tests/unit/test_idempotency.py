"""Requests with an idempotency key are executed once and answered the same."""

import asyncio
from datetime import timedelta
from unittest.mock import AsyncMock

import pytest

from backstay.coordination.idempotency import IdempotentRequests, StoredResponse
from backstay.errors import IdempotencyKeyInFlight, IdempotencyKeyReused, JobNotFound, StorageError


class _Notes:
    """Store of expiring values in memory, as far as idempotency keys need one."""

    def __init__(self) -> None:
        self.notes: dict[tuple[str, str, str], str] = {}

    async def claim(self, value):
        assert value.lifetime == timedelta(minutes=2)
        existing = self.notes.get(_key(value))
        self.notes.setdefault(_key(value), value.value)
        return existing

    async def put(self, value):
        self.notes[_key(value)] = value.value

    async def drop(self, value):
        if self.notes.get(_key(value)) == value.value:
            del self.notes[_key(value)]


def _key(value):
    return value.owner, value.kind, value.name


class _Act:
    def __init__(self, error=None) -> None:
        self.count = 0
        self.error = error

    async def __call__(self, recorder=None):
        self.count += 1
        if self.error is not None:
            raise self.error
        return StoredResponse(201, {"number": self.count})


@pytest.fixture
def once():
    return IdempotentRequests(store=_Notes())


async def test_without_a_key_everything_is_done(once):
    """Requests without a key are executed each time."""
    act = _Act()

    await once.run_once("me", None, b"x", act)
    await once.run_once("me", None, b"x", act)

    assert act.count == 2


async def test_same_key_same_answer(once):
    """A repeated request with the same key is executed once and gets the same reply."""
    act = _Act()

    first = await once.run_once("me", "k", b"x", act)
    second = await once.run_once("me", "k", b"x", act)

    assert first == (StoredResponse(201, {"number": 1}), False)
    assert second == (StoredResponse(201, {"number": 1}), True)
    assert act.count == 1


async def test_same_key_for_another_request_is_refused(once):
    """A key that was used for another request is refused, and nothing is executed."""
    act = _Act()
    await once.run_once("me", "k", b"x", act)

    with pytest.raises(IdempotencyKeyReused):
        await once.run_once("me", "k", b"y", act)

    assert act.count == 1


async def test_a_key_in_flight_is_refused(once):
    """A second request with a key whose first request is in progress is refused."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(receipt):
        begun.set()
        await go.wait()
        return StoredResponse(200, None)

    first = asyncio.create_task(once.run_once("me", "k", b"x", slow))
    await begun.wait()
    with pytest.raises(IdempotencyKeyInFlight):
        await once.run_once("me", "k", b"x", slow)
    go.set()

    assert await first == (StoredResponse(200, None), False)


async def test_keys_are_each_owners_own(once):
    """The same key of two owners stands for two requests."""
    act = _Act()

    await once.run_once("me", "k", b"x", act)
    await once.run_once("you", "k", b"x", act)

    assert act.count == 2


async def test_what_failed_may_be_tried_again(once):
    """A request that failed may be repeated with the same key."""
    with pytest.raises(JobNotFound):
        await once.run_once("me", "k", b"x", _Act(JobNotFound("gone")))

    answer, was_kept = await once.run_once("me", "k", b"x", _Act())

    assert (answer.status, was_kept) == (201, False)


async def test_the_error_of_the_request_is_reported_even_if_its_key_stays_claimed(once, monkeypatch):
    """If the claim of a failed request cannot be dropped, the error is that of the request."""
    monkeypatch.setattr(once._store, "drop", AsyncMock(side_effect=StorageError("The database is locked")))

    with pytest.raises(JobNotFound):
        await once.run_once("me", "k", b"x", _Act(JobNotFound("no job")))
