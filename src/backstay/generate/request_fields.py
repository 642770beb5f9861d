"""What a recipe adds to each request: a query and headers, neither of which may carry a credential."""

import re
from collections.abc import Mapping

_CREDENTIALS = re.compile(
    r"(proxy-)?authorization|(set-)?cookie|(.*[-_.])?(api|access|auth|subscription|secret|function|functions)[-_]?key"
    r"|(x[-_])?key|(.*[-_.])?(auth|token|secret|password|passwd|credentials?|signature|jwt)|bearer|sig|code",
    re.IGNORECASE,
)
_INNER_CAPITAL = re.compile(r"(?<=[A-Za-z0-9])(?=[A-Z][a-z])")
_FRAMING = frozenset(
    {"host", "connection", "content-length", "content-type", "content-encoding", "transfer-encoding", "te", "upgrade",
     "accept-encoding", "expect", "trailer"}
)  # fmt: skip
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def is_credential_name(name: str) -> bool:
    """Return whether a header or query parameter of this name would carry a credential."""
    return _CREDENTIALS.fullmatch(_INNER_CAPITAL.sub("-", name.strip())) is not None


def check_query(query: Mapping[str, str]) -> None:
    """Check the query of a recipe. Raises ValueError, which names the parameter and never quotes its value."""
    for name, value in query.items():
        if not name or not (name + value).isprintable():
            raise ValueError("a parameter has no name, or characters that cannot be printed")
        if is_credential_name(name):
            raise ValueError(
                f"{name!r} would carry a credential, and a recipe is stored and shown; leave it out. {_INSTEAD}"
            )


def check_headers(headers: Mapping[str, str]) -> None:
    """Check the headers of a recipe. Raises ValueError, which names the header and never quotes its value."""
    seen: set[str] = set()
    for name, value in headers.items():
        check_header_name(name)
        if is_credential_name(name):
            raise ValueError(
                f"{name!r} would carry a credential, and a recipe is stored and shown; leave it out. {_INSTEAD}"
            )
        if name.lower() in seen:
            raise ValueError(f"{name!r} is there twice")
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"the value of {name!r} has characters that no header can carry")
        seen.add(name.lower())


def check_header_name(name: str) -> None:
    """Check that a header can have this name. Raises ValueError."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name[:40]!r} cannot be the name of a header")
    if name.lower() in _FRAMING:
        raise ValueError(f"{name!r} is set by the connection itself; leave it out")


_INSTEAD = (
    'To send the key in a header of that name set key_header, as in key_header = "api-key"; the key itself goes into '
    "the environment variable that api_key_env names. Any other secret header goes into [headers] of backstay.toml"
)
