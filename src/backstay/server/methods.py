"""Which methods an address takes: all that are described, where the router knows only those of one route."""

import re
from functools import cache

from fastapi import FastAPI

_NAME = re.compile(r"\\{\w+\\}")


def methods_of(app: FastAPI, path: str) -> str | None:
    """Return the methods of an address as an `Allow` header has them; None when it is not described."""
    matching = [one for one in _described(app) if one[0].fullmatch(path)]
    # Names may hold slashes, so that several match: what says more of the address is meant.
    return max(matching, key=lambda one: one[1])[2] if matching else None


@cache
def _described(app: FastAPI) -> list[tuple[re.Pattern[str], int, str]]:
    return [
        (re.compile(_NAME.sub(".+", re.escape(path)), re.DOTALL), len(_NAME.sub("", re.escape(path))), _listed(methods))
        for path, methods in app.openapi()["paths"].items()
    ]


def _listed(methods: dict[str, object]) -> str:
    return ", ".join(sorted(method.upper() for method in methods))
