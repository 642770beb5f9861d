"""The cookie that signs a browser in: sent over the same host only, and never visible to scripts."""

from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response

from backstay.server.problems import Problem
from backstay.server.request_limits import host_name
from backstay.server.settings import SameSite


def read_cookie(request: HTTPConnection, name: str) -> str | None:
    """Return the value of a cookie."""
    return request.cookies.get(_full_name(request, name))


def set_cookie(
    request: HTTPConnection, response: Response, name: str, value: str, *, same_site: SameSite = "strict"
) -> None:
    """Set a cookie that ends with the browser. An empty value removes it."""
    response.set_cookie(
        _full_name(request, name),
        value,
        max_age=None if value else 0,
        path=f"{_root(request)}/",
        httponly=True,
        samesite=same_site,
        secure=_is_secure(request),
    )


def refuse_other_origins(request: HTTPConnection, trusted: tuple[str, ...] = ()) -> None:
    """Check that a request comes from this server's own pages, or from a trusted origin.

    Raises:
        Problem: its Origin header is missing or names another origin.
    """
    headers = request.headers
    own = f"{request.scope['scheme']}://{headers.get('host', '')}"
    if not _is_from_own_page(headers) and headers.getlist("origin") not in [[origin] for origin in (own, *trusted)]:
        raise Problem(
            403, "origin_refused", "A cookie works on this server's own pages only; other pages need a bearer token"
        )


def _is_from_own_page(headers: Headers) -> bool:
    # Behind a proxy, the server may not know the scheme that browsers use, but browsers compare the origins as well.
    return headers.getlist("sec-fetch-site") == ["same-origin"]


def _full_name(request: HTTPConnection, name: str) -> str:
    """Return the name with a prefix by which a browser guarantees that this host has set the cookie, if it can."""
    if not _is_secure(request):
        return name
    return f"__Secure-{name}" if _root(request) else f"__Host-{name}"


def _root(request: HTTPConnection) -> str:
    return str(request.scope.get("root_path", ""))


def _is_secure(request: HTTPConnection) -> bool:
    """Return whether the browser uses https, also if only a proxy does."""
    if request.scope["scheme"] == "https":
        return True
    # Browsers send this header over https, and over http to their own machine only.
    return "sec-fetch-site" in request.headers and not _is_own_machine(host_name(request.headers.get("host", "")))


def _is_own_machine(name: str) -> bool:
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
