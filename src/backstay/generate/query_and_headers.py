"""Query and headers of requests: those of a recipe must not carry credentials."""

import re
from collections.abc import Mapping

from backstay.generate.credential_names import is_credential_name

_CONNECTION_HEADERS = frozenset(
    {"host", "connection", "content-length", "content-type", "content-encoding", "transfer-encoding", "te", "upgrade",
     "accept-encoding", "expect", "trailer"}
)  # fmt: skip
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def check_query(query: dict[str, str]) -> dict[str, str]:
    """Return the query of a recipe. Raises ValueError, which names the parameter and never quotes its value."""
    for name, value in query.items():
        if not name:
            raise ValueError("a parameter has no name")
        if not (name + value).isprintable():
            raise ValueError(f"the parameter {name[:40]!r} has characters that cannot be printed")
        _check_no_credential(name)
    return query


def check_headers(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers of a recipe. Raises ValueError, which names the header and never quotes its value."""
    seen: set[str] = set()
    for name, value in headers.items():
        check_header_name(name)
        _check_no_credential(name)
        if name.lower() in seen:
            raise ValueError(f"{name!r} is set twice")
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"the value of {name!r} has characters that a header cannot have")
        seen.add(name.lower())
    return headers


def check_header_name(name: str) -> str:
    """Return the name of a header. Raises ValueError if a header cannot have it."""
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is not a valid header name")
    if name.lower() in _CONNECTION_HEADERS:
        raise ValueError(f"{name!r} is set by the connection itself; leave it out")
    return name


def merge_headers(headers: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    """Return `headers` updated by `over`, comparing names without case."""
    replaced = {name.lower() for name in over}
    return {name: value for name, value in headers.items() if name.lower() not in replaced} | dict(over)


def _check_no_credential(name: str) -> None:
    if is_credential_name(name):
        raise ValueError(
            f"{name!r} would carry a credential, and a recipe is stored and shown; leave it out. To send the key in a "
            'header of that name set key_header, as in key_header = "api-key"; the key itself goes into the '
            "environment variable that api_key_env names. Any other secret header goes into [headers] of backstay.toml"
        )
