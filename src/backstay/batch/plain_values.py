"""Conversion of a program's values to JSON, including values from data frames and databases.

Imports neither NumPy nor pandas: their values are recognized by their methods.
"""

import math
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from os import PathLike, fspath
from types import NoneType
from typing import Any
from uuid import UUID

_PLAIN_TYPES = frozenset({str, int, bool, NoneType})
_SECOND = 1_000_000_000  # in nanoseconds, the finest unit of pandas
_NANOSECONDS = {
    "weeks": 604_800 * _SECOND,
    "days": 86_400 * _SECOND,
    "hours": 3_600 * _SECOND,
    "minutes": 60 * _SECOND,
    "seconds": _SECOND,
    "milliseconds": 1_000_000,
    "microseconds": 1_000,
    "nanoseconds": 1,
}


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of one item by name, converted to JSON types.

    Numbers stay numbers, except that a Decimal becomes text. Missing values (NaN, NaT, NA) become None; dates, times
    and durations become ISO 8601 text. Values of unknown types stay as they are and are rejected later.

    Raises:
        ValueError: a value cannot be converted; the message names it.
    """
    converted, name = {}, ""
    try:
        for name, value in values.items():
            converted[name] = _plain(value, name)
    except RecursionError:
        raise ValueError(f"{name!r} is nested too deeply, or holds itself") from None
    return converted


def _plain(value: Any, name: str) -> Any:  # noqa: PLR0912 - one branch per type
    if type(value) in _PLAIN_TYPES:
        return value
    if isinstance(value, Enum):
        return _plain(value.value, name)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if math.isinf(value):
            raise _infinite_error(name)
        return None if math.isnan(value) else float(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner, name) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, name) for inner in value]
    if isinstance(value, Decimal):
        if value.is_infinite():
            raise _infinite_error(name)
        return None if value.is_nan() else str(value)  # text is exact, a float is not
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, PathLike):
        return _plain(fspath(value), name)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return _from_numpy(value, name)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _duration(value // timedelta(microseconds=1) * 1_000)
    return value


def _infinite_error(name: str) -> ValueError:
    return ValueError(f"{name!r} is infinite, which JSON cannot represent; leave it out or give it as text")


def _from_numpy(value: Any, name: str) -> Any:
    """Return a NumPy number, date, duration or array, or a pandas series, as Python values."""
    kind = getattr(value.dtype, "kind", "")
    if kind not in ("M", "m"):  # dates and durations, which `tolist` may turn into numbers
        plain = value.tolist()
        # A type that Python lacks, such as longdouble, is its own result.
        return value if type(plain) is type(value) else _plain(plain, name)
    if getattr(value, "ndim", 0):
        return [_plain(inner, name) for inner in value]
    text = str(value)
    if text == "NaT":
        return None
    if kind == "M":
        return text
    count, _, unit = text.partition(" ")
    # Months and years differ in length.
    return _duration(int(count) * _NANOSECONDS[unit]) if unit in _NANOSECONDS else value


def _duration(nanoseconds: int) -> str:
    """Return a duration in ISO 8601, in the form that pandas uses."""
    seconds, fraction = divmod(nanoseconds, _SECOND)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    decimals = f".{fraction:09}".rstrip("0").rstrip(".")
    return f"P{days}DT{hours}H{minutes}M{seconds}{decimals}S"
