"""Providers that are busy, down or reject the account: which items wait, how often they retry, when the job pauses."""

import itertools
import threading
import time
from email.utils import formatdate

import pytest

from backstay import Backstay, ItemCounts, JobState, Recipe, StopSignal
from backstay.batch.worker import EndReason
from backstay.generate import reply_reader
from backstay.generate.classification_rule import ErrorKind
from backstay.generate.error_response import ErrorResponse
from support.fakes.provider import Hang, Reset, Said, Sent, Status
from support.faults.batch_invariants import violations

pytestmark = pytest.mark.promise("B5", "B6")


@pytest.mark.parametrize(
    "retry_after",
    # HTTP dates have whole seconds, so two seconds ahead means more than one.
    [lambda: "1", lambda: formatdate(time.time() + 2, usegmt=True)],
    ids=["seconds", "date"],
)
async def test_retry_after_of_one_call_is_kept_by_its_item_alone(retry_after, provider, generate):
    """A single rejected call waits for its Retry-After while other items continue."""
    times = []

    def refuse_fifth(call):
        times.append((time.monotonic(), call.topic))
        return Status(429, headers={"Retry-After": retry_after()}) if call.number == 5 else Said(seconds=0.02)

    provider.behaviour = refuse_fifth
    result = await generate(30, concurrency=4)

    refused_at, topic = times[4]
    assert result.counts == ItemCounts(completed=30)
    assert len(provider.calls) == 31
    assert times[-1][1] == topic
    assert times[-1][0] >= refused_at + 0.9
    assert times[-2][0] < refused_at + 0.9


async def test_a_storm_of_refusals_costs_few_tries(provider, generate, path):
    """With a quota smaller than the concurrency, the account slows down, and no item uses up its tries."""
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

    assert result.counts == ItemCounts(completed=30)
    assert len(provider.calls) <= 30 * 3
    assert violations(path, planned=30) == []


_BY_DOOM = {
    "401": (Status(401, {"error": {"message": "Incorrect API key provided"}}), "bad_key", "put a valid one there"),
    "403": (Status(403), "forbidden", "may lack the right to use"),
    "unknown model": (Status(404, {"error": {"code": "model_not_found"}}), "unknown_model", "has no model"),
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
    """An error of the whole account pauses the job after few calls; once it is fixed, the resumed job completes."""
    bad, code, remedy = _BY_DOOM[name]
    provider.behaviour = lambda _: bad

    result = await generate(60, concurrency=8)

    assert (result.ending, result.state) == (EndReason.PAUSED, JobState.PAUSED)
    assert result.counts == ItemCounts(pending=60)
    assert result.pause.code == code
    assert remedy in result.pause.message
    assert len(provider.calls) <= 20
    calls_before = len(provider.calls)
    provider.behaviour = lambda _: Said()
    async with Backstay.open(path) as backstay:
        mended = await backstay.batches.resume("job")
    assert mended.counts == ItemCounts(completed=60)
    assert len(provider.calls) == calls_before + 60
    assert violations(path, planned=60) == []


async def test_control_doom_taken_for_the_items_own_burns_them_all(provider, generate, monkeypatch):
    """If errors of the account are classified as errors of items, every item of the job fails."""
    codes = (f"code_{number}" for number in itertools.count())
    monkeypatch.setattr(
        reply_reader, "error_of", lambda *_, **__: ErrorResponse(ErrorKind.ITEM, next(codes), "not this one")
    )
    provider.behaviour = lambda _: Status(401)

    result = await generate(40, concurrency=8, max_attempts=2)  # fewer than the window of the circuit breaker

    assert result.failed == 40
    assert len(provider.calls) == 40


async def test_a_server_that_is_not_there_pauses_the_job(path, monkeypatch):
    """A job whose address has never answered pauses after a short wait."""
    monkeypatch.setattr("backstay.generate.provider_trouble._UNPROVEN_SECONDS", 0.5)
    recipe = Recipe(model="m", base_url="http://127.0.0.1:9/v1")
    async with Backstay.open(path) as backstay:
        result = await backstay.batches.run("job", [{"topic": f"t{n}"} for n in range(30)], recipe, max_attempts=10)

    assert result.state is JobState.PAUSED
    assert result.pause.code == "unreachable"
    assert "start the server" in result.pause.message
    assert result.counts == ItemCounts(pending=30)


async def test_an_outage_is_waited_for(provider, generate, path):
    """During an outage of a proven provider, few probes are sent, and few items fail."""
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
    assert result.counts == ItemCounts(completed=40)
    assert len(provider.calls) == 48
    assert violations(path, planned=40) == []


async def test_requests_a_minute_are_kept_and_a_stop_does_not_wait(path, provider, recipe):
    """Calls keep the configured rate, and a stop releases queued items at once."""
    stop, call_times = StopSignal(), []

    def fourth(call):
        if call.number == 4:
            call_times.append(time.monotonic())
            stop.request()
        return Said()

    provider.behaviour = fourth
    async with Backstay.open(path, rpm=120) as backstay:
        items = [{"topic": f"t{n}"} for n in range(50)]
        started = time.monotonic()
        result = await backstay.batches.run("job", items, recipe, concurrency=20, stop=stop, grace_seconds=50)
        waited = time.monotonic() - call_times[0]

    took = call_times[0] - started
    assert took >= 0.8  # two at once, then one each half second
    assert waited < 25  # half of the grace period: queued items were not waited for
    assert result.ending is EndReason.STOPPED
    assert result.counts.pending == 50 - result.completed
    assert len(provider.calls) <= 6


async def test_the_deadline_does_not_count_the_line(path, provider, recipe):
    """Time spent in the queue does not count towards the timeout of a try."""
    async with Backstay.open(path, rpm=240) as backstay:
        items = [{"topic": f"t{n}"} for n in range(10)]
        result = await backstay.batches.run("job", items, recipe, concurrency=10, timeout_seconds=1.2, max_attempts=1)

    assert result.counts == ItemCounts(completed=10)


async def test_patience_that_is_at_its_end_pauses_the_job(provider, recipe, path):
    """When patience ends, the job pauses with the last error, items keep their tries, and the wait was visible."""
    provider.behaviour = lambda call: Said() if call.number <= 3 else Status(503, {"error": {"message": "busy"}})
    seen, reported = [], []
    async with Backstay.open(path, patience_seconds=2) as backstay:

        async def listen(progress):
            seen.append((await backstay.batches.checkpoint("job")).provider_wait)
            reported.append(progress.provider_wait)

        items = [{"id": f"t{n}", "topic": f"t{n}"} for n in range(8)]
        result = await backstay.batches.run("job", items, recipe, concurrency=1, max_attempts=1, on_progress=listen)
        evidence = await backstay.batches.evidence("job")

    assert (result.state, result.pause.code) == (JobState.PAUSED, "provider_unavailable")
    assert "no good answer came for" in result.pause.message
    assert "(503: overloaded)" in result.pause.message
    assert result.counts == ItemCounts(completed=3, pending=5)
    assert {failure.raw for failure in evidence} == {'{"error": {"message": "busy"}}'}
    for waiting in (next(filter(None, seen)), next(filter(None, reported))):
        assert waiting.reason.endswith("is not available")
        assert waiting.detail == "503: overloaded"
    assert violations(path, planned=8) == []


async def test_each_run_has_all_the_patience(provider, path, quick_waits):
    """A job that is resumed in the same process has its full patience again."""
    provider.behaviour = lambda _: Status(503)
    recipe = Recipe(model="m", base_url=provider.base_url, turns=2)
    async with Backstay.open(path, patience_seconds=1) as backstay:
        first = await backstay.batches.run("job", [{"topic": "t"}], recipe)
        seen = len(provider.calls)
        provider.behaviour = lambda call: Status(503) if call.number <= seen + 3 else Said()
        second = await backstay.batches.resume("job")

    assert (first.pause.code, second.counts) == ("provider_unavailable", ItemCounts(completed=1))


async def test_a_time_that_is_named_too_far_ahead_is_not_waited_for(provider, generate):
    """A Retry-After of a day pauses the job at once, and the pause shows the time."""
    provider.behaviour = lambda _: Status(429, {"error": {"message": "busy"}}, {"Retry-After": "36000"})

    result = await generate(8, concurrency=2)

    assert (result.pause.code, result.counts) == ("provider_unavailable", ItemCounts(pending=8))
    assert "10 h" in result.pause.message
    assert len(provider.calls) <= 16


async def test_an_item_that_draws_errors_while_others_pass_fails(provider, generate, path, monkeypatch):
    """An item with three server errors while others succeed fails, and does not block the others."""
    monkeypatch.setattr("backstay.generate.model_call._ALONE_SECONDS", 0.0)  # the others end before its third try
    provider.behaviour = lambda call: Status(500) if call.topic == "topic 0" else Said()

    result = await generate(40, concurrency=2)

    assert result.counts == ItemCounts(completed=39, failed=1)
    assert provider.calls_about("topic 0") == 3
    assert violations(path, planned=40, may_fail=frozenset({"topic 0"})) == []


async def _run_with_last(bad, provider, path, **options):
    """Run a job whose last item never gets an answer."""
    provider.behaviour = lambda call: bad if call.topic == "t3" else Said()
    recipe = Recipe(model="m", base_url=provider.base_url, turns=2)
    async with Backstay.open(path, **options) as backstay:
        items = [{"topic": f"t{number}"} for number in range(4)]
        result = await backstay.batches.run("job", items, recipe, concurrency=1, timeout_seconds=0.5)
        return result, [failure.error_code async for failure in backstay.batches.failed("job")]


@pytest.mark.parametrize(("bad", "code", "calls"), [(Reset(), "connection", 4), (Hang(), "timeout", 3)])
async def test_the_last_item_without_an_answer_fails(bad, code, calls, provider, path, monkeypatch):
    """The last item without an answer loses a try each minute, since each of its calls may be charged."""
    monkeypatch.setattr("backstay.generate.model_call._ALONE_SECONDS", 0.0)

    result, codes = await _run_with_last(bad, provider, path)

    assert result.counts == ItemCounts(completed=3, failed=1)
    assert codes == [code]
    # The first call is made once more: on a kept connection, a reset may only mean that the server had closed it.
    assert provider.calls_about("t3") == calls


async def test_control_without_time_that_speaks_against_it_the_last_item_is_asked_for_on_and_on(provider, path):
    """Without the minute, the last item keeps its tries, and only the end of patience stops the job."""
    result, _ = await _run_with_last(Reset(), provider, path, patience_seconds=4)

    assert (result.pause.code, result.counts) == ("provider_unavailable", ItemCounts(completed=3, pending=1))
    assert provider.calls_about("t3") > 3


async def test_a_job_keeps_its_requests_a_minute(path, provider, recipe):
    """A run without limits uses the last limits of the job."""
    at = []
    provider.behaviour = lambda _: at.append(time.monotonic()) or Said()
    async with Backstay.open(path) as backstay:
        items = [{"topic": f"t{n}"} for n in range(5)]
        await backstay.batches.run("job", items, recipe, concurrency=5, rpm=120, limit=1)
        await backstay.batches.resume("job")
        limits = (await backstay.batches.checkpoint("job")).settings.limits

    assert (limits.concurrency, limits.rpm, limits.tpm) == (5, 120, None)
    assert at[4] - at[1] >= 0.8  # two at once, then one each half second
