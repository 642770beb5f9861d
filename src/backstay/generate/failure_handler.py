"""Handling of failed calls: which items wait, fail or are requested in another form, and when a job pauses."""

import asyncio
from collections.abc import Container
from dataclasses import dataclass, replace

from backstay.batch.outcome import Fail, Halt, Outcome, Retry
from backstay.generate.classification_rule import ErrorKind, RequestChange
from backstay.generate.endpoint import Endpoint
from backstay.generate.error_response import ErrorResponse, classify_unreachable
from backstay.generate.error_scope import ErrorScope
from backstay.generate.http_client import ConnectFailed
from backstay.generate.model_call import ModelCall
from backstay.generate.provider_account import Account
from backstay.generate.provider_trouble import OutageTimer, ProviderTrouble, TroubleKind, format_seconds
from backstay.generate.request_adaptation import Adaptation, adapt_to_error
from backstay.logs import get_logger

_log = get_logger("backstay.provider")

_SERVER_ERROR = "server_error"
_MAX_TROUBLES = 3  # per item, while other items succeed in between
_IDLE_SECONDS = 120.0  # without a rejection; then the outage timer restarts
_MAX_RETRY_AFTER_SECONDS = 3599.0  # more than an hour pauses the job at once
_MIN_RETRY_SECONDS = 1.0  # before a rejected item is requested again, so that others go first


@dataclass(frozen=True, slots=True)
class RetryDifferently:
    """The result of a call whose request is to be sent again at once, in another form."""

    reason: str


class FailureHandler:
    """The decisions about failed calls of one job."""

    def __init__(
        self, account: Account, endpoint: Endpoint, *, adaptation: Adaptation, user_parameters: Container[str]
    ) -> None:
        self._account = account
        self._endpoint = endpoint
        self._suspected_errors = account.suspected_errors(endpoint.model)
        self._outage_timer = OutageTimer(account.patience_seconds)
        self._outage_timer.restart(is_good=True)  # the account's timer checks whether the address ever answered
        self._rejected_at = 0.0
        self._adaptation = adaptation
        self._user_parameters = user_parameters

    def handle_success(self, call: ModelCall) -> None:
        """Record a success: a response whose body can be read, with any content."""
        self._account.limiter.record_success(call.permit)
        self._outage_timer.restart(is_good=True)
        self._suspected_errors.record_success(call.number)
        self._adaptation.learn_accepted(call.structure, call.tries.unconfirmed_structures)
        call.tries.record_success()

    def handle_error_response(
        self, call: ModelCall, error: ErrorResponse, *, is_server_error: bool = False
    ) -> Outcome | RetryDifferently:
        """Return the outcome of a call with an error response, or the request to send it in another form.

        A server error is one that the server itself reported, as opposed to a gateway's page about it.
        """
        match error.kind:
            case ErrorKind.TRANSIENT:
                return self._postpone(call, error, is_server_error=is_server_error)
            case ErrorKind.ACCOUNT | ErrorKind.MODEL:
                return self._handle_shared_error(call, error)
            case _:
                # The provider processed the call, so it is up, and other calls need not wait.
                self._account.limiter.record_success(call.permit)
                self._outage_timer.restart(is_good=True)
                self._suspected_errors.record_accepted()
                if error.kind is ErrorKind.ADAPTABLE and self._learn(call, error):
                    return RetryDifferently(error.message)
                if error.change is RequestChange.RESAMPLE:
                    return Retry(error.message, code=error.code)
                return Fail(error.message, code=error.code)

    def _postpone(self, call: ModelCall, error: ErrorResponse, *, is_server_error: bool) -> Outcome:
        """Return a delayed retry that does not count as a try, or a failure after too many troubles."""
        if not error.is_limit:
            call.tries.record_trouble(self._suspected_errors.accepted_count)
            if call.tries.troubles >= _MAX_TROUBLES:
                return Fail(f"{_MAX_TROUBLES} times, while others succeeded: {error.message}", code=error.code)
        # A server that reports an overload, or that it is loading a model, will recover.
        is_counted = is_server_error and error.code == _SERVER_ERROR
        now = asyncio.get_running_loop().time()
        if is_counted and (times := self._suspected_errors.record_server_error(now)) is not None:
            return Halt(f"{times} times in a row: {error.message}", code=error.code)
        cause = TroubleKind.LIMIT if error.is_limit else TroubleKind.OVERLOAD
        seconds = error.retry_after_seconds
        reason = error.reason if seconds is None else f"{error.reason}; asked to wait {format_seconds(seconds)}"
        return self._wait(call, ProviderTrouble(cause, reason, seconds), error.message, error.code)

    def handle_connection_lost(self, call: ModelCall, reason: str, cause: TroubleKind) -> Outcome:
        """Return the outcome of a request without a response, which may be charged nevertheless."""
        was_passing = self._account.limiter.has_answered and self._account.limiter.accepts_calls
        is_alone = call.tries.is_alone(min_troubles=1)
        accepted_count = self._suspected_errors.accepted_count
        counts = call.tries.record_trouble(accepted_count, min_troubles=1) and (was_passing or is_alone)
        code = "timeout" if cause is TroubleKind.SILENT else "connection"
        outcome = self._wait(call, ProviderTrouble(cause, reason), f"{self._endpoint.host}: {reason}", code)
        return replace(outcome, counts=counts) if isinstance(outcome, Retry) else outcome

    def handle_connect_failure(self, call: ModelCall, error: ConnectFailed) -> Outcome:
        """Return the outcome of a call that could not connect."""
        message = f"{self._endpoint.host} could not be reached: {error}"
        if not error.may_retry and not self._account.limiter.has_answered:
            return Halt(f"{message}; then resume", code="unreachable")
        outcome = self._wait(call, ProviderTrouble(TroubleKind.UNREACHED, str(error)), message, "connection")
        if not isinstance(outcome, Halt) or self._account.limiter.has_answered:
            return outcome
        if error.proxy is not None:
            remedy = f"start the proxy, or correct {error.proxy.source}, then resume"
            return Halt(f"{message}; {remedy}", code="unreachable")
        return Halt(classify_unreachable(self._endpoint, str(error)).message, code="unreachable")

    def _wait(self, call: ModelCall, trouble: ProviderTrouble, message: str, code: str) -> Outcome:
        seconds = self._account.limiter.record_trouble(call.permit, trouble, retries=call.tries.rejections)
        call.tries.rejections += 1
        if (reason := self._account.limiter.reason_to_stop() or self._reason_to_stop(trouble)) is not None:
            message = f"{self._endpoint.host}: {reason} ({trouble.reason}); resume when it works again"
            return Halt(message, code="provider_unavailable")
        return Retry(message, after_seconds=seconds, code=code, counts=False)

    def _reason_to_stop(self, trouble: ProviderTrouble) -> str | None:
        """Return why this job should stop waiting although other calls of the account, for other models, succeed."""
        now = asyncio.get_running_loop().time()
        if now - self._rejected_at > _IDLE_SECONDS:
            self._outage_timer.restart()
        self._rejected_at = now
        # While other calls succeed, a very long Retry-After concerns one call only.
        seconds = min(trouble.retry_after_seconds or 0.0, _MAX_RETRY_AFTER_SECONDS)
        self._outage_timer.record_trouble(now, replace(trouble, retry_after_seconds=seconds))
        return self._outage_timer.reason_to_stop(now) if self._account.limiter.accepts_calls else None

    def _handle_shared_error(self, call: ModelCall, error: ErrorResponse) -> Outcome:
        """Pause the job for an error that concerns all items; if that is uncertain, try other items first."""
        if error.is_decisive:
            return Halt(error.message, code=error.code)
        scope = self._suspected_errors.judge((id(self), call.item.id), call.tries.suspected_at)
        call.tries.suspected_at = self._suspected_errors.latest_call
        match scope:
            case ErrorScope.ALL:
                return Halt(error.message, code=error.code)
            case ErrorScope.ITEM:
                reason = f"{self._endpoint.host} rejects this item and accepts others ({error.code}: {error.reason})"
                return Fail(reason, code="refused_by_provider")
            case ErrorScope.NOT_KNOWN:
                return Retry(error.message, after_seconds=_MIN_RETRY_SECONDS, code=error.code, counts=False)

    def _learn(self, call: ModelCall, error: ErrorResponse) -> bool:
        """Change the form of the request; return False if no other form is left."""
        if error.change is RequestChange.RESAMPLE:
            call.tries.fallback_level += 1
            return self._adaptation.claim_resample()
        if error.change is RequestChange.SIMPLER and error.is_by_text and self._is_unconfirmed(call):
            call.tries.unconfirmed_structures |= {call.structure}
            return True
        if error.parameter in call.omitted:
            return False  # it was omitted already
        is_new = error.parameter not in self._adaptation.omitted
        if not adapt_to_error(self._adaptation, error, call.structure, self._user_parameters):
            return False
        if error.change is RequestChange.OMIT and is_new:
            _log.warning("parameter_omitted", host=self._endpoint.host, parameter=error.parameter)
        return True

    def _is_unconfirmed(self, call: ModelCall) -> bool:
        """Return whether a structure rejected by wording alone may still work for others, and a simpler one exists."""
        structures = self._adaptation.structures
        has_fallback = call.structure in structures and call.structure is not structures[-1]
        return has_fallback and not self._adaptation.learn_unconfirmed_rejection(call.structure)
