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
        return cls(
            error=ErrorDetail(
                code=code, message=_replace_surrogates(message), details=_to_json_value(values), remedy=remedy
            )
        )


def _to_json_value(value: Any) -> Any:
    """Return a value as JSON can represent it."""
    match value:
        case None | bool() | int() | float():
            return value
        case dict():
            return {_replace_surrogates(str(name)): _to_json_value(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_to_json_value(inner) for inner in value]
        case _:
            return _replace_surrogates(str(value))


def _replace_surrogates(text: str) -> str:
    # A file name can be any bytes; Python represents those that are not UTF-8 as halves of surrogate pairs.
    return text.encode(errors="backslashreplace").decode()
