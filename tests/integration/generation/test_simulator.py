"""The client against an independent simulator of providers, `llmock`, in strict mode."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backstay import Backstay, BatchResult, Recipe
from backstay.batch.worker import EndReason
from support.faults.batch_invariants import violations

pytestmark = pytest.mark.promise("B5", "B6")


@pytest.fixture(params=["openai", "anthropic"])
def side(request: pytest.FixtureRequest) -> str:
    random.seed(7)  # makes the backoff deterministic, since the simulator complains about constant intervals
    return str(request.param)


async def _run(
    llmock: Any,
    side: str,
    path: Path,
    *,
    items: int = 30,
    rpm: int | None = None,
    tries: int = 4,
    ending: EndReason = EndReason.FINISHED,
) -> BatchResult:
    base_url = f"{llmock.url}/anthropic/v1" if side == "anthropic" else f"{llmock.url}/v1"
    model = {"openai": "openai:gpt-4o", "anthropic": "anthropic:claude-sonnet-4-6"}[side]
    recipe = Recipe(model=model, base_url=base_url, turns=2, max_tokens=1_000)
    inputs = [{"id": f"i{n}", "topic": f"topic {n}"} for n in range(items)]
    async with Backstay.open(path, rpm=rpm) as backstay:
        result = await backstay.batches.run("job", inputs, recipe, concurrency=6, max_attempts=tries)
    ids = frozenset(item["id"] for item in inputs)
    assert violations(path, planned=items, may_fail=ids) == []
    assert result.ending is ending
    assert ending is not EndReason.FINISHED or result.completed + result.failed == items
    return result


_FAULTS = {
    "nothing": lambda llmock: None,
    "429 with Retry-After": lambda llmock: llmock.rate_limit(times=8, retry_after=0.6),
    "a burst of 500": lambda llmock: llmock.fail(500, times=8),
    "a burst of 503": lambda llmock: llmock.fail(503, times=4),
    "529": lambda llmock: llmock.fail(529, times=3),
    "delays": lambda llmock: llmock.delay(0.2, times=None),
    "a quota of tokens": lambda llmock: llmock.limits(tpm=60_000),
}


@pytest.mark.parametrize("name", _FAULTS)
async def test_nothing_to_say_about_our_manners(name, side, llmock, path):
    """The client honours Retry-After, backs off and retries transient errors, and completes every item."""
    _FAULTS[name](llmock)

    # A rejection costs a try, and an exhausted quota rejects all calls of that moment.
    options = {"items": 55, "tries": 8} if "tokens" in name else {}
    result = await _run(llmock, side, path, **options)

    llmock.assert_resilient(strict=True)
    assert result.failed == 0
    assert llmock.requests


async def test_a_quota_that_is_kept_is_never_refused(side, llmock, path):
    """With `--rpm` set to the provider's limit, no call is rejected."""
    llmock.limits(rpm=600)

    result = await _run(llmock, side, path, rpm=600)

    llmock.assert_resilient(strict=True)
    assert result.completed == len(llmock.requests) == 30


async def test_a_prompt_that_is_too_long_is_not_tried_again(side, llmock, path):
    """An item whose prompt is too long fails without a retry, and the others complete."""
    llmock.context_overflow(times=1)

    result = await _run(llmock, side, path)

    llmock.assert_resilient(strict=True)
    assert result.failed == 1
    assert len(llmock.requests) == 30


async def test_an_outage_is_waited_for_as_long_as_patience_lasts(side, llmock, path, monkeypatch):
    """During a long outage few calls are made, the job pauses in the end, and no item loses a try."""
    monkeypatch.setenv("BACKSTAY_PATIENCE_SECONDS", "2")
    llmock.outage()

    result = await _run(llmock, side, path, items=3, tries=2, ending=EndReason.PAUSED)

    assert (result.pause.code, result.counts.pending) == ("provider_unavailable", 3)
    assert len(llmock.requests) <= 12
    llmock.assert_resilient()


async def test_control_without_patience_the_simulator_complains(side, llmock, path, monkeypatch):
    """Without the waits of items and account, the simulator reports violations."""
    monkeypatch.setattr("backstay.batch.backoff.Backoff.delay", lambda *_, **__: 0.0)
    monkeypatch.setattr("backstay.generate.limiter.RateLimiter.record_trouble", lambda *_, **__: 0.0)
    llmock.rate_limit(times=8, retry_after=0.6)

    await _run(llmock, side, path)

    with pytest.raises(AssertionError, match="retry_after_ignored"):
        llmock.assert_resilient(strict=True)


async def test_its_report_says_the_same(side, llmock, path):
    """The command `llmock report --strict` reports no violation either."""
    llmock.rate_limit(times=2, retry_after=0.3)
    await _run(llmock, side, path, items=10)

    command = [str(Path(sys.executable).with_name("llmock")), "report", "--url", llmock.url, "--strict"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert process.returncode == 0, process.stdout + process.stderr
