"""What becomes of calls without a good answer: which wait, fail or are made differently, and when a job pauses."""

import asyncio
from collections.abc import Container
from dataclasses import dataclass, replace

from backstay.batch.outcome import Fail, Halt, Outcome, Retry
from backstay.generate.account import Account
from backstay.generate.adaptation import Adaptation, adapt
from backstay.generate.endpoint import Endpoint
from backstay.generate.error_response import ErrorKind, ErrorResponse, RequestChange, classify_unreachable
from backstay.generate.http import ConnectFailed
from backstay.generate.model_call import ModelCall
from backstay.generate.provider_trouble import OutageTimer, ProviderTrouble, TroubleKind, format_seconds
from backstay.generate.suspected_errors import ErrorScope
from backstay.logs import get_logger

_log = get_logger("backstay.provider")

_FAULT = "server_error"
_MAX_TROUBLES = 3  # of one item, while others pass in between
_IDLE_SECONDS = 120.0  # without a refusal: what was refused before is no part of the wait
_LONGEST_RETRY_AFTER_SECONDS = 3599.0  # more than an hour ends patience at once
_PROBE_SECONDS = 1.0  # until an item that was refused is asked again, at the least: others go first


@dataclass(frozen=True, slots=True)
class RetryDifferently:
    """The request is to be made anew at once, in another way."""

    reason: str


class FailureHandler:
    """Decides what becomes of calls without a good answer, for one job."""

    def __init__(
        self, account: Account, endpoint: Endpoint, *, adaptation: Adaptation, own_parameters: Container[str]
    ) -> None:
        self._account = account
        self._endpoint = endpoint
        self._suspected_errors = account.suspected_errors(endpoint.model)
        self._outage_timer = OutageTimer(account.patience_seconds)
        self._outage_timer.restart(is_good=True)  # whether anything is there is the account's matter
        self._rejected_at = 0.0
        self._adaptation = adaptation
        self._own = own_parameters

    def handle_success(self, call: ModelCall) -> None:
        """Note a good answer: one with a body that can be read, whatever is in it."""
        self._account.limiter.record_success(call.permit)
        self._outage_timer.restart(is_good=True)
        self._suspected_errors.clear(call.number)
        self._adaptation.learn_accepted(call.structure, call.tries.unconfirmed_structures)
        call.tries.record_success()

    def handle_error_response(
        self, call: ModelCall, refusal: ErrorResponse, *, is_server_error: bool = False
    ) -> Outcome | RetryDifferently:
        """Return the outcome of a refused call, or that it is to be made differently.

        Args:
            call: the one that was refused.
            refusal: what was read in its answer.
            is_server_error: the server itself reported a fault, as opposed to a gateway's page about it.
        """
        match refusal.kind:
            case ErrorKind.TRANSIENT:
                return self._postpone(call, refusal, is_server_error=is_server_error)
            case ErrorKind.ACCOUNT | ErrorKind.MODEL:
                return self._handle_shared_error(call, refusal)
            case _:
                # The provider took the call and judged it: it is up, and nothing has to wait for it.
                self._account.limiter.record_success(call.permit)
                self._outage_timer.restart(is_good=True)
                self._suspected_errors.record_accepted()
                if refusal.kind is ErrorKind.ADAPTABLE and self._learn(call, refusal):
                    return RetryDifferently(refusal.message)
                if refusal.change is RequestChange.RESAMPLE:
                    return Retry(refusal.message, code=refusal.code)
                return Fail(refusal.message, code=refusal.code)

    def _postpone(self, call: ModelCall, refusal: ErrorResponse, *, is_server_error: bool) -> Outcome:
        """Have the item wait for what passes by itself; that costs it no try."""
        if not refusal.is_limit:
            call.tries.record_trouble(self._suspected_errors.accepted_count)
            if call.tries.troubles >= _MAX_TROUBLES:
                return Fail(f"{_MAX_TROUBLES} times, while others succeeded: {refusal.message}", code=refusal.code)
        # A server that says that it is overloaded, or loads a model, means a state that passes.
        is_counted = is_server_error and refusal.code == _FAULT
        now = asyncio.get_running_loop().time()
        if is_counted and (times := self._suspected_errors.record_server_error(now)) is not None:
            return Halt(f"{times} times in a row: {refusal.message}", code=refusal.code)
        cause = TroubleKind.LIMIT if refusal.is_limit else TroubleKind.OVERLOAD
        asked = refusal.retry_after
        reason = refusal.reason if asked is None else f"{refusal.reason}; asked to wait {format_seconds(asked)}"
        return self._wait(call, ProviderTrouble(cause, reason, asked), refusal.message, refusal.code)

    def handle_connection_lost(self, call: ModelCall, why: str, cause: TroubleKind) -> Outcome:
        """Return the outcome of a request without an answer, which may have been paid for."""
        was_passing = self._account.limiter.is_proven and self._account.limiter.is_recovering
        is_alone = call.tries.is_alone(after=1)
        counts = call.tries.record_trouble(self._suspected_errors.accepted_count, after=1) and (was_passing or is_alone)
        code = "timeout" if cause is TroubleKind.SILENT else "connection"
        outcome = self._wait(call, ProviderTrouble(cause, why), f"{self._endpoint.host}: {why}", code)
        return replace(outcome, counts=counts) if isinstance(outcome, Retry) else outcome

    def handle_connect_failure(self, call: ModelCall, error: ConnectFailed) -> Outcome:
        """Return the outcome of a call for which no connection was made."""
        message = f"{self._endpoint.host} could not be reached: {error}"
        if not error.may_retry and not self._account.limiter.is_proven:
            return Halt(f"{message}; then resume", code="unreachable")
        outcome = self._wait(call, ProviderTrouble(TroubleKind.UNREACHED, str(error)), message, "connection")
        if not isinstance(outcome, Halt) or self._account.limiter.is_proven:
            return outcome
        if error.proxy is not None:
            remedy = f"start the proxy, or correct {error.proxy.variable}, then resume"
            return Halt(f"{message}; {remedy}", code="unreachable")
        return Halt(classify_unreachable(self._endpoint, str(error)).message, code="unreachable")

    def _wait(self, call: ModelCall, trouble: ProviderTrouble, message: str, code: str) -> Outcome:
        seconds = self._account.limiter.record_trouble(call.permit, trouble, retries=call.tries.rejections)
        call.tries.rejections += 1
        if (why := self._account.limiter.exhausted() or self._exhausted(trouble)) is not None:
            reason = f"{self._endpoint.host}: {why} ({trouble.reason}); resume when it works again"
            return Halt(reason, code="provider_unavailable")
        return Retry(message, after=seconds, code=code, counts=False)

    def _exhausted(self, trouble: ProviderTrouble) -> str | None:
        """Return why this job should wait no longer though the account's other calls pass: those of another model."""
        now = asyncio.get_running_loop().time()
        if now - self._rejected_at > _IDLE_SECONDS:
            self._outage_timer.restart()
        self._rejected_at = now
        # A time that is too far ahead is one call's own while others pass.
        asked = min(trouble.retry_after_seconds or 0.0, _LONGEST_RETRY_AFTER_SECONDS)
        self._outage_timer.record_trouble(now, replace(trouble, retry_after_seconds=asked))
        return self._outage_timer.exhausted(now) if self._account.limiter.is_recovering else None

    def _handle_shared_error(self, call: ModelCall, refusal: ErrorResponse) -> Outcome:
        """Pause the job for a refusal that concerns all items; if that is not certain, ask for other items first."""
        if refusal.is_decisive:
            return Halt(refusal.message, code=refusal.code)
        blame = self._suspected_errors.judge((id(self), call.item.id), call.tries.suspected_at)
        call.tries.suspected_at = self._suspected_errors.latest_call
        match blame:
            case ErrorScope.ALL:
                return Halt(refusal.message, code=refusal.code)
            case ErrorScope.ITEM:
                reason = f"{self._endpoint.host} refuses this item and takes others ({refusal.code}: {refusal.reason})"
                return Fail(reason, code="refused_by_provider")
            case ErrorScope.NOT_KNOWN:
                return Retry(refusal.message, after=_PROBE_SECONDS, code=refusal.code, counts=False)

    def _learn(self, call: ModelCall, refusal: ErrorResponse) -> bool:
        """Learn how else to ask; False when there is no other way."""
        if refusal.change is RequestChange.RESAMPLE:
            call.tries.fallback_level += 1
            return self._adaptation.allow_resample()
        if refusal.change is RequestChange.SIMPLER and refusal.is_by_text and self._is_unconfirmed(call):
            call.tries.unconfirmed_structures |= {call.structure}
            return True
        if refusal.parameter in call.omitted:
            return False  # it was left out already
        is_new = refusal.parameter not in self._adaptation.omitted
        if not adapt(self._adaptation, refusal, call.structure, self._own):
            return False
        if refusal.change is RequestChange.OMIT and is_new:
            _log.warning("parameter_omitted", host=self._endpoint.host, parameter=refusal.parameter)
        return True

    def _is_unconfirmed(self, call: ModelCall) -> bool:
        """Return whether a structure that was refused in words may be available to others, and there is a plainer."""
        structures = self._adaptation.structures
        is_asked_for = call.structure in structures and call.structure is not structures[-1]
        return is_asked_for and not self._adaptation.learn_unconfirmed_rejection(call.structure)
