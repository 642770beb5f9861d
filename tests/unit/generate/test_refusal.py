"""From error answers to outcomes, in the classes: may pass, will not pass, nothing will pass."""

import json
from datetime import UTC, datetime

import pytest

from backstay.batch.outcome import Doom, Fail, Retry
from backstay.generate.endpoint import endpoint_of
from backstay.generate.refusal import not_json, refusal_of
from backstay.generate.retry_after import LONGEST_SECONDS, seconds_of

_ENDPOINT = endpoint_of("openai:gpt-9", None, None)
_NOW = datetime(2025, 6, 2, 12, 0, 0, tzinfo=UTC)


def _body(**error: str) -> str:
    return json.dumps({"error": error})


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, _body(message="bad"), Fail, "bad_request"),
        (400, _body(code="context_length_exceeded"), Fail, "context_too_long"),
        (400, _body(message="prompt is too long: 9 tokens > 8 maximum"), Fail, "context_too_long"),
        (400, _body(code="content_filter"), Fail, "content_filter"),
        (400, _body(message="Your credit balance is too low"), Doom, "quota_exhausted"),
        (400, _body(code="insufficient_quota"), Doom, "quota_exhausted"),
        (400, _body(message="The model `gpt-9` does not exist"), Doom, "unknown_model"),
        (401, _body(message="Incorrect API key provided: sk-abc"), Doom, "bad_key"),
        (402, "", Doom, "quota_exhausted"),
        (403, "", Doom, "forbidden"),
        (404, _body(code="model_not_found"), Doom, "unknown_model"),
        (404, _body(type="not_found_error", message="model: claude-9"), Doom, "unknown_model"),
        (404, "<html>", Doom, "unknown_address"),
        (408, "", Retry, "http_408"),
        (409, "", Retry, "http_409"),
        (413, "", Fail, "context_too_long"),
        (418, "", Fail, "http_418"),
        (422, _body(message="bad"), Fail, "bad_request"),
        (425, "", Retry, "http_425"),
        (429, _body(type="rate_limit_error", message="see account/billing"), Retry, "rate_limited"),
        (429, _body(type="insufficient_quota"), Doom, "quota_exhausted"),
        (429, _body(message="You exceeded your current quota, check your plan"), Doom, "quota_exhausted"),
        (500, "<html>oops", Retry, "server_error"),
        (502, "", Retry, "server_error"),
        (503, "", Retry, "overloaded"),
        (529, "", Retry, "overloaded"),
        (307, "", Doom, "redirected"),
        (204, "", Fail, "http_204"),
        (429, "[" * 50_000, Retry, "rate_limited"),
        (400, json.dumps({"error": "plain text"}), Fail, "bad_request"),
        (400, json.dumps([1]), Fail, "bad_request"),
    ],
)
def test_each_status_has_its_class(status, body, kind, code):
    """The body is read before the status is believed; one-line reasons name the next step."""
    outcome = refusal_of(status, body, None, _ENDPOINT).outcome

    assert isinstance(outcome, kind)
    assert outcome.code == code
    assert "\n" not in outcome.reason


def test_nothing_a_provider_says_is_quoted():
    """It may repeat the prompt, or the key."""
    said = "sk-secret and all of the prompt"
    for status in (400, 401, 402, 403, 404, 413, 418, 422, 429, 500, 503, 307):
        for body in (said, _body(message=said, code=said, type=said)):
            assert "secret" not in refusal_of(status, body, None, _ENDPOINT).outcome.reason


def test_overload_is_everybodys_affair():
    """429, 529 and their like slow all down; an error of the server's own does not."""
    asked = (408, 429, 500, 502, 503, 504, 529)

    slowing = [status for status in asked if refusal_of(status, "", None, _ENDPOINT).is_overload]

    assert slowing == [429, 502, 503, 504, 529]


def test_a_refused_structure_asks_for_a_plainer_one():
    """Not the item's fault: the next try asks for less."""
    refusal = refusal_of(
        400, _body(message="'response_format' of type 'json_schema' is not supported"), None, _ENDPOINT
    )

    assert refusal.wants_plainer
    assert refusal.outcome == Retry(refusal.outcome.reason, after=0.0, code="structure_refused")


def test_a_web_page_is_doom_until_the_endpoint_is_proven():
    """At first the address is wrong; later it is a passing trouble."""
    page = "\n<!DOCTYPE html><html>…"

    first = not_json(200, page, _ENDPOINT, is_proven=False).outcome
    later = not_json(200, page, _ENDPOINT, is_proven=True).outcome

    assert isinstance(first, Doom)
    assert "If the base URL is wrong" in first.reason
    assert isinstance(later, Retry)
    assert isinstance(not_json(200, "{half", _ENDPOINT, is_proven=False).outcome, Retry)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "99999999999"}, LONGEST_SECONDS),
        ({"Retry-After": "inf"}, LONGEST_SECONDS),
        ({"Retry-After": "Mon, 02 Jun 2025 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Mon, 02 Jun 2025 11:59:30 GMT"}, None),
        ({"Retry-After": "Mon, 02 Jun 2099 12:00:00 GMT"}, LONGEST_SECONDS),
        ({"Retry-After": "Mon, 99 Jun 2025 12:00:00 GMT"}, None),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
    ],
)
def test_how_long_to_wait(headers, seconds):
    """Seconds, a date, absurd, negative or meaningless."""
    assert seconds_of(headers, _NOW) == seconds
