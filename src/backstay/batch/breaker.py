"""Notices at the start of a run that every item would fail, before all of them do."""

from backstay.batch.job import Pause
from backstay.batch.outcome import Verdict

FIRST_CALLS = 20


class Breaker:
    """Watches the first calls of a run: when all of them end in one permanent error, the job is doomed.

    Until one call ends otherwise, no more than `max(20, concurrency)` are let out. After that it never trips.
    """

    def __init__(self, *, concurrency: int) -> None:
        self._threshold = max(FIRST_CALLS, concurrency)
        self._started = 0
        self._failed: list[int] = []
        self._code: str | None = None
        self._proven = False

    @property
    def allowance(self) -> int | None:
        """How many more calls may start now; None when there is no bound."""
        return None if self._proven else self._threshold - self._started

    @property
    def failed_positions(self) -> list[int]:
        """The items that failed in the one error; they are put back when it trips."""
        return self._failed

    def started(self, calls: int) -> None:
        """Note that calls were let out."""
        self._started += calls

    def saw(self, verdict: Verdict) -> Pause | None:
        """Take note of a verdict; return why the job must pause when that was the last of the first calls."""
        if self._proven or verdict.result == "doomed":
            return None
        if verdict.result != "failed" or self._code not in (None, verdict.code):
            self._proven = True
            self._failed = []
            return None
        self._code = verdict.code
        self._failed.append(verdict.claimed.position)
        if len(self._failed) < self._threshold:
            return None
        return Pause(str(self._code), f"the first {self._threshold} calls all ended in {self._code}: {verdict.message}")
