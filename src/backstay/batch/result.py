"""The result of a run."""

from dataclasses import dataclass

from backstay.batch.creation import CreateResult
from backstay.batch.job import JobState, Pause
from backstay.batch.progress import ItemCounts, TokenCounts
from backstay.batch.worker import EndReason


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a run: the job's state and counts afterwards, and why the run ended."""

    job_id: str
    state: JobState
    counts: ItemCounts
    tokens: TokenCounts
    ending: EndReason
    pause: Pause | None
    created: CreateResult | None
    did_nothing: bool
    """Whether the job was finished before this run."""
    seconds: float

    @property
    def completed(self) -> int:
        return self.counts.completed

    @property
    def failed(self) -> int:
        return self.counts.failed

    @property
    def skipped(self) -> int:
        return self.counts.skipped
