"""Classification of error responses: an error status, a body that is not JSON, no connection. Pure.

The body of a response is used to distinguish errors but never quoted: it may repeat the prompt, or the key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from backstay.generate.classification_rule import ErrorKind, RequestChange, Rule
from backstay.generate.endpoint import Endpoint
from backstay.generate.error_body import is_page, parse_error_text
from backstay.generate.error_messages import message
from backstay.generate.error_rules import find_rule
from backstay.generate.key_source import KeySource
from backstay.generate.proxy import Proxy
from backstay.generate.retry_after import retry_after_seconds

# Parameter names that a message may repeat from a response: none of them can be part of a prompt or a key.
_QUOTABLE_PARAMETERS = frozenset(
    {
        "temperature", "top_p", "top_k", "min_p", "seed", "stop", "n", "logprobs", "frequency_penalty",
        "presence_penalty", "repetition_penalty", "max_tokens", "max_completion_tokens", "reasoning_effort",
        "parallel_tool_calls", "logit_bias", "service_tier", "metadata", "user", "store", "verbosity",
    }
)  # fmt: skip
_SHARED_KINDS = (ErrorKind.ACCOUNT, ErrorKind.MODEL)
_DECISIVE_STATUSES = (401, 402)  # regardless of the body
_UNKNOWN_RULE = Rule(ErrorKind.UNKNOWN, "bad_request")


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """A classified error response: its scope, and the reaction to it."""

    kind: ErrorKind
    code: str
    message: str
    """One sentence for the user."""
    reason: str = ""
    """A few words for a status line about waiting."""
    is_decisive: bool = False
    """Whether one such response suffices to pause the job, because no other item can succeed."""
    is_limit: bool = False
    """Whether a limit on requests, tokens or concurrency was reached, as opposed to a server error."""
    is_by_text: bool = False
    """Whether this classification relies only on the wording, which may quote a prompt."""
    change: RequestChange | None = None
    parameter: str | None = None
    new_name: str | None = None
    retry_after_seconds: float | None = None
    """How long the provider asks to wait."""


def classify_response(
    status: int,
    headers: Mapping[str, str],
    body: str,
    endpoint: Endpoint,
    now: datetime,
    *,
    has_key: bool = True,
    key_source: KeySource = KeySource.VARIABLE,
    proxy: Proxy | None = None,
    is_probe: bool = False,
) -> ErrorResponse:
    """Classify a response with an error status by the first rule that matches.

    A Retry-After may name a date, from which `now` is subtracted. `proxy` is the proxy that answered instead of the
    endpoint, if one did. The message is for a job or, if `is_probe`, for a probe.
    """
    lower_headers = {name.lower(): value for name, value in headers.items()}
    error = parse_error_text(body)
    if named := lower_headers.get("x-amzn-errortype"):  # Bedrock sends its codes there
        error = replace(error, codes=error.codes | {named.partition(":")[0].lower()})
    wait_seconds = retry_after_seconds(lower_headers, error, now)
    rule = find_rule(status, error, lower_headers, has_time=wait_seconds is not None) or _UNKNOWN_RULE
    code = "no_key" if rule.code == "bad_key" and not has_key else rule.code
    if rule is _UNKNOWN_RULE:
        code = f"http_{status}"
    parameter = error.parameter if rule.change in {RequestChange.RENAME, RequestChange.OMIT} else None
    key = code if code == "no_key" else rule.message or rule.code
    text = message(
        key,
        is_probe=is_probe,
        **_endpoint_facts(endpoint),
        **_key_words(endpoint, key_source),
        status=status,
        proxy=proxy.name if proxy is not None else "(not named)",
        parameter=f"`{parameter}`" if parameter in _QUOTABLE_PARAMETERS else "a parameter",
        new_name=rule.new_name,
    )
    return ErrorResponse(
        kind=rule.kind,
        code=code,
        message=text,
        reason=f"{status}: {rule.reason or rule.code.replace('_', ' ')}",
        is_decisive=rule.is_decisive or (rule.kind in _SHARED_KINDS and status in _DECISIVE_STATUSES),
        is_limit=rule.is_limit,
        is_by_text=rule.is_by_text,
        change=rule.change,
        parameter=parameter,
        new_name=rule.new_name,
        retry_after_seconds=wait_seconds,
    )


def classify_not_json(
    status: int, body: str, endpoint: Endpoint, *, has_answered: bool, is_probe: bool = False
) -> ErrorResponse:
    """Classify a body that is not JSON; `has_answered` if this endpoint has given good answers before."""

    def text(key: str) -> str:
        return message(key, is_probe=is_probe, status=status, **_endpoint_facts(endpoint))

    if not is_page(body):
        return ErrorResponse(ErrorKind.TRANSIENT, "broken_json", text("broken_json"), "broken JSON")
    if has_answered:
        return ErrorResponse(ErrorKind.TRANSIENT, "html_answer", text("html_transient"), "a web page")
    return ErrorResponse(ErrorKind.ACCOUNT, "html_answer", text("html_answer"), "a web page", is_decisive=True)


def classify_unreachable(endpoint: Endpoint, why: str, *, is_probe: bool = False) -> ErrorResponse:
    """Classify an endpoint that does not answer and never has; `why` goes into the message."""
    is_hosted = endpoint.is_default and not endpoint.address.is_loopback
    key = "unreachable_provider" if is_hosted else "unreachable"
    text = message(key, is_probe=is_probe, why=why, **_endpoint_facts(endpoint))
    return ErrorResponse(ErrorKind.ACCOUNT, "unreachable", text, why, is_decisive=True)


def _endpoint_facts(endpoint: Endpoint) -> dict[str, str]:
    return {
        "host": endpoint.host,
        "url": endpoint.url,
        "base_url": endpoint.base_url,
        "model": endpoint.model,
        "variable": endpoint.key_variable,
    }


def _key_words(endpoint: Endpoint, source: KeySource) -> dict[str, str]:
    """Return the description of the key, and the words around `a valid one` in messages."""
    is_printed, is_of_server = source is KeySource.COMMAND, source is KeySource.SERVER_VARIABLE
    variable = endpoint.key_variable
    return {
        "key": source.describe(variable),
        "put": "have it print" if is_printed else "put",
        "there": "" if is_printed else " there",
        "restart": " and restart the server" if is_of_server else "",
        "or_file": f" (a file or command under [keys.{variable}] in backstay.toml needs none)" if is_of_server else "",
    }
