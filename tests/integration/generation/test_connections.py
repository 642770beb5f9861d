"""Connections that are reused between calls after the server has closed them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from backstay import ItemCounts, Recipe
from backstay.generate import http_client as http_module
from backstay.generate.http_client import ConnectFailed, ConnectionLost, HttpClient
from support.fakes.provider import KEY, ProviderServer, Reply, Reset, Said, Sent, Streamed

_FINE = Sent(b"{}")


@asynccontextmanager
async def _raw_server(answers: Sequence[bytes]) -> AsyncIterator[tuple[str, list[asyncio.Task[None] | None]]]:
    """Serve these replies, one after each request of a connection, then close it; yield the URL and the tasks."""
    connections: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.current_task())
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n{}")
            writer.write(answer)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", connections
        await asyncio.gather(*filter(None, connections))


async def _post(provider: ProviderServer, replies: list[Reply]) -> None:
    """Send two requests with one client to a provider that gives these replies."""
    provider.behaviour = lambda call: replies[call.number - 1]
    http = HttpClient(provider.base_url, {})
    try:
        await http.post(b"{}")
        await http.post(b"{}")
    finally:
        await http.close()


async def test_a_kept_connection_that_was_given_up_is_replaced(provider):
    """A request on a stale connection is sent once more at once, without an error."""
    await _post(provider, [_FINE, Reset(), _FINE])

    assert len(provider.calls) == 3
    assert provider.calls[2].headers.get("Connection") == "close"


@pytest.mark.parametrize(
    ("replies", "calls"),
    [([_FINE, Reset(), Reset()], 3), ([_FINE, Streamed([b"{"], "cut")], 2), ([Reset()], 1)],
    ids=["once only", "part of an answer came", "a new connection"],
)
async def test_what_may_have_been_paid_is_not_asked_again(replies, calls, provider):
    """A connection lost in any other way is reported and not retried, since the call may be charged."""
    with pytest.raises(ConnectionLost):
        await _post(provider, replies)

    assert len(provider.calls) == calls


async def test_an_error_whose_body_is_cut_off_keeps_its_status():
    """An error that breaks off in its body is still that error, with the wait that its headers name."""
    answers = [b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 99\r\n\r\n{"]
    async with _raw_server(answers) as (url, _):
        http = HttpClient(url, {})
        response = await http.post(b"{}")
        await http.close()

    assert (response.status, response.headers["Retry-After"], response.body) == (429, "7", b"")


async def test_a_connection_that_ends_later_was_not_given_up(provider, monkeypatch):
    """A connection lost after a few seconds is not stale, since a model was processing the call by then."""
    monkeypatch.setattr(http_module, "_STALE_SECONDS", 0.0)

    with pytest.raises(ConnectionLost):
        await _post(provider, [_FINE, Reset(), _FINE])

    assert len(provider.calls) == 2


async def test_headers_that_have_begun_are_part_of_an_answer():
    """A connection lost in the middle of the headers is not stale, since the server was processing the call."""
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nContent-"]
    async with _raw_server(answers) as (url, connections):
        http = HttpClient(url, {})
        await http.post(b"{}")
        with pytest.raises(ConnectionLost):
            await http.post(b"{}")
        await http.close()

    assert len(connections) == 1


@pytest.mark.parametrize("are_replaced", [True, False], ids=["", "control"])
async def test_a_job_over_connections_that_are_given_up(are_replaced, provider, generate, monkeypatch):
    """A server that closes reused connections costs no try; without the replacement it does."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    if not are_replaced:
        monkeypatch.setattr(http_module, "_STALE_SECONDS", 0.0)
    provider.behaviour = lambda call: Reset() if call.number % 3 == 2 else Said()
    recipe = Recipe(model="m", base_url=provider.base_url, turns=2)

    result = await generate(6, recipe=recipe, concurrency=1, max_attempts=1)

    assert result.counts == (ItemCounts(completed=6) if are_replaced else ItemCounts(completed=4, failed=2))


@pytest.mark.parametrize(
    "junk", [b"\x15\x03\x01\x00\x02\x02\x16", b"SSH-2.0-OpenSSH_9.2\r\n"], ids=["TLS alert", "SSH"]
)
async def test_what_does_not_speak_http_is_no_answer(junk):
    """A server that does not speak HTTP counts as unreachable, and no item fails."""
    async with _raw_server([junk]) as (url, _):
        http = HttpClient(url, {})
        with pytest.raises(ConnectFailed, match="does not speak HTTP"):
            await http.post(b"{}")
        await http.close()
