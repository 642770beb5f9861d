"""Parsing of the bodies of error responses into codes, fields and text. Pure.

Providers and gateways use many shapes: an object under `error` or at the top level, a list of one, text, JSON inside a
message, a web page. All become one flat `ErrorBody`. Only field names that errors use are read, since a body may quote
the prompt.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_MAX_JSON_CHARACTERS = 256_000  # of a longer body, only the start is read, as text
_MAX_TEXT_CHARACTERS = 4_000  # that are searched for phrases
_MAX_FIELDS = 300
_MAX_DEPTH = 12

_CODE_FIELDS = frozenset(
    {"code", "type", "status", "reason", "error_code", "errorcode", "error_type", "errortype", "__type", "error"}
)
_TEXT_FIELDS = frozenset(
    {"message", "msg", "detail", "details", "error", "error_msg", "error_message", "errormessage", "title", "raw"}
)
_HTML = re.compile(r"\s*(?:<!--.{0,500}?-->\s*)?(?:<!doctype|<html|<head|<body|<\?xml)", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title>([^<]{0,200})", re.IGNORECASE)

_NAME = r"['\"`]?([A-Za-z_][\w.\[\]]{1,60})['\"`]?"
_QUOTED = r"['\"`]([A-Za-z_][\w.\[\]]{1,60})['\"`]"
_PARAMETER = re.compile(
    "|".join(
        (
            rf"unsupported (?:parameter|value|argument)s?:? ?(?:\(s\):? ?)?{_NAME}",
            rf"unrecognized request arguments? supplied: ?{_NAME}",
            rf"unknown (?:parameter|field|name|argument)s?:? ?{_QUOTED}",
            rf"unexpected keyword argument {_QUOTED}",
            rf"property {_QUOTED} is (?:not supported|unsupported)",
            rf"{_NAME}:? extra inputs are not permitted",
            rf"(?:parameter|argument)s? {_NAME} (?:is|are) (?:not supported|unsupported|not allowed)",
            rf"{_QUOTED}(?: parameter)? (?:is|are) (?:not supported|unsupported|deprecated for|not allowed)",
            rf"{_QUOTED} and {_QUOTED} cannot both be",
            rf"{_QUOTED} may only be set to",
            rf"does not support (?:the )?(?:parameter ){_NAME}",
            rf"(?:parameter|argument) not supported on this model: ?{_NAME}",
            rf"invalid {_NAME}: only",
            rf"extraneous key \[{_NAME}\] is not permitted",
        )
    ),
    re.IGNORECASE,
)
_MENTIONS_PARAMETER = ("support", "unrecognized", "unknown", "unexpected", "permitted", "deprecated", "only", "both be")
_NO_PARAMETERS = frozenset(
    {"messages", "model", "input", "prompt", "system", "contents", "body", "this", "it", "stream"}
)
_TOKEN_SHARES = re.compile(
    r"(\d+) (?:tokens )?in (?:the messages|the prompt|your prompt)\D{0,40}(\d+) (?:in|for) the completion"
)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The flattened body of an error response."""

    codes: frozenset[str] = frozenset()
    """Values of codes, types and reasons, lower-case."""
    fields: tuple[tuple[str, str], ...] = ()
    """Lower-case paths without list indices (`error.details.quotaid`), and their values."""
    text: str = ""
    """The body's messages, lower-case, up to a maximum length."""
    parameter: str | None = None
    """The request parameter that the error is about."""
    is_completion_larger: bool = False
    """Whether the error counts more tokens for the completion than for the prompt."""
    is_page: bool = False
    """Whether the body is a web page."""


def is_page(body: str) -> bool:
    """Return whether a body is a web page."""
    return _HTML.match(body) is not None


def parse_error_text(body: str) -> ErrorBody:
    """Parse a raw body."""
    if is_page(body):
        title = _TITLE.search(body, 0, _MAX_TEXT_CHARACTERS)
        return ErrorBody(text=title[1].casefold() if title else "", is_page=True)
    value = _parse_json(body) if len(body) <= _MAX_JSON_CHARACTERS else None
    return parse_error_value(body[:_MAX_TEXT_CHARACTERS] if value is None else value)


def parse_error_value(value: Any) -> ErrorBody:
    """Flatten a body that is parsed JSON, or text."""
    fields: list[tuple[str, str]] = []
    codes: set[str] = set()
    texts: list[str] = []
    locations: list[str] = []
    if isinstance(value, str):
        texts.append(value[:_MAX_TEXT_CHARACTERS])
    for path, name, scalar in _walk_scalars(value):
        if len(fields) >= _MAX_FIELDS:
            break
        text = scalar if isinstance(scalar, str) else str(scalar)
        fields.append((path, text[:_MAX_TEXT_CHARACTERS]))
        if name in _CODE_FIELDS and len(text) <= 100:
            codes.add(text.casefold())
        if name in _TEXT_FIELDS and isinstance(scalar, str):
            texts.append(text[:_MAX_TEXT_CHARACTERS])
        elif name in {"param", "loc"} and isinstance(scalar, str):
            locations.append(scalar)
    message = "\n".join(texts)[:_MAX_TEXT_CHARACTERS].replace("\u2019", "'")
    lower = message.casefold()
    return ErrorBody(
        codes=frozenset(codes),
        fields=tuple(fields),
        text=lower,
        parameter=_find_parameter(locations, message, lower),
        is_completion_larger=_is_completion_larger(lower),
    )


def _parse_json(body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _walk_scalars(value: Any, path: str = "", name: str = "", depth: int = 0) -> Iterator[tuple[str, str, Any]]:
    """Yield the path, name and value of every scalar. JSON inside a text is treated as a nested value."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            lower = str(key)[:100].casefold()
            yield from _walk_scalars(inner, f"{path}.{lower}" if path else lower, lower, depth + 1)
    elif isinstance(value, list):
        for inner in value[:50]:
            yield from _walk_scalars(inner, path, name, depth + 1)
    elif value is not None:
        yield path, name, value
        is_message = isinstance(value, str) and (name in _TEXT_FIELDS or not name)
        if is_message and (start := value.find("{", 0, _MAX_TEXT_CHARACTERS)) >= 0:
            yield from _walk_scalars(_parse_embedded(value, start), path, name, depth + 1)


def _parse_embedded(text: str, start: int) -> Any:
    if len(text) > _MAX_JSON_CHARACTERS:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _find_parameter(locations: list[str], message: str, lower: str) -> str | None:
    named = [segment for location in locations for segment in location.replace("[", ".").split(".")]
    if not named and any(word in lower for word in _MENTIONS_PARAMETER) and (match := _PARAMETER.search(message)):
        named = next(group for group in match.groups() if group).replace("[", ".").split(".")
    segments = [segment for segment in named if segment not in {"body", "generation_config", "config"}]
    name = segments[0] if segments else ""
    return name if name.isidentifier() and len(name) <= 60 and name not in _NO_PARAMETERS else None


def _is_completion_larger(lower: str) -> bool:
    shares = _TOKEN_SHARES.search(lower) if "completion" in lower else None
    return shares is not None and int(shares[2]) > int(shares[1])
