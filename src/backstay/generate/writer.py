"""The processor that follows a recipe: one item, one request, one conversation or the reason why there is none."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from backstay.batch.item import Item
from backstay.batch.outcome import Done, Fail, Outcome, Retry
from backstay.batch.processor import Work
from backstay.generate import credentials, estimate
from backstay.generate.account import Account
from backstay.generate.http import Cut, Reply, Unreached
from backstay.generate.pace import Leave
from backstay.generate.parse import Unusable, turns_of
from backstay.generate.prompt import Prompt
from backstay.generate.providers.provider import Answer, Ask, Structure, Unreadable
from backstay.generate.recipe import Recipe
from backstay.generate.refusal import Refusal, not_json, refusal_of, unreachable
from backstay.library.conversation import Conversation

_ROUNDS_UNREACHED = 4  # of waiting, about a quarter of a minute, until a server that never answered is given up
_WEIGHT = 0.05  # of one answer in the mean that the next one's tokens are guessed by


class Writer:
    """Writes the conversations of one job. A processor."""

    def __init__(self, recipe: Recipe, account: Account) -> None:
        self._recipe = recipe
        self._endpoint = recipe.endpoint
        self._account = account
        self._limiter = account.limiter
        available = self._endpoint.provider.structures
        wanted = recipe.structured
        self._structures = list(available) if wanted == "auto" else [Structure(wanted)]
        self._tokens_out = float(estimate.tokens_out(recipe.turns, recipe.max_tokens))

    async def __call__(self, item: Item, work: Work) -> Outcome:
        """Ask once, and say what came of it. Tokens are reported in any case, the raw answer when it is of no use."""
        prompt = self._recipe.prompts.of(item, f"item {item.id}")
        leave = await self._limiter.enter(estimate.tokens_in(prompt) + round(self._tokens_out), work)
        structure = self._structures[0]  # not before: others may have found out meanwhile what is to be had
        used: int | None = None
        try:
            reply = await self._post(self._ask(prompt, structure))
            body = _object(reply)
            used = self._note_spent(body, work)
            if (status := _status(reply, body)) != 200:
                return self._settled(self._refusal(status, reply, structure), leave, reply, work)
            if body is None:
                no_json = not_json(reply.status, _text(reply), self._endpoint, is_proven=self._limiter.pace.is_proven)
                return self._settled(no_json, leave, reply, work)
            self._limiter.succeeded()
            return self._read(body, reply, work)
        except Unreached as error:
            return self._unreached(str(error), leave)
        except Cut as error:
            return Retry(f"The connection to {self._endpoint.host} was cut ({error})", code="connection")
        finally:
            self._limiter.end(leave, used)

    # -- asking --------------------------------------------------------------------------------------------------

    def _ask(self, prompt: Prompt, structure: Structure) -> Ask:
        recipe = self._recipe
        return Ask(
            model=self._endpoint.model,
            prompt=prompt,
            turns=recipe.turns,
            structure=structure,
            temperature=recipe.temperature,
            max_tokens=recipe.max_tokens,
            parameters=recipe.parameters,
        )

    async def _post(self, ask: Ask) -> Reply:
        own = self._recipe.base_url is not None
        body = orjson.dumps(self._endpoint.provider.body(ask, own_address=own))
        reply = await self._account.http.post(body)
        # Before anybody looks at it: what comes back may be kept, as a conversation or as the reason of a failure.
        shown = credentials.hidden_bytes(reply.body, self._account.key)
        return reply if shown is reply.body else replace(reply, body=shown)

    # -- reading -------------------------------------------------------------------------------------------------

    def _note_spent(self, body: Mapping[str, Any] | None, work: Work) -> int | None:
        if body is None:
            return None
        spent = self._endpoint.provider.spent(body)
        if not spent.tokens_in and not spent.tokens_out:
            return None
        work.usage(tokens_in=spent.tokens_in, tokens_out=spent.tokens_out)
        self._tokens_out += _WEIGHT * (spent.tokens_out - self._tokens_out)
        return spent.tokens_in + spent.tokens_out

    def _read(self, body: Mapping[str, Any], reply: Reply, work: Work) -> Outcome:
        answer: Answer | None = None
        try:
            answer = self._endpoint.provider.answer(body)
            turns = turns_of(answer, self._recipe.turns)
        except Unreadable as error:
            work.raw(_text(reply))
            return Retry(f"{self._endpoint.host}: {error}", code="unreadable_answer")
        except Unusable as error:
            work.raw((answer.text if answer is not None else None) or _text(reply))
            return Retry(error.message, code=error.code) if error.may_pass else Fail(error.message, code=error.code)
        return Done(Conversation(turns, metadata={"writer": self._recipe.model}))

    def _refusal(self, status: int, reply: Reply, structure: Structure) -> Refusal:
        refusal = refusal_of(status, _text(reply), reply.retry_after, self._endpoint)
        if not refusal.wants_plainer:
            return refusal
        # Of many calls that were refused the same structure, only the first changes it for all.
        if structure is self._structures[0] and len(self._structures) > 1:
            self._structures.pop(0)
        if structure is self._structures[0]:
            reason = f"{self._endpoint.host} gives no structured output; set `structured` to another in the recipe"
            return Refusal(Fail(reason, code="bad_request"))
        return refusal

    def _settled(self, refusal: Refusal, leave: Leave, reply: Reply, work: Work) -> Outcome:
        if refusal.is_overload:
            self._limiter.refused(leave, reply.retry_after)
        work.raw(_text(reply))
        return refusal.outcome

    def _unreached(self, why: str, leave: Leave) -> Outcome:
        self._limiter.refused(leave, None)
        pace = self._limiter.pace
        if not pace.is_proven and pace.refusals >= _ROUNDS_UNREACHED:
            return unreachable(self._endpoint, why)
        return Retry(f"{self._endpoint.host} could not be reached: {why}", code="connection")


def _object(reply: Reply) -> Mapping[str, Any] | None:
    try:
        body = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _status(reply: Reply, body: Mapping[str, Any] | None) -> int:
    """Return the status that is meant: some gateways send the errors of those behind them with status 200."""
    error = body.get("error") if body is not None and reply.status == 200 else None
    if not isinstance(error, Mapping):
        return reply.status
    code = error.get("code")
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def _text(reply: Reply) -> str:
    return reply.body.decode("utf-8", "replace")
