"""Types shared by the routes: services, pagination, ids in addresses, and descriptions of errors."""

import re
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Path, Query, Security
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from backstay.app import Services
from backstay.coordination.cursors import Cursors
from backstay.library.conversation import text_fault
from backstay.limits import MAX_INTEGER, MAX_PAGE
from backstay.schemas import ErrorOut
from backstay.server.problems import Problem
from backstay.server.state import AppState, cursors_of, services_of, state_of

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)?")

OwnerServices = Annotated[Services, Depends(services_of)]
State = Annotated[AppState, Depends(state_of)]
OwnCursors = Annotated[Cursors, Depends(cursors_of)]
token_scheme = Security(HTTPBearer(auto_error=False, description="A JSON Web Token, or the local token."))
"""Documents the authentication in OpenAPI; `AuthenticationMiddleware` enforces it."""


def _check_text(text: str) -> str:
    if (fault := text_fault(text)) is not None:
        raise ValueError(f"it {fault}")
    return text


def _check_id(text: str) -> str:
    # Invalid text is never an id, and some databases reject it in a query.
    try:
        return _check_text(text)
    except ValueError:
        raise Problem(404, "not_found", "Not found") from None


def _check_moment(value: Any) -> Any:
    # Pydantic would guess whether a number means seconds or milliseconds.
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError("it must be a time such as 2026-01-31T00:00:00Z")
    return value


Text = Annotated[str, AfterValidator(_check_text)]
MomentIn = Annotated[
    AwareDatetime, Field(strict=False, examples=["2026-01-31T00:00:00Z"]), BeforeValidator(_check_moment)
]
JobId = Annotated[str, Path(alias="jobId", min_length=1, examples=["topics"]), AfterValidator(_check_id)]
ItemId = Annotated[str, Path(alias="itemId", min_length=1, examples=["topic-17"]), AfterValidator(_check_id)]
ConversationId = Annotated[
    str,
    Path(alias="conversationId", min_length=1, examples=["0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"]),
    AfterValidator(_check_id),
]
BackupId = Annotated[
    str, Path(alias="backupId", min_length=1, examples=["backup-1730720400123-abc123"]), AfterValidator(_check_id)
]
OnBadRow = Literal["fail", "skip"]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Maximum number of entries.")]
Cursor = Annotated[
    int | None, Query(ge=0, le=MAX_INTEGER, description="The `nextCursor` of the previous page.", examples=[1200])
]
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=r"^[0-9]{1,18}$",
        description="Continue after this event. A browser's EventSource sends it automatically.",
        examples=["17"],
    ),
]


class ApiInput(BaseModel):
    """Base of request bodies: camelCase, without unknown fields or type conversions."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=False, extra="forbid", strict=True, frozen=True
    )


# The description of each status, and the code of one such error.
_STATUSES = {
    400: ("The request cannot be read.", "bad_request"),
    401: ("The token is missing or not valid.", "unauthorized"),
    403: ("Not allowed.", "processor_not_allowed"),
    404: ("It does not exist, or belongs to another owner.", "job_not_found"),
    408: ("The rest of the request did not arrive in time.", "too_slow"),
    409: ("The request conflicts with the stored state.", "invalid_transition"),
    413: ("The body is too large.", "too_large"),
    415: ("The type of the body is not supported.", "unsupported_file"),
    416: ("The range lies outside the file.", "range_not_satisfiable"),
    422: ("A field is wrong; `details.fields` names it.", "invalid_request"),
    429: ("Too many concurrent requests.", "too_many"),
    503: ("Temporarily unavailable.", "store_busy"),
    507: ("No space left.", "backup_disk_full"),
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors that a route may return, in addition to the errors that all routes may return."""
    return {
        status: {
            "model": ErrorOut,
            "description": _STATUSES[status][0],
            "content": {"application/json": {"example": _example(status)}},
        }
        for status in sorted({400, 401, 422, 503, *statuses})
    }


def _example(status: int) -> dict[str, Any]:
    description, code = _STATUSES[status]
    message, details = {
        401: ("This address needs a valid token", {}),
        404: ("Job 'topics' not found", {"job_id": "topics"}),
        409: ("Cannot resume: job 'topics' is cancelled", {"job_id": "topics"}),
        422: ("jobId: it is missing", {"fields": [{"field": "jobId", "message": "it is missing"}]}),
    }.get(status, (description, {}))
    return {"error": {"code": code, "message": message, "details": details}}


def stream_responses(*events: str, is_resumable: bool = True) -> dict[int | str, dict[str, Any]]:
    """Describe a response that is a stream of these events, and whether `Last-Event-ID` resumes it."""
    properties = {
        "event": {"type": "string", "enum": list(events)},
        "data": {"type": "string", "description": "JSON on one line."},
    }
    if not is_resumable:
        return {200: _stream_response(properties)}
    properties["id"] = {"type": "string", "description": "The value to send as `Last-Event-ID`."}
    return {
        200: _stream_response(properties),
        204: {"description": "There are no events after `Last-Event-ID`, and there will be none."},
    }


def _stream_response(properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": ["event", "data"]}
    return {"description": "Server-sent events.", "content": {"text/event-stream": {"schema": schema}}}
