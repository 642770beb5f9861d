"""Parsing of the time that a provider asks to wait. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from backstay.batch.transient_errors import header_seconds
from backstay.generate.error_body import ErrorBody

MAX_WAIT_SECONDS = 86_400.0
"""The longest time returned; more than a day counts as a day."""

_RESET_HEADERS = (
    ("x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"),
    ("x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"),
)
_ANTHROPIC_LIMITS = tuple(
    f"anthropic-ratelimit-{what}" for what in ("requests", "tokens", "input-tokens", "output-tokens")
)
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_LEAD_IN_PHRASES = ("try again in ", "retry in ", "retry after ", "try again after ")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_WORDED_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(milliseconds?|ms|seconds?|sec|minutes?|min|hours?|days?)\b")
_MIN_EPOCH_SECONDS = 1_000_000_000.0  # a smaller number is no date
_DELAY_FIELDS = frozenset({"retrydelay", "estimated_time", "retry_after", "retry_after_seconds"})


def retry_after_seconds(headers: Mapping[str, str], error: ErrorBody, now: datetime) -> float | None:
    """Return the seconds that a response asks to wait, from its headers or its body; None if it names no time.

    The names of the headers are lower-case. Some headers name a date, from which `now` is subtracted.
    """
    seconds = _from_retry_after(headers, now)
    if seconds is None:
        seconds = _from_body(error, now)
    if seconds is None:
        seconds = _from_reset_headers(headers, now)
    # This comparison is false for NaN.
    return min(seconds, MAX_WAIT_SECONDS) if seconds is not None and seconds >= 0 else None


def _from_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    milliseconds = _parse_number(headers.get("retry-after-ms"))
    if milliseconds is not None and milliseconds >= 0:
        return milliseconds / 1000
    text = headers.get("retry-after", "").strip()
    seconds = header_seconds(text, now)
    if seconds is not None and seconds >= _MIN_EPOCH_SECONDS and (wait := _until_epoch(text, now)) is not None:
        return wait
    if seconds is None:
        seconds = _until_iso(text, now)
    # Against the standard, some servers add a unit, and some proxies add a second value.
    return seconds if seconds is not None else _parse_leading_duration(text.partition(",")[0].strip().lower())


def _from_reset_headers(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the longest time until an exhausted limit resets."""
    resets = [
        _parse_duration(headers[reset])
        for reset, remaining in _RESET_HEADERS
        if reset in headers and (_parse_number(headers.get(remaining)) or 0.0) <= 0
    ]
    resets += [
        _until_iso(headers[f"{name}-reset"], now)
        for name in _ANTHROPIC_LIMITS
        if f"{name}-reset" in headers and _parse_number(headers.get(f"{name}-remaining")) == 0
    ]
    if "x-ratelimit-reset" in headers and (_parse_number(headers.get("x-ratelimit-remaining")) or 0.0) <= 0:
        resets.append(_until_epoch(headers["x-ratelimit-reset"], now))
    return max((seconds for seconds in resets if seconds is not None), default=None)


def _from_body(error: ErrorBody, now: datetime) -> float | None:
    for path, value in error.fields:
        name = path.rpartition(".")[2]
        if name in _DELAY_FIELDS and (seconds := _parse_duration(value)) is not None:
            return seconds
        if name == "x-ratelimit-reset" and (seconds := _until_epoch(value, now)) is not None:
            return seconds  # OpenRouter repeats headers in the body
    for lead in _LEAD_IN_PHRASES:
        if (start := error.text.find(lead)) >= 0:
            return _parse_leading_duration(error.text[start + len(lead) : start + len(lead) + 40])
    return None


def _parse_leading_duration(text: str) -> float | None:
    """Parse the duration at the start of a text: `3.1s`, `6m0s`, `60 seconds`."""
    if (words := _WORDED_DURATION.match(text)) is not None:
        unit = words[2]
        factor = _UNIT_SECONDS["ms"] if unit.startswith(("ms", "milli")) else _UNIT_SECONDS[unit[0]]
        return float(words[1]) * factor
    return _parse_duration(text.split(" ", 1)[0].rstrip(".,;)"))


def _parse_duration(text: str) -> float | None:
    """Parse `6m0s`, `8.64s`, `200ms`, `1d2h`, or a number of seconds."""
    text = text.strip()
    if (seconds := _parse_number(text)) is not None:
        return seconds if seconds < _MIN_EPOCH_SECONDS else None
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    days, hours, minutes, seconds_, milliseconds = (float(group or 0) for group in match.groups())
    return days * 86_400 + hours * 3600 + minutes * 60 + seconds_ + milliseconds / 1000


def _until_iso(text: str, now: datetime) -> float | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())


def _until_epoch(text: str, now: datetime) -> float | None:
    """Parse a time in milliseconds or seconds since 1970, or a plain number of seconds."""
    number = _parse_number(text)
    if number is None:
        return _parse_duration(text)
    if not number >= _MIN_EPOCH_SECONDS:
        return number
    seconds = number / 1000 if number >= _MIN_EPOCH_SECONDS * 1000 else number
    wait = seconds - now.timestamp()
    # A value far from now is no time since 1970.
    return max(0.0, wait) if -MAX_WAIT_SECONDS <= wait <= 40 * MAX_WAIT_SECONDS else None


def _parse_number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
