"""From an answer that is none (an error status, a lost connection) to what becomes of the item. Pure.

What a provider says is looked at to tell errors apart, and never quoted: it may repeat the prompt, or the key.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backstay.batch.outcome import Doom, Fail, Outcome, Retry
from backstay.generate.endpoint import Endpoint

_TRANSIENT = {
    408: "http_408",
    409: "http_409",
    425: "http_425",
    429: "rate_limited",
    503: "overloaded",
    529: "overloaded",
}
OVERLOADED = frozenset({429, 502, 503, 504, 529})
"""Statuses of a provider that has too much to do: those who wait their turn had better wait longer."""


def _any_of(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE)


_QUOTA = _any_of(
    "insufficient_quota",
    "exceeded your current quota",
    "plan and billing",
    "credit balance",
    "out of credits",
    "insufficient (balance|funds|credits)",
)
_MODEL = _any_of(
    "model_not_found",
    "(unknown|invalid|no such) model",
    "model[^.]{0,80}(does not exist|not found|is not available|not_found)",
    "not_found_error[^.]{0,80}model",
)
_CONTEXT = _any_of(
    "context[_ ]length",
    "context window",
    "maximum context",
    "prompt is too long",
    "too many (input )?tokens",
    "string_above_max_length",
)
_FILTER = _any_of("content_filter", "content_policy", "content (management )?policy", "safety system")
_STRUCTURE = _any_of(
    "response_format",
    "json_schema",
    "json_object",
    "structured output",
    "tool_choice",
    r"\btools?\b[^.]{0,40}(not supported|unsupported)",
)
_WRONG_ADDRESS = "If the base URL is wrong (it often ends in /v1), discard the job and run it with the right one"
_HTML = re.compile(r"\s*(<!doctype|<html|<head|<body)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an answer other than a good one comes to."""

    outcome: Outcome
    is_overload: bool = False
    wants_plainer: bool = False
    """The structure that was asked for is not to be had: a plainer one may be."""


def refusal_of(status: int, body: str, retry_after: float | None, endpoint: Endpoint) -> Refusal:
    """Say what an answer with an error status comes to."""
    said = _said(body)
    if status in {400, 402, 403, 429} and _QUOTA.search(said):
        return Refusal(_quota(status, endpoint))
    if status in {400, 404, 422} and _MODEL.search(said):
        return Refusal(_unknown_model(status, endpoint))
    match status:
        case 401:
            return Refusal(_bad_key(endpoint))
        case 402:
            return Refusal(_quota(status, endpoint))
        case 403:
            reason = (
                f"{endpoint.host} does not allow this (403): the key in {endpoint.key_variable} may lack the right to "
                f"{endpoint.model}, or your country or network is shut out; mend it, then resume"
            )
            return Refusal(Doom(reason, code="forbidden"))
        case 404:
            return Refusal(_no_endpoint(status, endpoint))
        case 400 | 413 | 422:
            return _bad_request(status, said, endpoint)
    if status in _TRANSIENT or status >= 500:
        code = _TRANSIENT.get(status, "server_error")
        retry = Retry(f"{endpoint.host} answered {status} ({_WORDS[code]})", after=retry_after, code=code)
        return Refusal(retry, is_overload=status in OVERLOADED)
    if 300 <= status < 400:
        reason = f"{endpoint.host} sends elsewhere ({status}), which is not followed. {_WRONG_ADDRESS}"
        return Refusal(Doom(reason, code="redirected"))
    return Refusal(Fail(f"{endpoint.host} answered {status}", code=f"http_{status}"))


def not_json(status: int, body: str, endpoint: Endpoint, *, is_proven: bool) -> Refusal:
    """Say what a body that is no JSON comes to; `is_proven` says that this endpoint has given good answers before."""
    if _HTML.match(body):
        what = f"{endpoint.url} answered with a web page instead of JSON"
        if not is_proven:
            return Refusal(Doom(f"{what}. {_WRONG_ADDRESS}", code="html_answer"))
        return Refusal(Retry(what, code="html_answer"), is_overload=True)
    return Refusal(Retry(f"{endpoint.host} answered {status} with something that is no JSON", code="broken_json"))


def unreachable(endpoint: Endpoint, why: str) -> Outcome:
    """Say what it comes to when nothing at all answers, and nothing has before."""
    reason = f"Nothing answers at {endpoint.base_url} ({why}); start the server, then resume. {_WRONG_ADDRESS}"
    return Doom(reason, code="unreachable")


def _bad_request(status: int, said: str, endpoint: Endpoint) -> Refusal:
    if _CONTEXT.search(said) or status == 413:
        reason = "the prompt is longer than the model takes; shorten the template, or this item"
        return Refusal(Fail(reason, code="context_too_long"))
    if _FILTER.search(said):
        return Refusal(Fail("the provider's content filter refused the prompt", code="content_filter"))
    if _STRUCTURE.search(said):
        reason = f"{endpoint.host} does not give the structured output it was asked for ({status})"
        return Refusal(Retry(reason, after=0.0, code="structure_refused"), wants_plainer=True)
    reason = f"{endpoint.host} refused the request ({status}); `backstay failed JOB --raw` shows what it said"
    return Refusal(Fail(reason, code="bad_request"))


def _bad_key(endpoint: Endpoint) -> Doom:
    reason = (
        f"{endpoint.host} does not accept the key in {endpoint.key_variable} (401); put a valid one there, then resume"
    )
    return Doom(reason, code="bad_key")


def _quota(status: int, endpoint: Endpoint) -> Doom:
    reason = f"The quota or balance at {endpoint.host} is used up ({status}); top it up or raise its limit, then resume"
    return Doom(reason, code="quota_exhausted")


def _unknown_model(status: int, endpoint: Endpoint) -> Doom:
    reason = (
        f"{endpoint.host} knows no model {endpoint.model!r} ({status}); if the name is wrong, discard the job and run "
        "it with the right one; if the model has to be loaded or allowed first, do that, then resume"
    )
    return Doom(reason, code="unknown_model")


def _no_endpoint(status: int, endpoint: Endpoint) -> Doom:
    reason = f"There is nothing at {endpoint.url} ({status}). {_WRONG_ADDRESS}"
    return Doom(reason, code="unknown_address")


_WORDS = {
    "http_408": "it timed out",
    "http_409": "a conflict",
    "http_425": "too early",
    "rate_limited": "too many requests",
    "overloaded": "overloaded",
    "server_error": "an error of its own",
}


def _said(body: str) -> str:
    """Return type, code and message of an error as one text to look for words in."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return body[:2_000] if not _HTML.match(body) else ""
    error = value.get("error", value) if isinstance(value, Mapping) else value
    if isinstance(error, Mapping):
        return " ".join(
            str(error[name])[:1_000] for name in ("type", "code", "param", "message", "detail") if error.get(name)
        )
    return str(error)[:2_000]
