"""How long a provider asks to be left alone. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_SECONDS = 600.0
"""What is asked beyond this is cut to it: a header must not put a job to sleep for days."""


def seconds_of(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read `retry-after-ms` and `Retry-After`, as seconds or as a date; None when neither says anything of use."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    text = headers.get("Retry-After", "").strip()
    seconds = _number(text)
    if seconds is None and text:
        seconds = _until(text, now)
    return _bounded(seconds) if seconds is not None else None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _until(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - now).total_seconds()


def _bounded(seconds: float) -> float | None:
    if not seconds >= 0:  # so said, NaN is left out too; a moment that has passed asks for nothing
        return None
    return min(seconds, LONGEST_SECONDS)
