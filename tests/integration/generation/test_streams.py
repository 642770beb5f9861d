"""Streamed answers over real connections."""

import asyncio
import json

import pytest

from backstay import ItemCounts, Recipe
from backstay.generate.http_client import ConnectionLost, HttpClient, HttpResponse, MalformedResponse
from support.fakes.provider import KEY, ProviderServer, Said, Sent, Streamed, shaped

_CONTENT = ["Hel", "lo ", "there é"]
_FINISH = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\r\n\r\n'
_DONE = b"data: [DONE]\n\n"


def _pieces() -> list[bytes]:
    """Return the pieces of a streamed answer, split inside events, with a keep-alive in between."""
    chunks = [{"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]} for text in _CONTENT]
    events = "".join(f": waiting\n\ndata: {json.dumps(chunk, ensure_ascii=False)}\n\n" for chunk in chunks).encode()
    return [events[start : start + 31] for start in range(0, len(events), 31)]


async def _post(provider: ProviderServer, *, stream: bool = False, idle_seconds: float = 60) -> HttpResponse:
    http = HttpClient(provider.base_url, {}, idle_seconds=idle_seconds)
    try:
        return await http.post(b"{}", stream=stream)
    finally:
        await http.close()


def _text(reply: HttpResponse) -> str:
    return json.loads(reply.body)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("is_asked_for", [True, False])
@pytest.mark.parametrize("content_type", ["text/event-stream; charset=utf-8", "text/plain", "application/json"])
async def test_a_stream_is_collected(is_asked_for, content_type, provider):
    """A streamed answer is collected whether or not it was requested, with any Content-Type."""
    provider.behaviour = lambda _: Streamed([*_pieces(), _FINISH, _DONE], content_type=content_type)

    reply = await _post(provider, stream=is_asked_for)

    assert (reply.status, _text(reply)) == (200, "Hello there é")
    assert ("text/event-stream" in provider.calls[0].headers["Accept"]) is is_asked_for


async def test_an_answer_that_does_not_stream_is_taken(provider):
    """A server that ignores the request for a stream gets its plain answer accepted."""
    provider.behaviour = lambda _: Sent(b'{"choices": []}')

    assert (await _post(provider, stream=True)).body == b'{"choices": []}'


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (Streamed(_pieces(), "cut"), "^the answer ended before it was whole$"),
        (Streamed(_pieces(), "silence"), "the stream was silent for 0.1 s"),
        (Streamed([*_pieces(), _FINISH.replace(b'"stop"', b"null")], "cut"), "^the answer ended before it was whole$"),
    ],
    ids=["cut", "silent", "no finish"],
)
async def test_half_a_stream_is_never_an_answer(stream, says, provider):
    """A stream that ends before its finish reason counts as a lost connection."""
    provider.behaviour = lambda _: stream

    with pytest.raises(ConnectionLost, match=says):
        await _post(provider, idle_seconds=0.1)


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json"])
@pytest.mark.parametrize(
    ("pieces", "says", "rest"),
    [
        (_pieces(), "the stream ended before the answer did", b""),
        ([*_pieces(), b'data: {"choi'], "an event of the stream is not JSON", b'\n{"choi'),
        ([*_pieces(), b"data: [1]\n\n", _FINISH], "an event of the stream is not a JSON object", b"\n[1]"),
    ],
    ids=["ends", "half an event", "not an object"],
)
async def test_a_stream_that_ends_too_early_is_a_broken_answer(pieces, says, rest, content_type, provider):
    """A stream that ends properly but too early is a malformed response, and its content is available as evidence."""
    provider.behaviour = lambda _: Streamed(pieces, content_type=content_type)

    with pytest.raises(MalformedResponse, match=says) as raised:
        await _post(provider)

    answer, _, after = raised.value.body.partition(b"\n")
    assert json.loads(answer)["choices"][0]["message"]["content"] == "Hello there é"
    assert after == rest[1:]


@pytest.mark.parametrize("then", ["end", "cut", "silence"])
async def test_what_follows_a_whole_answer_does_not_matter(then, provider):
    """After the finish reason, a lost connection or silence does not invalidate the answer."""
    provider.behaviour = lambda _: Streamed([*_pieces(), _FINISH], then)

    assert _text(await _post(provider, idle_seconds=0.1)) == "Hello there é"


@pytest.mark.parametrize("has_usage", [True, False])
async def test_a_whole_answer_is_not_waited_for(has_usage, provider, monkeypatch):
    """A stream that stays open after the finish reason is accepted after a moment, including late usage."""
    monkeypatch.setattr("backstay.generate.http_client._TRAILER_SECONDS", 0.2)
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 7}}\n\n'
    provider.behaviour = lambda _: Streamed([*_pieces(), _FINISH, *([usage] if has_usage else [])], "silence")

    reply = await _post(provider, idle_seconds=600)

    assert _text(reply) == "Hello there é"
    assert json.loads(reply.body).get("usage") == ({"prompt_tokens": 7} if has_usage else None)


async def test_keep_alives_after_a_whole_answer_do_not_prolong_it(provider, monkeypatch):
    """Keep-alives after a complete answer do not delay its acceptance."""
    monkeypatch.setattr("backstay.generate.http_client._TRAILER_SECONDS", 0.2)
    provider.behaviour = lambda _: Streamed([*_pieces(), _FINISH, b": on\n\n"], "chatter")

    assert _text(await _post(provider, idle_seconds=600)) == "Hello there é"


@pytest.mark.parametrize("content_type", ["text/event-stream", "Text/Event-Stream"])
async def test_a_stream_is_not_waited_for_after_its_end(content_type, provider):
    """A connection that stays open after the last event causes no delay, in whatever case its type is written."""
    provider.behaviour = lambda _: Streamed([*_pieces(), _DONE], "silence", content_type)

    async with asyncio.timeout(30):
        assert _text(await _post(provider, idle_seconds=600)) == "Hello there é"


async def test_a_stream_without_end_is_given_up(provider, monkeypatch):
    """Neither an endless stream of events nor an endless line fills the memory."""
    monkeypatch.setattr("backstay.generate.http_client._MAX_BODY_BYTES", 10_000)
    monkeypatch.setattr("backstay.generate.http_client._MAX_STREAM_BYTES", 40_000)
    for pieces in (_pieces() * 300, [b"data: ", *[b"x" * 1_000] * 20], [*_pieces() * 40, _chunk(20_000), _FINISH]):
        provider.behaviour = lambda _, pieces=pieces: Streamed(pieces)

        with pytest.raises(MalformedResponse, match="larger than 16 MB"):
            await _post(provider)


def _chunk(size: int) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": {"content": "x" * size}}]}
    return f"\n\ndata: {json.dumps(chunk)}\n\n".encode()


async def test_a_refusal_that_is_streamed_is_read(provider):
    """A streamed error response is read from its only event."""
    error = {"error": {"code": "invalid_parameter_error", "message": "no"}}
    pieces = [f"event: error\ndata: {json.dumps(error)}\n\n".encode()]
    provider.behaviour = lambda _: Streamed(pieces, status=400)

    reply = await _post(provider)

    assert (reply.status, json.loads(reply.body)) == (400, error)


async def test_a_job_stores_what_was_streamed(provider, generate, stored):
    """A job at a streaming endpoint stores the same conversations, and none of an interrupted stream."""

    def stream(call):
        body = shaped(call, json.dumps({key: f"{key} about {call.topic}" for key in call.keys}), Said())
        content = body["choices"][0]["message"]["content"]
        halves = [{"choices": [{"index": 0, "delta": {"content": half}}]} for half in (content[:9], content[9:])]
        pieces = [f"data: {json.dumps(half)}\n\n".encode() for half in halves]
        usage = f"data: {json.dumps({'choices': [], 'usage': body['usage']})}\n\n".encode()
        return Streamed(pieces if call.topic == "half" else [*pieces, _FINISH, usage, _DONE])

    provider.behaviour = stream
    result = await generate(
        ["sea", "half"], recipe=Recipe(model="m", base_url=provider.base_url, turns=2), max_attempts=1
    )

    assert result.counts == ItemCounts(completed=1, failed=1)
    assert stored() == [("sea", ["user_1 about sea", "assistant_1 about sea"])]
    assert (result.tokens.tokens_in, result.tokens.tokens_out) == (100, 50)


async def test_what_came_of_a_broken_answer_is_kept(provider, generate, attempts):
    """The received part of a malformed response is stored with its attempt, without the key."""
    halves = [{"choices": [{"index": 0, "delta": {"content": half}}]} for half in (f"Hello {KEY[:9]}", KEY[9:])]
    provider.behaviour = lambda _: Streamed([f"data: {json.dumps(half)}\n\n".encode() for half in halves])

    result = await generate(1, recipe=Recipe(model="m", base_url=provider.base_url, turns=2), max_attempts=1)

    assert result.counts == ItemCounts(failed=1)
    [(ended, code, raw, _, _)] = attempts()
    assert (ended, code) == ("failed", "broken_answer")
    assert json.loads(raw)["choices"][0]["message"]["content"] == "Hello [key]"


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Content-Encoding": "gzip"}, "not encoded as its headers say"),
        ({"Content-Encoding": "deflate"}, "not encoded as its headers say"),
        ({"X-Report": "x" * 70_000}, "a header of its response is larger than 64 KB"),
    ],
    ids=["gzip", "deflate", "header"],
)
async def test_an_answer_that_http_cannot_carry_is_broken(headers, says, provider):
    """A response that violates HTTP counts as malformed, not as a lost connection."""
    provider.behaviour = lambda _: Sent(b'{"choices": []}', headers=headers)

    with pytest.raises(MalformedResponse, match=says):
        await _post(provider)


async def test_the_status_of_a_refusal_counts_whatever_its_body(provider):
    """An error response whose body cannot be read is classified by its status."""
    provider.behaviour = lambda _: Sent(b"{}", headers={"Content-Encoding": "gzip", "Retry-After": "7"}, status=429)

    reply = await _post(provider)

    assert (reply.status, reply.headers["Retry-After"]) == (429, "7")
