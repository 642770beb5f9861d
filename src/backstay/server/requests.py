"""The frame around each request: its id, its line in the log, its place in the metrics, and headers that all have."""

import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstay.library.ids import new_id
from backstay.logs import get_logger
from backstay.server.metrics import Metrics
from backstay.server.problems import fault, note_code

_log = get_logger("backstay.server")

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ANYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
}


class AbortedResponse(Exception):
    """The answer had begun and cannot be ended: the connection is to break, so that nobody takes it for whole."""


class RequestMiddleware:
    """Sees every request from outside. Its query, where a token or a ticket may be, is never written anywhere."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _TrackedResponse(send, request_id=_id_of(scope))
        started = time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        except AbortedResponse:
            note_code(scope, "aborted")
        except Exception as error:
            note_code(scope, "fault")
            _log.exception("fault", request=answer.request_id, error=type(error).__name__)
            if answer.status is None:
                await fault(scope, receive, answer.send)
        finally:
            self._note(scope, answer, time.perf_counter() - started)

    def _note(self, scope: Scope, answer: "_TrackedResponse", seconds: float) -> None:
        route = _route_of(scope)
        self._metrics.record_response(scope["method"], route, answer.status, seconds)
        _log.info(
            "request",
            request=answer.request_id,
            method=scope["method"],
            route=route,
            status=answer.status,
            code=scope.get("state", {}).get("code"),
            milliseconds=round(1000 * seconds, 1),
        )


class _TrackedResponse:
    """Hands an answer on, and remembers its status."""

    def __init__(self, send: Send, *, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            for name, value in _ANYWHERE.items():
                headers.setdefault(name, value)
        await self._send(message)


def _id_of(scope: Scope) -> str:
    """Return the id that a proxy gave a request, if it is fit for a log; else a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _ID.fullmatch(given) else new_id()


def _route_of(scope: Scope) -> str:
    # The template, never the path: ids in it would be without bound, and somebody's.
    return str(getattr(scope.get("route"), "path", "unmatched")).replace(":id}", "}").replace(":path}", "}")
