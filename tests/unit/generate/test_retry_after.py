"""Parsing of the time that a provider asks to wait, from all of its sources."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from backstay.generate.endpoint import resolve_endpoint
from backstay.generate.error_response import classify_response
from backstay.generate.retry_after import MAX_WAIT_SECONDS

_NOW = datetime(2025, 6, 2, 12, 0, 0, tzinfo=UTC)
_USED_UP = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "0"}


def _seconds(headers: dict[str, str], body: Any) -> float | None:
    text = body if isinstance(body, str) else json.dumps(body)
    return classify_response(429, headers, text, resolve_endpoint("openai:m", None, None), _NOW).retry_after_seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"retry-after": "3"}, 3.0),
        ({"RETRY-AFTER": "3"}, 3.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "99999999999"}, MAX_WAIT_SECONDS),
        ({"Retry-After": "inf"}, MAX_WAIT_SECONDS),
        ({"Retry-After": "Mon, 02 Jun 2025 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Mon, 02 Jun 2025 11:59:30 GMT"}, 0.0),
        ({"Retry-After": "Mon, 02 Jun 2099 12:00:00 GMT"}, MAX_WAIT_SECONDS),
        ({"Retry-After": "Mon, 99 Jun 2025 12:00:00 GMT"}, None),
        ({"Retry-After": "2025-06-02T12:00:07Z"}, 7.0),
        ({"Retry-After": "5s"}, 5.0),
        ({"Retry-After": "1m30s"}, 90.0),
        ({"Retry-After": "5 Seconds"}, 5.0),
        ({"Retry-After": "5, 10"}, 5.0),
        ({"Retry-After": "5s,10s"}, 5.0),
        ({"Retry-After": "soon, 10"}, None),
        ({"Retry-After": "1748865610"}, 10.0),
        ({"Retry-After": "1748865610000"}, 10.0),
        ({"Retry-After": "1748865590"}, 0.0),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"retry-after-ms": "-1", "Retry-After": "1"}, 1.0),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-requests": "200ms"}, 0.2),
        ({"x-ratelimit-reset-tokens": "8.64s"}, 8.64),
        ({"x-ratelimit-reset-tokens": "1h2m3s"}, 3723.0),
        ({"x-ratelimit-reset-tokens": "12"}, 12.0),
        ({"x-ratelimit-reset-tokens": "later"}, None),
        ({"x-ratelimit-reset-tokens": "12", "x-ratelimit-remaining-tokens": "9"}, None),
        ({**_USED_UP, "x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "2s"}, 2.0),
        ({"Retry-After": "1", **_USED_UP, "x-ratelimit-reset-tokens": "2s"}, 1.0),
        ({"anthropic-ratelimit-requests-reset": "2025-06-02T12:00:30Z"}, None),
        (
            {
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2025-06-02T12:00:30Z",
                "anthropic-ratelimit-requests-remaining": "5",
                "anthropic-ratelimit-requests-reset": "2025-06-02T12:05:00Z",
            },
            30.0,
        ),
        ({"X-RateLimit-Reset": "1748865610000"}, 10.0),
        ({"X-RateLimit-Reset": "1748865610"}, 10.0),
        ({"X-RateLimit-Reset": "45"}, 45.0),
        ({"X-RateLimit-Reset": "1748865590"}, 0.0),
        ({"X-RateLimit-Reset": "1111111111"}, None),
        ({"X-RateLimit-Reset": "9999999999999999"}, None),
        ({"X-RateLimit-Reset": "nan"}, None),
        ({"X-RateLimit-Reset": "1748865610", "X-RateLimit-Remaining": "7"}, None),
    ],
)
def test_headers_name_the_time(headers, seconds):
    """Seconds, durations and dates in headers are parsed; invalid, past or unbounded times are corrected or ignored."""
    assert _seconds(headers, None) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"details": [{"retryDelay": "3s"}]}}, 3.0),
        ([{"error": {"details": [{"retryDelay": "3.5s"}], "message": "Please retry in 9s."}}], 3.5),
        ({"error": {"details": [{"retryDelay": "now"}], "message": "Please retry in 9s."}}, 9.0),
        ({"error": {"message": "Please retry in 3.1s."}}, 3.1),
        ({"error": {"message": "Please try again in 8.5s. Visit the page."}}, 8.5),
        ({"error": {"message": "Please try again in 6m0s."}}, 360.0),
        ({"error": {"message": "Please try again in 120ms."}}, 0.12),
        ({"error": {"message": "Please retry after 20 seconds."}}, 20.0),
        ({"error": {"message": "Try again in 2 minutes"}}, 120.0),
        ({"error": {"message": "Try again in 500 milliseconds"}}, 0.5),
        ({"error": {"message": "Try again in a few minutes"}}, None),
        ({"error": {"message": "Try again in 1000000 hours"}}, MAX_WAIT_SECONDS),
        ({"error": {"metadata": {"headers": {"X-RateLimit-Reset": "1748865610000"}}}}, 10.0),
        ({"estimated_time": 20.5}, 20.5),
        ("Please try again in 4s", 4.0),
        ({"prompt": "try again in 4s"}, None),
        ([], None),
        (None, None),
    ],
)
def test_bodies_name_the_time(body, seconds):
    """Fields for a wait and phrases in error messages are parsed, but not the text of a prompt."""
    assert _seconds({}, body) == pytest.approx(seconds)


def test_headers_come_before_the_body():
    """A time in a header takes precedence over one in the body."""
    assert _seconds({"Retry-After": "1"}, {"error": {"message": "Please retry in 9s"}}) == 1.0
