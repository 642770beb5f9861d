"""The methods that an address allows, from OpenAPI: each method of an address has a route of its own."""

import re
from functools import cache

from fastapi import FastAPI

_PATH_PARAMETER = re.compile(r"\\{\w+\\}")


def methods_of(app: FastAPI, path: str) -> str | None:
    """Return the methods of an address for an `Allow` header; None if OpenAPI does not describe it."""
    matching = [route for route in _described_routes(app) if route[0].fullmatch(path)]
    # Ids may contain slashes, so several routes can match; the most specific one applies.
    return max(matching, key=lambda route: route[1])[2] if matching else None


@cache
def _described_routes(app: FastAPI) -> list[tuple[re.Pattern[str], int, str]]:
    return [
        (
            re.compile(_PATH_PARAMETER.sub(".+", re.escape(path)), re.DOTALL),
            len(_PATH_PARAMETER.sub("", re.escape(path))),
            ", ".join(sorted(map(str.upper, methods))),
        )
        for path, methods in app.openapi()["paths"].items()
    ]
