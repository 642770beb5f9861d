"""What a form may hold, whatever its body may: a field is held in memory, and decoding it takes many times as much."""

from typing import Final

FIELDS: Final = 300
"""More than the largest page has."""
FIELD_BYTES: Final = 65_536

MESSAGE = f"A form may have one file and {FIELDS} other fields of {FIELD_BYTES:,} bytes each at most"

_BEGINNINGS = ("Part exceeded", "Field exceeded", "Too many fields", "Too many files")


def is_beyond(detail: str) -> bool:
    """Whether this is how Starlette says that a form is beyond its limits."""
    return detail.startswith(_BEGINNINGS)
