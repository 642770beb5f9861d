"""The body of a reply, and the status that it means."""

import json

import pytest

from backstay.generate.http import HttpResponse
from backstay.generate.reply_body import parse_object, status_of


def _reply(body: bytes, content_type: str = "application/json") -> HttpResponse:
    return HttpResponse(200, {"Content-Type": content_type}, body)


@pytest.mark.parametrize("charset", ["iso-8859-1", '"Windows-1252"', "ISO-8859-15; q=1"])
def test_a_body_is_read_in_the_charset_that_it_declares(charset):
    """UTF-8 goes first: many servers declare another charset out of habit, and send UTF-8."""
    content_type = f"application/json; charset={charset}"

    assert parse_object(_reply('{"a": "café"}'.encode("latin-1"), content_type)) == {"a": "café"}
    assert parse_object(_reply('{"a": "café"}'.encode(), content_type)) == {"a": "café"}


@pytest.mark.parametrize("charset", ["utf-8", "punycode", "unicode_escape", "zlib", "none-such", "cp1"])
def test_a_body_that_is_not_in_its_charset_is_not_read(charset):
    """No character of an answer is replaced, and what no body is written in is not tried."""
    assert parse_object(_reply('{"a": "café"}'.encode("latin-1"), f"application/json; charset={charset}")) is None
    assert parse_object(_reply('{"a": "café"}'.encode("latin-1"))) is None


@pytest.mark.parametrize("opening", ['{"a":', "["])
@pytest.mark.parametrize("depth", [250, 1_000, 1_100, 100_000])
def test_a_body_that_is_nested_deeply_is_not_read(opening, depth):
    """It would break what looks at all of it, and what writes it again."""
    nested = opening * depth + "1" + {"[": "]"}.get(opening, "}") * depth

    assert parse_object(_reply(f'{{"a": {nested}}}'.encode())) is None
    assert parse_object(_reply(json.dumps({"a": [[1]] * 1_000, "b": nested}).encode())) is not None


@pytest.mark.parametrize(
    ("code", "status"),
    [("429", 429), (503, 503), ("9" * 5_000, 500), ("0429", 500), (10**6, 500), (None, 500)],
    ids=lambda value: str(value)[:8],
)
def test_an_error_with_status_200_means_the_status_that_it_names(code, status):
    """A number of any size may stand there; what is no status is a fault."""
    body = {"error": {"code": code, "message": "no"}}

    assert status_of(_reply(json.dumps(body).encode()), body) == status
