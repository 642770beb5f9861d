"""What an endpoint can do, found out by asking it for two turns: at most four calls."""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from backstay.batch.item import Item
from backstay.clock import SystemClock
from backstay.generate.account import Account
from backstay.generate.adaptation import Adaptation, adapt
from backstay.generate.answer_parser import UnusableAnswer, parse_conversation
from backstay.generate.endpoint import Endpoint
from backstay.generate.error_response import (
    ErrorKind,
    RequestChange,
    classify_not_json,
    classify_response,
    classify_unreachable,
)
from backstay.generate.http import ConnectFailed, ConnectionLost, HttpResponse, MalformedResponse
from backstay.generate.prompt import PROMPT, PromptTemplates
from backstay.generate.providers.provider import FinishReason, ModelRequest, Structure, UnreadableResponse
from backstay.generate.recipe import Recipe
from backstay.generate.reply_body import parse_object, status_of, text_of
from backstay.generate.stream_collector import AnyShapeCollector

PROBE_SECONDS = 120.0
"""How long one call may take."""

_MAX_CALLS = 4
_LONGEST_SAID = 300  # characters
_TURNS = 2
_TOPIC = "what to have for breakfast"
_LIMITS = re.compile(r"(x-|anthropic-)?ratelimit-.*|retry-after.*", re.IGNORECASE)
_REMEDIES = {"length": "raise `max_tokens` in the recipe"}
_THINKING = ("reasoning_content", "reasoning", "thinking")


@dataclass(slots=True)
class ProbeReport:
    """What was found out."""

    calls: int = 0
    answered: int = 0
    """Calls to which an answer came, whatever it was."""
    structure: Structure | None = None
    """The strictest that it gives; None when no answer was a conversation."""
    refused: list[str] = field(default_factory=list)
    """Structures that it would not give, or gave no conversation in."""
    stream: bool = False
    renamed: dict[str, str] = field(default_factory=dict)
    """Parameters that have another name here."""
    omitted: list[str] = field(default_factory=list)
    """Parameters of the recipe that it does not take."""
    end: str | None = None
    """Its word for the end of an answer."""
    is_end_known: bool = False
    thinking: list[str] = field(default_factory=list)
    """Where it showed its thinking: names of fields, or `<think>` in the text."""
    reports_usage: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    limits: dict[str, str] = field(default_factory=dict)
    """Headers about limits, as they came but for secrets."""
    problem: str | None = None
    """Why there is no conversation."""
    problem_code: str | None = None
    said: str | None = None
    """The beginning of what came instead, on one line, without secrets."""

    def fail(self, code: str, message: str) -> None:
        """Note why there is no conversation so far."""
        self.problem_code, self.problem = code, message

    def succeed(self, structure: Structure) -> None:
        """Note that there is one."""
        self.structure = structure
        self.problem = self.problem_code = self.said = None


async def probe(
    recipe: Recipe, endpoint: Endpoint, account: Account, *, timeout_seconds: float = PROBE_SECONDS
) -> ProbeReport:
    """Ask for a conversation of two turns, structure by structure, until one comes; each time for so long at most."""
    report = ProbeReport(stream=endpoint.stream)
    wanted = recipe.structured
    available = endpoint.provider.structures if wanted == "auto" else (Structure(wanted),)
    adaptation = Adaptation.from_structures(available)
    for _ in range(_MAX_CALLS):
        report.calls += 1
        report.said = None
        request = _ask(recipe, endpoint, adaptation.structures[0], report)
        body = orjson.dumps(adaptation.adapt_body(endpoint.provider.body(request)))
        try:
            async with asyncio.timeout(timeout_seconds):
                reply = await account.post(body, stream=AnyShapeCollector if report.stream else None)
        except ConnectFailed as error:
            report.fail("unreachable", _unreachable(endpoint, error))
            break
        except ConnectionLost as error:
            report.fail("connection", f"{endpoint.host}: the connection was cut ({error}); try again")
            break
        except MalformedResponse as error:
            report.problem = f"{endpoint.host}: {error}"
            break
        except TimeoutError:
            waited = f"{endpoint.host} did not answer within {timeout_seconds:g} s"
            report.fail("timeout", f"{waited}; give it longer with --timeout")
            break
        report.answered += 1
        # Whatever a server sends may repeat the key, and a report is shown.
        hide = account.secrets.redact_text
        limits = {name.lower(): value for name, value in reply.headers.items() if _LIMITS.fullmatch(name)}
        report.limits |= {hide(name): hide(value) for name, value in limits.items()}
        if not _learn(reply, endpoint, recipe, request, adaptation, report, account):
            break
    report.refused = [structure.value for structure in available if structure not in adaptation.structures]
    report.renamed, report.omitted = adaptation.renamed, sorted(adaptation.omitted)
    if report.end is not None:
        report.end = account.secrets.redact_text(report.end)
    return report


def recipe_lines(recipe: Recipe, report: ProbeReport) -> Sequence[str]:
    """Return the lines of a recipe that follow from a report."""
    fields: dict[str, Any] = {"model": recipe.model}
    frozen = recipe.frozen()
    for name in ("base_url", "api_key_env", "key_header", "anthropic_version"):
        if frozen.get(name) is not None:
            fields[name] = frozen[name]
    if report.stream:
        fields["stream"] = True
    if report.structure is not None and report.refused:
        fields["structured"] = report.structure.value
    # JSON's texts, numbers and truths are TOML's as well.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    tables = {name: frozen[name] for name in ("query", "headers") if frozen.get(name)}
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items())]
    return lines


def _ask(recipe: Recipe, endpoint: Endpoint, structure: Structure, report: ProbeReport) -> ModelRequest:
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


def _learn(
    reply: HttpResponse,
    endpoint: Endpoint,
    recipe: Recipe,
    request: ModelRequest,
    adaptation: Adaptation,
    report: ProbeReport,
    account: Account,
) -> bool:
    """Take note of an answer; return whether it is worth asking once more."""
    text, body = text_of(reply), parse_object(reply)
    report.said = _beginning(text, account)
    if (status := status_of(reply, body)) != 200:
        refusal = classify_response(
            status,
            reply.headers,
            text,
            endpoint,
            SystemClock().now(),
            has_key=account.has_key,
            key_source=account.key_source,
            proxy=str(reply.proxy).removeprefix("the proxy ") if reply.proxy is not None else None,
            is_probe=True,
        )
        report.fail(refusal.code, refusal.message)
        if refusal.code == "streams_only" and not report.stream:
            report.stream = True
            return True
        if refusal.change is RequestChange.RESAMPLE:
            return adaptation.drop_structure(request.structure)
        is_other = refusal.kind is ErrorKind.ADAPTABLE
        return is_other and adapt(adaptation, refusal, request.structure, recipe.parameters)
    if body is None:
        refusal = classify_not_json(reply.status, text, endpoint, is_proven=False, is_probe=True)
        report.fail(refusal.code, refusal.message)
        return False
    usage = endpoint.provider.usage(body)
    report.reports_usage |= usage.total is not None
    report.tokens_in += usage.tokens_in or 0
    report.tokens_out += usage.tokens_out or 0
    report.thinking = sorted({*report.thinking, *_thinking(body)})
    try:
        answer = endpoint.provider.parse_answer(body)
        report.said = _beginning(answer.text, account) if answer.text else report.said
        report.end, report.is_end_known = answer.reason, answer.end is not FinishReason.UNKNOWN
        parse_conversation(answer, _TURNS, request.prompt)
    except UnreadableResponse as error:
        report.fail("unreadable_answer", str(error))
        return adaptation.drop_structure(request.structure)
    except UnusableAnswer as error:
        remedy = f"; {_REMEDIES[error.code]}" if error.code in _REMEDIES else ""
        report.fail(error.code, f"{error.message}{remedy}")
        return adaptation.drop_structure(request.structure)
    report.succeed(request.structure)
    return False


def _unreachable(endpoint: Endpoint, error: ConnectFailed) -> str:
    if not error.may_retry:
        return f"{endpoint.host} could not be reached: {error}"
    if error.proxy is not None:
        return f"{endpoint.host} could not be reached: {error}; start the proxy, or correct {error.proxy.variable}"
    return classify_unreachable(endpoint, str(error), is_probe=True).message


def _beginning(text: str, account: Account) -> str | None:
    """Return the beginning of a text that came, on one line, without secrets; None when there is nothing."""
    shown = account.secrets.redact(text.encode()).decode("utf-8", "replace")
    line = " ".join(shown.split())
    return f"{line[: _LONGEST_SAID - 1]}…" if len(line) > _LONGEST_SAID else line or None


def _thinking(value: Any) -> set[str]:
    """Return where in an answer a model shows its thinking."""
    match value:
        case dict():
            named = {name for name in _THINKING if value.get(name)}
            typed = {str(value["type"])} if value.get("type") in _THINKING else set()
            return named | typed | set().union(*map(_thinking, value.values()))
        case list():
            return set().union(*map(_thinking, value))
        case str() if "</think>" in value:
            return {"<think>"}
        case _:
            return set()
