"""Disconnects: a read stops when its client is gone."""

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstay.server.problems import Problem, note_code, refuse

_READING = frozenset(("GET", "HEAD"))


class DisconnectMiddleware:
    """Cancels a read-only request when its client disconnects before the answer has begun.

    A request that changes something runs to its end. An answer that has begun notices the disconnect itself.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _READING:
            await self._app(scope, receive, send)
            return
        client, failed = _Client(receive, send), list[Exception]()

        async def work() -> None:
            # The error is not left to the task: a time-out in its traceback refers to the task, which would then keep
            # itself, and all that the request had in memory, until the collector comes by.
            try:
                await self._app(scope, client.receive, client.send)
            except Exception as error:
                failed.append(error)

        working, watching = asyncio.create_task(work()), asyncio.create_task(client.watch())
        try:
            await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
            if not working.done() and not client.is_answered:
                working.cancel()
                with suppress(asyncio.CancelledError):
                    await working
                note_code(scope, "client_gone")
                if client.problem is not None and not client.is_answered:
                    await refuse(client.problem, scope, receive, send)
            else:
                await working
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.wait((working, watching))
        if failed:
            raise failed.pop()


class _Client:
    """The client of one request, whose body is not read."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._gone = asyncio.Event()
        self._is_asked = False
        self.is_answered = False
        """Whether the answer has begun."""
        self.problem: Problem | None = None
        """The error that stopped reading from it, although it is connected."""

    async def watch(self) -> None:
        """Return when it has disconnected."""
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        except Problem as problem:
            self.problem = problem
        finally:
            self._gone.set()

    async def receive(self) -> Message:
        if not self._is_asked:
            self._is_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.is_answered = True
        await self._send(message)
