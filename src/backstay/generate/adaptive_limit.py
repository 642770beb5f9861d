"""How many calls a provider takes, found from its answers. Pure: it is given the time.

A refusal by itself is noise. Only when the share of refused calls in a window proves a limit is the account slowed
down: to the rate at which answers come, or to the number of calls under way, whichever the refusals depend on. Both are
raised with each good answer and lowered with each refusal, so that about one call in fifty is refused. While nothing
passes, one probe at a time asks.
"""

import math
from dataclasses import dataclass
from enum import Enum, auto

from backstay.generate.answer_meter import AnswerMeter
from backstay.generate.provider_trouble import ProviderTrouble, TroubleKind

# When a limit is proven: share + errors / sqrt(calls) of a window were refused.
_NOISE_SHARE = 0.25
_STANDARD_ERRORS = 2.2
_WINDOW_CALLS = 100

# How a cap follows a limit.
_INCREASE = 0.0002  # of the cap, for each good answer
_DECREASE = 0.06  # of the cap, for each refusal
_STREAK_ANSWERS = 25  # good answers in a row after which the increase has doubled; it grows with their cube
_HEADROOM = 2.0  # times what passes: a cap goes no further ahead
_FLOOR = 0.9  # of what passed when the limit was met: single refusals lower a cap no further
_FREE_AFTER = 10  # times `_STREAK_ANSWERS` without a refusal, at the longest lead: there is no limit any more

# What is refused at the floor was measured wrongly, or is noise.
_CLEAR_SHARE = 0.04
_FALLEN_SHARE = 0.08
_PATIENT_MEASUREMENTS = 2
_TRIAL = 2.0  # times the cap, to see whether asking more brings more …
_MORE = 1.3  # … by this factor at least
_ENOUGH_ANSWERS = 5

# When refusals depend on the number of calls under way.
_VOTES = 8
_STEADY = 1.2  # times what passes: above it a cap is growing, and everything depends on everything
_MEAN_WEIGHT = 0.05

_CATCH_UP_SECONDS = 0.05  # by which starts may be late and still be made up for
_SLOWEST_PER_SECOND = 0.33  # a slower rate is no faster than probing

_FIRST_PROBE_SECONDS = 0.5
LONGEST_PROBE_SECONDS = 3.0
"""The longest time between probes while nothing passes and no later time was named."""
_LONGEST_COSTLY_PROBE_SECONDS = 30.0  # where the calls that get no answer may have to be paid
_FIRST_RETRY_AFTER_SECONDS = 2.0
LONGEST_RETRY_AFTER_SECONDS = 60.0
"""The longest time for which a named time is believed without a probe."""
_RAMP_END = 4096  # calls at once
_ACCEPTED_SECONDS = 1.0  # and four times what refusals take: a call under way for so long was not refused


class LimitMode(Enum):
    """What holds calls back."""

    FREE = auto()
    RATE = auto()
    CONCURRENCY = auto()
    RAMP = auto()
    BACKOFF = auto()


@dataclass(frozen=True, slots=True)
class CallStart:
    """When a call started, how many were under way before it, and under which setting of the limit."""

    started_at: float
    in_flight: int
    epoch: int


class AdaptiveLimit:
    """The mode, and the cap that belongs to it: calls a second, or calls at once."""

    def __init__(self) -> None:
        self.mode = LimitMode.FREE
        self.cap = math.inf
        self.backoff_until = -math.inf
        self.in_flight = 0
        self._epoch = 0
        self._meter = AnswerMeter()
        self._started = 0
        self._rejected = 0
        self._floor = 0.0
        self._success_streak = 0
        self._next_at = -math.inf
        self._measurements = 0  # in a row that left the share of refusals as it was
        self._last_share = 0.0
        self._passed_before_trial = 0.0
        self._votes = 0
        self._min_in_flight = math.inf
        self._mean_in_flight = 0.0
        self._in_flight_spread = 1.0
        self._backoff_began_at = -math.inf
        self._probes = 0
        self._ramped_at = -math.inf
        self._is_quick = False
        self._rejection_seconds = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until a call may start; infinite when one has to end first."""
        match self.mode:
            case LimitMode.FREE:
                return 0.0
            case LimitMode.RATE:
                return max(0.0, self._next_at - now)
            case LimitMode.BACKOFF:
                return self._seconds_until_accepted(now) if self._started else max(0.0, self.backoff_until - now)
            case _ if self.in_flight < int(self.cap):
                return 0.0
            case LimitMode.RAMP:
                return self._seconds_until_accepted(now)
        return math.inf

    def start(self, now: float) -> CallStart:
        """Count a call that starts."""
        start = CallStart(now, self.in_flight, self._epoch)
        self.in_flight += 1
        self._started += 1
        if self._started > max(_WINDOW_CALLS, self.in_flight):
            if self.mode is LimitMode.RATE:
                self._check_floor(now)
            self._started //= 2
            self._rejected //= 2
        if self.mode is LimitMode.RATE:
            self._next_at = max(self._next_at, now - _CATCH_UP_SECONDS) + 1.0 / self.cap
        elif self.mode is LimitMode.BACKOFF:
            self._ramped_at = now
        return start

    def end(self, start: CallStart) -> None:
        """Count a call that ended, whatever its outcome."""
        self.in_flight -= 1
        if self.mode is LimitMode.BACKOFF and start.epoch == self._epoch:
            self._started = 0  # a probe that proved nothing: let another go

    def record_success(self, now: float, start: CallStart) -> None:
        """Count a good answer."""
        self._success_streak += 1
        self._meter.add(now, now - start.started_at)
        if start.epoch != self._epoch:
            return
        if self.mode in (LimitMode.BACKOFF, LimitMode.RAMP):
            self._ramp(now, is_quick=self._is_quick)
        elif self.mode is not LimitMode.FREE:
            off = start.in_flight - self._mean_in_flight
            self._mean_in_flight += _MEAN_WEIGHT * off
            self._in_flight_spread += _MEAN_WEIGHT * (abs(off) - self._in_flight_spread)
            self._raise(now)

    def record_trouble(self, now: float, start: CallStart, trouble: ProviderTrouble) -> None:
        """Count a refusal; those of calls that started under an earlier setting say nothing new."""
        self._success_streak = 0
        self._is_quick = trouble.cause is not TroubleKind.LIMIT
        self._rejection_seconds += 0.2 * (now - start.started_at - self._rejection_seconds)
        if start.epoch != self._epoch:
            return
        self._rejected += 1
        if self.mode is LimitMode.BACKOFF:
            self._back_off(now, trouble)
            return
        if self.mode in (LimitMode.RATE, LimitMode.CONCURRENCY):
            self.cap = max(self._floor, self.cap * (1 - _DECREASE))
        calls = max(self._started, self._rejected)
        if self._rejected > _NOISE_SHARE * calls + _STANDARD_ERRORS * math.sqrt(calls):
            self._limit_met(now, trouble, self._rejected / calls)
        elif self.mode is LimitMode.RATE and self.cap <= _STEADY * self._meter.rate(now):
            self._vote(now, start)

    # -- finding the limit -----------------------------------------------------------------------------------------

    def _limit_met(self, now: float, trouble: ProviderTrouble, share: float) -> None:
        answers = self._meter.count
        if self.mode is LimitMode.RAMP:
            # Few answers since the ramp began: those since the hold began, the probe's included.
            few = (answers + 1) / (now - self._backoff_began_at)
            self._cap_rate(now, self._meter.rate(now) if answers >= _ENOUGH_ANSWERS else few)
        elif not answers or (answers < _ENOUGH_ANSWERS and self.mode is LimitMode.FREE):
            self._begin_backoff(now, trouble)
        elif self.mode is LimitMode.RATE:
            self._measure(now, share)
        else:
            self._cap_rate(now, self._meter.rate(now))

    def _check_floor(self, now: float) -> None:
        """Look at a full window: does the rate fit?"""
        share = self._rejected / self._started
        if share < _CLEAR_SHARE:
            self._measurements, self._last_share, self._passed_before_trial = 0, 0.0, 0.0
        elif self._passed_before_trial or self.cap <= self._floor * 1.001:
            self._measure(now, share)

    def _measure(self, now: float, share: float) -> None:
        """Follow what passes; where that leaves the share as it was, see whether asking more brings more."""
        passes = self._meter.rate(now) if self._meter.count >= _ENOUGH_ANSWERS else self.cap / 2
        self._measurements = self._measurements + 1 if share > self._last_share - _FALLEN_SHARE else 0
        self._last_share = share
        is_no_gain = self._passed_before_trial and passes < _MORE * self._passed_before_trial
        if self._measurements < _PATIENT_MEASUREMENTS or is_no_gain:
            self._passed_before_trial = 0.0
            self._measurements = min(self._measurements, _PATIENT_MEASUREMENTS - 1)
            self._cap_rate(now, passes)
        else:
            self._passed_before_trial = passes
            self._cap_rate(now, _TRIAL * self.cap)

    def _vote(self, now: float, start: CallStart) -> None:
        """Switch to a cap on concurrency once refused calls had more ahead of them than those that passed."""
        if start.in_flight < self._mean_in_flight + max(1.0, self._in_flight_spread):
            self._votes = max(0, self._votes - 2)
            return
        self._votes += 1
        self._min_in_flight = min(self._min_in_flight, start.in_flight)
        if self._votes >= _VOTES:
            self._set(now, LimitMode.CONCURRENCY, max(1.0, self._min_in_flight))

    def _cap_rate(self, now: float, rate: float) -> None:
        if rate < _SLOWEST_PER_SECOND:
            self._begin_backoff(now)
        else:
            self._set(now, LimitMode.RATE, rate)

    def _raise(self, now: float) -> None:
        passes = self._meter.rate(now) if self.mode is LimitMode.RATE else self._meter.concurrency(now)
        # What is under way answers later: the more there is, the slower the increase for each.
        calm = max(_STREAK_ANSWERS, self.in_flight)
        increase = _INCREASE * _STREAK_ANSWERS / calm * (1 + (self._success_streak / calm) ** 3)
        raised = self.cap * (1 + increase)
        self.cap = max(self.cap, min(raised, _HEADROOM * passes + 1.0))
        if self._success_streak > _FREE_AFTER * calm and self.cap < raised:
            self._set(now, LimitMode.FREE, math.inf)

    # -- while nothing passes --------------------------------------------------------------------------------------

    def _begin_backoff(self, now: float, trouble: ProviderTrouble | None = None) -> None:
        self._probes = self._measurements = 0
        self._backoff_began_at = now
        self._back_off(now, trouble)

    def _back_off(self, now: float, trouble: ProviderTrouble | None) -> None:
        """Hold until the next probe: soon, or at the named time, which is believed for longer after each probe."""
        self._set(now, LimitMode.BACKOFF, math.inf)
        growth = 2.0 ** min(self._probes, 20)
        believed = min(LONGEST_RETRY_AFTER_SECONDS, _FIRST_RETRY_AFTER_SECONDS * growth)
        is_costly = trouble is not None and trouble.cause is TroubleKind.SILENT
        longest = _LONGEST_COSTLY_PROBE_SECONDS if is_costly else LONGEST_PROBE_SECONDS
        named = trouble.retry_after_seconds if trouble is not None else None
        self._probes += 1
        self.backoff_until = now + max(min(longest, _FIRST_PROBE_SECONDS * growth), min(named or 0.0, believed))

    def _seconds_until_accepted(self, now: float) -> float:
        """Return the seconds until the calls under way count as taken, since a refusal would have come by then."""
        if self._rejected:
            return math.inf
        wait = self._ramped_at + _ACCEPTED_SECONDS + 4.0 * self._rejection_seconds - now
        if wait <= 0.0:
            self._ramp(now, is_quick=True)
        return max(0.0, wait)

    def _ramp(self, now: float, *, is_quick: bool) -> None:
        if self.mode is LimitMode.BACKOFF:
            self._set(now, LimitMode.RAMP, 2.0)
        else:
            self.cap += self.cap if is_quick else 1.0
            if self.cap > _RAMP_END:
                self._set(now, LimitMode.FREE, math.inf)
        self._ramped_at = now

    def _set(self, now: float, mode: LimitMode, cap: float) -> None:
        self.mode, self.cap, self._floor = mode, cap, _FLOOR * cap
        self._epoch += 1
        self._next_at = now
        self._started = self._rejected = self._success_streak = 0
        self._votes, self._min_in_flight = 0, math.inf
        self._mean_in_flight, self._in_flight_spread = float(self.in_flight), 1.0
        self._meter.reset(now)
