"""One JSON object as a row's values."""

import re
from types import NoneType
from typing import Any

import orjson

from backstay.readers.input_errors import InputErrors
from backstay.readers.input_text import decode
from backstay.readers.json_depth import TOO_DEEP, is_too_deep, may_be_too_deep

NOT_AN_OBJECT = 'not a JSON object; write a row as {"column": value}'
"""The reason for a row that is another kind of JSON."""

_SCALAR_TYPES = frozenset({str, int, bool, NoneType})
# Searching for 19 zeros in the mapped text is several times faster than a regular expression for 19 digits.
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_MANY_DIGITS = b"0" * 19
_STRING = re.compile(rb'"[^"\\]*+(?>(?:\\.[^"\\]*+)*)"', re.DOTALL)
_WHOLE_NUMBER = re.compile(rb"[\s:,\[](-?[0-9]{19,}+)(?![.eE])")


def parse_object(raw: bytes | bytearray, errors: InputErrors, line: int, list_key: str | None = None) -> dict[str, Any]:
    """Parse a JSON object that starts on `line`, or a list if there is a `list_key`, under which it is then returned.

    If a key is repeated, its last value is used.

    Raises InvalidRow for anything else, for an object that is too deep, and for a number that would be rounded;
    InputUnreadable for text that is not UTF-8.
    """
    try:
        values = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        decode(bytes(raw), errors, line)
        where = f"column {error.colno}"
        if error.lineno > 1:
            where = f"line {line + error.lineno - 1} {where}"
        is_line_end = error.msg.startswith("unexpected control character") and error.doc[error.pos] in "\r\n"
        reason = "the line ends inside a text" if is_line_end else error.msg
        raise errors.invalid_row(line, f"not valid JSON: {reason} (at {where})") from None
    if may_be_too_deep(raw) and is_too_deep(values):
        raise errors.invalid_row(line, TOO_DEEP)
    if list_key is not None and type(values) is list:
        values = {list_key: values}
    if type(values) is not dict:
        raise errors.invalid_row(line, NOT_AN_OBJECT)
    # A rounded whole number is a float, so a row without floats and nested values needs no further check.
    if not _SCALAR_TYPES.issuperset(map(type, values.values())) and loses_digits(raw):
        raise errors.invalid_row(line, "a whole number too large for 64 bits would be rounded; write it in quotes")
    return values


def loses_digits(raw: bytes | bytearray) -> bool:
    """Return whether orjson rounded a whole number to a float, which could make two ids equal."""
    if _MANY_DIGITS not in raw.translate(_DIGITS_TO_ZERO):
        return False
    return any(
        len(digits) > 20 or not -(2**63) <= int(digits) < 2**64
        for digits in _WHOLE_NUMBER.findall(_STRING.sub(b'""', raw))
    )
