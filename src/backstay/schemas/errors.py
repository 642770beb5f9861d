"""Errors."""

from typing import Any, Self

from pydantic.alias_generators import to_camel

from backstay.remedy import Remedy
from backstay.schemas.base import ApiObject


class ErrorDetail(ApiObject):
    code: str
    message: str
    details: dict[str, Any]
    remedy: Remedy | None = None


class ErrorOut(ApiObject):
    """An error: a stable code, a one-line message for people, plain values for programs, and the next step."""

    error: ErrorDetail

    @classmethod
    def from_message(
        cls, code: str, message: str, details: dict[str, Any] | None = None, remedy: Remedy | None = None
    ) -> Self:
        values = {to_camel(name): value for name, value in (details or {}).items()}
        return cls(error=ErrorDetail(code=code, message=_valid(message), details=_plain(values), remedy=remedy))


def _plain(value: Any) -> Any:
    """Return a value as JSON can represent it."""
    match value:
        case None | bool() | int() | float():
            return value
        case dict():
            return {_valid(str(name)): _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return _valid(str(value))


def _valid(text: str) -> str:
    # A file name can be any bytes; Python represents those that are not UTF-8 as halves of surrogate pairs.
    return text.encode(errors="backslashreplace").decode()
