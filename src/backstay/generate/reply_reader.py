"""Reading of the reply to a call: its usage, and the outcome of the item or another form of the request."""

from collections.abc import Iterator, Mapping
from typing import Any

from backstay.batch.outcome import Done, Fail, Outcome, Retry
from backstay.generate.answer_parser import UnusableAnswer, parse_conversation
from backstay.generate.endpoint import Endpoint
from backstay.generate.error_response import classify_not_json
from backstay.generate.failure_handler import FailureHandler, RetryDifferently
from backstay.generate.http_client import HttpResponse, MalformedResponse
from backstay.generate.model_call import ModelCall
from backstay.generate.prompt import estimate_tokens_out
from backstay.generate.provider_account import Account
from backstay.generate.providers.provider import ModelAnswer, UnreadableResponse
from backstay.generate.recipe import Recipe
from backstay.generate.reply_body import effective_status, error_of, parse_object, text_of
from backstay.generate.request_adaptation import Adaptation
from backstay.library.conversation import Conversation

_SERVER_ERROR = 500
_WEIGHT = 0.05  # of one answer in the mean that estimates the tokens of the next one


class ReplyReader:
    """The reader of the replies to one job. It reports usage always, and a raw answer only if it is unusable."""

    def __init__(
        self, recipe: Recipe, account: Account, endpoint: Endpoint, *, adaptation: Adaptation, failures: FailureHandler
    ) -> None:
        self._recipe = recipe
        self._account = account
        self._endpoint = endpoint
        self._adaptation = adaptation
        self._failures = failures
        self._metadata = {"writer": recipe.model}
        self.expected_tokens_out = float(estimate_tokens_out(recipe.turns, recipe.max_tokens))
        """A moving mean of the tokens of answers."""

    def read(self, call: ModelCall, reply: HttpResponse) -> Outcome | RetryDifferently:
        """Return the outcome of a call that got a whole response, or that its request is to be changed."""
        body = parse_object(reply)
        self._record_usage(call, body)
        if (status := effective_status(reply, body)) != 200:
            self._record_raw(call, reply.body)
            # The server sent a JSON body, as opposed to a gateway's page about a server that is down.
            is_server_error = reply.status == _SERVER_ERROR and body is not None
            error = error_of(reply, status, self._endpoint, self._account)
            return self._failures.handle_error_response(call, error, is_server_error=is_server_error)
        if body is None:
            return self._not_json(call, reply)
        self._failures.handle_success(call)
        if self._account.secrets.are_in(reply.body):
            return self._key_in_answer()
        return self._conversation(call, body, reply)

    def read_malformed(self, call: ModelCall, error: MalformedResponse) -> Outcome:
        """Return the outcome of a call whose response cannot be read."""
        # It may have been paid for, and the next one may be whole.
        self._record_raw(call, error.body)
        return Retry(f"{self._endpoint.host}: {error}", code="broken_answer")

    def _key_in_answer(self) -> Fail:
        key = self._account.key_source.describe(self._endpoint.key_variable)
        reason = f"The answer contains {key}, or another secret that was sent"
        return Fail(f"{reason}; none of it is stored", code="key_in_answer")

    def _not_json(self, call: ModelCall, reply: HttpResponse) -> Outcome | RetryDifferently:
        self._record_raw(call, reply.body)
        has_answered = self._account.limiter.has_answered
        error = classify_not_json(reply.status, text_of(reply), self._endpoint, has_answered=has_answered)
        if error.code == "broken_json":
            # It may have been paid for, and the next one may be whole.
            return Retry(error.message, code=error.code)
        return self._failures.handle_error_response(call, error)

    def _record_raw(self, call: ModelCall, body: bytes) -> None:
        """Store an unusable answer as evidence, without the secrets that it may repeat."""
        call.work.raw(self._account.secrets.redact(body).decode("utf-8", "replace"))

    def _record_usage(self, call: ModelCall, body: Mapping[str, Any] | None) -> None:
        if body is None:
            return
        usage = self._endpoint.provider.usage(body)
        if not usage.tokens_in and not usage.tokens_out:
            return
        call.work.usage(tokens_in=usage.tokens_in or 0, tokens_out=usage.tokens_out or 0)
        if usage.tokens_out is not None:
            self.expected_tokens_out += _WEIGHT * (usage.tokens_out - self.expected_tokens_out)
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
            # A recipe is frozen into its job.
            remedy = "; retry with a higher `max_tokens`, or with fewer turns"
            return Fail(f"{error.message}{remedy if error.code == 'length' else ''}", code=error.code)
        # After an answer of the wrong shape, the next prompt has a hint; after the second one, a simpler structure too.
        tries = call.tries
        tries.hint = error.hint
        tries.fallback_level += 1 if tries.unusable_answers else 0
        tries.unusable_answers += 1
        self._adaptation.learn_unusable_answer(call.structure, error.hint)
        return Retry(error.message, code=error.code)


def _texts_of(conversation: Conversation) -> Iterator[str]:
    for turn in conversation.turns:
        yield turn.content
        yield turn.reasoning or ""
    yield str(conversation.metadata.get("reasoning", ""))
