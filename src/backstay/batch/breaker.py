"""Detection that every item would fail, before all of them do, and the attempts that preceded a `Halt`."""

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from backstay.batch.item import ItemState
from backstay.batch.job import MAX_EVIDENCE_ATTEMPTS, Pause
from backstay.batch.outcome import Verdict

FIRST_CALLS = 20
_WINDOW_CALLS = 50
_FAILURE_SHARE = 0.9
_MAX_CODES_IN_MESSAGE = 3


@dataclass(frozen=True, slots=True)
class _EndedCall:
    """A call that used up a try or settled its item."""

    code: str | None
    """Code of the failure; None if the call succeeded."""
    position: int
    attempt: int
    tokens: int


class CircuitBreaker:
    """The circuit breaker of a run: it pauses the job when nearly all calls end in the same failure.

    It trips when nine in ten of the last `max(50, 2 * concurrency)` calls ended in the same failure, or all of them
    in failures of any kind. At the start of a run it trips when all of the first `max(20, concurrency)` calls failed
    permanently with the same code. Until one of those first calls ends in another way, no more than those are started.

    Three kinds of calls are not counted, since something else limits each: calls that use up no try, such as at a rate
    limit (a run waits for a limited time), tries that got no answer and will be repeated (`max_attempts`), and calls
    that end in `Halt` (which pauses the job at once).
    """

    def __init__(self, *, concurrency: int) -> None:
        self._first_calls = max(FIRST_CALLS, concurrency)
        self._window: deque[_EndedCall] = deque()
        self._size = max(_WINDOW_CALLS, 2 * concurrency)
        self._codes: Counter[str | None] = Counter()
        self._in_flight = 0
        self._other_ends = 0
        """Number of calls so far that count and have not failed permanently."""
        self._tripped_by: frozenset[str | None] = frozenset()
        """Codes of the failures that tripped the breaker; empty until it trips."""

    @property
    def allowance(self) -> int | None:
        """Number of calls that may start now; None if unlimited."""
        if self._other_ends or len(self._codes) > 1:
            return None
        return self._first_calls - len(self._window) - self._in_flight

    @property
    def failed_positions(self) -> Sequence[int]:
        """Positions of the items whose calls tripped the breaker. The items are requeued with their tries reset."""
        return list(dict.fromkeys(ended.position for ended in self._tripping_calls()))

    def note_started(self, calls: int) -> None:
        """Note that calls were started."""
        self._in_flight += calls

    def record(self, verdict: Verdict) -> Pause | None:
        """Count a verdict, and return why the job must pause if the breaker trips."""
        self._in_flight -= 1
        is_failure = verdict.result in ("failed", "retried")
        if verdict.halts_job or (is_failure and not verdict.uses_up_try):
            return None
        self._other_ends += verdict.result != "failed"
        if verdict.result == "retried" and not _was_answered(verdict):
            return None
        self._add(verdict, verdict.code if is_failure else None)
        return self._trip(verdict) if is_failure else None

    def record_refused(self, verdict: Verdict) -> Pause | None:
        """Count that the database refused the outcome of a call, in place of that outcome; return like `record`."""
        key = verdict.claimed.position, verdict.claimed.attempt
        for ended in self._window:
            if (ended.position, ended.attempt) == key:
                self._window.remove(ended)
                self._uncount(ended.code)
                self._other_ends -= ended.code is None
                break
        self._add(verdict, verdict.code)
        return self._trip(verdict)

    def _add(self, verdict: Verdict, code: str | None) -> None:
        # Once tripped, the window keeps growing: the calls still in flight are to be requeued with the others.
        if len(self._window) == self._size and not self._tripped_by:
            self._uncount(self._window.popleft().code)
        self._codes[code] += 1
        tokens = verdict.usage.tokens_in + verdict.usage.tokens_out
        self._window.append(_EndedCall(code, verdict.claimed.position, verdict.claimed.attempt, tokens))

    def _uncount(self, code: str | None) -> None:
        self._codes[code] -= 1
        if not self._codes[code]:
            del self._codes[code]

    def _trip(self, verdict: Verdict) -> Pause | None:
        calls, same_code = len(self._window), self._codes[verdict.code]
        is_first = not self._other_ends and calls >= self._first_calls and same_code == calls
        is_full = calls >= self._size
        if is_first or (is_full and same_code >= math.ceil(_FAILURE_SHARE * calls)):
            code = verdict.code
            self._tripped_by = frozenset({code})
            counted = f"the first {calls} calls all" if is_first else f"{same_code} of the last {calls} calls"
            message = f"{counted} ended in {code}{self._paid()}: {verdict.message}"
        elif is_full and not self._codes[None]:
            self._tripped_by = frozenset(self._codes)
            most_common = self._codes.most_common(_MAX_CODES_IN_MESSAGE)
            code = most_common[0][0]
            codes = ", ".join(f"{count} ended in {name}" for name, count in most_common)
            message = f"none of the last {calls} calls succeeded{self._paid()}: {codes}; the latest: {verdict.message}"
        else:
            return None
        evidence = [(ended.position, ended.attempt) for ended in reversed(self._tripping_calls())]
        return Pause(str(code), message, tuple(evidence[:MAX_EVIDENCE_ATTEMPTS]))

    def _paid(self) -> str:
        """Return the tokens of the calls that tripped the breaker, for its message."""
        tokens = sum(ended.tokens for ended in self._tripping_calls())
        return f" ({tokens:,} tokens)" if tokens else ""

    def _tripping_calls(self) -> Sequence[_EndedCall]:
        return [ended for ended in self._window if ended.code in self._tripped_by]


def _was_answered(verdict: Verdict) -> bool:
    """Return whether a call got an answer, which may be unusable or empty."""
    usage = verdict.usage
    return bool(usage.tokens_in or usage.tokens_out) or usage.raw is not None


class PauseEvidence:
    """The latest tries that left their item pending, since the last completed item."""

    def __init__(self) -> None:
        self._attempts: deque[tuple[int, int]] = deque(maxlen=MAX_EVIDENCE_ATTEMPTS)

    def note(self, verdict: Verdict) -> Verdict:
        """Note a verdict, and return it. One that halts the job is returned with the tries before it, newest first."""
        if verdict.halts_job:
            return replace(verdict, evidence=tuple(reversed(self._attempts)))
        if verdict.state is ItemState.PENDING:
            self._attempts.append((verdict.claimed.position, verdict.claimed.attempt))
        elif verdict.state is ItemState.COMPLETED:
            self._attempts.clear()
        return verdict
