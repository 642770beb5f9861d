"""Recognition of transient exceptions of HTTP libraries and providers' clients. Imports none of these libraries.

An exception is recognized by the package and name of any class in its MRO, so subclasses count as well.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_TIMEOUT = "timeout"
_CONNECTION = "connection"
_STATUS = "status"

_TRANSIENT: Mapping[str, Mapping[str, str]] = {
    "httpx": {
        "TimeoutException": _TIMEOUT,
        "NetworkError": _CONNECTION,
        "ProxyError": _CONNECTION,
        "RemoteProtocolError": _CONNECTION,
        "HTTPStatusError": _STATUS,
    },
    "aiohttp": {
        "ServerTimeoutError": _TIMEOUT,
        "ClientConnectionError": _CONNECTION,
        "ClientPayloadError": _CONNECTION,
        "ClientResponseError": _STATUS,
    },
    "requests": {
        "ConnectTimeout": _TIMEOUT,
        "Timeout": _TIMEOUT,
        "ConnectionError": _CONNECTION,
        "ChunkedEncodingError": _CONNECTION,
        "RetryError": _CONNECTION,
        "HTTPError": _STATUS,
    },
    "openai": {"APITimeoutError": _TIMEOUT, "APIConnectionError": _CONNECTION, "APIStatusError": _STATUS},
    "anthropic": {"APITimeoutError": _TIMEOUT, "APIConnectionError": _CONNECTION, "APIStatusError": _STATUS},
}
"""By package and class. If several classes of an MRO are listed, the first counts."""

_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})  # and all of 500 to 599
_QUOTA_CODES = frozenset({"insufficient_quota", "enforced_spend_limit_reached", "contract_spend_limit_reached"})
"""Codes of a 429 that lasts until the user pays or raises a limit."""


@dataclass(frozen=True, slots=True)
class TransientError:
    """An error after which the same call may succeed."""

    code: str
    after_seconds: float | None = None
    """The wait that the server asks for."""


def transient_error(error: BaseException, now: datetime) -> TransientError | None:
    """Return the description of a transient error; None for any other."""
    kind = _kind_of(type(error))
    if kind is None or _is_untrusted_certificate(error):
        return None
    if kind != _STATUS:
        return TransientError(kind)
    status = _status_of(error)
    if status is None or not (status in _TRANSIENT_STATUSES or 500 <= status < 600):
        return None
    if not _QUOTA_CODES.isdisjoint(_codes_of(error)):
        return None
    return TransientError(f"http_{status}", retry_after_seconds(error, now))


def retry_after_seconds(error: BaseException, now: datetime) -> float | None:
    """Return the seconds that the `Retry-After` header of an error's response asks for; None without a valid one."""
    for holder in (_get(error, "response"), error):
        headers = _get(holder, "headers")
        if isinstance(headers, Mapping) and isinstance(text := headers.get("retry-after"), str):
            seconds = header_seconds(text.strip(), now)
            return seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None
    return None


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


def _kind_of(raised: type[BaseException]) -> str | None:
    for base in raised.__mro__:
        kind = _TRANSIENT.get(str(base.__module__).partition(".")[0], {}).get(base.__name__)
        if kind is not None:
            return kind
    return None


def _is_untrusted_certificate(error: BaseException) -> bool:
    """Return whether a connection failed because of an untrusted certificate, which another try would not fix."""
    cause: BaseException | None = error
    for _ in range(20):  # the chain may be circular
        if cause is None:
            return False
        if any(base.__name__ == "SSLCertVerificationError" for base in type(cause).__mro__):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _status_of(error: BaseException) -> int | None:
    response = _get(error, "response")
    for holder in (error, response):
        for name in ("status_code", "status"):
            if isinstance(status := _get(holder, name), int):
                return status
    return None


def _codes_of(error: BaseException) -> Iterator[str]:
    """Yield the provider's codes of an error, as its client exposes them."""
    codes = [_get(error, "code"), _get(error, "type")]
    body = _get(error, "body")
    for name in ("error", "details"):
        body = body.get(name) if isinstance(body, Mapping) else None
        if isinstance(body, Mapping):
            codes += [body.get("code"), body.get("type"), body.get("error_code")]
    yield from (code for code in codes if isinstance(code, str))


def _get(holder: Any, name: str) -> Any:
    try:
        return getattr(holder, name, None)
    except Exception:
        return None  # a property of a foreign class may raise anything
