"""Conversion of a program's values to JSON, including values from data frames and databases.

Imports neither NumPy nor pandas: their values are recognized by their methods.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from os import PathLike, fspath
from types import NoneType
from typing import Any
from uuid import UUID

_PLAIN_TYPES = frozenset({str, int, bool, NoneType})
_DATE_KINDS = ("M", "m")  # NumPy kinds of dates and durations, which `tolist` turns into numbers


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of one item by name, converted to JSON types.

    Numbers stay numbers, missing values (NaN, NaT, NA) become None, dates and times become ISO 8601 text. Values of
    unknown types stay as they are and are rejected later.

    Raises:
        ValueError: a value cannot be converted; the message names it.
    """
    converted, name = {}, ""
    try:
        for name, value in values.items():
            if type(value) not in _PLAIN_TYPES:
                converted[name] = _plain(value, name)
    except RecursionError:
        raise ValueError(f"{name!r} is nested too deeply, or holds itself") from None
    return {**values, **converted} if converted else dict(values)


def _plain(value: Any, name: str) -> Any:  # noqa: PLR0912 - one branch per type
    kind = type(value)
    if kind in _PLAIN_TYPES:
        return value
    if kind is float:
        return _number(value, name)
    if kind is dict:
        return {key: _plain(inner, name) for key, inner in value.items()}
    if kind is list or kind is tuple:
        return [_plain(inner, name) for inner in value]
    if isinstance(value, Enum):
        return _plain(value.value, name)
    if isinstance(value, Decimal):
        return None if value.is_nan() else str(value)  # text is exact, a float is not
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, PathLike):
        return _plain(fspath(value), name)
    if kind.__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return _from_numpy(value, name)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    for builtin in (str, bool, int):
        if isinstance(value, builtin):
            return builtin(value)
    if isinstance(value, float):
        return _number(float(value), name)
    return value


def _number(value: float, name: str) -> float | None:
    if value != value:  # noqa: PLR0124 - true only for NaN
        return None
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{name!r} is infinite, which JSON cannot represent; leave it out or give it as text")
    return value


def _from_numpy(value: Any, name: str) -> Any:
    """Return a NumPy number, date or array, or a pandas series, as Python values."""
    if getattr(value.dtype, "kind", "") not in _DATE_KINDS:
        plain = value.tolist()
        return _plain(plain, name) if type(plain) is not type(value) else value  # a kind that Python lacks
    if getattr(value, "ndim", 0):
        return [_plain(inner, name) for inner in value]
    text = str(value)
    return None if text == "NaT" else text
