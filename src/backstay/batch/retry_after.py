"""The header `Retry-After`. Pure."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def header_seconds(text: str, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` names, as a number or as a date (RFC 9110, 10.2.3); None for neither.

    A date that has passed is 0. A number is returned as it stands, negative or infinite ones too.
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
