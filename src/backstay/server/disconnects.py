"""Disconnects: a read-only request is cancelled when its client disconnects."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstay.server.problems import Problem, note_code, refuse

_READ_METHODS = frozenset(("GET", "HEAD"))


class DisconnectMiddleware:
    """Middleware that cancels a read-only request if its client disconnects before the response has begun.

    A request that changes data runs to its end. A response that has begun detects the disconnect itself.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _READ_METHODS:
            await self._app(scope, receive, send)
            return
        client, failed = _Client(receive, send), list[Exception]()

        async def work() -> None:
            # Not raised in the task: the task would refer to the error, and the traceback of a timeout to the task.
            # Such a cycle holds the request's memory until the garbage collector runs.
            try:
                await self._app(scope, client.receive, client.send)
            except Exception as error:
                failed.append(error)

        working, watching = asyncio.create_task(work()), asyncio.create_task(client.watch())
        try:
            await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
            if not working.done() and not client.has_begun:
                working.cancel()
                await asyncio.wait((working,))
                note_code(scope, "client_gone")
                if client.problem is not None and not client.has_begun:
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
    """The client of one request without a body."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._gone = asyncio.Event()
        self._is_request_sent = False
        self.has_begun = False
        """Whether the response has begun."""
        self.problem: Problem | None = None
        """The error that ended reading from the client while it was connected."""

    async def watch(self) -> None:
        """Return when the client has disconnected."""
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        except Problem as problem:
            self.problem = problem
        finally:
            self._gone.set()

    async def receive(self) -> Message:
        if not self._is_request_sent:
            self._is_request_sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.has_begun = True
        await self._send(message)
