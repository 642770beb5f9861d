"""Notices that every item would fail, before all of them do."""

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from backstay.batch.job import MAX_EVIDENCE, Pause
from backstay.batch.outcome import Verdict

FIRST_CALLS = 20
_WINDOW_CALLS = 50
_SHARE = 0.9
_NAMED_CODES = 3  # at most, of failures of several kinds


@dataclass(frozen=True, slots=True)
class _CallEnd:
    """A call that took a try or settled its item; `code` is None when it ended well."""

    code: str | None
    position: int
    attempt: int
    tokens: int


class CircuitBreaker:
    """Watches the calls of a run, and pauses the job when nearly all of them end in the same failure.

    It trips when nine in ten of the last `max(50, 2 * concurrency)` calls ended so, or all of them in failures of
    whatever kind; and at the start of a run when all of the first `max(20, concurrency)` failed alike, for good. Until
    one of these first calls ends otherwise, no more than that are started.

    Not counted are calls that cost no try (a rate limit, a provider that is down), tries that will be repeated and
    brought no answer, and dooms: patience, the last try, and the doom's own reason decide about them.
    """

    def __init__(self, *, concurrency: int) -> None:
        self._first_calls = max(FIRST_CALLS, concurrency)
        self._window: deque[_CallEnd] = deque()
        self._size = max(_WINDOW_CALLS, 2 * concurrency)
        self._codes: Counter[str | None] = Counter()
        self._in_flight = 0
        self._is_proven = False
        """A call has ended well, or in a failure that may be different at its next try."""
        self._tripped_by: frozenset[str | None] = frozenset()
        """Codes of the failures that did."""

    @property
    def allowance(self) -> int | None:
        """Number of calls that may start now; None when there is no bound."""
        if self._is_proven or len(self._codes) > 1:
            return None
        return self._first_calls - len(self._window) - self._in_flight

    @property
    def failed_positions(self) -> Sequence[int]:
        """The items of the calls that tripped it; they are put back, their tries forgotten."""
        return list(dict.fromkeys(ended.position for ended in self._culprits()))

    def note_started(self, calls: int) -> None:
        """Note that calls were started."""
        self._in_flight += calls

    def record(self, verdict: Verdict) -> Pause | None:
        """Take note of a verdict; return why the job must pause when it trips."""
        self._in_flight -= 1
        fails = verdict.result in ("failed", "retried")
        if verdict.result == "doomed" or (fails and not verdict.counts):
            return None
        self._is_proven = self._is_proven or verdict.result != "failed"
        if verdict.result == "retried" and not _was_answered(verdict):
            return None
        self._add(verdict, verdict.code if fails else None)
        return self._trip(verdict) if fails else None

    def _add(self, verdict: Verdict, code: str | None) -> None:
        # Once it has tripped, what was still under way adds to it: all that it saw is put back.
        if len(self._window) == self._size and not self._tripped_by:
            oldest = self._window.popleft().code
            self._codes[oldest] -= 1
            if not self._codes[oldest]:
                del self._codes[oldest]
        usage = verdict.usage
        self._codes[code] += 1
        tokens = usage.tokens_in + usage.tokens_out
        self._window.append(_CallEnd(code, verdict.claimed.position, verdict.claimed.attempt, tokens))

    def _trip(self, verdict: Verdict) -> Pause | None:
        calls, alike = len(self._window), self._codes[verdict.code]
        is_first = not self._is_proven and calls >= self._first_calls and alike == calls
        is_full = calls >= self._size
        tokens = sum(ended.tokens for ended in self._window)
        paid = f" ({tokens:,} tokens)" if tokens else ""
        if is_first or (is_full and alike >= math.ceil(_SHARE * calls)):
            self._tripped_by = frozenset({verdict.code})
            code, which = (
                verdict.code,
                f"the first {calls} calls all" if is_first else f"{alike} of the last {calls} calls",
            )
            message = f"{which} ended in {code}{paid}: {verdict.message}"
        elif is_full and not self._codes[None]:
            self._tripped_by = frozenset(self._codes)
            code = self._codes.most_common(1)[0][0]
            kinds = ", ".join(f"{count} in {kind}" for kind, count in self._codes.most_common(_NAMED_CODES))
            message = f"none of the last {calls} calls ended well{paid}, but {kinds}; the latest: {verdict.message}"
        else:
            return None
        evidence = [(ended.position, ended.attempt) for ended in reversed(self._culprits())]
        return Pause(str(code), message, tuple(evidence[:MAX_EVIDENCE]))

    def _culprits(self) -> Sequence[_CallEnd]:
        return [ended for ended in self._window if ended.code in self._tripped_by]


def _was_answered(verdict: Verdict) -> bool:
    """Return whether a call brought an answer: tokens, or unusable text, which may be empty."""
    usage = verdict.usage
    return bool(usage.tokens_in or usage.tokens_out) or usage.raw is not None
