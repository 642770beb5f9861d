"""Providers that fail every call, at once or after some good answers, and the number of calls until the pause."""

import json
from typing import Any

import pytest

from backstay import Backstay, BatchResult, ItemCounts, JobState, Recipe, StopSignal
from backstay.batch.breaker import CircuitBreaker
from backstay.generate.error_scope import SuspectedErrors
from support.fakes.provider import KEY, ProviderServer, Reply, Said, Sent, Status, Streamed

pytestmark = pytest.mark.promise("B5", "B6")

_GOOD = json.dumps({"user_1": "Hello.", "assistant_1": "Good day."})


def _error(code: str | None, message: str = "no", param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code, "param": param}}


_ALWAYS: dict[str, tuple[Reply, str]] = {
    "prose": (Said("I would rather talk."), "unreadable_answer"),
    "no text": (Said(""), "empty_answer"),
    "placeholders": (Said('{"user_1": "...", "assistant_1": "..."}'), "wrong_shape"),
    "no choices": (Sent(b"{}"), "unreadable_answer"),
    "half a body": (Sent(b'{"choices": ['), "broken_json"),
    "no body": (Sent(b""), "broken_json"),
    "half a stream": (Streamed([b'data: {"choices": [{"delta": {"content": "Hello"}}]}\n\n']), "broken_answer"),
    "no gzip": (Sent(b"{}", headers={"Content-Encoding": "gzip"}), "broken_answer"),
    "a header of 70 KB": (Sent(b"{}", headers={"X-Report": "x" * 70_000}), "broken_answer"),
    "cut at max_tokens": (Said(_GOOD, finish="length"), "length"),
    "filter": (Said(_GOOD, finish="content_filter"), "content_filter"),
    "refusal": (Said(refusal="I cannot."), "refusal"),
    "unknown end": (Said(_GOOD, finish="paused"), "incomplete_answer"),
    "too long": (Status(400, _error("context_length_exceeded")), "context_too_long"),
    "moderation": (
        Status(403, {"error": {"code": 403, "message": "no", "metadata": {"reasons": ["x"]}}}),
        "moderation",
    ),
    "unknown 4xx": (Status(418), "bad_request"),
    "500": (Status(500), "server_error"),
    "500, not to be retried": (Status(500, headers={"x-should-retry": "false"}), "server_error"),
    "samples that fail": (Status(400, _error("json_validate_failed")), "structure_failed"),
}
_PROBES = 30  # of an outage, which the server errors must outlast
_DIFFERENTLY: dict[str, tuple[Reply, str]] = {
    "structures": (Status(400, _error(None, "response_format: unsupported")), "structure_refused"),
    "a parameter that is not sent": (Status(400, _error("unsupported_parameter", param="seed")), "parameter_refused"),
}


async def _run(provider: ProviderServer, path, bad: Reply, good: int, concurrency: int) -> tuple[BatchResult, int, int]:
    """Run a job at a provider that breaks after so many good answers, and stop it when it makes too many calls.

    Return also the calls that were made from then on, and the most that may be.
    """
    stop, most = StopSignal(), max(50, 2 * concurrency) + concurrency

    def break_after_good_answers(call):
        if call.number > good + 2 * most:
            stop.request()
        return bad if call.number > good else Said()

    provider.behaviour = break_after_good_answers
    recipe = Recipe(model="writer", base_url=provider.base_url, turns=2)
    items = [{"topic": f"t{number}"} for number in range(good + 2 * most)]
    async with Backstay.open(path) as backstay:
        result = await backstay.batches.run("job", items, recipe, concurrency=concurrency, stop=stop)
    return result, len(provider.calls) - good, most


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.mark.parametrize(("good", "concurrency"), [(0, 40), (100, 4)], ids=["from the start", "after a good run"])
@pytest.mark.parametrize("name", [*_ALWAYS, *_DIFFERENTLY])
async def test_what_fails_for_all_costs_the_window(name, good, concurrency, provider, path, quick_waits):
    """The job pauses with the code and a sample after one window of calls, and all items return to pending."""
    bad, code = {**_ALWAYS, **_DIFFERENTLY}[name]

    result, calls, most = await _run(provider, path, bad, good, concurrency)

    assert (result.state, result.pause.code) == (JobState.PAUSED, code)
    assert result.pause.evidence
    assert result.counts == ItemCounts(completed=good, pending=2 * most)
    # Each call in flight tries up to two other forms of the request.
    more = 2 * concurrency if name in _DIFFERENTLY else 0
    assert calls <= most + (_PROBES if name == "500" else more)


@pytest.mark.parametrize("name", ["no body", "too long", "500"])
async def test_control_with_nobody_watching_it_costs_more(name, provider, path, quick_waits, monkeypatch):
    """Without the circuit breaker and the count of server errors, the same job continues until it is stopped."""
    monkeypatch.setattr(CircuitBreaker, "record", lambda *_: None)
    monkeypatch.setattr(CircuitBreaker, "allowance", None)
    monkeypatch.setattr(SuspectedErrors, "record_server_error", lambda *_: None)

    result, calls, most = await _run(provider, path, _ALWAYS[name][0], 0, 4)

    assert result.pause is None
    assert calls >= 2 * most
