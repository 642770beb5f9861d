"""Query and headers of requests: those of a recipe must not carry credentials."""

import re
from collections.abc import Mapping

_NAME_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORD = re.compile(
    r"auth(?!or(s|ed|ity|ship)?$).*|.*auth|.*(token|secret|password|cookie|credential|signature)|(secret|cookie|credential)s"
    r"|passwords|passwd|passphrase|pwd|creds?|bearer|jwt|pat|sig|sas|key|session|.*sess(ion)?id"
    r"|.*(api|app|user|client|access|account|consumer|function|functions|gateway|license|master|private|project|secret"
    r"|service|session|subscription|team|tenant|virtual|x)key"
)
"""Words of a name that indicate a credential, also joined with others into one."""
_DESCRIBING_WORDS = frozenset(
    {"affinity", "algorithm", "count", "limit", "limits", "method", "mode", "name", "path", "provider", "region",
     "scheme", "type", "version"}
)  # fmt: skip
"""Last words in the names of fields that describe a credential without being one."""
_HARMLESS_KEYS = frozenset(
    {"idempotency", "cache", "partition", "routing", "shard", "sort", "order", "group", "stop", "foreign", "primary"}
)
"""Words before `key` that make it harmless."""
_SECRET_ALONE = frozenset({"code", "sk", "ak"})
"""Words that indicate a credential only if they are the whole name."""
_CONNECTION_HEADERS = frozenset(
    {"host", "connection", "content-length", "content-type", "content-encoding", "transfer-encoding", "te", "upgrade",
     "accept-encoding", "expect", "trailer"}
)  # fmt: skip
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def is_credential_name(name: str) -> bool:
    """Return whether the name of a header or query parameter indicates a credential."""
    words = [word.lower() for word in _NAME_WORDS.findall(name)]
    if not words or words[-1] in _DESCRIBING_WORDS:
        return False
    if words[-1] == "pass" or (len(words) == 1 and words[0] in _SECRET_ALONE):
        return True
    pairs = zip(["", *words], words, strict=False)
    return any(_SECRET_WORD.fullmatch(word) and (word != "key" or prior not in _HARMLESS_KEYS) for prior, word in pairs)


def check_query(query: dict[str, str]) -> dict[str, str]:
    """Return the query of a recipe. Raises ValueError, which names the parameter and never quotes its value."""
    for name, value in query.items():
        if not name or not (name + value).isprintable():
            raise ValueError("a parameter has no name, or characters that cannot be printed")
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
