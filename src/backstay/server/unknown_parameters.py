"""Refusal of unknown query parameters and form fields, just as unknown fields in a body are refused."""

from collections.abc import Iterable

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import Cookie, Form, Header, Path
from fastapi.routing import APIRoute

from backstay.server.auth.authentication import STATIC_PREFIX
from backstay.suggestions import did_you_mean


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuse a request with a query parameter, or to the API with a form field, that its route does not declare.

    Scripts and styles accept any parameter, because a page may add a version to their addresses. Pages accept any form
    field, because the buttons of one form lead to different addresses.

    Raises:
        RequestValidationError: a name is unknown; the message suggests the closest known one.
    """
    route = request.scope["route"]
    if request.query_params and not route.path.startswith(STATIC_PREFIX):
        _refuse_unknown("query", "query parameter", request.query_params, _parameters_of(route))
    if isinstance(route, APIRoute) and route.include_in_schema and (known_fields := _form_fields_of(route)):
        _refuse_unknown("body", "form field", await request.form(), known_fields)


def _refuse_unknown(location: str, kind: str, names: Iterable[str], known_names: tuple[str, ...]) -> None:
    unknown = [name for name in names if name not in known_names]
    if unknown:
        raise RequestValidationError(
            [
                {"type": "value_error", "loc": (location, name), "msg": _message(kind, name, known_names)}
                for name in unknown
            ]
        )


def _parameters_of(route: APIRoute) -> tuple[str, ...]:
    params = get_flat_params(route.dependant)
    return tuple(param.alias for param in params if not isinstance(param.field_info, (Path, Header, Cookie)))


def _form_fields_of(route: APIRoute) -> tuple[str, ...]:
    return tuple(param.alias for param in route.dependant.body_params if isinstance(param.field_info, Form))


def _message(kind: str, name: str, known_names: tuple[str, ...]) -> str:
    if not known_names:
        return "This address has no query parameters"
    hint = did_you_mean(name, known_names) or f"; known {kind.rpartition(' ')[2]}s: {', '.join(known_names)}"
    return f"Unknown {kind}{hint}"
