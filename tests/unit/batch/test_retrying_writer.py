"""Writes that are repeated, over a stop that answers from a script and a clock that is set by hand."""

import asyncio
from types import SimpleNamespace

import pytest

from backstay.batch import retrying_writer
from backstay.batch.retrying_writer import RetryingWriter
from backstay.errors import LeaseLost, StoreBusy, StoreUnavailable

_MAX_POLLS = 200


class _Stop:
    """A stop that is requested at the n-th poll. Each poll takes a second of the clock."""

    def __init__(self, clock, *, at_poll):
        self._clock = clock
        self._at_poll = at_poll
        self.polls = 0
        self.on_poll = lambda: None

    @property
    def requested(self):
        self.polls += 1
        assert self.polls <= _MAX_POLLS, "the write is awaited forever"
        self._clock.seconds += 1
        self.on_poll()
        return self.polls >= self._at_poll


@pytest.fixture
def clock(monkeypatch):
    """Return the monotonic clock, set by hand; a poll of the stop takes no real time."""
    now = SimpleNamespace(seconds=500.0)
    monkeypatch.setattr(retrying_writer, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    monkeypatch.setattr(retrying_writer, "_POLL_SECONDS", 0.0)
    return now


@pytest.fixture
def make_writer(clock):
    """Return a writer whose run stops at a poll, with its grace period of some seconds after that."""

    def make(*, stop_at_poll=_MAX_POLLS + 1, grace_seconds=0.0, is_stopping=lambda: False):
        return RetryingWriter(
            job_id="job",
            stop=_Stop(clock, at_poll=stop_at_poll),
            deadline=SimpleNamespace(after_stop=lambda: 500.0 + stop_at_poll + grace_seconds),
            is_stopping=is_stopping,
            committer=[],
        )

    return make


def _scripted(*answers):
    """Return a write that raises or returns each of these in turn."""
    script = list(answers)

    async def write():
        if isinstance(answer := script.pop(0), Exception):
            raise answer
        return answer

    return write


async def test_write_is_repeated_until_the_database_accepts_it(make_writer):
    """A locked database and an unreachable one are tried again, and the answer is that of the last try."""
    write = _scripted(StoreBusy("locked"), StoreUnavailable("gone"), StoreBusy("locked"), "written")

    assert await make_writer().write(write) == "written"


@pytest.mark.parametrize("error", [StoreBusy("locked"), StoreUnavailable("gone")], ids=lambda error: error.code)
async def test_stopping_worker_does_not_repeat_a_write(make_writer, error):
    """A worker that is stopping raises the error of the first try."""
    with pytest.raises(type(error)):
        await make_writer(is_stopping=lambda: True).write(_scripted(error, "written"))


async def test_lost_lease_is_not_repeated(make_writer):
    """An error that another try would meet again is raised."""
    with pytest.raises(LeaseLost):
        await make_writer().write(_scripted(LeaseLost("gone"), "written"))


@pytest.mark.parametrize(("grace_seconds", "patience"), [(0.0, 5), (5.0, 5), (30.0, 30)])
async def test_database_that_does_not_answer_ends_with_the_stop(make_writer, clock, grace_seconds, patience):
    """After a stop a write is awaited for five seconds or, if that is longer, for the grace period, then cancelled."""
    writer = make_writer(stop_at_poll=20, grace_seconds=grace_seconds, is_stopping=lambda: True)
    cancelled = []

    async def never():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    with pytest.raises(StoreUnavailable, match="does not answer"):
        await writer.write(never)
    await asyncio.sleep(0)

    assert clock.seconds - 520 == patience + 1
    assert cancelled == [True]


async def test_slow_write_is_awaited_while_no_stop_is_requested(make_writer, clock):
    """Without a stop a write may take as long as it likes."""
    writer, answered = make_writer(), asyncio.Event()
    writer._stop.on_poll = lambda: answered.set() if clock.seconds >= 600 else None

    assert await writer.write(answered.wait) is True
    assert clock.seconds >= 600
