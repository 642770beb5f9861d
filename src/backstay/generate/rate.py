"""The rate of an account: when calls may start, and how long rejected items wait. Pure: callers pass the time."""

import random
from dataclasses import dataclass

from backstay.generate.adaptive_limit import (
    MAX_PROBE_SECONDS,
    MAX_RETRY_AFTER_SECONDS,
    AdaptiveLimit,
    CallStart,
    LimitMode,
)
from backstay.generate.provider_trouble import PATIENCE_SECONDS, AccountWait, OutageTimer, ProviderTrouble

_MINUTE_SECONDS = 60.0
_TOKEN_BURST_SECONDS = 3.0  # the burst is what refills in this time

_FIRST_DELAY_SECONDS = 0.5
_MAX_DELAY_SECONDS = 30.0
_FIRST_RETRY_AFTER_SECONDS = 5.0  # that an item waits of its first Retry-After, at most; doubles at each retry
# After so many rejections in a row, and so long without a good answer, the account counts as blocked.
_STANDSTILL_REJECTIONS = 3
_STANDSTILL_SECONDS = 2.0
_IDLE_SECONDS = 120.0  # without a call; then the outage timer restarts


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to make one call."""

    start: CallStart
    tokens: int


class Bucket:
    """A token bucket of at most `per_minute` units in any minute; None means no limit.

    It starts with a small burst and refills so slowly that burst and refill together stay within the limit. A request
    larger than the burst waits for a full bucket and leaves a debt.
    """

    def __init__(self, per_minute: float | None, *, burst: float) -> None:
        self._rate = 0.0
        self._burst = burst
        self._level = burst
        self._filled_at = 0.0
        self._is_bounded = per_minute is not None
        if per_minute is not None:
            # The initial unit of a bucket of size one counts as the first of its minute.
            self._rate = max(per_minute - burst + (1.0 if burst <= 1.0 else 0.0), per_minute / 2) / _MINUTE_SECONDS

    def wait(self, now: float, units: float) -> float:
        """Return the seconds until so many units are available."""
        if not self._is_bounded:
            return 0.0
        self._fill(now)
        missing = min(units, self._burst) - self._level
        # Tolerate rounding errors.
        return missing / self._rate if missing > 1e-6 else 0.0

    def take(self, now: float, units: float) -> None:
        """Take units, or return unused ones (a negative number)."""
        if self._is_bounded:
            self._fill(now)
            self._level = min(self._burst, self._level - units)

    def _fill(self, now: float) -> None:
        if now > self._filled_at:
            self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = max(self._filled_at, now)


class RateBounds:
    """The configured limits on requests and tokens per minute; None means no limit."""

    def __init__(self, *, rpm: int | None = None, tpm: int | None = None) -> None:
        self._requests = Bucket(rpm, burst=max(1.0, (rpm or 0) / _MINUTE_SECONDS))
        self._tokens = Bucket(tpm, burst=max(1.0, (tpm or 0) * _TOKEN_BURST_SECONDS / _MINUTE_SECONDS))

    def wait(self, now: float, tokens: int) -> float:
        """Return the seconds until a call with an estimated number of tokens may start."""
        return max(self._requests.wait(now, 1), self._tokens.wait(now, tokens))

    def start(self, now: float, tokens: int) -> None:
        """Record the start of a call with an estimated number of tokens."""
        self._requests.take(now, 1)
        self._tokens.take(now, tokens)

    def end(self, now: float, expected_tokens: int, used_tokens: int | None) -> None:
        """Correct the estimate by the tokens that a call used, if the provider reported them."""
        if used_tokens:
            self._tokens.take(now, used_tokens - expected_tokens)


class AccountRate:
    """The configured limits, the adaptive limit and the outage timer of one account."""

    def __init__(
        self, *, rpm: int | None = None, tpm: int | None = None, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._bounds = RateBounds(rpm=rpm, tpm=tpm)
        self._limit = AdaptiveLimit()
        self._outage_timer = OutageTimer(patience_seconds)
        self._trouble: ProviderTrouble | None = None
        self._rejections_in_a_row = 0
        self._retry_at = 0.0
        self._ended_at = 0.0
        self.good_count = 0
        """Number of good answers so far."""

    def restart_outage_timer(self) -> None:
        """Restart the outage timer for a new run, unless calls are in flight."""
        if not self._limit.in_flight:
            self._outage_timer.restart()

    def wait(self, now: float, tokens: int) -> float:
        """Return the seconds until a call may start; infinite if a call in flight must end first."""
        return max(self._limit.wait(now), self._bounds.wait(now, tokens))

    def start(self, now: float, tokens: int) -> Permit:
        """Record the start of a call."""
        if not self._limit.in_flight and now - self._ended_at > _IDLE_SECONDS:
            self._outage_timer.restart()
        self._bounds.start(now, tokens)
        return Permit(self._limit.start(now), tokens)

    def end(self, now: float, permit: Permit, used_tokens: int | None) -> None:
        """Record the end of a call, with its tokens if the provider reported them."""
        self._limit.end(permit.start)
        self._ended_at = now
        self._bounds.end(now, permit.tokens, used_tokens)

    def record_success(self, now: float, permit: Permit) -> None:
        """Record a good answer."""
        self.good_count += 1
        self._rejections_in_a_row = 0
        self._outage_timer.restart(is_good=True)
        self._limit.record_success(now, permit.start)

    def record_trouble(self, now: float, permit: Permit, trouble: ProviderTrouble, retries: int = 0) -> float:
        """Record a rejection; return the seconds until the item, rejected `retries` times before, may be retried."""
        self._trouble = trouble
        self._rejections_in_a_row += 1
        self._outage_timer.record_trouble(now, trouble)
        self._limit.record_trouble(now, permit.start, trouble)
        delay = self._delay_seconds(now, trouble, retries)
        self._retry_at = now + delay
        return delay

    def accepts_calls(self, now: float) -> bool:
        """Return whether the account accepts calls: not during a backoff, nor after a long time of only rejections."""
        if self._limit.mode is LimitMode.BACKOFF:
            return False
        has_long_waited = self._outage_timer.waited_seconds(now) >= _STANDSTILL_SECONDS
        return not (has_long_waited and self._rejections_in_a_row >= _STANDSTILL_REJECTIONS)

    def waiting(self, now: float) -> AccountWait | None:
        """Return why and how long the account waits; None while calls succeed."""
        if self._trouble is None or self.accepts_calls(now):
            return None
        until = self._limit.backoff_until if self._limit.mode is LimitMode.BACKOFF else self._retry_at
        return AccountWait(self._trouble.cause, self._trouble.reason, max(0.0, until - now))

    def reason_to_stop(self, now: float) -> str | None:
        """Return why the account should stop waiting, like `OutageTimer.reason_to_stop`; None while it should wait."""
        return None if self.accepts_calls(now) else self._outage_timer.reason_to_stop(now)

    def _delay_seconds(self, now: float, trouble: ProviderTrouble, retries: int) -> float:
        growth = 2.0 ** min(retries, 20)
        max_delay = _MAX_DELAY_SECONDS if self.accepts_calls(now) else MAX_PROBE_SECONDS
        delay = min(max_delay, _FIRST_DELAY_SECONDS * growth)
        delay *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        if self._limit.mode is LimitMode.BACKOFF:
            return max(delay, self._limit.backoff_until - now)
        max_retry_after = min(MAX_RETRY_AFTER_SECONDS, _FIRST_RETRY_AFTER_SECONDS * growth)
        return max(delay, min(trouble.retry_after_seconds or 0.0, max_retry_after))
