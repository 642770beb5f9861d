"""Errors of HTTP libraries and providers' clients that are retried, and those that are not."""

import ssl
from datetime import UTC, datetime

import aiohttp
import httpx
import pytest
import requests
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from backstay.batch.outcome import Fail, Retry, outcome_from_exception
from backstay.batch.transient_errors import TransientError, transient_error

_NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_STATUSES = {408: True, 409: True, 425: True, 429: True, 500: True, 503: True, 529: True, 400: False, 401: False,
             403: False, 404: False, 422: False, 304: False}  # fmt: skip


def _httpx(status, **headers):
    request = httpx.Request("POST", "http://model.test/")
    response = httpx.Response(status, request=request, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return httpx.HTTPStatusError("no", request=request, response=response)


def _aiohttp(status, **headers):
    url = URL("http://model.test/")
    sent = CIMultiDictProxy(CIMultiDict())
    got = CIMultiDict({k.replace("_", "-"): v for k, v in headers.items()})
    return aiohttp.ClientResponseError(aiohttp.RequestInfo(url, "POST", sent, url), (), status=status, headers=got)


def _requests(status, **headers):
    response = requests.Response()
    response.status_code = status
    response.headers.update({k.replace("_", "-"): v for k, v in headers.items()})
    return requests.HTTPError("no", response=response)


def _client(package):
    """Return the exception classes of a provider's client, with their real names and attributes."""
    base = type("APIError", (Exception,), {"__module__": package})
    status_error = type("APIStatusError", (base,), {"__module__": package})
    connection = type("APIConnectionError", (base,), {"__module__": package})
    named = {"APIStatusError": status_error, "APIConnectionError": connection}
    named["APITimeoutError"] = type("APITimeoutError", (connection,), {"__module__": package})
    for name in ("RateLimitError", "InternalServerError", "BadRequestError"):
        named[name] = type(name, (status_error,), {"__module__": package})
    return named


def _sdk(package, name, status, *, code=None, body=None, **headers):
    error = _client(package)[name]("no")
    error.status_code, error.code, error.body = status, code, body
    error.response = _httpx(status, **headers).response
    return error


@pytest.mark.parametrize("make", [_httpx, _aiohttp, _requests])
def test_status_decides(make):
    """An error response is retried if its status means overload or a server error, and not otherwise."""
    errors = {status: transient_error(make(status), _NOW) for status in _STATUSES}

    assert errors == {status: TransientError(f"http_{status}") if ok else None for status, ok in _STATUSES.items()}


@pytest.mark.parametrize("make", [_httpx, _aiohttp, _requests])
@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("Fri, 02 Jan 2026 03:04:35 GMT", 30.0),
        ("Fri, 02 Jan 2026 04:04:35 +0100", 30.0),
        ("Fri, 02 Jan 2026 03:04:35 -0000", 30.0),
        ("Fri, 02 Jan 2026 03:04:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-1", None),
    ],
)
def test_retry_after_is_read(make, header, after):
    """`Retry-After` is read as seconds or a date, and ignored if it is anything else."""
    assert transient_error(make(429, Retry_After=header), _NOW) == TransientError("http_429", after)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (httpx.ConnectTimeout("x"), "timeout"),
        (httpx.ReadTimeout("x"), "timeout"),
        (httpx.WriteTimeout("x"), "timeout"),
        (httpx.PoolTimeout("x"), "timeout"),
        (httpx.ConnectError("x"), "connection"),
        (httpx.ReadError("x"), "connection"),
        (httpx.WriteError("x"), "connection"),
        (httpx.RemoteProtocolError("x"), "connection"),
        (httpx.LocalProtocolError("x"), None),
        (httpx.InvalidURL("x"), None),
        (httpx.UnsupportedProtocol("x"), None),
        (aiohttp.ServerTimeoutError("x"), "timeout"),
        (aiohttp.ConnectionTimeoutError("x"), "timeout"),
        (aiohttp.ServerDisconnectedError("x"), "connection"),
        (aiohttp.ClientOSError("x"), "connection"),
        (aiohttp.ClientPayloadError("x"), "connection"),
        (aiohttp.InvalidURL("x"), None),
        (requests.ConnectTimeout("x"), "timeout"),
        (requests.ReadTimeout("x"), "timeout"),
        (requests.ConnectionError("x"), "connection"),
        (requests.exceptions.ChunkedEncodingError("x"), "connection"),
        (requests.HTTPError("no response"), None),
        (requests.exceptions.InvalidURL("x"), None),
        (_client("openai")["APIConnectionError"]("x"), "connection"),
        (_client("openai")["APITimeoutError"]("x"), "timeout"),
        (_client("anthropic")["APIConnectionError"]("x"), "connection"),
        (_client("anthropic")["APITimeoutError"]("x"), "timeout"),
        (_client("someone_else")["APIConnectionError"]("x"), None),
        (ValueError("x"), None),
    ],
    ids=repr,
)
def test_lost_connections_and_timeouts_pass(error, code):
    """Lost connections, incomplete responses and time-outs are retried, and request errors are not."""
    errors = transient_error(error, _NOW)

    assert (errors.code if errors else None) == code


@pytest.mark.parametrize("package", ["openai", "anthropic"])
def test_errors_of_a_provider_go_by_their_status(package):
    """Rate limits and server errors of a provider are retried after the time it asks for, and bad requests are not."""
    assert transient_error(_sdk(package, "RateLimitError", 429, retry_after="3"), _NOW) == TransientError(
        "http_429", 3.0
    )
    assert transient_error(_sdk(package, "InternalServerError", 529), _NOW) == TransientError("http_529")
    assert transient_error(_sdk(package, "BadRequestError", 400), _NOW) is None


@pytest.mark.parametrize(
    "error",
    [
        _sdk("openai", "RateLimitError", 429, code="insufficient_quota", retry_after="3"),
        _sdk("openai", "RateLimitError", 429, body={"error": {"code": "insufficient_quota"}}),
        _sdk(
            "anthropic",
            "RateLimitError",
            429,
            body={"error": {"details": {"error_code": "enforced_spend_limit_reached"}}},
        ),
    ],
)
def test_spent_quota_does_not_pass(error):
    """A used-up balance is not retried, although its status is that of a rate limit."""
    assert transient_error(error, _NOW) is None
    assert outcome_from_exception(error) == Fail("RateLimitError: no", code="processor_error.RateLimitError")


def test_untrusted_certificate_does_not_pass():
    """A connection that failed because of its certificate is not retried."""
    error = httpx.ConnectError("x")
    error.__cause__ = OSError("y")
    assert transient_error(error, _NOW) is not None

    error.__cause__.__context__ = ssl.SSLCertVerificationError("self-signed")

    assert transient_error(error, _NOW) is None


def test_circle_of_causes_ends():
    """A circular chain of causes is examined without an endless loop."""
    first, other = httpx.ConnectError("x"), ValueError("y")
    first.__cause__, other.__cause__ = other, first

    assert transient_error(first, _NOW) == TransientError("connection")


def test_attribute_that_raises_is_as_good_as_none():
    """An exception whose property raises does not end the run."""

    class Odd(httpx.HTTPStatusError):
        def __init__(self):
            Exception.__init__(self, "odd")

        @property
        def response(self):
            raise RuntimeError("no response was set")

    assert transient_error(Odd(), _NOW) is None


# -- classes that the caller names -----------------------------------------------------------------


class _Busy(Exception):
    pass


class _VeryBusy(_Busy):
    pass


def test_named_classes_are_tried_again():
    """Exceptions of a class in `retry_on` or its subclasses are retried under their own name; others fail."""
    assert outcome_from_exception(_VeryBusy("later"), retry_on=(KeyError, _Busy)) == Retry(
        "_VeryBusy: later", code="processor_error._VeryBusy"
    )
    assert outcome_from_exception(_Busy("later"), retry_on=(_VeryBusy,)) == Fail(
        "_Busy: later", code="processor_error._Busy"
    )


def test_named_class_goes_before_what_is_known_of_it():
    """An exception in `retry_on` is retried even if its status is permanent, after the time that its header names."""
    outcome = outcome_from_exception(_httpx(404, retry_after="2"), retry_on=(httpx.HTTPStatusError,))

    assert outcome == Retry("HTTPStatusError: no", 2.0, "processor_error.HTTPStatusError")
