"""Providers that are busy, down, or want nothing of us: who waits, who asks how often, and when the job pauses."""

import threading
import time
from email.utils import formatdate

import pytest

from backstay import Backstay, Counts, JobState, Recipe, Stop
from backstay.batch.outcome import Retry
from backstay.batch.worker import Ending
from backstay.generate import writer
from backstay.generate.limiter import Limiter
from backstay.generate.pace import Pace
from backstay.generate.refusal import Refusal
from support.invariants import violations
from support.provider import Said, Sent, Status

pytestmark = pytest.mark.promise("B5", "B6")


class _Refusing:
    """A provider that refuses its fifth call, and counts the calls that follow."""

    def __init__(self, monkeypatch, retry_after):
        self._retry_after = retry_after
        self._times = []
        self._left, self._had_left = 0, 0
        start, refused = Pace.start, Limiter.refused

        def started(*given):
            self._left += 1
            return start(*given)

        def told(*given):
            self._had_left = self._left
            refused(*given)

        monkeypatch.setattr(Pace, "start", started)
        monkeypatch.setattr(Limiter, "refused", told)

    def __call__(self, call):
        self._times.append(time.monotonic())
        if call.number == 5:
            return Status(429, headers={"Retry-After": self._retry_after()})
        return Said(seconds=0.02)

    @property
    def early(self):
        """How many calls arrived during the pause, apart from those already sent when the refusal was received."""
        return sum(at < self._times[4] + 0.9 for at in self._times) - self._had_left


@pytest.mark.parametrize(
    "retry_after",
    # HTTP dates have whole seconds, so two seconds ahead means more than one.
    [lambda: "1", lambda: formatdate(time.time() + 2, usegmt=True)],
    ids=["seconds", "date"],
)
async def test_retry_after_is_honoured_by_all(retry_after, provider, generate, monkeypatch):
    """One call is refused: none of the others that wait is made before the time that was asked for."""
    provider.behaviour = busy = _Refusing(monkeypatch, retry_after)

    result = await generate(30, concurrency=4)

    assert result.counts == Counts(completed=30)
    assert len(provider.calls) == 31
    assert busy.early <= 0


async def test_control_without_the_pause_the_others_ask_on(provider, generate, monkeypatch):
    """The same provider, with the line's pause switched off: calls come within the time that was asked for."""
    monkeypatch.setattr(Limiter, "refused", lambda *_: None)
    provider.behaviour = busy = _Refusing(monkeypatch, lambda: "1")

    await generate(30, concurrency=4)

    assert busy.early > 0


async def test_a_storm_of_refusals_costs_few_tries(provider, generate, path):
    """A quota smaller than the concurrency: the room shrinks, and no item uses up its tries."""
    lock, recent = threading.Lock(), []

    def quota(_):
        now = time.monotonic()
        with lock:
            recent[:] = [at for at in recent if now - at < 0.5]
            if len(recent) >= 5:
                return Status(429, headers={"retry-after-ms": "500"})
            recent.append(now)
        return Said()

    provider.behaviour = quota
    result = await generate(30, concurrency=30)

    assert result.counts == Counts(completed=30)
    assert len(provider.calls) <= 30 * 3
    assert violations(path, planned=30) == []


_BY_DOOM = {
    "401": (Status(401, {"error": {"message": "Incorrect API key provided"}}), "bad_key", "put a valid one there"),
    "403": (Status(403), "forbidden", "mend it"),
    "unknown model": (Status(404, {"error": {"code": "model_not_found"}}), "unknown_model", "knows no model"),
    "quota as 429": (Status(429, {"error": {"type": "insufficient_quota"}}), "quota_exhausted", "top it up"),
    "quota as 400": (
        Status(400, {"error": {"message": "Your credit balance is too low"}}),
        "quota_exhausted",
        "top it",
    ),
    "402": (Status(402), "quota_exhausted", "top it up"),
    "wrong address": (Status(404, "<html>no</html>"), "unknown_address", "the base URL is wrong"),
    "web page": (Sent(b"<!DOCTYPE html><p>Hello", "text/html"), "html_answer", "the base URL is wrong"),
    "redirect": (Status(301, headers={"Location": "http://127.0.0.1:1/"}), "redirected", "not followed"),
}


@pytest.mark.parametrize("name", _BY_DOOM)
async def test_doom_pauses_the_job_until_it_is_mended(name, provider, generate, stored, path):
    """With few calls, the reason and what to do; items stay pending, and after mending it finishes."""
    bad, code, remedy = _BY_DOOM[name]
    provider.behaviour = lambda _: bad

    result = await generate(60, concurrency=8)

    assert (result.ending, result.state) == (Ending.PAUSED, JobState.PAUSED)
    assert result.counts == Counts(pending=60)
    assert result.pause.code == code
    assert remedy in result.pause.message
    assert len(provider.calls) <= 20
    asked = len(provider.calls)
    provider.behaviour = lambda _: Said()
    async with Backstay.open(path) as backstay:
        mended = await backstay.batches.resume("job")
    assert mended.counts == Counts(completed=60)
    assert len(provider.calls) == asked + 60
    assert violations(path, planned=60) == []


async def test_control_doom_taken_for_a_passing_trouble_goes_on_asking(provider, generate, monkeypatch):
    """With the class of the error switched off, the whole job is asked for nothing."""
    passing = Refusal(Retry("try again", after=0.0))
    monkeypatch.setattr(writer, "refusal_of", lambda *_: passing)
    provider.behaviour = lambda _: Status(401)

    result = await generate(60, concurrency=8, max_attempts=2)

    assert result.failed == 60
    assert len(provider.calls) > 20


async def test_a_server_that_is_not_there_pauses_the_job(path, monkeypatch):
    """After some patience: nothing has ever answered, so the address may be wrong. The line has no host to blame."""
    monkeypatch.setattr("backstay.generate.pace._FIRST_PAUSE", 0.05)
    recipe = Recipe(model="m", base_url="http://127.0.0.1:9/v1")
    async with Backstay.open(path) as backstay:
        result = await backstay.batches.run("job", [{"topic": f"t{n}"} for n in range(30)], recipe, max_attempts=10)

    assert result.state is JobState.PAUSED
    assert result.pause.code == "unreachable"
    assert "start the server" in result.pause.message
    assert result.counts == Counts(pending=30)


async def test_an_outage_is_waited_for(provider, generate, path, monkeypatch):
    """A provider that was there and goes away for a while loses few items: probes are few, and fresh items probe."""
    monkeypatch.setattr("backstay.generate.pace._FIRST_PAUSE", 0.05)
    down = threading.Event()

    def outage(call):
        if call.number == 10:
            down.set()
        if 10 <= call.number < 18:
            return Status(503)
        return Said()

    provider.behaviour = outage
    result = await generate(40, concurrency=4)

    assert down.is_set()
    assert result.counts == Counts(completed=40)
    assert len(provider.calls) == 48
    assert violations(path, planned=40) == []


async def test_requests_a_minute_are_kept_and_a_stop_does_not_wait(path, provider, recipe):
    """Calls come at the rate that was set; a stop gives back whoever waits in line, unharmed, and at once."""
    stop, asked = Stop(), []

    def fourth(call):
        if call.number == 4:
            asked.append(time.monotonic())
            stop.request()
        return Said()

    provider.behaviour = fourth
    async with Backstay.open(path, rpm=120) as backstay:
        items = [{"topic": f"t{n}"} for n in range(50)]
        started = time.monotonic()
        result = await backstay.batches.run("job", items, recipe, concurrency=20, stop=stop, grace_seconds=50)
        waited = time.monotonic() - asked[0]

    took = asked[0] - started
    assert took >= 0.8  # two at once, then one each half second
    assert waited < 25  # half of the grace: nobody in line was waited for
    assert result.ending is Ending.STOPPED
    assert result.counts.pending == 50 - result.completed
    assert len(provider.calls) <= 6


async def test_the_deadline_does_not_count_the_line(path, provider, recipe):
    """With few requests a minute, items wait longer in line than a try may take; none times out."""
    async with Backstay.open(path, rpm=240) as backstay:
        items = [{"topic": f"t{n}"} for n in range(10)]
        result = await backstay.batches.run("job", items, recipe, concurrency=10, timeout=1.2, max_attempts=1)

    assert result.counts == Counts(completed=10)
