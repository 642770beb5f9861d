"""Refusal of unknown query parameters, just as unknown fields in a body are refused."""

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import Cookie, Header, Path
from fastapi.routing import APIRoute

from backstay.server.auth.authentication import STATIC_PREFIX
from backstay.suggestions import did_you_mean


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuse a request with a query parameter that its route does not declare.

    Scripts and styles accept any parameter, because a page may add a version to their addresses.

    Raises:
        RequestValidationError: a parameter is unknown; the message suggests the closest known one.
    """
    names = list(request.query_params)
    if not names:
        return
    route = request.scope["route"]
    if route.path.startswith(STATIC_PREFIX):
        return
    known_names = _parameters_of(route)
    unknown = [name for name in names if name not in known_names]
    if unknown:
        raise RequestValidationError(
            [{"type": "value_error", "loc": ("query", name), "msg": _message(name, known_names)} for name in unknown]
        )


def _parameters_of(route: APIRoute) -> tuple[str, ...]:
    params = get_flat_params(route.dependant)
    return tuple(param.alias for param in params if not isinstance(param.field_info, (Path, Header, Cookie)))


def _message(name: str, known_names: tuple[str, ...]) -> str:
    if not known_names:
        return "This address has no query parameters"
    hint = did_you_mean(name, known_names) or "; known parameters: " + ", ".join(known_names)
    return f"Unknown query parameter{hint}"
