"""The methods that an address of the API allows: each method of an address has a route of its own."""

import re
from collections import defaultdict
from functools import cache

from fastapi import FastAPI
from fastapi.routing import APIRoute

_PATH_PARAMETER = re.compile(r"\\{\w+\\}")


def methods_of(app: FastAPI, path: str) -> str | None:
    """Return the methods of an address for an `Allow` header; None if OpenAPI does not describe it."""
    matching = [route for route in _described_routes(app) if route[0].fullmatch(path)]
    # Ids may contain slashes, so several routes can match; the most specific one applies.
    return max(matching, key=lambda route: route[1])[2] if matching else None


@cache
def _described_routes(app: FastAPI) -> list[tuple[re.Pattern[str], int, str]]:
    methods: dict[str, set[str]] = defaultdict(set)
    for route in app.router.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            methods[re.escape(route.path_format)] |= route.methods or set()
    return [
        (
            re.compile(_PATH_PARAMETER.sub(".+", path), re.DOTALL),
            len(_PATH_PARAMETER.sub("", path)),
            ", ".join(sorted(names)),
        )
        for path, names in methods.items()
    ]
