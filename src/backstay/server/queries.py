"""Query parameters that an address does not have are refused, as unknown fields of a body are."""

from functools import cache

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError

from backstay.suggestions import did_you_mean


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuse a request whose query names a parameter that the description of its address does not have.

    A page takes any: links that lead to it are given parameters by mail programs and search engines, and its forms
    carry those of the list that they lead back to.

    Raises:
        RequestValidationError: names each such parameter, and the nearest that there is.
    """
    given = dict.fromkeys(request.query_params)
    if not given:
        return
    route = request.scope["route"]
    if not route.include_in_schema:
        return
    known = _parameters_of(request.app, route.path_format, request.method.lower())
    unknown = [name for name in given if name not in known]
    if unknown:
        raise RequestValidationError(
            [{"type": "value_error", "loc": ("query", name), "msg": _message(name, known)} for name in unknown]
        )


@cache
def _parameters_of(app: FastAPI, path: str, method: str) -> tuple[str, ...]:
    operation = app.openapi()["paths"].get(path, {}).get(method, {})
    return tuple(one["name"] for one in operation.get("parameters", ()) if one["in"] == "query")


def _message(name: str, known: tuple[str, ...]) -> str:
    if not known:
        return "This address takes no query parameters"
    hint = did_you_mean(name, known) or "; there are: " + ", ".join(known)
    return f"Unknown query parameter{hint}"
