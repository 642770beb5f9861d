"""The durable progress of a job, and the same seen live."""

import math
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """How many items of a job are in each state. Their sum is what was planned, always."""

    pending: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def planned(self) -> int:
        return self.pending + self.running + self.completed + self.failed + self.skipped

    @property
    def settled(self) -> int:
        """Items that need no more work."""
        return self.completed + self.failed + self.skipped

    @property
    def done(self) -> int:
        """Items that need no more work and have not failed."""
        return self.completed + self.skipped

    @property
    def all_settled(self) -> bool:
        return self.pending == 0 and self.running == 0


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens sent and received, failed attempts included."""

    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True, slots=True)
class ProviderWait:
    """What all calls of a worker wait for."""

    reason: str
    """As `Rate limited by api.openai.com`."""
    detail: str
    """As `429: per-minute quota`."""
    until: datetime
    """When the next call is made, in UTC."""

    def format_message(self, now: datetime) -> str:
        """Return `Rate limited by api.openai.com; retrying in 8 s (429: per-minute quota)`."""
        seconds = max(0, math.ceil((self.until - now).total_seconds()))
        shown = f"{seconds} s" if seconds < 120 else f"{math.ceil(seconds / 60)} min"
        return f"{self.reason}; retrying in {shown} ({self.detail})"


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job while this run works on it.

    `rate` is in items a second, completed or skipped, and `eta_seconds` is made from it: both know this run only, so
    that items which were finished before a resume make no promise about those still to do. A failure is no progress.
    """

    job_id: str
    counts: ItemCounts
    tokens: TokenCounts
    elapsed_seconds: float
    rate: float
    eta_seconds: float | None
    provider_wait: ProviderWait | None = None
    """What all calls wait for just now."""

    @property
    def planned(self) -> int:
        return self.counts.planned

    @property
    def completed(self) -> int:
        return self.counts.completed

    @property
    def failed(self) -> int:
        return self.counts.failed

    @property
    def percentage(self) -> float:
        """Share of the items that are settled, from 0 to 100."""
        return 100.0 * self.counts.settled / self.counts.planned if self.counts.planned else 100.0
