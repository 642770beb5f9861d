"""Errors, as a page tells them."""

from collections.abc import Mapping

from fastapi import Request
from starlette.responses import HTMLResponse

from backstay.schemas import ErrorOut
from backstay.server.paths import path_of
from backstay.server.state import state_of
from backstay.server.web.rendering import rendered

_SECTIONS = ("batches", "conversations", "backups")
_MESSAGES = {
    "no_such_address": "There is no such page.",
    "method_not_allowed": "This address takes only what the form of another page sends: begin on that page.",
}


def page_of_problem(request: Request, status: int, body: ErrorOut, headers: Mapping[str, str]) -> HTMLResponse | None:
    """Return the page for an error; None if the client is a program and not a user's browser."""
    has_pages = state_of(request).local is not None
    first = path_of(request.scope).strip("/").partition("/")[0]
    section = first if has_pages and first in _SECTIONS else ""
    if not section and not _is_for_a_reader(request, first):
        return None
    page = rendered(
        request,
        "error.html",
        status=status,
        section=section,
        message=_MESSAGES.get(body.error.code, body.error.message),
        code=body.error.code,
        has_pages=has_pages,
        is_signed_in=status != 401 or not has_pages,
    )
    page.headers.update(dict(headers))
    return page


def _is_for_a_reader(request: Request, first: str) -> bool:
    """Return whether a browser will show the answer.

    At the API's own addresses `Accept` alone is not enough: some HTTP libraries ask for HTML by default.
    """
    if "text/html" not in request.headers.get("accept", "").lower():
        return False
    return first != "api" or request.headers.get("sec-fetch-mode") == "navigate"
