"""Query parameters that an address does not have are refused, as unknown fields of a body are."""

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import Cookie, Header, Path
from fastapi.routing import APIRoute

from backstay.server.auth.authenticator import STATIC
from backstay.suggestions import did_you_mean


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuse a request whose query names a parameter that its address does not have.

    Scripts and styles accept any: a page may add a version to their addresses.

    Raises:
        RequestValidationError: names each such parameter, and the nearest that there is.
    """
    given = dict.fromkeys(request.query_params)
    if not given:
        return
    route = request.scope["route"]
    if route.path.startswith(STATIC):
        return
    known = _parameters_of(route)
    unknown = [name for name in given if name not in known]
    if unknown:
        raise RequestValidationError(
            [{"type": "value_error", "loc": ("query", name), "msg": _message(name, known)} for name in unknown]
        )


def _parameters_of(route: APIRoute) -> tuple[str, ...]:
    others = (Path, Header, Cookie)
    return tuple(one.alias for one in get_flat_params(route.dependant) if not isinstance(one.field_info, others))


def _message(name: str, known: tuple[str, ...]) -> str:
    if not known:
        return "This address takes no query parameters"
    hint = did_you_mean(name, known) or "; there are: " + ", ".join(known)
    return f"Unknown query parameter{hint}"
