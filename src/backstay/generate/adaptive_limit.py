"""An adaptive rate and concurrency limit, derived from a provider's responses. Pure: callers pass the time.

A call counts as rejected when it meets a `ProviderTrouble`. A single rejection is noise. Once the share of rejected
calls in a window proves a limit, calls are capped: at the rate of good answers, or at a number of calls in flight,
whichever the rejections depend on. Each good answer raises this cap and each rejection lowers it, so that about one
call in fifty is rejected. While no call succeeds, the account backs off and sends one probe at a time; a successful
probe starts a ramp-up.
"""

import math
from dataclasses import dataclass
from enum import Enum, auto

from backstay.generate.call_statistics import AnswerMeter, ConcurrencyEvidence
from backstay.generate.provider_trouble import ProviderTrouble, TroubleKind

# A limit is proven when the share of rejected calls exceeds _NOISE_SHARE + _STANDARD_ERRORS / sqrt(calls).
_NOISE_SHARE = 0.25
_STANDARD_ERRORS = 2.2
_WINDOW_CALLS = 100  # in a window, or as many as are in flight, if more; then the counters are halved

# How a cap follows a limit.
_INCREASE = 0.0002  # of the cap, for each good answer
_DECREASE = 0.06  # of the cap, for each rejection
# The increase is multiplied by 1 + (streak / _STREAK_ANSWERS)³: it has doubled after this many good answers in a row.
_STREAK_ANSWERS = 25
_HEADROOM = 2.0  # largest cap, as a multiple of the throughput
_FLOOR = 0.9  # rejections lower the cap to no less than this share of the value that it was last set to
_AT_FLOOR = 1.001  # times the floor: up to this, a cap counts as at the floor
_FREE_AFTER = 10  # times `_STREAK_ANSWERS` without a rejection at the largest cap: the limit is gone

# Rejections at the floor mean a wrong measurement, or noise.
_CLEAR_SHARE = 0.04  # with a smaller share of rejections, the measured rate fits
_FALLEN_SHARE = 0.08  # a measurement is futile unless the share of rejections has fallen by this since the last one
_PATIENT_MEASUREMENTS = 2  # futile ones in a row, before a trial
_TRIAL_FACTOR = 2.0  # times the cap, to test whether a higher rate increases the throughput …
_TRIAL_GAIN = 1.3  # … by at least this factor
_ENOUGH_ANSWERS = 5  # to measure the throughput

# While the cap exceeds this many times the throughput, it does not bind yet, so rejections say nothing about calls in
# flight.
_STEADY_FACTOR = 1.2

_CATCH_UP_SECONDS = 0.05  # after a start that is late by up to this, the next ones may come sooner
_SLOWEST_PER_SECOND = 0.33  # a slower rate is no faster than probing

_FIRST_PROBE_SECONDS = 0.5
MAX_PROBE_SECONDS = 3.0
"""The longest time between probes while no call succeeds and the provider names no later time."""
_MAX_COSTLY_PROBE_SECONDS = 30.0  # if unanswered calls may be charged
_FIRST_RETRY_AFTER_SECONDS = 2.0
MAX_RETRY_AFTER_SECONDS = 60.0
"""The longest part of a Retry-After that is waited before the next probe."""
_RAMP_END = 4096  # calls in flight
# A call counts as accepted once it is in flight for longer than _ACCEPTED_SECONDS plus _ACCEPTED_FACTOR times the mean
# time until a rejection.
_ACCEPTED_SECONDS = 1.0
_ACCEPTED_FACTOR = 4.0
_REJECTION_WEIGHT = 0.2  # of the latest rejection in that mean


class LimitMode(Enum):
    """The current limit on calls: none, a rate, a concurrency, a ramp-up, or a backoff with probes."""

    FREE = auto()
    RATE = auto()
    CONCURRENCY = auto()
    RAMP = auto()
    BACKOFF = auto()


@dataclass(frozen=True, slots=True)
class CallStart:
    """The start of a call: its time, the number of calls in flight before it, and its epoch.

    Each time that the limit is set, a new epoch begins: outcomes of earlier calls say nothing about the new limit.
    """

    started_at: float
    in_flight: int
    epoch: int


class AdaptiveLimit:
    """The current mode and its cap: calls per second, or calls in flight."""

    def __init__(self) -> None:
        self.mode = LimitMode.FREE
        self.cap = math.inf
        self.backoff_until = -math.inf
        self.in_flight = 0
        self._epoch = 0
        self._meter = AnswerMeter()
        self._call_count = 0
        self._rejection_count = 0
        self._floor = 0.0
        self._success_streak = 0
        self._next_at = -math.inf
        self._futile_measurements = 0  # in a row, without a lower share of rejections
        self._last_share = 0.0
        self._throughput_before_trial = 0.0
        self._concurrency_evidence = ConcurrencyEvidence()
        self._backoff_began_at = -math.inf
        self._probe_count = 0
        self._last_step_at = -math.inf
        self._last_trouble: ProviderTrouble | None = None
        self._mean_rejection_seconds = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until a call may start; infinite if a call in flight must end first."""
        match self.mode:
            case LimitMode.FREE:
                return 0.0
            case LimitMode.RATE:
                return max(0.0, self._next_at - now)
            case LimitMode.BACKOFF:
                return self._seconds_until_accepted(now) if self._call_count else max(0.0, self.backoff_until - now)
            case _ if self.in_flight < int(self.cap):
                return 0.0
            case LimitMode.RAMP:
                return self._seconds_until_accepted(now)
        return math.inf

    def start(self, now: float) -> CallStart:
        """Count a call that starts."""
        start = CallStart(now, self.in_flight, self._epoch)
        self.in_flight += 1
        self._call_count += 1
        if self._call_count > max(_WINDOW_CALLS, self.in_flight):
            if self.mode is LimitMode.RATE:
                self._check_floor(now)  # may begin an epoch, which does not count this call
            self._call_count //= 2
            self._rejection_count //= 2
        if self.mode is LimitMode.RATE:
            self._next_at = max(self._next_at, now - _CATCH_UP_SECONDS) + 1.0 / self.cap
        elif self.mode is LimitMode.BACKOFF:
            self._last_step_at = now
        return start

    def end(self, start: CallStart) -> None:
        """Count the end of a call with any outcome."""
        self.in_flight -= 1
        if self.mode is LimitMode.BACKOFF and start.epoch == self._epoch:
            self._call_count = 0  # the probe was inconclusive: allow another one

    def record_success(self, now: float, start: CallStart) -> None:
        """Count a good answer."""
        self._success_streak += 1
        self._meter.add(now, now - start.started_at)
        if start.epoch != self._epoch:
            return
        if self.mode in (LimitMode.BACKOFF, LimitMode.RAMP):
            was_limit = self._last_trouble is not None and self._last_trouble.cause is TroubleKind.LIMIT
            self._ramp(now, doubles=not was_limit)
        elif self.mode is not LimitMode.FREE:
            self._concurrency_evidence.record_success(start.in_flight)
            self._raise_cap(now)

    def record_trouble(self, now: float, start: CallStart, trouble: ProviderTrouble) -> None:
        """Count a rejected call; ignore it for the limit if the call started in an earlier epoch."""
        self._success_streak = 0
        self._last_trouble = trouble
        self._mean_rejection_seconds += _REJECTION_WEIGHT * (now - start.started_at - self._mean_rejection_seconds)
        if start.epoch != self._epoch:
            return
        self._rejection_count += 1
        if self.mode is LimitMode.BACKOFF:
            self._back_off(now)
            return
        if self.mode in (LimitMode.RATE, LimitMode.CONCURRENCY):
            self.cap = max(self._floor, self.cap * (1 - _DECREASE))
        calls = max(self._call_count, self._rejection_count)
        if self._rejection_count > _NOISE_SHARE * calls + _STANDARD_ERRORS * math.sqrt(calls):
            self._respond_to_limit(now, self._rejection_count / calls)
        elif self.mode is LimitMode.RATE and self.cap <= _STEADY_FACTOR * self._meter.rate(now):
            max_in_flight = self._concurrency_evidence.record_rejection(start.in_flight)
            if max_in_flight is not None:
                self._set(now, LimitMode.CONCURRENCY, max_in_flight)

    # -- measuring the limit ---------------------------------------------------------------------------------------

    def _respond_to_limit(self, now: float, share: float) -> None:
        answers = self._meter.count
        if self.mode is LimitMode.RAMP:
            # With few answers since the ramp-up began, count those since the backoff began, the probe's included.
            rate_since_backoff = (answers + 1) / (now - self._backoff_began_at)
            self._cap_rate(now, self._meter.rate(now) if answers >= _ENOUGH_ANSWERS else rate_since_backoff)
        elif not answers or (answers < _ENOUGH_ANSWERS and self.mode is LimitMode.FREE):
            self._begin_backoff(now)
        elif self.mode is LimitMode.RATE:
            self._measure(now, share)
        else:
            self._cap_rate(now, self._meter.rate(now))

    def _check_floor(self, now: float) -> None:
        """Check after a full window whether the capped rate fits the limit."""
        share = self._rejection_count / self._call_count
        if share < _CLEAR_SHARE:
            self._futile_measurements, self._last_share, self._throughput_before_trial = 0, 0.0, 0.0
        elif self._throughput_before_trial or self.cap <= self._floor * _AT_FLOOR:
            self._measure(now, share)

    def _measure(self, now: float, share: float) -> None:
        """Cap the rate at the throughput; if that does not reduce rejections, try a higher rate."""
        throughput = self._meter.rate(now) if self._meter.count >= _ENOUGH_ANSWERS else self.cap / 2
        self._futile_measurements = self._futile_measurements + 1 if share > self._last_share - _FALLEN_SHARE else 0
        self._last_share = share
        is_no_gain = self._throughput_before_trial and throughput < _TRIAL_GAIN * self._throughput_before_trial
        if self._futile_measurements < _PATIENT_MEASUREMENTS or is_no_gain:
            self._throughput_before_trial = 0.0
            self._futile_measurements = min(self._futile_measurements, _PATIENT_MEASUREMENTS - 1)
            self._cap_rate(now, throughput)
        else:
            self._throughput_before_trial = throughput
            self._cap_rate(now, _TRIAL_FACTOR * self.cap)

    def _cap_rate(self, now: float, rate: float) -> None:
        if rate < _SLOWEST_PER_SECOND:
            self._begin_backoff(now)
        else:
            self._set(now, LimitMode.RATE, rate)

    def _raise_cap(self, now: float) -> None:
        throughput = self._meter.rate(now) if self.mode is LimitMode.RATE else self._meter.concurrency(now)
        # Calls in flight react late: the more there are, the smaller the increase for each answer.
        streak = max(_STREAK_ANSWERS, self.in_flight)
        increase = _INCREASE * _STREAK_ANSWERS / streak * (1 + (self._success_streak / streak) ** 3)
        raised = self.cap * (1 + increase)
        self.cap = max(self.cap, min(raised, _HEADROOM * throughput + 1.0))
        if self._success_streak > _FREE_AFTER * streak and self.cap < raised:
            self._set(now, LimitMode.FREE, math.inf)

    # -- backing off -----------------------------------------------------------------------------------------------

    def _begin_backoff(self, now: float) -> None:
        self._probe_count = self._futile_measurements = 0
        self._backoff_began_at = now
        self._back_off(now)

    def _back_off(self, now: float) -> None:
        """Block calls until the next probe. Each probe waits longer, and for a longer part of a Retry-After."""
        trouble = self._last_trouble
        self._set(now, LimitMode.BACKOFF, math.inf)
        growth = 2.0 ** min(self._probe_count, 20)
        honoured = min(MAX_RETRY_AFTER_SECONDS, _FIRST_RETRY_AFTER_SECONDS * growth)
        is_costly = trouble is not None and trouble.cause is TroubleKind.SILENT
        longest = _MAX_COSTLY_PROBE_SECONDS if is_costly else MAX_PROBE_SECONDS
        wait_seconds = trouble.retry_after_seconds if trouble is not None else None
        self._probe_count += 1
        self.backoff_until = now + max(min(longest, _FIRST_PROBE_SECONDS * growth), min(wait_seconds or 0.0, honoured))

    def _seconds_until_accepted(self, now: float) -> float:
        """Return the seconds until the calls in flight count as accepted; once they do, ramp up.

        By then, a rejection would have arrived. A step of the ramp-up lets one call start even if older calls still
        exceed the new cap: that call tests the step.
        """
        if self._rejection_count:
            return math.inf
        wait = self._last_step_at + _ACCEPTED_SECONDS + _ACCEPTED_FACTOR * self._mean_rejection_seconds - now
        if wait <= 0.0:
            self._ramp(now, doubles=True)
        return max(0.0, wait)

    def _ramp(self, now: float, *, doubles: bool) -> None:
        if self.mode is LimitMode.BACKOFF:
            self._set(now, LimitMode.RAMP, 2.0)
        else:
            self.cap += self.cap if doubles else 1.0
            if self.cap > _RAMP_END:
                self._set(now, LimitMode.FREE, math.inf)
        self._last_step_at = now

    def _set(self, now: float, mode: LimitMode, cap: float) -> None:
        self.mode, self.cap, self._floor = mode, cap, _FLOOR * cap
        self._epoch += 1
        self._next_at = now
        self._call_count = self._rejection_count = self._success_streak = 0
        self._concurrency_evidence = ConcurrencyEvidence(self.in_flight)
        self._meter.reset(now)
