"""Errors, as a page tells them."""

from collections.abc import Mapping

from fastapi import Request
from starlette.responses import HTMLResponse

from backstay.objects import ErrorOut
from backstay.server.paths import path_of
from backstay.server.web.rendering import rendered

_PAGES = ("/batches", "/conversations", "/backups")


def page_of_problem(request: Request, status: int, body: ErrorOut, headers: Mapping[str, str]) -> HTMLResponse | None:
    """Return the page that tells of an error; None where it was no page that was asked for."""
    path = path_of(request.scope)
    section = next((page for page in _PAGES if path == page or path.startswith(f"{page}/")), None)
    if section is None:
        return None
    page = rendered(
        request,
        "error.html",
        status=status,
        section=section.removeprefix("/"),
        error=body.error,
        is_signed_in=status != 401,
    )
    page.headers.update(dict(headers))
    return page
