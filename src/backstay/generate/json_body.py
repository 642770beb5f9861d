"""Parsing and serialisation of JSON bodies, which may be invalid or hold unpaired surrogates. Pure."""

import json
import re
from typing import Any

import orjson

_MAX_DEPTH = 200  # a deeper value is no answer, and could not be serialized again
# Text encodings only: some of Python's other codecs take long to decode.
_CHARSET = re.compile(
    r"charset\s*=\s*[\"']?((?:iso|latin|windows|cp|us|ascii|utf|gb|big5|shift|sjis|euc|koi8|mac|tis)[\w.:-]{0,40})",
    re.IGNORECASE,
)
# Invalid but unambiguous JSON: raw tabs and line breaks in texts, and NaN for a number.
_LENIENT = json.JSONDecoder(strict=False, parse_constant=lambda _: None)


def read_body(body: bytes, content_type: str | None = None) -> Any:
    """Return the JSON value of a body; if the body is not valid JSON, the value that it begins with.

    A body that is not UTF-8 is decoded in the charset of its type. Unpaired surrogates are preserved.

    Raises:
        ValueError: the body does not begin with a value, or the value is nested too deeply.
    """
    # Some servers send blank lines to keep the connection alive, or a byte-order mark.
    body = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _parse_leniently(_decode(body, content_type or ""))[0]
    return _check_depth(value, body.count(b"{") + body.count(b"["))


def read_event(data: str) -> Any:
    """Return the JSON value of an event, which holds nothing else. Raises ValueError like `read_body`."""
    data = data.strip()
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value, end = _parse_leniently(data)
        if data[end:]:
            raise
    return _check_depth(value, data.count("{") + data.count("["))


def dump_json(value: Any) -> bytes:
    """Return a value as JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # Surrogates are escaped one by one. The halves of a pair that came in two pieces are read as one character.
        return json.dumps(value).encode()


def _parse_leniently(text: str) -> tuple[Any, int]:
    try:
        return _LENIENT.raw_decode(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _decode(body: bytes, content_type: str) -> str:
    """Decode a body. Raises ValueError instead of replacing characters."""
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
    if brackets >= _MAX_DEPTH and _is_deep(value):
        raise ValueError("it is nested too deeply")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for container in level
            if isinstance(container, dict | list)
            for inner in (container.values() if isinstance(container, dict) else container)
        ]
        if not level:
            return False
    return True
