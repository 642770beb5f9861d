"""Limits of forms, in addition to those of bodies: decoding a field needs many times its length in memory."""

from typing import Final

FIELDS: Final = 300
"""More than the form of any page has."""
FIELD_BYTES: Final = 65_536

MESSAGE = f"A form may have at most one file, and {FIELDS} other fields of {FIELD_BYTES:,} bytes each"

_PREFIXES = ("Part exceeded", "Field exceeded", "Too many fields", "Too many files")


def is_beyond(detail: str) -> bool:
    """Return whether this is Starlette's message for a form that exceeds a limit."""
    return detail.startswith(_PREFIXES)
