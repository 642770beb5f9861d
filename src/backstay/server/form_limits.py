"""Limits of forms, in addition to those of bodies, because decoding a field takes many times its length in memory."""

from typing import Final

MAX_FIELDS: Final = 300
"""More than any page's form has."""
MAX_FIELD_BYTES: Final = 65_536

MESSAGE = f"A form may have at most one file, and {MAX_FIELDS} other fields of {MAX_FIELD_BYTES:,} bytes each"

_PREFIXES = ("Part exceeded", "Field exceeded", "Too many fields", "Too many files")


def is_limit_message(detail: str) -> bool:
    """Return whether this is Starlette's message for a form that exceeds a limit."""
    return detail.startswith(_PREFIXES)
