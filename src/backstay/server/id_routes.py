"""Routes whose ids may contain any character, even a slash."""

import re
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote

from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Match

_SLASH = re.compile(rb"%2[fF]")
_PLACEHOLDER = "\x00"  # no id contains it


class _IdConvertor(Convertor[str]):
    regex = "(?s:.*)"  # an old id may contain a line break, which `path` does not match

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _IdConvertor())


class IdRoute(APIRoute):
    """A route with `{…:id}`, in which a percent-encoded slash belongs to the id.

    So `/api/batches/a%2Fitems` is the job `a/items`, while `/api/batches/a/items` lists the items of `a`. Where no
    other route matches, a slash in an id may be sent unencoded.
    """

    def matches(self, scope: MutableMapping[str, Any]) -> tuple[Match, MutableMapping[str, Any]]:
        raw: bytes = scope.get("raw_path") or b""
        if not _SLASH.search(raw) or b"%00" in raw:
            return super().matches(scope)
        path = unquote(_SLASH.sub(b"%00", raw).decode("latin-1"))
        match, child = super().matches({**scope, "path": path})
        if match is not Match.NONE:
            params = child["path_params"].items()
            child["path_params"] = {name: value.replace(_PLACEHOLDER, "/") for name, value in params}
        return match, child
