"""Durations in options: `45s`, `30m`, `12h`, `7d`, `2w`."""

import re
from datetime import timedelta

from backstay.errors import SettingsError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TEXT = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([smhdw])", re.IGNORECASE)


def parse_duration(text: str, *, option: str) -> timedelta:
    """Parse a duration. Raises SettingsError naming the option."""
    match = _TEXT.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise SettingsError(
            f"{option} must be a number followed by s, m, h, d or w (seconds to weeks), such as 30m or 7d",
            setting=option,
        )
    try:
        return timedelta(**{_UNITS[match[2].lower()]: float(match[1])})
    except OverflowError as error:
        raise SettingsError(f"{option} is too long", setting=option) from error
