"""The methods that an address allows. The router knows only those of one route; OpenAPI lists all."""

import re
from functools import cache

from fastapi import FastAPI

_NAME = re.compile(r"\\{\w+\\}")


def methods_of(app: FastAPI, path: str) -> str | None:
    """Return the methods of an address for an `Allow` header; None if OpenAPI does not describe it."""
    matching = [route for route in _described(app) if route[0].fullmatch(path)]
    # Ids may contain slashes, so several routes can match: the most specific one applies.
    return max(matching, key=lambda route: route[1])[2] if matching else None


@cache
def _described(app: FastAPI) -> list[tuple[re.Pattern[str], int, str]]:
    return [
        (re.compile(_NAME.sub(".+", re.escape(path)), re.DOTALL), len(_NAME.sub("", re.escape(path))), _listed(methods))
        for path, methods in app.openapi()["paths"].items()
    ]


def _listed(methods: dict[str, object]) -> str:
    return ", ".join(sorted(method.upper() for method in methods))
