"""Texts for people: stored data without control characters, readable numbers, sizes and durations."""

import re
from datetime import UTC, datetime

# Control characters, which start escape sequences, and characters that reverse the reading direction.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SPACES = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")


def printable(value: object) -> str:
    """Return a value as one line without control characters."""
    return _UNSAFE.sub("", _SPACES.sub(" ", str(value).encode(errors="backslashreplace").decode()))


def printable_lines(text: str) -> list[str]:
    """Return the lines of a text without control characters."""
    return [printable(line.expandtabs(4)) for line in text.splitlines()]


def truncate(text: str, length: int) -> str:
    """Return a text truncated to at most `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def format_count(number: int, noun: str) -> str:
    """Return `1 item`, `2 items`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_duration(seconds: float) -> str:
    """Return a duration: `6.1 s`, `2 min 05 s`, `3 h 20 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min"


def format_time(moment: datetime) -> str:
    """Return a time in UTC: `2026-01-31 14:05:00Z`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def format_size(size: float) -> str:
    """Return a number of bytes for people: `12 bytes`, `3.1 MB`."""
    if size < 999.5:
        return format_count(round(size), "byte")
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:  # not to become 1,000.0 by rounding
            return f"{size:,.1f} {unit}"
    return f"{size / 1000:,.1f} TB"
