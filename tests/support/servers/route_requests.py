"""Every route of the API, from its own description, with the requests that use it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from backstay.server import ServerSettings, create_app
from backstay.settings import Settings
from support.servers.api import LOCAL

OPEN = {"GET /healthz", "GET /readyz", "GET /metrics"}
"""Addresses that need no token of a user."""
SIGNING = {"POST /sign-in", "POST /sign-out"}
"""Forms that begin and end the session of a browser."""
PAGES = frozenset(
    (
        "GET /backups",
        "GET /backups/one",
        "GET /backups/remove",
        "GET /backups/restore",
        "GET /batches",
        "GET /batches/cancel",
        "GET /batches/discard",
        "GET /batches/item",
        "GET /batches/recipe",
        "GET /batches/resume",
        "GET /batches/new",
        "GET /batches/one",
        "GET /conversations",
        "GET /conversations/edit",
        "GET /conversations/history",
        "GET /conversations/import",
        "GET /conversations/one",
        "POST /backups/act",
        "POST /backups/restore",
        "POST /batches/act",
        "POST /batches/item",
        "POST /batches/recipe",
        "POST /batches/recipe-plan",
        "POST /batches/start",
        "POST /batches/upload",
        "POST /conversations/delete",
        "POST /conversations/delete-plan",
        "POST /conversations/edit",
        "POST /conversations/export",
        "POST /conversations/import",
        "POST /conversations/one",
        "POST /conversations/regenerate",
        "POST /conversations/regenerate-plan",
        "POST /conversations/regenerate-undo",
        "POST /conversations/revert",
        "POST /conversations/review",
        "POST /conversations/review-undo",
    )
)
"""Pages and their forms: for a browser that has come in, and described nowhere."""


@dataclass(frozen=True, slots=True)
class Case:
    """Request for one route: `{name}`s stand for an owner's objects."""

    body: Any = None
    files: dict[str, tuple[str, bytes]] | None = None
    data: dict[str, str] = field(default_factory=dict)
    foreign: int = 404
    """Status for somebody else's; that for a missing thing is the same."""
    own: tuple[int, ...] = (200,)
    names: str = "path"
    """Where the address names what is somebody's: its `path`, its `body`, or `nothing` that is shared by nobody."""


_SCRIPTED = {"jobId": "{new}", "items": [{"topic": "x"}], "processor": "scripted"}

CASES: dict[str, Case] = {
    "GET /api/recipes": Case(names="nothing"),
    "GET /api/session": Case(names="nothing"),
    "POST /api/session": Case(names="nothing"),
    "DELETE /api/session": Case(own=(204,), names="nothing"),
    "GET /api/batches": Case(names="nothing"),
    "POST /api/batches": Case(_SCRIPTED, own=(201,), names="nothing"),
    "POST /api/batches/upload": Case(
        files={"file": ("t.csv", b"topic\nx\n")},
        data={"jobId": "{new}", "processor": "scripted"},
        own=(201,),
        names="nothing",
    ),
    "GET /api/batches/{jobId}": Case(),
    "GET /api/batches/{jobId}/failed": Case(),
    "GET /api/batches/{jobId}/items": Case(),
    "GET /api/batches/{jobId}/events": Case(),
    "GET /api/batches/{jobId}/resume": Case(),
    "POST /api/batches/{jobId}/resume": Case(own=(202,)),
    "POST /api/batches/{jobId}/pause": Case(own=(409,)),
    "POST /api/batches/{jobId}/cancel": Case(own=(409,)),
    "POST /api/batches/{jobId}/retry": Case(),
    "POST /api/batches/{jobId}/skip": Case({"itemIds": ["none"]}, own=(404, 409)),
    "POST /api/batches/{jobId}/discard": Case(),
    "GET /api/batches/{jobId}/recipe": Case(),
    "POST /api/batches/{jobId}/recipe-plan": Case({"model": "openai:x"}, own=(422,)),
    "POST /api/batches/{jobId}/recipe": Case({"model": "openai:x"}, own=(422,)),
    "GET /api/batches/{jobId}/items/{itemId}": Case(),
    "PATCH /api/batches/{jobId}/items/{itemId}": Case({"topic": "x"}, own=(409,)),
    "GET /api/conversations": Case(names="nothing"),
    "GET /api/conversations/{conversationId}": Case(),
    "PATCH /api/conversations/{conversationId}": Case({"status": "kept"}),
    "POST /api/conversations/review": Case(
        {"selection": {"conversationIds": ["{conversationId}"]}, "rating": 4}, names="body"
    ),
    "PUT /api/conversations/{conversationId}/content": Case({"expected": "0" * 64, "topic": "x"}, own=(409,)),
    "POST /api/conversations/{conversationId}/revert": Case({"expected": "0" * 64}, own=(404,)),
    "GET /api/conversations/{conversationId}/versions": Case(),
    "GET /api/conversations/{conversationId}/versions/{number}": Case(),
    "GET /api/conversations/{conversationId}/difference": Case(own=(404,)),
    "POST /api/conversations/export": Case({"conversationIds": ["{conversationId}"]}, names="body"),
    "POST /api/conversations/export-plan": Case({"conversationIds": ["{conversationId}"]}, names="body"),
    "POST /api/conversations/import": Case(
        files={
            "file": ("c.jsonl", b'{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}\n')
        },
        own=(201,),
        names="nothing",
    ),
    "POST /api/conversations/delete-plan": Case({"selection": {"conversationIds": ["{conversationId}"]}}, names="body"),
    "POST /api/conversations/delete": Case(
        {"selection": {"conversationIds": ["{conversationId}"]}, "digest": "0" * 64}, own=(409,), names="body"
    ),
    "POST /api/conversations/delete/events": Case(
        {"selection": {"conversationIds": ["{conversationId}"]}, "digest": "0" * 64}, own=(409,), names="body"
    ),
    "POST /api/conversations/regenerate-plan": Case(
        {"selection": {"conversationIds": ["{conversationId}"]}}, names="body"
    ),
    "POST /api/conversations/regenerate": Case(
        {"selection": {"conversationIds": ["{conversationId}"]}, "digest": "0" * 64}, own=(409, 422), names="body"
    ),
    "POST /api/conversations/regenerate-undo": Case({"backupId": "{backupId}"}, foreign=422, own=(422,), names="body"),
    "POST /api/backup/create": Case({"conversationIds": ["{conversationId}"]}, own=(201,), names="body"),
    "GET /api/backup/download/{backupId}": Case(),
    "GET /api/backups": Case(names="nothing"),
    "GET /api/backups/{backupId}": Case(),
    "GET /api/backups/{backupId}/events": Case(),
    "POST /api/backups/{backupId}/verify": Case(),
    "POST /api/backups/{backupId}/restore-plan": Case(),
    "POST /api/backups/{backupId}/restore": Case(),
    "POST /api/backups/{backupId}/pin": Case(),
    "POST /api/backups/{backupId}/unpin": Case(),
    "POST /api/backups/{backupId}/download-ticket": Case(own=(201,)),
    "DELETE /api/backups/{backupId}": Case(),
}


@cache
def description() -> dict[str, Any]:
    """Return the OpenAPI description."""
    return create_app(Settings(here=Path("/nowhere")), ServerSettings(), token=LOCAL).openapi()


def addresses() -> list[str]:
    """Return `METHOD /path` of every described operation."""
    return [f"{method.upper()} {path}" for path, methods in description()["paths"].items() for method in methods]


def routes(app: FastAPI) -> Iterator[str]:
    """Yield `METHOD /path` of every route, described or not."""
    for route in _all_routes(app.router.routes):
        for method in sorted(getattr(route, "methods", None) or ()):
            yield f"{method} {re.sub(r':(id|path)}', '}', route.path)}"


def _all_routes(entries: Any) -> Iterator[Any]:
    for route in entries:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from _all_routes(included.routes)
        else:
            yield route


def filled(text: Any, names: dict[str, str]) -> Any:
    """Replace each `{name}` in a request by a name."""
    match text:
        case str():
            for name, value in {"number": "1", **names}.items():
                text = text.replace("{" + name + "}", value)
            return text
        case dict():
            return {key: filled(value, names) for key, value in text.items()}
        case list():
            return [filled(value, names) for value in text]
        case _:
            return text


def request_of(address: str, case: Case, names: dict[str, str]) -> dict[str, Any]:
    """Return the keyword arguments for an HTTP client."""
    method, _, path = address.partition(" ")
    request: dict[str, Any] = {"method": method, "url": filled(path, names)}
    if case.body is not None:
        request["json"] = filled(case.body, names)
    if case.files is not None:
        request |= {"files": case.files, "data": filled(case.data, names)}
    return request
