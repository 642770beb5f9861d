"""Limits of a form, in addition to those of its body: decoding a field takes many times its length in memory."""

from typing import Final

FIELDS: Final = 300
"""More than the largest page has."""
FIELD_BYTES: Final = 65_536

MESSAGE = f"A form may have one file and {FIELDS} other fields of {FIELD_BYTES:,} bytes each at most"

_BEGINNINGS = ("Part exceeded", "Field exceeded", "Too many fields", "Too many files")


def is_beyond(detail: str) -> bool:
    """Return whether this is Starlette's message for a form beyond its limits."""
    return detail.startswith(_BEGINNINGS)
