"""Classification of error responses, checked against a corpus of real ones."""

import json
import re
import time
from collections import Counter
from string import Formatter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from backstay.generate import error_rules
from backstay.generate.classification_rule import ErrorKind
from backstay.generate.endpoint import resolve_endpoint
from backstay.generate.error_messages import _JOB_WORDS, MESSAGES, message
from backstay.generate.error_response import ErrorResponse, classify_not_json, classify_response, classify_unreachable
from backstay.generate.proxy import Proxy
from support.data.error_responses import MODEL, NOW, REFUSALS, Row

_ENDPOINT = resolve_endpoint(f"openai:{MODEL}", None, None)
_MARKER = "zebra-4711"
_NAMES = ["error", "code", "type", "message", "detail", "details", "param", "loc", "metadata", "raw", "retryDelay"]
_TEXTS = [
    "model not found",
    "{",
    '{"code":',
    "try again in 9s",
    "(1 in the messages, 2 in the completion)",
    "'top_p' is",
]
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(_TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES) | st.text(max_size=5), inner),
    max_leaves=8,
)
_HEADERS = ["Retry-After", "retry-after-ms", "x-ratelimit-reset-tokens", "X-RateLimit-Reset", "x-should-retry"]


def _classify(row: Row, body: str | None = None) -> ErrorResponse:
    text = row.text if body is None else body
    return classify_response(
        row.status,
        row.headers,
        text,
        _ENDPOINT,
        NOW,
        has_key=row.has_key,
        proxy=Proxy(URL("http://u:pw@proxy:3128"), "HTTPS_PROXY"),
    )


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row.name)
def test_each_refusal_is_classified(row):
    """Every error response of the corpus gets its kind, its code and its request change."""
    error = _classify(row)

    assert (error.kind, error.code) == (row.kind, row.code)
    assert (error.is_decisive, error.is_limit) == (row.decisive, row.limit)
    assert (error.change, error.parameter, error.new_name) == (row.change, row.parameter, row.new_name)
    assert error.retry_after_seconds == row.retry_after


def test_the_corpus_is_wide():
    """The corpus has many distinct error responses, each with a unique name."""
    shapes = {(row.name.split(":")[0], row.status, row.code, _shape(row.body)) for row in REFUSALS}

    assert max(Counter(row.name for row in REFUSALS).values()) == 1
    assert len(REFUSALS) >= 200
    assert len(shapes) >= 120
    assert {row.kind for row in REFUSALS} == set(ErrorKind)


def _shape(body: Any) -> str:
    return "/".join(sorted(body)) if isinstance(body, dict) else type(body).__name__


def test_every_rule_is_needed(monkeypatch):
    """If any single rule is removed, an error response of the corpus is classified differently."""
    rules = error_rules.RULES
    judged = [_classify(row) for row in REFUSALS]
    idle = []

    for rule in rules:
        monkeypatch.setattr(error_rules, "RULES", tuple(other for other in rules if other is not rule))
        error_rules.rules_for_status.cache_clear()
        rows = [
            (row, was)
            for row, was in zip(REFUSALS, judged, strict=True)
            if not rule.statuses or row.status in rule.statuses
        ]
        if all(_classify(row) == was for row, was in rows):
            idle.append((rule.code, rule.providers, rule.words[:1]))
    monkeypatch.undo()
    error_rules.rules_for_status.cache_clear()

    assert idle == []


def _marked(value: Any) -> Any:
    """Return a body with a marker at the end of each message text."""
    if isinstance(value, dict):
        return {
            name: f"{inner} {_MARKER}"
            if name in {"message", "msg", "detail", "error"} and isinstance(inner, str)
            else _marked(inner)
            for name, inner in value.items()
        }
    return [_marked(inner) for inner in value] if isinstance(value, list) else value


def test_messages_name_what_is_needed_and_quote_nothing():
    """A message is one line that names the host, model or key concerned, and quotes nothing of the body."""
    for row in REFUSALS:
        body = f"{row.text} {_MARKER}" if isinstance(row.body, str | bytes) else json.dumps(_marked(row.body))
        error = _classify(row, body)

        assert (error.kind, error.code) == (row.kind, row.code), row.name
        assert _MARKER not in error.message + error.reason, row.name
        assert "\n" not in error.message
        assert _ENDPOINT.host in error.message, row.name
        assert str(row.status) in error.message, row.name
        assert error.reason.startswith(f"{row.status}: "), row.name
        assert len(error.reason) < 50, row.name
        if row.kind is ErrorKind.MODEL:
            assert MODEL in error.message.replace("'", " ").split(), row.name
        if row.code in {"bad_key", "no_key", "forbidden", "account_restricted", "model_not_allowed"}:
            assert _ENDPOINT.key_variable in error.message, row.name


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 418, 422, 429, 500, 503, 307])
@pytest.mark.parametrize("name", ["message", "code", "type", "param", "detail"])
def test_no_value_of_a_body_is_quoted(status, name):
    """A secret in any field of a body is not repeated in a message."""
    for body in ({"error": {name: "sk-secret"}}, {name: "unsupported parameter: 'sk_secret'"}):
        error = classify_response(status, {}, json.dumps(body), _ENDPOINT, NOW)

        assert "secret" not in error.message + error.reason


@given(
    status=st.integers(100, 599),
    body=_VALUES.map(json.dumps) | st.text(),
    headers=st.dictionaries(st.sampled_from(_HEADERS), st.text(max_size=12) | st.floats().map(str)),
)
def test_any_answer_is_judged(status, body, headers):
    """Any response is classified without an exception, with a message and a wait of at most a day."""
    error = classify_response(status, headers, body, _ENDPOINT, NOW)

    assert error.message
    assert error.retry_after_seconds is None or 0.0 <= error.retry_after_seconds <= 86_400.0


def test_messages_of_a_probe_speak_of_no_job():
    """Messages of a probe do not mention jobs or items, since a probe has none."""
    facts = dict.fromkeys(
        [
            "host",
            "url",
            "base_url",
            "model",
            "variable",
            "key",
            "put",
            "there",
            "restart",
            "or_file",
            "status",
            "proxy",
            "parameter",
            "why",
        ],
        "x",
    )
    for key in MESSAGES:
        text = message(key, is_probe=True, new_name="y", **facts)

        assert not re.search(r"resum|discard|\bjob\b|\bJOB\b|\bitem\b|--rpm", text), text


def test_messages_name_no_command_with_a_word_to_fill_in():
    """Messages contain no job name: they are stored with jobs of any name, and the display adds it."""
    assert [text for text in MESSAGES.values() if "JOB" in text] == []


def test_who_has_no_server_is_not_told_to_start_one():
    """For an unreachable hosted provider the message blames the connection, and for other endpoints the server."""
    hosted, local = resolve_endpoint("openai:m", None, None), resolve_endpoint("ollama:m", None, None)
    own = resolve_endpoint("m", "https://models.example/v1", None)

    assert "check this machine's connection or proxy, then resume" in classify_unreachable(hosted, "no route").message
    assert "base URL is wrong" not in classify_unreachable(hosted, "no route").message
    assert "start the server, then resume" in classify_unreachable(local, "no route").message
    assert "start the server, then resume" in classify_unreachable(own, "no route").message


def test_words_decide_nothing_alone():
    """Only a code, or status 401 or 402, makes an error decisive, since a message may quote a prompt."""
    quotes = ["end of life care", "insufficient funds", "this model railway does not exist", "an invalid api key"]
    bodies = [json.dumps({"error": {"message": f"We cannot process '{quote}'"}}) for quote in quotes]

    decisive = {
        status
        for status in range(300, 600)
        for body in bodies
        if classify_response(status, {}, body, _ENDPOINT, NOW).is_decisive
    }

    assert decisive == {401, 402, 407}


def test_a_proxy_is_named_without_its_password():
    """A proxy that rejects its credentials is named by host and port."""
    proxy = Proxy(URL("http://user:hidden@proxy.example:3128"), "HTTPS_PROXY")
    error = classify_response(407, {}, "", _ENDPOINT, NOW, proxy=proxy)

    assert "proxy.example:3128" in error.message
    assert "hidden" not in error.message


def test_a_missing_key_is_said_to_be_missing():
    """A 401 without a key names the variable to set; with a key, it says that the key is not accepted."""
    without = classify_response(401, {}, "", _ENDPOINT, NOW, has_key=False)
    wrong = classify_response(401, {}, "", _ENDPOINT, NOW)

    assert (
        without.message == "No key is set: api.openai.com requires one (401); put it into OPENAI_API_KEY, then resume"
    )
    assert "does not accept the key in OPENAI_API_KEY" in wrong.message


def test_a_parameter_is_named_only_when_it_is_known():
    """A message names well-known parameters only, since any other name may be arbitrary text."""
    known = classify_response(400, {}, '{"error": "Unsupported parameter: \'seed\'"}', _ENDPOINT, NOW)
    unknown = classify_response(400, {}, '{"error": "Unsupported parameter: \'my_secret\'"}', _ENDPOINT, NOW)

    assert "`seed`" in known.message
    assert (unknown.parameter, "secret" in unknown.message) == ("my_secret", False)


def test_a_long_body_is_not_searched_whole():
    """Only the start of a large body is searched, so that the time does not grow with its size."""
    padding = "model response_format 'max_tokens' 1 in the messages " * 300_000
    bodies = [padding, json.dumps({"error": {"message": padding}}), "{" * 16_000_000, "<html>" + padding]
    started = time.process_time()

    for body in bodies:
        classify_response(400, {}, body, _ENDPOINT, NOW)

    assert time.process_time() - started < 1.0


def test_judging_is_fast():
    """A small error response is classified in less than a tenth of a millisecond."""
    rows = [(row.status, row.headers, row.text) for row in REFUSALS if len(row.text) < 1_000]
    rounds = []

    for _ in range(5):
        started = time.process_time()
        for status, headers, text in rows:
            classify_response(status, headers, text, _ENDPOINT, NOW)
        rounds.append((time.process_time() - started) / len(rows))

    assert min(rounds) < 100e-6


@pytest.mark.parametrize("key", MESSAGES)
def test_an_option_is_named_in_its_command_only(key):
    """Messages mention an option only within a whole command, since web pages show them too."""
    facts = {name for _, name, _, _ in Formatter().parse(MESSAGES[key]) if name} - set(_JOB_WORDS)

    text = message(key, **dict.fromkeys(facts, "x"))

    assert "--" not in re.sub(r"`backstay [^`]+`", "", text)


def test_a_web_page_pauses_until_the_endpoint_has_answered():
    """A web page means a wrong address at first, and a transient error after a good answer."""
    page = "\n<!DOCTYPE html><html>…"

    first = classify_not_json(200, page, _ENDPOINT, has_answered=False)
    later = classify_not_json(200, page, _ENDPOINT, has_answered=True)
    broken = classify_not_json(200, "{half", _ENDPOINT, has_answered=False)

    assert (first.kind, first.is_decisive, first.code) == (ErrorKind.ACCOUNT, True, "html_answer")
    assert "(it often ends in /v1), resume with the right one" in first.message
    assert (later.kind, later.code) == (ErrorKind.TRANSIENT, "html_answer")
    assert (broken.kind, broken.code) == (ErrorKind.TRANSIENT, "broken_json")


def test_an_address_where_nothing_answers_is_named():
    """A server that has never answered is reported with its address and the reason."""
    error = classify_unreachable(_ENDPOINT, "connection refused")

    assert (error.kind, error.is_decisive, error.code) == (ErrorKind.ACCOUNT, True, "unreachable")
    assert _ENDPOINT.base_url in error.message
    assert "connection refused" in error.message
