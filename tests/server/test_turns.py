"""Long reads of one owner do not block others, and end when their client disconnects."""

import asyncio
import threading
from contextlib import contextmanager

import psycopg
import pytest

from backstay.library.lists import ConversationLists
from backstay.library.service import Conversations
from backstay.storage.sql import reader_pool
from support.harness.async_waiting import until
from support.harness.waiting import locks_waited_for
from support.servers.api import ANN, ORIGIN, bearer, serving, token_of

_SEARCH = "/api/conversations?search=nowhere"


@contextmanager
def _held_searches(settings, backstay):
    """Block searches midway; yield a function that returns how many are blocked."""
    if settings.postgres_url is not None:
        with psycopg.connect(settings.postgres_url) as other:
            other.execute("LOCK TABLE backstay.turns IN ACCESS EXCLUSIVE MODE")
            yield lambda: locks_waited_for(settings.postgres_url)
        return
    entered, gate = [], threading.Event()

    def has(*_):
        if threading.get_ident() not in entered:
            entered.append(threading.get_ident())
            gate.wait()
        return False

    connections = backstay._store._database._reader_connections
    for _ in range(connections.qsize()):
        connection = connections.get()
        connection.create_scalar_function("backstay_contains", has, 2, deterministic=True)
        connections.put(connection)
    try:
        yield lambda: len(entered)
    finally:
        gate.set()


async def test_searches_of_one_owner_do_not_block_others(settings):
    """Another owner's reads and the readiness check work while one owner's searches take all their threads."""
    await _check_that_others_are_answered(settings)


async def test_without_turns_searches_of_one_owner_block_all(settings, monkeypatch):
    """Control: if one owner may take every thread, other owners and the health check wait."""
    monkeypatch.setattr(reader_pool.ReaderPool, "_may_start", lambda pool, _: pool._running.total() < 2)

    with pytest.raises(AssertionError, match=r"^0 of 2 others were answered"):
        await _check_that_others_are_answered(settings)


def _are_all_blocked(pool, count):
    with pool._changed:
        return pool.waiting == count and not any(map(pool._may_start, pool._waiting))


async def _check_that_others_are_answered(settings):
    async with serving(settings) as api:
        await api.made(1)
        pool = api.state.backstay._store._database._readers
        with _held_searches(settings, api.state.backstay) as held:
            searches = [asyncio.create_task(api.ann.get(_SEARCH)) for _ in range(4)]
            await until(lambda: (held(), pool.waiting) == (2, 2))
            others = [
                asyncio.create_task(api.bob.get("/api/batches")),
                asyncio.create_task(api.anonymous.get("/readyz")),
            ]
            await until(lambda: all(other.done() for other in others) or _are_all_blocked(pool, 4))
            answered = sum(other.done() for other in others)
            assert not any(search.done() for search in searches)
        assert [(await answer).status_code for answer in (*searches, *others)] == [200] * 6
    assert answered == 2, f"{answered} of 2 others were answered"


@pytest.mark.parametrize("method, is_stopped", [("GET", True), ("POST", False)])
async def test_a_request_of_a_client_that_has_gone(settings, monkeypatch, method, is_stopped):
    """A read-only request of a disconnected client is stopped, and a changing request is completed."""
    begun, go_on, stopped = asyncio.Event(), asyncio.Event(), []

    async def endless(*_, **__):
        begun.set()
        try:
            await go_on.wait()
        except asyncio.CancelledError:
            stopped.append(True)
            raise
        return []

    monkeypatch.setattr(ConversationLists, "page", endless)
    monkeypatch.setattr(Conversations, "plan_delete", endless)
    path = "/api/conversations" if method == "GET" else "/api/conversations/delete-plan"
    async with serving(settings) as api:
        working = asyncio.create_task(
            api.app(_scope(method, path), _leaving_after(begun, b'{"selection": {"search": "x"}}'), _unheard)
        )
        await begun.wait()
        if not is_stopped:
            for _ in range(20):  # iterations of the event loop, in which it could be stopped
                await asyncio.sleep(0)
            go_on.set()
        await asyncio.wait([working])

    assert bool(stopped) == is_stopped


def _scope(method, path):
    headers = {**bearer(token_of(ANN)), "host": ORIGIN.partition("//")[2], "content-type": "application/json"}
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }


def _leaving_after(begun, body):
    """Return a client that sends a body and disconnects once the request is being processed."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive():
        if (message := next(messages, None)) is not None:
            return message
        await begun.wait()
        return {"type": "http.disconnect"}

    return receive


async def _unheard(_):
    pass
