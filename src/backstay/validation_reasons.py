"""Reasons why a value is invalid, worded independently of pydantic."""

from collections.abc import Mapping
from typing import Any

_FALLBACK = "it is not valid"
_DATE = "it must be a date such as 2026-01-31"
_MOMENT = "it must be a time such as 2026-01-31T00:00:00Z"

# By pydantic's name of the error. Braces stand for a limit or the expected value.
REASONS: Mapping[str, str] = {
    "missing": "it is missing",
    "extra_forbidden": "there is no such field",
    "none_required": "it must be left out",
    "literal_error": "it must be {expected}",
    "enum": "it must be {expected}",
    # -- numbers
    "greater_than": "it must be more than {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "less_than": "it must be less than {lt}",
    "less_than_equal": "it may be {le} at most",
    "finite_number": "it must be a finite number",
    "bool_type": "it must be true or false",
    "bool_parsing": "it must be true or false",
    "int_type": "it must be a whole number",
    "int_parsing": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "int_parsing_size": "it must be a smaller number",
    "float_type": "it must be a number",
    "float_parsing": "it must be a number",
    # -- texts
    "string_type": "it must be text",
    "string_unicode": "it is not valid Unicode",
    "string_too_short": "it must have at least {min_length} {unit}",
    "string_too_long": "it may have {max_length} {unit} at most",
    "string_pattern_mismatch": "it must match the pattern {pattern}",
    "path_type": "it must be a path",
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "datetime_object_invalid": _MOMENT,
    "timezone_aware": "it must name its time zone, as in 2026-01-31T00:00:00Z",
    "timezone_offset": "its time zone must be within a day",
    # -- containers
    "list_type": "it must be a list",
    "tuple_type": "it must be a list",
    "too_short": "it must have at least {min_length} {unit}",
    "too_long": "it may have {max_length} {unit} at most",
    "dict_type": "it must be {table}",
    "model_type": "it must be {table}",
    "model_attributes_type": "it must be {table}",
    "invalid_key": "its names must be text",
    "json_invalid": "it is not valid JSON",
    "recursion_loop": "it is nested too deeply",
    "recursion_depth_exceeded": "it is nested too deeply",
}


def reason_of(error: Mapping[str, Any], *, table: str = "a table") -> str:
    """Return the reason as a clause that does not contain the value.

    Args:
        error: An entry of pydantic's `ValidationError.errors()`.
        table: What the value's source calls a mapping, such as `a table` in TOML.
    """
    if error["type"] in ("value_error", "assertion_error"):  # raised by validators of this project
        return str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    context = error.get("ctx") or {}
    if context.get("min_length") == 1:
        return "it must not be empty"
    limits = {name: _format_limit(value) for name, value in context.items()}
    # After a validator of this project, pydantic reports a text's length like a list's.
    unit = "characters" if error["type"].startswith("string_") or isinstance(error.get("input"), str) else "entries"
    return REASONS.get(error["type"], _FALLBACK).format(**limits | {"table": table, "unit": unit})


def _format_limit(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
