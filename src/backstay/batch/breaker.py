"""Detection that every item would fail, before all of them do, and the attempts that show it."""

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
    """A call that used up a try or settled its item; `code` is None if it succeeded."""

    code: str | None
    position: int
    attempt: int
    tokens: int


class CircuitBreaker:
    """The circuit breaker of a run: it pauses the job when nearly all calls end in the same failure.

    It trips when nine in ten of the last `max(50, 2 * concurrency)` calls ended in the same failure, or all of them
    in failures of any kind. At the start of a run it trips when all of the first `max(20, concurrency)` calls failed
    permanently with the same code; until one of these calls ends otherwise, no further calls are started.

    Not counted are calls that use up no try (a rate limit, a provider that is down), tries that got no answer and will
    be repeated, and `Halt`. Other limits end these: the limit on waiting, `max_attempts`, and the pause by `Halt`.
    """

    def __init__(self, *, concurrency: int) -> None:
        self._first_calls = max(FIRST_CALLS, concurrency)
        self._window: deque[_EndedCall] = deque()
        self._size = max(_WINDOW_CALLS, 2 * concurrency)
        self._codes: Counter[str | None] = Counter()
        self._in_flight = 0
        self._is_proven = False
        """Whether a call has succeeded, or has failed in a way that its next try may not."""
        self._tripped_by: frozenset[str | None] = frozenset()
        """Codes of the failures that tripped it; empty until it trips."""

    @property
    def allowance(self) -> int | None:
        """Number of calls that may start now; None if unlimited."""
        if self._is_proven or len(self._codes) > 1:
            return None
        return self._first_calls - len(self._window) - self._in_flight

    @property
    def failed_positions(self) -> Sequence[int]:
        """Positions of the items whose calls tripped it. They are requeued with their tries reset."""
        return list(dict.fromkeys(ended.position for ended in self._tripping_calls()))

    def note_started(self, calls: int) -> None:
        """Note that calls were started."""
        self._in_flight += calls

    def record(self, verdict: Verdict) -> Pause | None:
        """Count a verdict, and return why the job must pause if the breaker trips."""
        self._in_flight -= 1
        is_failure = verdict.result in ("failed", "retried")
        if verdict.result == "doomed" or (is_failure and not verdict.uses_up_try):
            return None
        self._is_proven = self._is_proven or verdict.result != "failed"
        if verdict.result == "retried" and not _was_answered(verdict):
            return None
        self._add(verdict, verdict.code if is_failure else None)
        return self._trip(verdict) if is_failure else None

    def _add(self, verdict: Verdict, code: str | None) -> None:
        # Once tripped, the window keeps growing: the calls still in flight are to be requeued with the others.
        if len(self._window) == self._size and not self._tripped_by:
            oldest = self._window.popleft().code
            self._codes[oldest] -= 1
            if not self._codes[oldest]:
                del self._codes[oldest]
        usage = verdict.usage
        self._codes[code] += 1
        tokens = usage.tokens_in + usage.tokens_out
        self._window.append(_EndedCall(code, verdict.claimed.position, verdict.claimed.attempt, tokens))

    def _trip(self, verdict: Verdict) -> Pause | None:
        calls, same_code = len(self._window), self._codes[verdict.code]
        is_first = not self._is_proven and calls >= self._first_calls and same_code == calls
        is_full = calls >= self._size
        tokens = sum(ended.tokens for ended in self._window)
        paid = f" ({tokens:,} tokens)" if tokens else ""
        if is_first or (is_full and same_code >= math.ceil(_FAILURE_SHARE * calls)):
            self._tripped_by = frozenset({verdict.code})
            code = verdict.code
            counted = f"the first {calls} calls all" if is_first else f"{same_code} of the last {calls} calls"
            message = f"{counted} ended in {code}{paid}: {verdict.message}"
        elif is_full and not self._codes[None]:
            self._tripped_by = frozenset(self._codes)
            code = self._codes.most_common(1)[0][0]
            codes = ", ".join(
                f"{count} ended in {name}" for name, count in self._codes.most_common(_MAX_CODES_IN_MESSAGE)
            )
            message = f"none of the last {calls} calls succeeded{paid}: {codes}; the latest: {verdict.message}"
        else:
            return None
        evidence = [(ended.position, ended.attempt) for ended in reversed(self._tripping_calls())]
        return Pause(str(code), message, tuple(evidence[:MAX_EVIDENCE_ATTEMPTS]))

    def _tripping_calls(self) -> Sequence[_EndedCall]:
        return [ended for ended in self._window if ended.code in self._tripped_by]


def _was_answered(verdict: Verdict) -> bool:
    """Return whether a call got an answer: tokens, or unusable text, which may be empty."""
    usage = verdict.usage
    return bool(usage.tokens_in or usage.tokens_out) or usage.raw is not None


class PauseEvidence:
    """The latest tries that left their item pending, since the last completed item."""

    def __init__(self) -> None:
        self._attempts: deque[tuple[int, int]] = deque(maxlen=MAX_EVIDENCE_ATTEMPTS)

    def note(self, verdict: Verdict) -> Verdict:
        """Note a verdict, and return it; if it pauses the job, with the earlier tries, newest first."""
        if verdict.result == "doomed":
            return replace(verdict, evidence=tuple(reversed(self._attempts)))
        if verdict.state is ItemState.PENDING:
            self._attempts.append((verdict.claimed.position, verdict.claimed.attempt))
        elif verdict.state is ItemState.COMPLETED:
            self._attempts.clear()
        return verdict
