"""The processor that follows a recipe: one request per item, with a conversation or a failure as its outcome."""

from datetime import timedelta
from functools import partial

import orjson

from backstay.batch.attempt import Work
from backstay.batch.item import Item
from backstay.batch.outcome import Fail, Outcome, Retry
from backstay.batch.progress import ProviderWait
from backstay.clock import SystemClock
from backstay.generate.endpoint import Endpoint
from backstay.generate.failure_handler import FailureHandler, RetryDifferently
from backstay.generate.http_client import ConnectFailed, ConnectionLost, MalformedResponse
from backstay.generate.limiter import JobLimiter
from backstay.generate.model_call import ItemTries, ModelCall, RecentTries
from backstay.generate.prompt import Prompt, estimate_tokens_in
from backstay.generate.provider_account import Account
from backstay.generate.provider_trouble import TroubleKind
from backstay.generate.providers.provider import ModelRequest, Structure
from backstay.generate.rate import RateBounds
from backstay.generate.recipe import Recipe
from backstay.generate.reply_reader import ReplyReader

_MAX_CHANGES = 2  # extra calls for one attempt, each with another form of the request
_MAX_REQUEUES = 3  # of an item after the form of requests changed: an endpoint may reject something new each time

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
        structured = recipe.structured
        structures = endpoint.provider.structures if structured == "auto" else (Structure(structured),)
        adaptation = self._adaptation = account.adaptation(endpoint.model, structures)
        failures = FailureHandler(account, endpoint, adaptation=adaptation, user_parameters=recipe.parameters)
        self._failures = failures
        self._reader = ReplyReader(recipe, account, endpoint, adaptation=adaptation, failures=failures)
        self._tries = RecentTries()

    async def __call__(self, item: Item, work: Work) -> Outcome:
        """Request a conversation for an item. Reports the usage always, and the raw answer only if it is unusable."""
        prompt = self._recipe.prompts.render(item, f"item {item.id}")
        tries = self._tries.get(item.id)
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

    async def _attempt(self, item: Item, prompt: Prompt, tries: ItemTries, work: Work) -> Outcome | RetryDifferently:
        """Make one request once there is a permit, and return its outcome."""
        expected = estimate_tokens_in(prompt) + round(self._reader.expected_tokens_out)
        if self._job_limiter is not None:
            await self._job_limiter.acquire(expected, work)
        permit = await self._limiter.acquire(expected, work)
        # Chosen after the wait, during which other calls may have learned which structures are available.
        structure = self._structure(tries)
        number = self._suspected_errors.begin()
        call = ModelCall(item, prompt, structure, tries, permit, work, number, self._adaptation.omitted)
        handle_lost = self._failures.handle_connection_lost
        work.on_timeout(partial(handle_lost, call, "no answer within its timeout", TroubleKind.SILENT))
        try:
            # The request is built inline, so that nothing else keeps it in memory while it is in flight.
            reply = await self._account.post(self._request(call), stream=self._endpoint.stream)
            return self._reader.read(call, reply)
        except ConnectFailed as error:
            return self._failures.handle_connect_failure(call, error)
        except ConnectionLost as error:
            return handle_lost(call, f"the connection was lost ({error})", TroubleKind.INTERRUPTED)
        except MalformedResponse as error:
            return self._reader.read_malformed(call, error)
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
        return Retry(reason, after_seconds=0.0, code="bad_request", counts=False)
