"""Rules of waiting to compare with the production rule. Each gets the time as an argument, like `AccountRate`."""

import math
import random
from dataclasses import dataclass

from backstay.generate.provider_trouble import ProviderTrouble


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to make one call."""

    started_at: float


class Alone:
    """Rule by which each refused call waits by itself: the named time, or an exponential back-off."""

    def __init__(self) -> None:
        self.in_flight = 0

    def wait(self, now: float, tokens: int) -> float:
        return 0.0

    def start(self, now: float, tokens: int) -> Permit:
        self.in_flight += 1
        return Permit(now)

    def end(self, now: float, permit: Permit, used_tokens: int | None) -> None:
        self.in_flight -= 1

    def record_success(self, now: float, permit: Permit) -> None:
        pass

    def record_refusal(self, now: float, permit: Permit, trouble: ProviderTrouble, again: int = 0) -> float:
        if trouble.retry_after_seconds is not None:
            return trouble.retry_after_seconds
        return min(60.0, 2.0**again) * random.uniform(0.5, 1.0)


class Aimd(Alone):
    """Rule of additive increase and multiplicative decrease: one more call per round of answers, half per refusal."""

    def __init__(self) -> None:
        super().__init__()
        self._cap = math.inf
        self._cut_at = -math.inf

    def wait(self, now: float, tokens: int) -> float:
        return math.inf if self.in_flight + 1 > self._cap else 0.0

    def record_success(self, now: float, permit: Permit) -> None:
        self._cap += 1.0 / self._cap

    def record_refusal(self, now: float, permit: Permit, trouble: ProviderTrouble, again: int = 0) -> float:
        if permit.started_at > self._cut_at:
            self._cut_at = now
            self._cap = max(1.0, min(self._cap, self.in_flight) / 2)
        return super().record_refusal(now, permit, trouble, again)


class HoldAll(Alone):
    """Former rule: every refusal holds all calls and halves the concurrency; from the second on, calls are spaced."""

    def __init__(self) -> None:
        super().__init__()
        self._room = self._half = math.inf
        self._paused_until = self._next_at = 0.0
        self._cut_at = -math.inf
        self._good = self._rounds = 0
        self._gap = 0.0

    def wait(self, now: float, tokens: int) -> float:
        if self.in_flight >= self._room:
            return math.inf
        return max(0.0, max(self._paused_until, self._next_at) - now)

    def start(self, now: float, tokens: int) -> Permit:
        self._next_at = now + self._gap
        return super().start(now, tokens)

    def record_success(self, now: float, permit: Permit) -> None:
        self._rounds = 0
        self._good += 1
        self._gap = self._gap / 1.005 if self._gap > 0.001 else 0.0
        if self._room < math.inf:
            self._room += 1.0 if self._room < self._half else 0.05

    def record_refusal(self, now: float, permit: Permit, trouble: ProviderTrouble, again: int = 0) -> float:
        named = trouble.retry_after_seconds
        if permit.started_at > self._cut_at:
            if self._good and self._cut_at > -math.inf:
                self._gap = 1.1 * (now - self._cut_at) / self._good
            self._good = 0
            self._half = max(1.0, min(self._room, self.in_flight) // 2)
            self._room, self._cut_at = 1.0, now
            self._rounds += 1
            own = min(60.0, 2.0 ** min(self._rounds - 1, 60))
            if named is None or self._rounds > 3:
                named = max(own, named or 0.0)
        if named is not None:
            self._paused_until = max(self._paused_until, now + named)
        return super().record_refusal(now, permit, trouble, again)
