"""A simulation of a provider and a job in virtual time, to measure the results of a rate-limiting rule.

Calls are events on a heap; the rule under test decides when each starts. As in a job, a rejected item is requeued after
its own delay, and other items use its slot meanwhile.
"""

import bisect
import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from backstay.generate.provider_trouble import ProviderTrouble, TroubleKind

REFUSAL_SECONDS = 0.02
CALL_SECONDS = 0.3
ROUND_TRIP_SECONDS = CALL_SECONDS + REFUSAL_SECONDS / 2
MEAN_TOKENS = 200


class Rule(Protocol):
    """A rule for the start of calls: `generate.rate.AccountRate`, or an alternative to compare it with."""

    def wait(self, now: float, tokens: int) -> float: ...
    def start(self, now: float, tokens: int) -> Any: ...
    def end(self, now: float, permit: Any, used_tokens: int | None) -> None: ...
    def record_success(self, now: float, permit: Any) -> None: ...
    def record_trouble(self, now: float, permit: Any, trouble: ProviderTrouble, retries: int = 0) -> float: ...


class Condition(Protocol):
    """The state of a provider, which accepts or rejects a call."""

    def trouble(self, now: float, tokens: int, in_flight: int) -> ProviderTrouble | None: ...


@dataclass(slots=True)
class RandomRefusals:
    """Rejection of each call with the same probability."""

    share: float
    answer: ProviderTrouble
    rng: random.Random = field(default_factory=lambda: random.Random(11))

    def trouble(self, now: float, tokens: int, in_flight: int) -> ProviderTrouble | None:
        return self.answer if self.rng.random() < self.share else None


class BucketLimit:
    """A token bucket with a burst of one second, whose rate may change over time."""

    def __init__(
        self, per_second: Callable[[float], float], *, by_tokens: bool = False, retry_after: str | float | None = None
    ) -> None:
        self._per_second = per_second
        self._by_tokens = by_tokens
        self._retry_after = retry_after
        self._level = per_second(0.0)
        self._at = 0.0

    def trouble(self, now: float, tokens: int, in_flight: int) -> ProviderTrouble | None:
        rate, units = self._per_second(now), tokens if self._by_tokens else 1
        self._level = min(rate, self._level + (now - self._at) * rate)
        self._at = now
        if self._level >= units - 1e-9:
            self._level -= units
            return None
        # Retry-After has whole seconds.
        true = math.ceil((units - self._level) / rate)
        named = true if self._retry_after == "true" else self._retry_after
        return ProviderTrouble(TroubleKind.LIMIT, "429", None if named is None else float(named))


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """A limit on calls in flight."""

    calls: int

    def trouble(self, now: float, tokens: int, in_flight: int) -> ProviderTrouble | None:
        return ProviderTrouble(TroubleKind.LIMIT, "429") if in_flight >= self.calls else None


@dataclass(frozen=True, slots=True)
class Outage:
    """A period in which every call is rejected."""

    begins_at: float
    ends_at: float
    cause: TroubleKind = TroubleKind.OVERLOAD
    names_end: bool = False

    def trouble(self, now: float, tokens: int, in_flight: int) -> ProviderTrouble | None:
        if not self.begins_at <= now < self.ends_at:
            return None
        return ProviderTrouble(self.cause, "503", self.ends_at - now if self.names_end else None)


@dataclass(slots=True)
class Result:
    """The times of answers and rejections, and the number of items that used up their tries."""

    good_at: list[float] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)
    lost: int = 0

    @property
    def ended_at(self) -> float:
        return self.good_at[-1]

    def rate(self, start: float, end: float) -> float:
        return _count(self.good_at, start, end) / (end - start)

    def refused_share(self, start: float, end: float) -> float:
        refused = _count(self.refused_at, start, end)
        return refused / max(1.0, refused + self.rate(start, end) * (end - start))


def _count(times: list[float], start: float, end: float) -> int:
    return bisect.bisect_left(times, end) - bisect.bisect_left(times, start)


@dataclass(slots=True)
class _Item:
    tokens: int
    refusals: int = 0


class Simulation:
    """A job with a number of slots, at one provider under one rule."""

    def __init__(
        self,
        rule: Rule,
        provider: Condition,
        *,
        slots: int,
        items: float = math.inf,
        max_tries: float = math.inf,
        call_seconds: float = CALL_SECONDS,
        seed: int = 1,
    ) -> None:
        self._rule = rule
        self._provider = provider
        self._free_slots = slots
        self._fresh = items
        self._open = items
        self._max_tries = max_tries
        self._call_seconds = call_seconds
        self._rng = random.Random(seed)
        self._now = 0.0
        self._number = itertools.count()
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._delayed: list[tuple[float, int, _Item]] = []
        self._queue: deque[_Item] = deque()
        self._timer_at = math.inf
        self._accepted = 0
        self._result = Result()

    def run(self, seconds: float = math.inf) -> Result:
        """Run until all items are completed or the time is over, and return the result."""
        while self._open:
            self._claim()
            self._serve()
            due = self._delayed[0][0] if self._delayed and self._free_slots else math.inf
            next_at = min(due, self._events[0][0] if self._events else math.inf)
            if next_at >= seconds:
                break
            self._now = max(self._now, next_at)
            if next_at < due:
                _, _, happen, args = heapq.heappop(self._events)
                happen(*args)
        return self._result

    def _claim(self) -> None:
        while self._free_slots:
            if self._delayed and self._delayed[0][0] <= self._now:
                item = heapq.heappop(self._delayed)[2]
            elif self._fresh:
                self._fresh -= 1
                item = _Item(self._rng.randint(MEAN_TOKENS // 4, MEAN_TOKENS * 7 // 4))
            else:
                return
            self._free_slots -= 1
            self._queue.append(item)

    def _serve(self) -> None:
        while self._queue:
            wait = self._rule.wait(self._now, self._queue[0].tokens)
            if wait > 0.0:
                wake_at = self._now + max(wait, 1e-6)
                if wake_at < self._timer_at:
                    self._timer_at = wake_at
                    self._after(wake_at - self._now, self._wake)
                return
            item = self._queue.popleft()
            self._after(REFUSAL_SECONDS / 2, self._arrive, item, self._rule.start(self._now, item.tokens))

    def _arrive(self, item: _Item, permit: Any) -> None:
        trouble = self._provider.trouble(self._now, item.tokens, self._accepted)
        if trouble is not None:
            self._after(REFUSAL_SECONDS / 2 * self._rng.uniform(0.8, 1.5), self._refuse, item, permit, trouble)
        else:
            self._accepted += 1
            self._after(self._call_seconds * self._rng.uniform(0.7, 1.3), self._answer, item, permit)

    def _answer(self, item: _Item, permit: Any) -> None:
        self._accepted -= 1
        self._rule.record_success(self._now, permit)
        self._result.good_at.append(self._now)
        self._open -= 1
        self._leave(permit, item.tokens)

    def _refuse(self, item: _Item, permit: Any, trouble: ProviderTrouble) -> None:
        delay = self._rule.record_trouble(self._now, permit, trouble, item.refusals)
        self._result.refused_at.append(self._now)
        item.refusals += 1
        if item.refusals >= self._max_tries:
            self._result.lost += 1
            self._open -= 1
        else:
            heapq.heappush(self._delayed, (self._now + delay, next(self._number), item))
        self._leave(permit, None)

    def _leave(self, permit: Any, used_tokens: int | None) -> None:
        self._rule.end(self._now, permit, used_tokens)
        self._free_slots += 1

    def _wake(self) -> None:
        self._timer_at = math.inf

    def _after(self, seconds: float, happen: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self._events, (self._now + seconds, next(self._number), happen, args))
