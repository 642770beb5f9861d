"""The outermost middleware: request ids, the request log, metrics, and common headers."""

import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstay.library.ids import new_id
from backstay.logs import get_logger
from backstay.server.metrics import Metrics
from backstay.server.problems import note_code, respond_unexpected_error

_log = get_logger("backstay.server")

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
}


class AbortedResponse(Exception):
    """The response began and cannot be completed. The server then closes the connection, so that the client notices."""


class RequestMiddleware:
    """Middleware that logs and counts every request. The query, which may hold a token or a ticket, is never logged."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response = _TrackedResponse(send, request_id=_request_id(scope))
        started = time.perf_counter()
        try:
            await self._app(scope, receive, response.send)
        except AbortedResponse:
            note_code(scope, "aborted")
        except Exception as error:
            note_code(scope, "internal_error")
            _log.exception("unexpected_error", request=response.request_id, error=type(error).__name__)
            if response.status is None:
                await respond_unexpected_error(scope, receive, response.send)
        finally:
            self._record(scope, response, time.perf_counter() - started)

    def _record(self, scope: Scope, response: "_TrackedResponse", seconds: float) -> None:
        route = _route_template(scope)
        self._metrics.record_response(scope["method"], route, response.status, seconds)
        _log.info(
            "request_finished",
            request=response.request_id,
            method=scope["method"],
            route=route,
            status=response.status,
            code=scope.get("state", {}).get("code"),
            milliseconds=round(1000 * seconds, 1),
        )


class _TrackedResponse:
    """A response that is sent with the common headers, and whose status is recorded."""

    def __init__(self, send: Send, *, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """Return the request id from a proxy, if it is safe to log; otherwise a new one."""
    request_id = Headers(scope=scope).get("x-request-id", "")
    return request_id if _SAFE_ID.fullmatch(request_id) else new_id()


def _route_template(scope: Scope) -> str:
    # The template, never the path, whose ids are unbounded and belong to users.
    return str(getattr(scope.get("route"), "path", "unmatched")).replace(":id}", "}").replace(":path}", "}")
