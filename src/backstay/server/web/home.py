"""The home page, signing in and out, and the list of API addresses."""

import re
from typing import Annotated, Any

from fastapi import Form, Request
from pydantic import AfterValidator
from starlette.responses import Response

from backstay.server.api.common import State, Text
from backstay.server.auth.authentication import bearer
from backstay.server.auth.cookie import refuse_other_origins
from backstay.server.problems import unauthorized
from backstay.server.request_paths import SIGN_IN
from backstay.server.routers import Router
from backstay.server.web.forms import redirect_to
from backstay.server.web.page_templates import SECTIONS, render_page

router = Router(include_in_schema=False)


_PAGE = re.compile(rf"/({'|'.join(SECTIONS)})([/?][!-~]*)?")


def _check_page(page: str) -> str:
    if not _PAGE.fullmatch(page):
        raise ValueError("it must be the address of a page, such as /batches")
    return page


@router.get("/")
async def home(request: Request, state: State, token: str | None = None) -> Response:
    """Exchange `?token=` for a cookie, which keeps the token out of addresses, history and logs; or redirect."""
    if state.local is None or token is None:
        if await state.authenticator.identity_of_cookie(request) is not None:
            return redirect_to(request, "/batches")
        return render_page(request, "home.html")
    if (identity := await state.local.identity_of(token)) is None:
        return render_page(request, "wrong_token.html", status=401)
    response = redirect_to(request, "/")
    await state.local.sign_in(request, response, identity)
    return response


@router.post(SIGN_IN)
async def sign_in(
    request: Request,
    state: State,
    token: Annotated[str, Form()],
    page: Annotated[Text, Form(), AfterValidator(_check_page)] = "/batches",
) -> Response:
    """Exchange a token, which a page of the app sends in a form, for a cookie, and open a page.

    Only a form sets a cookie from every site, and only a page of this server opens the next one with the cookie.
    """
    refuse_other_origins(request, state.settings.cors_origins)
    if (identity := await state.authenticator.identity_of(bearer(f"Bearer {token}"))) is None:
        raise unauthorized()
    response = render_page(request, "signed_in.html", page=page)
    await state.authenticator.sign_in(request, response, identity)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, state: State) -> Response:
    """Sign a browser out."""
    response = redirect_to(request, "/")
    await state.authenticator.sign_out(request, response)
    return response


@router.get("/docs")
async def docs(request: Request) -> Response:
    """List all addresses of the API, from its OpenAPI document."""
    addresses = [
        (method.upper(), path, _summary(operation))
        for path, methods in request.app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]
    return render_page(request, "docs.html", addresses=addresses)


def _summary(operation: dict[str, Any]) -> str:
    return str(operation.get("description", "")).partition("\n")[0]
