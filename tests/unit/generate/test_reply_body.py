"""Parsing of reply bodies, and the status that they imply."""

import json

import pytest

from backstay.generate.http_client import HttpResponse
from backstay.generate.reply_body import effective_status, parse_object


def _reply(body: bytes, content_type: str = "application/json") -> HttpResponse:
    return HttpResponse(200, {"Content-Type": content_type}, body)


@pytest.mark.parametrize("charset", ["iso-8859-1", '"Windows-1252"', "ISO-8859-15; q=1"])
def test_a_body_is_read_in_the_charset_that_it_declares(charset):
    """A body is decoded as UTF-8 first, and else in its declared charset."""
    content_type = f"application/json; charset={charset}"

    assert parse_object(_reply('{"a": "café"}'.encode("latin-1"), content_type)) == {"a": "café"}
    assert parse_object(_reply('{"a": "café"}'.encode(), content_type)) == {"a": "café"}


@pytest.mark.parametrize("charset", ["utf-8", "punycode", "unicode_escape", "zlib", "none-such", "cp1"])
def test_a_body_that_is_not_in_its_charset_is_not_read(charset):
    """A body that cannot be decoded, or declares a charset that is not for text, is rejected."""
    assert parse_object(_reply('{"a": "café"}'.encode("latin-1"), f"application/json; charset={charset}")) is None
    assert parse_object(_reply('{"a": "café"}'.encode("latin-1"))) is None


@pytest.mark.parametrize("opening", ['{"a":', "["])
@pytest.mark.parametrize("depth", [250, 1_000, 1_100, 100_000])
def test_a_body_that_is_nested_deeply_is_not_read(opening, depth):
    """A body that is nested too deeply is rejected, since it could not be processed or serialised."""
    nested = opening * depth + "1" + {"[": "]"}.get(opening, "}") * depth

    assert parse_object(_reply(f'{{"a": {nested}}}'.encode())) is None
    assert parse_object(_reply(json.dumps({"a": [[1]] * 1_000, "b": nested}).encode())) is not None


@pytest.mark.parametrize(
    ("code", "status"),
    [("429", 429), (503, 503), ("9" * 5_000, 500), ("0429", 500), (10**6, 500), (None, 500)],
    ids=lambda value: str(value)[:8],
)
def test_an_error_with_status_200_means_the_status_that_it_names(code, status):
    """An error with status 200 gets the status in its code, or 500 if the code is not a valid status."""
    body = {"error": {"code": code, "message": "no"}}

    assert effective_status(_reply(json.dumps(body).encode()), body) == status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("No answer was written", 200),
        # OpenRouter's event for an error in the middle of a stream.
        ({"code": "server_error", "message": "Provider disconnected unexpectedly"}, 500),
    ],
    ids=["text", "object"],
)
def test_an_error_object_outweighs_choices_but_a_text_does_not(error, status):
    """An error object counts next to choices, since the error event of a stream has both; a text does not count."""
    body = {"error": error, "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]}

    assert effective_status(_reply(json.dumps(body).encode()), body) == status
