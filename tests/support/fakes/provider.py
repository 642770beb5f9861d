"""A local provider of models: a real HTTP server with their APIs and scripted misbehaviour.

It runs in its own thread, so that tests and other processes can call it. It records its requests and its answers, with
which tests compare the stored conversations.
"""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

KEY = "sk-test-0123456789abcdef0123456789"


@dataclass(slots=True)
class Call:
    """One request, as the server saw it."""

    number: int
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """The text of the user's message."""
        return str(self.body["messages"][-1]["content"])

    @property
    def topic(self) -> str:
        """The topic of the default prompt."""
        return self.prompt.splitlines()[0].rpartition(": ")[2]

    @property
    def is_anthropic(self) -> bool:
        return self.path.endswith("/messages")

    @property
    def keys(self) -> list[str]:
        """The keys of the requested turns."""
        line = self.prompt.splitlines()[-1]
        return list(json.loads(f"[{line}]"))


@dataclass(frozen=True, slots=True)
class Said:
    """A whole answer with status 200; fields that are None get the values of a good answer."""

    text: str | None = None
    finish: str | None = None
    refusal: str | None = None
    seconds: float = 0.0
    tokens: tuple[int, int] = (100, 50)


@dataclass(frozen=True, slots=True)
class Status:
    """An answer with an error status; a body that is a mapping becomes JSON."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Sent:
    """A response of raw bytes."""

    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class CutOff:
    """A good answer interrupted after so many bytes, with or without an announced length."""

    after: int
    announced: bool = True


@dataclass(frozen=True, slots=True)
class Drip:
    """A good answer sent ten bytes at a time, with so many seconds in between."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Streamed:
    """Pieces of a stream, then its end, a lost connection, silence, or the last piece again and again."""

    pieces: Sequence[bytes]
    then: Literal["end", "cut", "silence", "chatter"] = "end"
    content_type: str = "text/event-stream; charset=utf-8"
    status: int = 200


@dataclass(frozen=True, slots=True)
class Hang:
    """No response for a long time."""


@dataclass(frozen=True, slots=True)
class Reset:
    """A connection closed without a response."""


Reply = Said | Status | Sent | CutOff | Drip | Streamed | Hang | Reset
Behaviour = Callable[[Call], Reply]


def well(_: Call) -> Reply:
    """Give a good answer."""
    return Said()


class ProviderServer:
    """A provider's server, used as a context manager."""

    def __init__(self, behaviour: Behaviour = well, *, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.behaviour = behaviour
        self._tls = tls
        self.calls: list[Call] = []
        self.answered: list[tuple[str, list[str]]] = []
        """Topic and texts of the turns of every whole good answer."""
        self.most_at_once = 0
        self._at_once = 0
        self._port = port
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="provider", daemon=True)
        self._stop = asyncio.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1" if self._tls is None else f"https://localhost:{self._port}/v1"

    @property
    def port(self) -> int:
        return self._port

    def calls_about(self, topic: str) -> int:
        return sum(call.topic == topic for call in self.calls)

    def __enter__(self) -> "ProviderServer":
        self._thread.start()
        assert self._ready.wait(60), "the provider did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=10**8)
        app.router.add_post("/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port, backlog=1024, ssl_context=self._tls)
        await site.start()
        self._port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        # A connection that was accepted but has no transport yet would never be closed, as asyncio cannot create its
        # transport once the server is closed. So stop accepting first, and let the loop create pending transports.
        for listener in site._server.sockets:  # type: ignore[union-attr]
            self._loop.remove_reader(listener.fileno())
        await asyncio.sleep(0)
        await runner.cleanup()
        # Hanging handlers would keep their connections open beyond the loop.
        hanging = asyncio.all_tasks() - {asyncio.current_task()}
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        # A connection accepted at the last moment has no handler yet, but asyncio lists its transport.
        transports: list[Any] = list(self._loop._transports.values())  # type: ignore[attr-defined]
        for transport in transports:
            transport.abort()
        while any(transport._sock is not None for transport in transports):
            await asyncio.sleep(0)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = Call(len(self.calls) + 1, request.path, dict(request.headers), await request.json(), dict(request.query))
        self.calls.append(call)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._answer(request, call, self.behaviour(call))
        finally:
            self._at_once -= 1

    async def _answer(self, request: web.Request, call: Call, reply: Reply) -> web.StreamResponse:
        match reply:
            case Said():
                await asyncio.sleep(reply.seconds)  # simulates a slow model
                turns = [f"{key} of call {call.number} about {call.topic}" for key in call.keys]
                text = reply.text if reply.text is not None else json.dumps(dict(zip(call.keys, turns, strict=True)))
                if reply.text is None and reply.refusal is None and reply.finish is None:
                    self.answered.append((call.topic, turns))
                return web.json_response(shaped(call, text, reply))
            case Status():
                await asyncio.sleep(reply.seconds)  # simulates a slow model
                body = reply.body if reply.body is not None else _error(reply.status)
                data = json.dumps(body) if isinstance(body, dict) else body
                kind = "application/json" if isinstance(body, dict) else "text/html"
                return web.Response(status=reply.status, text=data, content_type=kind, headers=reply.headers)
            case Sent():
                headers = reply.headers
                return web.Response(
                    body=reply.body, content_type=reply.content_type, headers=headers, status=reply.status
                )
            case CutOff():
                return await _cut(request, whole_answer(call), reply)
            case Drip():
                return await _drip(request, call, reply.seconds)
            case Streamed():
                return await _stream(request, reply)
            case Hang():
                await asyncio.Event().wait()  # hangs until the client gives up
            case Reset():
                pass
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


def whole_answer(call: Call) -> bytes:
    """Return the bytes of a good answer."""
    text = json.dumps({key: f"{key} about {call.topic}" for key in call.keys})
    return json.dumps(shaped(call, text, Said())).encode()


def shaped(call: Call, text: str, answer: Said) -> dict[str, Any]:
    """Return the body of an answer in the API of the request."""
    tokens_in, tokens_out = answer.tokens
    if call.is_anthropic:
        structured = "tools" in call.body and answer.text is None and answer.refusal is None
        block = (
            {"type": "tool_use", "id": "t1", "name": "conversation", "input": json.loads(text)}
            if structured
            else {"type": "text", "text": answer.refusal or text}
        )
        reason = "refusal" if answer.refusal else answer.finish or ("tool_use" if structured else "end_turn")
        return {
            "type": "message",
            "content": [block],
            "stop_reason": reason,
            "usage": {"input_tokens": tokens_in, "output_tokens": tokens_out},
        }
    message = {"role": "assistant", "content": None if answer.refusal else text, "refusal": answer.refusal}
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish or "stop"}],
        "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out},
    }


def _error(status: int) -> dict[str, Any]:
    return {"error": {"type": "error", "code": f"e{status}", "message": f"status {status}"}}


async def _stream(request: web.Request, stream: Streamed) -> web.StreamResponse:
    response = web.StreamResponse(status=stream.status, headers={"Content-Type": stream.content_type})
    await response.prepare(request)
    for piece in stream.pieces:
        await response.write(piece)
        await asyncio.sleep(0)
    if stream.then == "silence":
        await asyncio.Event().wait()  # hangs until the client gives up
    while stream.then == "chatter":
        await response.write(stream.pieces[-1])
        await asyncio.sleep(0.02)  # says something, again and again
    if stream.then == "cut":
        assert request.transport is not None
        request.transport.abort()
    return response


async def _drip(request: web.Request, call: Call, seconds: float) -> web.StreamResponse:
    body = whole_answer(call)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    for start in range(0, len(body), 10):
        await response.write(body[start : start + 10])
        await asyncio.sleep(seconds)  # sends the answer slowly
    return response


async def _cut(request: web.Request, body: bytes, cut: CutOff) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    if cut.announced:
        response.content_length = len(body)
    else:
        response.force_close()
        response.headers["Connection"] = "close"
    await response.prepare(request)
    await response.write(body[: cut.after])
    assert request.transport is not None
    request.transport.close()
    return response
