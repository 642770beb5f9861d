"""Canonical JSON of a value, and its digest.

Canonical means: keys sorted, no white space, UTF-8, numbers as orjson writes them. Only Python writes it, so that the
same value has the same digest on every database and in every file.
"""

import hashlib
import math
from typing import Any

import orjson

from backstay.readers.json_depth import TOO_DEEP

_RECURSION_MESSAGE = "Recursion limit reached"  # orjson's message
# Refuse dates and dataclasses, which would silently be read as text and dicts.
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


def canonical_json(value: Any) -> bytes:
    """Write `value` as canonical JSON.

    Raises:
        ValueError: JSON cannot represent it, for example NaN, a lone surrogate or a key that is not text.
    """
    try:
        encoded = orjson.dumps(value, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        raise ValueError(TOO_DEEP if str(error) == _RECURSION_MESSAGE else str(error)) from error
    _refuse_not_finite(value)
    return encoded


def digest_of(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of `value`, as 64 hexadecimal digits.

    Raises:
        ValueError: like `canonical_json`.
    """
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _refuse_not_finite(value: Any) -> None:
    # orjson writes NaN and infinities as null, so two different values would share a digest.
    # Only for values that orjson has written, since this loop would never end for a value that contains itself.
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, float):
            if not math.isfinite(current):
                raise ValueError("a number that is not finite (NaN or Infinity) cannot be stored as JSON")
        elif isinstance(current, dict):
            pending.extend(current.values())
        elif isinstance(current, list | tuple):
            pending.extend(current)


def is_same_json(value: Any, other: Any) -> bool:
    """Return whether two JSON values are the same: 1 and 1.0 are one number; true and 1 differ, unlike in Python."""
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(is_same_json(entry, other[key]) for key, entry in value.items())
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(is_same_json, value, other))
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def is_encodable(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8, which cannot represent halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
