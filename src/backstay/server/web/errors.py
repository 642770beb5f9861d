"""Error pages."""

from collections.abc import Mapping

from fastapi import Request
from starlette.responses import HTMLResponse

from backstay.schemas import ErrorOut
from backstay.server.web.page_templates import SECTIONS, render_page, section_of

_MESSAGES = {
    "no_such_address": "This page does not exist.",
    "method_not_allowed": "This address only accepts the form of another page. Start on that page.",
}


def page_of_problem(request: Request, status: int, body: ErrorOut, headers: Mapping[str, str]) -> HTMLResponse | None:
    """Return the page for an error; None if the client is a program instead of a browser."""
    if section_of(request) not in SECTIONS and not _is_for_browser(request):
        return None
    page = render_page(
        request,
        "error.html",
        status=status,
        message=_MESSAGES.get(body.error.code, body.error.message),
        code=body.error.code,
        is_signed_in=status != 401,
        # Without SameSite=Lax, a browser withholds the cookie when a link of another site is followed.
        is_from_other_site=request.headers.get("sec-fetch-site") == "cross-site" and request.method == "GET",
    )
    page.headers.update(dict(headers))
    return page


def _is_for_browser(request: Request) -> bool:
    """Return whether a browser will show the response.

    For the API, the `Accept` header alone does not decide: some HTTP libraries request HTML by default.
    """
    if "text/html" not in request.headers.get("accept", "").lower():
        return False
    return section_of(request) != "api" or request.headers.get("sec-fetch-mode") == "navigate"
