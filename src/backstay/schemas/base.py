"""The base class of all objects, and the type of moments."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from backstay.clock import to_text

Moment = Annotated[
    datetime, PlainSerializer(to_text, return_type=str), WithJsonSchema({"type": "string", "format": "date-time"})
]


class ApiObject(BaseModel):
    """Base of all objects: snake_case in Python, camelCase in JSON.

    `model_validate` takes a value of the domain. A field with another name there states it as `validation_alias`.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True, frozen=True)

    def to_json(self) -> bytes:
        """Return the object as one line of JSON, without a line end."""
        return self.model_dump_json(by_alias=True).encode()


class BadRowOut(ApiObject):
    """A row of an input that cannot be used. `file` is null unless the input has several."""

    line: int
    reason: str
    file: str | None = None


def next_cursor(keys: Sequence[int], limit: int, cursor: Callable[[int], int] = int) -> int | None:
    """Return the cursor of the page after the one with these keys; None if that page is not full."""
    return cursor(keys[-1]) if keys and len(keys) >= limit else None
