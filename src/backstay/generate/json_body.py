"""JSON as servers send it, which is not always quite JSON. Pure."""

import json
import re
from typing import Any

import orjson

_MAX_DEPTH = 200  # what is nested more deeply is no answer, and could not be written again
# Names of encodings that are for bodies: of the others, some take long to decode.
_CHARSET = re.compile(
    r"charset\s*=\s*[\"']?((?:iso|latin|windows|cp|us|ascii|utf|gb|big5|shift|sjis|euc|koi8|mac|tis)[\w.:-]{0,40})",
    re.IGNORECASE,
)
# Not JSON, but what it means is beyond doubt: raw tabs and line breaks in texts, NaN in place of a number.
_LENIENT = json.JSONDecoder(strict=False, parse_constant=lambda _: None)


def read_body(body: bytes, content_type: str | None = None) -> Any:
    """Return the JSON value of a body; of one that is not quite JSON, the value that it begins with.

    A body that is not UTF-8 is read in the charset of its type. Halves of characters stay what they are.

    Raises:
        ValueError: there is no such value, or it is nested too deeply.
    """
    # Blank lines keep a connection alive, and a byte-order mark is no part of the JSON.
    body = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _parse_leniently(_decoded(body, content_type or ""))[0]
    return _check_depth(value, max(body.count(b"{"), body.count(b"[")))


def read_event(data: str) -> Any:
    """Return the JSON value of an event, which ends where the event does. Raises ValueError as `read_body` does."""
    data = data.strip()
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value, end = _parse_leniently(data)
        if data[end:]:
            raise
    return _check_depth(value, max(data.count("{"), data.count("[")))


def dump_json(value: Any) -> bytes:
    """Return a value as JSON. Halves of a character that came apart, and meet in it, are whole in the JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


def _parse_leniently(text: str) -> tuple[Any, int]:
    try:
        return _LENIENT.raw_decode(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _decoded(body: bytes, content_type: str) -> str:
    """Return a body's text. Raises ValueError: with replacements in it, it would be another text."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        if (charset := _CHARSET.search(content_type)) is None:
            raise
    try:
        return body.decode(charset[1])
    except LookupError as error:
        raise ValueError("its charset is not known") from error


def _check_depth(value: Any, brackets: int) -> Any:
    if brackets > _MAX_DEPTH // 2 and _is_deep(value):
        raise ValueError("it is nested too deeply")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True
