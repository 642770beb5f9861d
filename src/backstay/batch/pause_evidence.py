"""The attempts that lead a worker to pause its job."""

from collections import deque
from dataclasses import replace

from backstay.batch.item import ItemState
from backstay.batch.job import MAX_EVIDENCE_ATTEMPTS
from backstay.batch.outcome import Verdict


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
