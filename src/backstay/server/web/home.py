"""The first page: takes the token out of the address, and leads on; and the list of the API's addresses."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from backstay.server.state import state_of
from backstay.server.web.rendering import rendered

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(request: Request, token: str | None = None) -> Response:
    """Exchange `?token=` for a cookie, so that it stands in no address, no history and no log; or lead on."""
    root, local = request.scope.get("root_path", ""), state_of(request).local
    if local is None or token is None:
        if local is not None and local.owner_of_cookie(request.headers) is not None:
            return RedirectResponse(f"{root}/batches", status_code=303)
        return rendered(request, "home.html", section="", has_pages=local is not None)
    if not local.is_token(token):
        return rendered(request, "wrong_token.html", section="", status=401)
    answer = RedirectResponse(f"{root}/", status_code=303)
    for name in local.former_cookies(request.cookies):
        answer.delete_cookie(name, path=f"{root}/")
    answer.set_cookie(
        local.cookie_name,
        local.cookie_value,
        path=f"{root}/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.get("/docs")
async def docs(request: Request) -> Response:
    """List all addresses of the API, from its own description."""
    addresses = [
        (method.upper(), path, _about(operation))
        for path, methods in request.app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]
    has_pages = state_of(request).local is not None
    return rendered(request, "docs.html", section="", addresses=addresses, has_pages=has_pages)


def _about(operation: dict[str, Any]) -> str:
    return str(operation.get("description", "")).partition("\n")[0]
