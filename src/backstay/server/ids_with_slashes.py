"""Routes whose ids may contain any character, even a slash."""

import re
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote

from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Match

from backstay.server.allowed_methods import methods_of
from backstay.server.request_paths import path_of

_ENCODED_SLASH = re.compile("%2[fF]")
_PLACEHOLDER = "\udc2f"  # stands for it while routes are matched; no decoded path contains a lone surrogate


class _IdConvertor(Convertor[str]):
    regex = "(?s:.*)"  # ids of earlier versions may contain line breaks, which Starlette's `path` does not match

    def convert(self, value: str) -> str:
        return value.replace(_PLACEHOLDER, "/")

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
        if b"%2f" in raw.lower():
            scope = {**scope, "path": unquote(_ENCODED_SLASH.sub(_PLACEHOLDER, raw.decode("latin-1")))}
        match, child_scope = super().matches(scope)
        # An id may be the last part of another address, as in `/api/conversations/delete-plan`.
        if match is Match.FULL and not _has_method(scope):
            return Match.NONE, {}
        return match, child_scope


def _has_method(scope: MutableMapping[str, Any]) -> bool:
    """Return whether the address has the method of a request; any has GET, which looks for an id."""
    if scope["method"] in ("GET", "HEAD"):
        return True
    methods = methods_of(scope["app"], path_of(scope))
    return methods is None or scope["method"] in methods.split(", ")
