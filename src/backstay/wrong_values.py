"""Why a value was refused, in our words and not in those of the library that checks them. Pure."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_NO_TABLE = frozenset({"dict_type", "model_type"})


def reason_of(error: "ErrorDetails") -> str:
    """Return the reason as a clause; the value is not in it."""
    if error["type"] in _NO_TABLE:
        return "it should be a table"
    reason = error["msg"].removeprefix("Value error, ")
    return reason.replace("Input should", "it should").replace("String should", "it should")
