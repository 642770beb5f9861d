"""One-minute outages, simulated by the number of calls that fail in that time: no item of any job is lost."""

import asyncio
import socket
from collections import Counter
from operator import ge

import pytest

from backstay import Backstay, ItemCounts, Recipe
from backstay.batch.outcome import Retry
from backstay.generate import failure_handler
from backstay.generate.classification_rule import ErrorKind
from backstay.generate.limiter import RateLimiter
from support.data.error_responses import REFUSALS
from support.fakes.provider import KEY, CutOff, Hang, ProviderServer, Reply, Reset, Said, Sent, Status
from support.harness.async_waiting import until

pytestmark = pytest.mark.promise("B5", "B6")

_SIZES = [2, 20, 200]
_CONCURRENCY = 64
_PROBES = 22  # in a minute: after 0.5, 1 and 2 seconds, then every 3
_FEW_PROBES = 2  # if each of them takes a second

_BY_CODE = {
    row.code: Status(row.status, row.text, row.headers)
    for row in reversed(REFUSALS)
    if row.kind is ErrorKind.TRANSIENT and row.status >= 400 and row.retry_after is None
}
_FREE: dict[str, Reply] = {
    **_BY_CODE,
    "server_error": Status(500),
    "522 with a page": Status(522, "<!DOCTYPE html><title>522: Connection timed out</title>"),
    "200 with a page": Sent(b"<!DOCTYPE html><p>We will be back soon", "text/html"),
}
_MAY_BE_PAID: dict[str, Reply] = {"no answer": Reset(), "half an answer": CutOff(50), "silence": Hang()}


@pytest.fixture(autouse=True)
def _quick(monkeypatch, quick_waits):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def _minute(probes: int = _PROBES) -> dict[int, int]:
    """Return the calls of a one-minute outage for a job of this size: those in flight at its start, and probes."""
    return {size: min(size, _CONCURRENCY) + probes for size in _SIZES}


def _recipe(provider: ProviderServer, size: int) -> Recipe:
    """Return a recipe for one size of job, which has an account of its own."""
    return Recipe(model="writer", base_url=provider.base_url.replace("/v1", f"/{size}/v1"), turns=2)


async def _prove(backstay: Backstay, provider: ProviderServer) -> None:
    """Get one good answer for each account, since an address that has never answered may be wrong."""
    for size in _SIZES:
        await backstay.batches.run(f"before {size}", [{"topic": "t"}], _recipe(provider, size))
    provider.calls.clear()


async def _run_all(backstay: Backstay, provider: ProviderServer, **options: float) -> list[ItemCounts]:
    """Run a job of each size concurrently."""

    async def run(size: int) -> ItemCounts:
        items = [{"topic": f"t{number}"} for number in range(size)]
        recipe = _recipe(provider, size)
        result = await backstay.batches.run(f"{size}", items, recipe, concurrency=_CONCURRENCY, **options)
        return result.counts

    return await asyncio.gather(*map(run, _SIZES))


class _Outage:
    """An outage that rejects a number of calls in each account, and then ends."""

    def __init__(self, bad: Reply, probes: int = _PROBES) -> None:
        self._bad = bad
        self._left = _minute(probes)
        self.calls = sum(self._left.values())

    def __call__(self, call) -> Reply:
        size = int(call.path.split("/")[1])
        if not self._left[size]:
            return Said()
        self._left[size] -= 1
        return self._bad


@pytest.mark.parametrize("name", [*_FREE, *_MAY_BE_PAID])
async def test_no_item_is_lost_in_an_outage(name, provider, path):
    """A transient error costs an item no try, a possibly charged call at most one, and all items complete."""
    outage = _Outage({**_FREE, **_MAY_BE_PAID}[name], _FEW_PROBES if name == "silence" else _PROBES)
    options = {"timeout_seconds": 1.0} if name == "silence" else {}
    async with Backstay.open(path) as backstay:
        await _prove(backstay, provider)
        provider.behaviour = outage
        counts = await _run_all(backstay, provider, max_attempts=1 if name in _FREE else 3, **options)

    assert counts == [ItemCounts(completed=size) for size in _SIZES]
    assert len(provider.calls) == outage.calls + sum(_SIZES) or name == "silence"


async def test_no_item_is_lost_while_connections_are_refused(path, monkeypatch):
    """A server that disappears and returns at the same address costs no try."""
    refused = Counter()
    note_refusal = RateLimiter.record_trouble

    def count(limiter, *args, **options):
        refused[limiter] += 1
        return note_refusal(limiter, *args, **options)

    monkeypatch.setattr(RateLimiter, "record_trouble", count)
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))  # no other process gets the port meanwhile
        port = held.getsockname()[1]
        async with Backstay.open(path) as backstay:
            with ProviderServer(port=port) as provider:
                await _prove(backstay, provider)
            running = asyncio.create_task(_run_all(backstay, provider, max_attempts=1))
            minute = list(_minute().values())
            is_over = lambda: len(refused) == 3 and all(map(ge, sorted(refused.values()), minute))  # noqa: E731
            await until(lambda: running.done() or is_over())
            with ProviderServer(port=port):
                counts = await running

    assert counts == [ItemCounts(completed=size) for size in _SIZES]


async def test_control_tries_that_waiting_costs_are_used_up(provider, path, monkeypatch):
    """If each rejection counts as a try, an outage makes items fail."""
    monkeypatch.setattr(failure_handler, "Retry", lambda message, after, code, counts: Retry(message, after, code))
    async with Backstay.open(path) as backstay:
        await _prove(backstay, provider)
        provider.behaviour = _Outage(_FREE["overloaded"])
        counts = await _run_all(backstay, provider, max_attempts=1)

    assert [each.completed for each in counts] == [0, 0, 0]


async def test_a_server_that_calls_itself_overloaded_is_waited_for(provider, path):
    """A status 500 that reports an overload is transient and does not count as a server error."""
    provider.behaviour = _Outage(Status(500, '{"error": {"message": "The server is overloaded"}}'), 200)
    async with Backstay.open(path) as backstay:
        counts = await _run_all(backstay, provider, max_attempts=1)

    assert counts == [ItemCounts(completed=size) for size in _SIZES]
