"""Error pages."""

from collections.abc import Mapping

from fastapi import Request
from starlette.responses import HTMLResponse

from backstay.schemas import ErrorOut
from backstay.server.request_paths import path_of
from backstay.server.state import state_of
from backstay.server.web.rendering import render_page

_SECTIONS = ("batches", "conversations", "backups")
_MESSAGES = {
    "no_such_address": "This page does not exist.",
    "method_not_allowed": "This address only accepts the form of another page. Start on that page.",
}


def page_of_problem(request: Request, status: int, body: ErrorOut, headers: Mapping[str, str]) -> HTMLResponse | None:
    """Return the page for an error; None if the client is a program instead of a browser."""
    has_pages = state_of(request).local is not None
    first_segment = path_of(request.scope).strip("/").partition("/")[0]
    section = first_segment if has_pages and first_segment in _SECTIONS else ""
    if not section and not _is_for_browser(request, first_segment):
        return None
    page = render_page(
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


def _is_for_browser(request: Request, first_segment: str) -> bool:
    """Return whether a browser will show the response.

    For the API, the `Accept` header alone does not decide: some HTTP libraries request HTML by default.
    """
    if "text/html" not in request.headers.get("accept", "").lower():
        return False
    return first_segment != "api" or request.headers.get("sec-fetch-mode") == "navigate"
