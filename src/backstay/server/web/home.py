"""The home page, which exchanges the token for a cookie, and the list of API addresses."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from backstay.server.state import state_of
from backstay.server.web.page_templates import render_page

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(request: Request, token: str | None = None) -> Response:
    """Exchange `?token=` for a cookie, which keeps the token out of addresses, history and logs; or redirect."""
    root, local = request.scope.get("root_path", ""), state_of(request).local
    if local is None or token is None:
        if local is not None and local.owner_of_cookie(request.headers) is not None:
            return RedirectResponse(f"{root}/batches", status_code=303)
        return render_page(request, "home.html", has_pages=local is not None)
    if not local.is_token(token):
        return render_page(request, "wrong_token.html", status=401)
    response = RedirectResponse(f"{root}/", status_code=303)
    for name in local.former_cookies(request.cookies):
        response.delete_cookie(name, path=f"{root}/")
    response.set_cookie(
        local.cookie_name,
        local.cookie_value,
        path=f"{root}/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.get("/docs")
async def docs(request: Request) -> Response:
    """List all addresses of the API, from its OpenAPI document."""
    addresses = [
        (method.upper(), path, _summary(operation))
        for path, methods in request.app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]
    has_pages = state_of(request).local is not None
    return render_page(request, "docs.html", addresses=addresses, has_pages=has_pages)


def _summary(operation: dict[str, Any]) -> str:
    return str(operation.get("description", "")).partition("\n")[0]
