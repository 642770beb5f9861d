"""How fast a provider may be asked: requests and tokens a minute, and how many at once. Pure: it is told the time."""

import math
from dataclasses import dataclass

_MINUTE = 60.0
_TOKEN_BURST_SECONDS = 3.0  # what may be spent at once is what comes in during this time
_GROWTH = 0.05  # of the room, for each call that comes back well once it is back at its half
_QUICKENING = 1.005  # by which the calls come closer, for each that comes back well
_MARGIN = 1.1  # by which calls are kept further apart than the good answers came
_SHORTEST_GAP = 0.001
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_PATIENT_ROUNDS = 3  # from so many refusals in a row on, what the provider asks is no longer believed to be enough


class Bucket:
    """At most `per_minute` units in any minute, spread over it; None means without bound.

    It holds a small burst and fills at the rate that makes burst and refill together no more than is allowed. One
    request larger than the burst waits for a full bucket and leaves a debt.
    """

    def __init__(self, per_minute: float | None, *, burst: float) -> None:
        self._rate = 0.0
        self._burst = burst
        self._level = burst
        self._at = 0.0
        self._bounded = per_minute is not None
        if per_minute is not None:
            # The one unit that a bucket of one holds at the start is the first of the minute, not one more.
            self._rate = max(per_minute - burst + (1.0 if burst <= 1.0 else 0.0), per_minute / 2) / _MINUTE

    def wait(self, now: float, units: float) -> float:
        """Return the seconds until so many units may be taken."""
        if not self._bounded:
            return 0.0
        self._fill(now)
        missing = min(units, self._burst) - self._level
        # A shade too little is enough: sums of fractions of seconds never come out even.
        return missing / self._rate if missing > 1e-6 else 0.0

    def take(self, now: float, units: float) -> None:
        """Take units, or give back what was not used (a negative number)."""
        if self._bounded:
            self._fill(now)
            self._level = min(self._burst, self._level - units)

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = max(self._at, now)


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave to make one call."""

    started_at: float
    tokens: int


class Pace:
    """Decides when the next call may start.

    Too many requests, or an overloaded provider, halve the room (once for all calls that were under way together) and
    have everybody wait. After the wait one call goes first; each that comes back well makes room for one more, up to
    the half, and from there on for a twentieth.

    A room cannot say "ten a second" to a provider that answers at once. So from the second complaint on, calls are
    also kept apart, a little further than the good answers since the complaint before; good ones bring them closer.
    """

    def __init__(self, *, rpm: int | None = None, tpm: int | None = None) -> None:
        self._requests = Bucket(rpm, burst=max(1.0, (rpm or 0) / _MINUTE))
        self._tokens = Bucket(tpm, burst=max(1.0, (tpm or 0) * _TOKEN_BURST_SECONDS / _MINUTE))
        self._room = math.inf
        self._half = math.inf
        self._in_flight = 0
        self._paused_until = 0.0
        self._cut_at = -math.inf
        self._good = 0
        self._gap = 0.0
        self._next_at = 0.0
        self.refusals = 0
        """Times in a row that everybody was made to wait, without a good answer between."""
        self.is_proven = False
        """There was a good answer."""

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def room(self) -> float:
        """How many calls may be under way at once; infinite until the provider has complained."""
        return self._room

    @property
    def paused_until(self) -> float:
        """The moment before which no call starts; one that has passed asks for nothing."""
        return self._paused_until

    def wait(self, now: float, tokens: int) -> float:
        """Return the seconds until a call of that size may start; infinite when one has to end first."""
        if self._in_flight >= self._room:
            return math.inf
        paused = max(self._paused_until, self._next_at) - now
        return max(0.0, paused, self._requests.wait(now, 1), self._tokens.wait(now, tokens))

    def start(self, now: float, tokens: int) -> Leave:
        """Note that a call starts."""
        self._in_flight += 1
        self._next_at = now + self._gap
        self._requests.take(now, 1)
        self._tokens.take(now, tokens)
        return Leave(now, tokens)

    def end(self, now: float, leave: Leave, used: int | None) -> None:
        """Note that a call ended, whatever it came to; `used` are its tokens where the provider said so."""
        self._in_flight -= 1
        if used:
            self._tokens.take(now, used - leave.tokens)

    def succeeded(self) -> None:
        """Note a good answer."""
        self.is_proven = True
        self.refusals = 0
        self._good += 1
        self._gap = self._gap / _QUICKENING if self._gap > _SHORTEST_GAP else 0.0
        if self._room < math.inf:
            self._room += 1.0 if self._room < self._half else _GROWTH

    def refused(self, now: float, leave: Leave, retry_after: float | None) -> None:
        """Note that the provider has too much to do, or is not there; `retry_after` is what it asked for."""
        if leave.started_at > self._cut_at:
            if self._good and self._cut_at > -math.inf:
                self._gap = _MARGIN * (now - self._cut_at) / self._good
            self._good = 0
            self._half = max(1.0, min(self._room, self._in_flight) // 2)
            self._room = 1.0
            self._cut_at = now
            self.refusals += 1
            own = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self.refusals - 1, 60))
            if retry_after is None or self.refusals > _PATIENT_ROUNDS:
                retry_after = max(own, retry_after or 0.0)
        if retry_after is not None:
            self._paused_until = max(self._paused_until, now + retry_after)
