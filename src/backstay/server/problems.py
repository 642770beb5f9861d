"""Error responses: the statuses of the project's errors, and errors that exist only in HTTP.

Every error response has the shape `{"error": {"code", "message", "details"}}`. Facts about this machine, such as a
path, appear only in the log.
"""

from collections.abc import Mapping
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backstay import errors
from backstay.errors import BackstayError
from backstay.logs import get_logger
from backstay.schemas import ErrorOut
from backstay.server import form_limits
from backstay.server.allowed_methods import methods_of
from backstay.server.remedies import full_message
from backstay.server.request_paths import path_of
from backstay.validation_reasons import reason_of

_log = get_logger("backstay.server")

# An error's most specific class in this table decides.
STATUSES: Mapping[type[BaseException], int] = {
    errors.BackstayError: 500,
    errors.InputError: 422,
    errors.InputTooLarge: 413,
    errors.NotFound: 404,
    errors.StoreNotFound: 503,
    errors.Conflict: 409,
    errors.Refused: 422,
    errors.ProcessorNotPortable: 409,
    errors.NothingToRun: 409,
    errors.ProcessorNotAllowed: 403,
    errors.AdoptedTableNotWritable: 409,
    errors.SettingsError: 422,
    errors.ApiKeyMissing: 503,
    errors.ApiKeyNotAllowed: 503,
    errors.RecipeError: 422,
    errors.Stopped: 503,
    errors.OutputUnwritable: 503,
    errors.ProcessorUnusable: 503,
    errors.InvalidConversation: 422,
    errors.RefusedByTrainers: 422,
    errors.BackupError: 503,
    errors.BackupDiskFull: 507,
    errors.BackupUnusable: 409,
    errors.BackupDamaged: 409,
    errors.BackupTooNew: 422,
    errors.NotABackup: 422,
    errors.ColumnsDiffer: 409,
    errors.RestoreDiffers: 409,
    errors.StorageError: 503,
    errors.StoreFull: 507,
    errors.OutcomeRefused: 422,
}

# The messages of these errors name files of this machine, so clients get these messages instead.
_REPLACEMENTS: Mapping[type[BaseException], str] = {
    errors.StorageError: "The database failed; the server's log says why",
    errors.StoreNotFound: "The server has no database; its log says why",
    errors.StoreBusy: "The database is busy; try again in a moment",
    errors.StoreFull: "The database has no space left; nothing was changed",
    errors.BackupError: "The backup cannot be written or read; the server's log says why",
    errors.BackupFailed: "The backup failed, so nothing was deleted; the server's log says why",
    errors.BackupFolderUnrecognized: "The backup folder is missing or belongs to another library; the log says more",
    errors.BackupDiskFull: "No space left for backups, so nothing was deleted",
    errors.BackupUnreachable: "The file of the backup cannot be opened; the server's log says why",
    errors.BackupDamaged: "The backup is damaged and cannot be used; the server's log says why",
    errors.ProcessorUnusable: "The server cannot load the processor; its log says why",
    errors.OutputUnwritable: "The server cannot write its output; its log says why",
}
_UNREPLACED = (errors.BackupUnusable, errors.BackupTooNew, errors.NotABackup, errors.ColumnsDiffer,
               errors.RestoreDiffers, errors.OutcomeRefused, errors.ReadTooLong)  # fmt: skip

# For errors that Starlette or FastAPI raises.
_FRAMEWORK_ERRORS = {
    400: ("bad_request", "The request cannot be read"),
    404: ("no_such_address", "No such address; /openapi.json lists all"),
    405: ("method_not_allowed", "This address does not support this method"),
    413: ("too_large", "The request failed"),
}

UNAUTHORIZED = "unauthorized"


class Problem(HTTPException):
    """An error that exists only in HTTP; its message is sent unchanged."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **details: Any
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code
        self.details = details


def unauthorized() -> Problem:
    """Return the one response to all unauthenticated requests, whatever the reason."""
    return Problem(401, UNAUTHORIZED, "This address needs a valid token", headers={"WWW-Authenticate": "Bearer"})


def status_of(error: BackstayError) -> int:
    """Return the HTTP status of an error."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def message_for(error: BackstayError) -> ErrorOut:
    """Return an error as clients may see it."""
    if (replacement := _replacement(error)) is not None:
        return ErrorOut.from_message(error.code, replacement)
    details = {name: value for name, value in error.context.items() if name != "path"}
    return ErrorOut.from_message(error.code, full_message(error), details, error.remedy)


def _replacement(error: BackstayError) -> str | None:
    """Return the text to send instead of a message that reveals details of this machine; None for other messages."""
    if isinstance(error, _UNREPLACED):
        return None
    return next((_REPLACEMENTS[kind] for kind in type(error).__mro__ if kind in _REPLACEMENTS), None)


def install(app: FastAPI) -> None:
    """Make an application return all errors in the shape of the API.

    `app.state.page_of_problem` may return a page instead.
    """
    app.add_exception_handler(BackstayError, _backstay_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)


async def refuse(problem: Problem | BackstayError, scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with an error outside the routes, where exception handlers do not apply."""
    respond = _http_error if isinstance(problem, Problem) else _backstay_error
    response = await respond(Request(scope), problem)
    await response(scope, receive, send)


async def respond_unexpected_error(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond to an unexpected error, which is in the log."""
    body = ErrorOut.from_message("internal_error", "Unexpected error in Backstay; the server's log has the details")
    await _response(500, body, request=Request(scope))(scope, receive, send)


async def _backstay_error(request: Request, error: Exception) -> Response:
    error = cast("BackstayError", error)
    status = status_of(error)
    note_code(request.scope, error.code)
    if status >= 500 or _replacement(error) is not None:
        _log.warning("request_refused", code=error.code, error=error.message, context=error.context)
    headers = {"Retry-After": "2"} if status == 503 else None
    return _response(status, message_for(error), headers, request=request)


async def _http_error(request: Request, error: Exception) -> Response:
    error = cast("HTTPException", error)
    if isinstance(error, Problem):
        body = ErrorOut.from_message(error.code, str(error.detail), error.details)
    elif error.status_code == 400 and form_limits.is_limit_message(str(error.detail)):
        return await _http_error(request, Problem(413, "too_large", form_limits.MESSAGE))
    else:
        body = ErrorOut.from_message(*_FRAMEWORK_ERRORS.get(error.status_code, ("bad_request", "The request failed")))
    note_code(request.scope, body.error.code)
    headers = dict(error.headers or {})
    if error.status_code == 405 and (methods := methods_of(request.app, path_of(request.scope))) is not None:
        headers["Allow"] = methods
    return _response(error.status_code, body, headers, request=request)


async def _validation_error(request: Request, error: Exception) -> Response:
    details = cast("RequestValidationError", error).errors()
    fields = [{"field": _field_name(detail), "message": _reason(detail)} for detail in details[:10]]
    note_code(request.scope, "invalid_request")
    message = f"{fields[0]['field']}: {fields[0]['message']}"
    return _response(422, ErrorOut.from_message("invalid_request", message, {"fields": fields}), request=request)


def _field_name(error: Mapping[str, Any]) -> str:
    # The location starts with "body", "query", "path" or "header"; the client knows the names after it.
    location = error["loc"]
    if len(location) == 1 or error["type"] == "json_invalid":
        return str(location[0])
    return ".".join(str(name)[:100] for name in location[1:])[:300]


def _reason(error: Mapping[str, Any]) -> str:
    if error["type"] == "model_attributes_type" and len(error["loc"]) == 1:
        return "it must be a JSON object, sent with Content-Type: application/json"
    if "Expected UploadFile" in str(error["msg"]):  # from the framework, but looks like a message of the project
        return "it must be a file"
    return reason_of(error, table="an object")[:300]


def note_code(scope: Scope, code: str) -> None:
    """Set the error code in the log line of a request."""
    scope.setdefault("state", {})["code"] = code


def _response(status: int, body: ErrorOut, headers: Mapping[str, str] | None = None, *, request: Request) -> Response:
    page: Response | None = request.app.state.page_of_problem(request, status, body, headers or {})
    if page is not None:
        return page
    return Response(body.to_json(), status, dict(headers or {}), media_type="application/json")
