"""The header `Retry-After`. Pure."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def header_seconds(text: str, now: datetime) -> float | None:
    """Return the seconds of a `Retry-After`, which is a number or a date (RFC 9110, 10.2.3); None for anything else.

    A date in the past gives 0. A number is returned unchanged, even if negative or infinite.
    """
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())
