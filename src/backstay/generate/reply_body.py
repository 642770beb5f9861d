"""What the body of a reply says: a JSON object, the status that it implies, and the error that it reports."""

from collections.abc import Mapping
from typing import Any

from backstay.clock import SystemClock
from backstay.generate.endpoint import Endpoint
from backstay.generate.error_response import ErrorResponse, classify_response
from backstay.generate.http_client import HttpResponse
from backstay.generate.json_body import read_body
from backstay.generate.provider_account import Account

_ANSWER_FIELDS = ("choices", "content")
"""Fields that hold an answer in OpenAI's and in Anthropic's API."""


def parse_object(reply: HttpResponse) -> Mapping[str, Any] | None:
    """Return the JSON object of a reply, or the only one in a list; None if the body is anything else."""
    try:
        body = read_body(reply.body, reply.headers.get("Content-Type"))
    except ValueError:
        return None
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    return body if isinstance(body, dict) else None


def effective_status(reply: HttpResponse, body: Mapping[str, Any] | None) -> int:
    """Return the status that a reply means, since some gateways forward upstream errors with status 200."""
    if not 200 <= reply.status < 300:
        return reply.status
    fields = body or {}
    error = fields.get("error")
    if isinstance(error, str) and error.strip() and not any(map(fields.get, _ANSWER_FIELDS)):
        return 500
    # Some servers send an error object without values to report success. Unlike a text, an object with any value is an
    # error even next to an answer: the error event in the middle of a stream may have choices, with an empty text.
    if not isinstance(error, Mapping) or not any(error.values()):
        return 200
    code = error.get("code")
    code = int(code) if isinstance(code, str) and len(code) == 3 and code.isascii() and code.isdigit() else code
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def text_of(reply: HttpResponse) -> str:
    """Return a reply's body as text."""
    return reply.body.decode("utf-8", "replace")


def error_of(
    reply: HttpResponse, status: int, endpoint: Endpoint, account: Account, *, is_probe: bool = False
) -> ErrorResponse:
    """Return the classified error of a reply with an error status."""
    return classify_response(
        status,
        reply.headers,
        text_of(reply),
        endpoint,
        SystemClock().now(),
        has_key=account.has_key,
        key_source=account.key_source,
        proxy=reply.proxy,
        is_probe=is_probe,
    )
