"""A probe of an endpoint's features: at most four calls that request a conversation of two turns."""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from backstay.batch.item import Item
from backstay.generate.answer_parser import UnusableAnswer, parse_conversation
from backstay.generate.classification_rule import ErrorKind, RequestChange
from backstay.generate.endpoint import Endpoint
from backstay.generate.error_response import classify_not_json, classify_unreachable
from backstay.generate.http_client import ConnectFailed, ConnectionLost, HttpResponse, MalformedResponse
from backstay.generate.prompt import PROMPT, PromptTemplates
from backstay.generate.provider_account import Account
from backstay.generate.providers.provider import FinishReason, ModelRequest, Structure, UnreadableResponse
from backstay.generate.recipe import Recipe
from backstay.generate.reply_body import effective_status, error_of, parse_object, text_of
from backstay.generate.request_adaptation import Adaptation, adapt_to_error

_MAX_CALLS = 4
_MAX_EXCERPT_CHARACTERS = 300
_TURNS = 2
_TOPIC = "what to have for breakfast"
_LIMIT_HEADERS = re.compile(r"(x-|anthropic-)?ratelimit-.*|retry-after.*", re.IGNORECASE)
_THINKING_FIELDS = ("reasoning_content", "reasoning", "thinking")


@dataclass(slots=True)
class ProbeReport:
    """The result of a probe."""

    calls: int = 0
    answered: int = 0
    """Calls that got a response of any kind."""
    structure: Structure | None = None
    """The strictest supported structure; None if no answer was a conversation."""
    rejected: list[str] = field(default_factory=list)
    """Structures that the endpoint rejected, or answered without a conversation."""
    stream: bool = False
    renamed: dict[str, str] = field(default_factory=dict)
    """Parameter → the name that the endpoint uses for it."""
    omitted: list[str] = field(default_factory=list)
    """Parameters of the recipe that the endpoint rejects."""
    end: str | None = None
    """The answer's finish reason."""
    is_end_known: bool = False
    thinking: list[str] = field(default_factory=list)
    """Where the model's reasoning appears: field names, or `<think>` in the text."""
    reports_usage: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    limits: dict[str, str] = field(default_factory=dict)
    """Rate-limit headers, without secrets."""
    problem: str | None = None
    """Why there is no conversation."""
    problem_code: str | None = None
    excerpt: str | None = None
    """The beginning of the response without a conversation, on one line, without secrets."""

    def fail(self, code: str, message: str) -> None:
        """Record why there is no conversation so far."""
        self.problem_code, self.problem = code, message

    def succeed(self, structure: Structure) -> None:
        """Record that a conversation was received in this structure."""
        self.structure = structure
        self.problem = self.problem_code = self.excerpt = None


async def probe(recipe: Recipe, endpoint: Endpoint, account: Account, *, timeout_seconds: float) -> ProbeReport:
    """Request a conversation of two turns, with simpler structures after each failure; the timeout is per call."""
    report = ProbeReport(stream=endpoint.stream)
    structured = recipe.structured
    available = endpoint.provider.structures if structured == "auto" else (Structure(structured),)
    adaptation = Adaptation(list(available))
    for _ in range(_MAX_CALLS):
        report.calls += 1
        report.excerpt = None
        request = _build_request(recipe, endpoint, adaptation.structures[0], report)
        body = orjson.dumps(adaptation.adapt_body(endpoint.provider.body(request)))
        try:
            async with asyncio.timeout(timeout_seconds):
                reply = await account.post(body, stream=report.stream)
        except ConnectFailed as error:
            report.fail("unreachable", _explain_unreachable(endpoint, error))
            break
        except ConnectionLost as error:
            report.fail("connection", f"{endpoint.host}: the connection was lost ({error}); try again")
            break
        except MalformedResponse as error:
            report.fail("broken_answer", f"{endpoint.host}: {error}")
            break
        except TimeoutError:
            report.fail("timeout", f"{endpoint.host} did not answer within {timeout_seconds:g} s")
            break
        report.answered += 1
        # Any part of a response may repeat the key, and the report is displayed.
        redact = account.secrets.redact_text
        limits = {name.lower(): value for name, value in reply.headers.items() if _LIMIT_HEADERS.fullmatch(name)}
        report.limits |= {redact(name): redact(value) for name, value in limits.items()}
        if not _evaluate(reply, endpoint, recipe, request, adaptation, report, account):
            break
    report.rejected = [structure.value for structure in available if structure not in adaptation.structures]
    report.renamed, report.omitted = adaptation.renamed, sorted(adaptation.omitted)
    if report.end is not None:
        report.end = account.secrets.redact_text(report.end)
    return report


def recipe_lines(recipe: Recipe, report: ProbeReport) -> Sequence[str]:
    """Return the lines of a recipe that follow from a report."""
    frozen = recipe.frozen()
    names = ("model", "base_url", "api_key_env", "key_header", "anthropic_version")
    fields: dict[str, Any] = {name: frozen[name] for name in names if frozen.get(name) is not None}
    if report.stream:
        fields["stream"] = True
    if report.structure is not None and report.rejected:
        fields["structured"] = report.structure.value
    # JSON strings, numbers and booleans are valid TOML.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    for name in ("query", "headers"):
        if table := frozen.get(name):
            lines += ["", f"[{name}]", *(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items())]
    return lines


def _build_request(recipe: Recipe, endpoint: Endpoint, structure: Structure, report: ProbeReport) -> ModelRequest:
    prompts = PromptTemplates(system=None, user=PROMPT, roles={}, turns=_TURNS, language=None)
    return ModelRequest(
        model=endpoint.model,
        prompt=prompts.render(Item(_TOPIC), "the probe"),
        turns=_TURNS,
        structure=structure,
        temperature=recipe.temperature,
        max_tokens=recipe.max_tokens,
        parameters=recipe.parameters,
        stream=report.stream,
    )


def _evaluate(
    reply: HttpResponse,
    endpoint: Endpoint,
    recipe: Recipe,
    request: ModelRequest,
    adaptation: Adaptation,
    report: ProbeReport,
    account: Account,
) -> bool:
    """Evaluate a response; return whether another call may learn more."""
    text, body = text_of(reply), parse_object(reply)
    report.excerpt = _excerpt(text, account)
    if (status := effective_status(reply, body)) != 200:
        error_response = error_of(reply, status, endpoint, account, is_probe=True)
        report.fail(error_response.code, error_response.message)
        if error_response.code == "streams_only" and not report.stream:
            report.stream = True
            return True
        if error_response.change is RequestChange.RESAMPLE:
            return adaptation.drop_structure(request.structure)
        is_adaptable = error_response.kind is ErrorKind.ADAPTABLE
        return is_adaptable and adapt_to_error(adaptation, error_response, request.structure, recipe.parameters)
    if body is None:
        error_response = classify_not_json(reply.status, text, endpoint, has_answered=False, is_probe=True)
        report.fail(error_response.code, error_response.message)
        return False
    usage = endpoint.provider.usage(body)
    report.reports_usage |= usage.total is not None
    report.tokens_in += usage.tokens_in or 0
    report.tokens_out += usage.tokens_out or 0
    report.thinking = sorted({*report.thinking, *_find_thinking(body)})
    try:
        answer = endpoint.provider.parse_answer(body)
        report.excerpt = _excerpt(answer.text, account) if answer.text else report.excerpt
        report.end, report.is_end_known = answer.reason, answer.end is not FinishReason.UNKNOWN
        parse_conversation(answer, _TURNS, request.prompt)
    except UnreadableResponse as error:
        report.fail("unreadable_answer", str(error))
        return adaptation.drop_structure(request.structure)
    except UnusableAnswer as error:
        remedy = "; raise `max_tokens` in the recipe" if error.code == "length" else ""
        report.fail(error.code, f"{error.message}{remedy}")
        return adaptation.drop_structure(request.structure)
    report.succeed(request.structure)
    return False


def _explain_unreachable(endpoint: Endpoint, error: ConnectFailed) -> str:
    if not error.may_retry:
        return f"{endpoint.host} could not be reached: {error}"
    if error.proxy is not None:
        return f"{endpoint.host} could not be reached: {error}; start the proxy, or correct {error.proxy.source}"
    return classify_unreachable(endpoint, str(error), is_probe=True).message


def _excerpt(text: str, account: Account) -> str | None:
    """Return the beginning of a received text, on one line, without secrets; None if it is blank."""
    line = " ".join(account.secrets.redact(text.encode("utf-8", "replace")).decode().split())
    return f"{line[: _MAX_EXCERPT_CHARACTERS - 1]}…" if len(line) > _MAX_EXCERPT_CHARACTERS else line or None


def _find_thinking(value: Any) -> set[str]:
    """Return where in an answer the model's reasoning appears."""
    match value:
        case dict():
            named = {name for name in _THINKING_FIELDS if value.get(name)}
            typed = {str(value["type"])} if value.get("type") in _THINKING_FIELDS else set()
            return named | typed | set().union(*map(_find_thinking, value.values()))
        case list():
            return set().union(*map(_find_thinking, value))
        case str() if "</think>" in value:
            return {"<think>"}
        case _:
            return set()
