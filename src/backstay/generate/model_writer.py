"""The processor that follows a recipe: one request per item, with a conversation or a failure as its outcome."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import orjson

from backstay.batch.item import Item
from backstay.batch.outcome import Done, Fail, Outcome, Retry
from backstay.batch.processor import Work
from backstay.batch.progress import ProviderWait
from backstay.clock import SystemClock
from backstay.generate import estimate
from backstay.generate.account import Account
from backstay.generate.answer_parser import UnusableAnswer, parse_conversation
from backstay.generate.endpoint import Endpoint
from backstay.generate.error_response import ErrorResponse, classify_not_json, classify_response
from backstay.generate.failure_handler import FailureHandler, RetryDifferently
from backstay.generate.http import ConnectFailed, ConnectionLost, HttpResponse, MalformedResponse
from backstay.generate.limiter import JobLimiter
from backstay.generate.model_call import ItemTries, ModelCall
from backstay.generate.prompt import Prompt
from backstay.generate.provider_trouble import TroubleKind
from backstay.generate.providers.provider import ModelAnswer, ModelRequest, Structure, UnreadableResponse
from backstay.generate.rate import RateBounds
from backstay.generate.recent_values import RecentValues
from backstay.generate.recipe import Recipe
from backstay.generate.reply_body import parse_object, status_of, text_of
from backstay.generate.stream_collector import AnyShapeCollector
from backstay.library.conversation import Conversation

_MAX_CHANGES = 2  # extra calls for one attempt, each with another form of the request
_MAX_REQUEUES = 3  # of an item after the form of requests changed: an endpoint may reject something new each time
_SERVER_ERROR = 500
_WEIGHT = 0.05  # of one answer in the mean that estimates the tokens of the next one

# A recipe is frozen into its job.
_REMEDIES = {"length": "start a new job with a higher `max_tokens`, or with fewer turns"}

_CAUSES = {
    TroubleKind.LIMIT: "Rate limited by {host}",
    TroubleKind.OVERLOAD: "{host} is not available",
    TroubleKind.UNREACHED: "{host} cannot be reached",
    TroubleKind.INTERRUPTED: "{host} drops connections",
    TroubleKind.SILENT: "{host} does not answer in time",
}


class ModelWriter:
    """The processor of one job. Implements `CanWait` and `RateLimitable`."""

    def __init__(self, recipe: Recipe, account: Account, endpoint: Endpoint) -> None:
        self._recipe = recipe
        self._endpoint = endpoint
        self._account = account
        self._limiter = account.limiter
        self._limiter.begin_run()
        self._job_limiter: JobLimiter | None = None
        self._suspected_errors = account.suspected_errors(endpoint.model)
        available = self._endpoint.provider.structures
        structured = recipe.structured
        structures = list(available) if structured == "auto" else [Structure(structured)]
        self._adaptation = account.adaptation(self._endpoint.model, structures)
        self._failures = FailureHandler(
            account, endpoint, adaptation=self._adaptation, user_parameters=frozenset(recipe.parameters)
        )
        self._collector = AnyShapeCollector if endpoint.stream else None
        self._metadata = {"writer": recipe.model}
        self._tries: RecentValues[str, ItemTries] = RecentValues()
        self._tokens_out = float(estimate.estimate_tokens_out(recipe.turns, recipe.max_tokens))

    async def __call__(self, item: Item, work: Work) -> Outcome:
        """Request a conversation for an item. Reports the usage always, and the raw answer only if it is unusable."""
        prompt = self._recipe.prompts.render(item, f"item {item.id}")
        tries = self._tries.get(item.id) or ItemTries()
        self._tries.put(item.id, tries)
        changes_before = self._adaptation.change_count
        outcome = await self._attempt(item, prompt, tries, work)
        changes = 0
        # If the endpoint rejects the form of the request, another form is tried at once.
        while isinstance(outcome, RetryDifferently):
            if (changes := changes + 1) > _MAX_CHANGES:
                outcome = self._give_up(outcome.reason, tries, changes_before)
            else:
                outcome = await self._attempt(item, prompt, tries, work)
        if not isinstance(outcome, Retry):
            self._tries.forget(item.id)
        return outcome

    def bound_rate(self, *, rpm: int | None, tpm: int | None) -> None:
        """Limit the requests and tokens per minute, in addition to the limits of the account."""
        bounded = rpm is not None or tpm is not None
        self._job_limiter = JobLimiter(RateBounds(rpm=rpm, tpm=tpm)) if bounded else None

    def waiting_for_provider(self) -> ProviderWait | None:
        """Return what all calls of the account are waiting for; None while calls succeed."""
        waiting = self._limiter.waiting()
        if waiting is None:
            return None
        reason = _CAUSES[waiting.cause].format(host=self._endpoint.host)
        return ProviderWait(reason, waiting.reason, SystemClock().now() + timedelta(seconds=waiting.seconds))

    # -- sending -------------------------------------------------------------------------------------------------

    async def _attempt(self, item: Item, prompt: Prompt, tries: ItemTries, work: Work) -> Outcome | RetryDifferently:
        """Make one request once there is a permit, and return its outcome."""
        expected = estimate.estimate_tokens_in(prompt) + round(self._tokens_out)
        if self._job_limiter is not None:
            await self._job_limiter.acquire(expected, work)
        permit = await self._limiter.acquire(expected, work)
        # Chosen after the wait, during which other calls may have learned which structures are available.
        structure = self._structure(tries)
        number = self._suspected_errors.begin()
        call = ModelCall(item, prompt, structure, tries, permit, work, number, self._adaptation.omitted)
        work.on_timeout(
            partial(self._failures.handle_connection_lost, call, "no answer within its timeout", TroubleKind.SILENT)
        )
        try:
            # The request is built inline, so that nothing else keeps it in memory while it is in flight.
            reply = await self._account.post(self._request(call), stream=self._collector)
            return self._read(call, reply)
        except ConnectFailed as error:
            return self._failures.handle_connect_failure(call, error)
        except ConnectionLost as error:
            return self._failures.handle_connection_lost(
                call, f"the connection was lost ({error})", TroubleKind.INTERRUPTED
            )
        except MalformedResponse as error:
            # It may have been paid for, and the next one may be whole.
            self._record_raw(call, error.body)
            return Retry(f"{self._endpoint.host}: {error}", code="broken_answer")
        finally:
            self._suspected_errors.end(number)
            self._limiter.release(permit, call.used)
            if self._job_limiter is not None:
                self._job_limiter.release(expected, call.used)

    def _structure(self, tries: ItemTries) -> Structure:
        structures = self._adaptation.structures
        if tries.unconfirmed_structures:
            structures = [each for each in structures if each not in tries.unconfirmed_structures] or structures[-1:]
        return structures[min(tries.fallback_level, len(structures) - 1)]

    def _request(self, call: ModelCall) -> bytes:
        recipe, hint = self._recipe, call.tries.hint or self._adaptation.hint
        request = ModelRequest(
            model=self._endpoint.model,
            prompt=call.prompt.with_hint(hint) if hint is not None else call.prompt,
            turns=recipe.turns,
            structure=call.structure,
            temperature=recipe.temperature,
            max_tokens=recipe.max_tokens,
            parameters=recipe.parameters,
            stream=self._endpoint.stream,
        )
        return orjson.dumps(self._adaptation.adapt_body(self._endpoint.provider.body(request), recipe.parameters))

    def _give_up(self, why: str, tries: ItemTries, changes_before: int) -> Outcome:
        """Fail an item whose request was rejected in every form, or requeue it if a new form was learned meanwhile."""
        reason = f"The request was rejected in each form that was tried: {why}"
        if self._adaptation.change_count == changes_before or tries.requeues >= _MAX_REQUEUES:
            return Fail(reason, code="bad_request")
        tries.requeues += 1
        return Retry(reason, after=0.0, code="bad_request", counts=False)

    # -- reading -------------------------------------------------------------------------------------------------

    def _read(self, call: ModelCall, reply: HttpResponse) -> Outcome | RetryDifferently:
        body = parse_object(reply)
        self._record_usage(body, call)
        if (status := status_of(reply, body)) != 200:
            self._record_raw(call, reply.body)
            # The server sent a JSON body, as opposed to a gateway's page about a server that is down.
            is_server_error = reply.status == _SERVER_ERROR and body is not None
            return self._failures.handle_error_response(
                call, self._classify(status, reply), is_server_error=is_server_error
            )
        if body is None:
            return self._not_json(call, reply)
        self._failures.handle_success(call)
        if self._account.secrets.are_in(reply.body):
            return self._key_in_answer()
        return self._conversation(call, body, reply)

    def _key_in_answer(self) -> Fail:
        key = self._account.key_source.describe(self._endpoint.key_variable)
        reason = f"The answer contains {key}, or another secret that was sent"
        return Fail(f"{reason}; none of it is stored", code="key_in_answer")

    def _classify(self, status: int, reply: HttpResponse) -> ErrorResponse:
        return classify_response(
            status,
            reply.headers,
            text_of(reply),
            self._endpoint,
            SystemClock().now(),
            has_key=self._account.has_key,
            key_source=self._account.key_source,
            proxy=str(reply.proxy).removeprefix("the proxy ") if reply.proxy is not None else None,
        )

    def _not_json(self, call: ModelCall, reply: HttpResponse) -> Outcome | RetryDifferently:
        self._record_raw(call, reply.body)
        error_response = classify_not_json(
            reply.status, text_of(reply), self._endpoint, is_proven=self._limiter.is_proven
        )
        if error_response.code == "broken_json":
            # It may have been paid for, and the next one may be whole.
            return Retry(error_response.message, code=error_response.code)
        return self._failures.handle_error_response(call, error_response)

    def _record_raw(self, call: ModelCall, body: bytes) -> None:
        """Store an unusable answer as evidence, without the secrets that it may repeat."""
        call.work.raw(self._account.secrets.redact(body).decode("utf-8", "replace"))

    def _record_usage(self, body: Mapping[str, Any] | None, call: ModelCall) -> None:
        if body is None:
            return
        usage = self._endpoint.provider.usage(body)
        if not usage.tokens_in and not usage.tokens_out:
            return
        call.work.usage(tokens_in=usage.tokens_in or 0, tokens_out=usage.tokens_out or 0)
        if usage.tokens_out is not None:
            self._tokens_out += _WEIGHT * (usage.tokens_out - self._tokens_out)
        call.used = usage.total

    def _conversation(self, call: ModelCall, body: Mapping[str, Any], reply: HttpResponse) -> Outcome:
        answer: ModelAnswer | None = None
        try:
            answer = self._endpoint.provider.parse_answer(body)
            conversation = parse_conversation(answer, self._recipe.turns, call.prompt, self._metadata)
        except UnreadableResponse as error:
            self._record_raw(call, reply.body)
            return Retry(f"{self._endpoint.host}: {error}", code="unreadable_answer")
        except UnusableAnswer as error:
            text = (answer.text if answer is not None else None) or text_of(reply)
            call.work.raw(self._account.secrets.redact_text(text))
            return self._unusable(call, error)
        # Check again: joining the parts of a body, or repairing its JSON, may have completed a secret.
        if self._account.secrets.are_in_texts(_texts_of(conversation)):
            return self._key_in_answer()
        self._adaptation.record_usable_answer()
        return Done(conversation)

    def _unusable(self, call: ModelCall, error: UnusableAnswer) -> Outcome:
        if not error.may_retry:
            remedy = f"; {_REMEDIES[error.code]}" if error.code in _REMEDIES else ""
            return Fail(f"{error.message}{remedy}", code=error.code)
        # After an answer of the wrong shape, the next prompt has a hint; after the second one, a simpler structure too.
        tries = call.tries
        tries.hint = error.hint
        tries.fallback_level += 1 if tries.unusable_answers else 0
        tries.unusable_answers += 1
        self._adaptation.learn_unusable_answer(call.structure, error.hint)
        return Retry(error.message, code=error.code)


def _texts_of(conversation: Conversation) -> Iterator[str]:
    yield from (turn.content for turn in conversation.turns)
    yield str(conversation.metadata.get("reasoning", ""))
