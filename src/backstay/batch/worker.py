"""A worker: it claims, processes and commits until the job is done, it is asked to stop, or its lease is lost."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from backstay.batch.backoff import Backoff
from backstay.batch.breaker import CircuitBreaker, PauseEvidence
from backstay.batch.committer import MAX_GROUP_VERDICTS, Committer
from backstay.batch.executor import Executor
from backstay.batch.item import ClaimedItem
from backstay.batch.job import FINISHED, UNFINISHED, JobSettings, JobState, Pause
from backstay.batch.lease import LeaseMonitor
from backstay.batch.outcome import AttemptUsage, Outcome, Verdict, decide
from backstay.batch.processor import CallableProcessor
from backstay.batch.progress import ItemCounts, ProviderWait, TokenCounts
from backstay.batch.provenance import Provenance
from backstay.batch.provider_wait import ProviderWaitRecorder
from backstay.batch.retrying_writer import RetryingWriter
from backstay.batch.stop_signal import EndDeadline, StopSignal
from backstay.batch.store import Claim, CommitReport, Lease, WorkStore
from backstay.errors import OutcomeRefused, ReplacementRefused

_BACKOFF = Backoff()
_REFUSED_CODES = (OutcomeRefused.code, ReplacementRefused.code)
_POLL_SECONDS = 1.0  # how often a worker without free slots checks whether its job was paused
_IDLE_SECONDS = 0.25  # how often a worker with nothing to claim checks for items released by others


class EndReason(StrEnum):
    """The reason why a worker ended."""

    FINISHED = "finished"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    LIMIT = "limit"


END_REASONS = {JobState.PAUSED: EndReason.PAUSED, JobState.CANCELLED: EndReason.CANCELLED}
"""By the state of a job that its workers may not work on."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The options of one run, which are not stored with the job."""

    concurrency: int
    limit: int | None
    """Maximum number of items that this run claims."""
    grace_seconds: float
    """How long calls in flight may continue after a stop was requested."""
    lease_seconds: float


class Worker:
    """The worker of one job under one lease, in the event loop in which it was created."""

    def __init__(
        self,
        *,
        store: WorkStore,
        lease: Lease,
        callee: CallableProcessor,
        settings: JobSettings,
        provenance: Provenance,
        options: WorkerOptions,
        monitor: LeaseMonitor,
        stop: StopSignal,
        report: Callable[[ItemCounts, TokenCounts, ProviderWait | None], Awaitable[None]],
    ) -> None:
        self._store = store
        self._lease = lease
        self._settings = settings
        self._provenance = provenance
        self._options = options
        self._monitor = monitor
        self._stop = stop
        self._report = report
        self._executor = Executor(callee=callee, timeout_seconds=settings.timeout_seconds, on_ended=self._on_ended)
        self._committer = Committer(store=store, lease=lease, on_committed=self._on_committed)
        self._deadline = EndDeadline(stop=stop, grace_seconds=options.grace_seconds, job_id=lease.job_id)
        self._writer = RetryingWriter(
            job_id=lease.job_id,
            stop=stop,
            deadline=self._deadline,
            is_stopping=self._is_stopping,
            committer=self._committer,
        )
        self._provider_wait = ProviderWaitRecorder(
            store=store, lease=lease, function=callee.function, writer=self._writer
        )
        self._breaker = CircuitBreaker(concurrency=options.concurrency)
        self._tripped: Pause | None = None
        self._pauses_itself = False
        self._evidence = PauseEvidence()
        self._claimed = 0
        self._runs_suspect = False
        self._is_lease_lost = False
        self._state = JobState.RUNNING
        self._wake = asyncio.Event()
        self._poll_at = 0.0

    def wake(self) -> None:
        """Wake the worker from its wait."""
        self._wake.set()

    def note_lease_lost(self) -> None:
        """Note that the lease seems lost; the next commit finds out for certain."""
        self._is_lease_lost = True
        self._wake.set()

    async def run(self) -> EndReason:
        """Work until there is a reason to end. Calls still in flight are abandoned and their items released.

        Raises:
            LeaseLost: another worker reclaimed the lease. No result in flight may be written any more.
            StorageError: the database failed. Everything acknowledged is safe, and the job stays resumable.
            BackupError: what the job replaces can no longer be backed up. The job stays resumable, too.
        """
        try:
            while True:
                report = await self._commit_and_claim()
                self._start(report.claimed)
                # The calls that tripped the breaker must be committed first; until then nothing is claimed.
                if (pause := self._tripped) is not None and not len(self._committer):
                    await self._writer.write(partial(self._requeue, pause))
                    if self._tripped is pause:  # otherwise another call has ended, whose item must be requeued too
                        self._tripped = None
                    if self._state is not JobState.CANCELLED:
                        self._state = JobState.PAUSED
                await self._provider_wait.record()
                await self._report(report.counts, report.tokens, self._provider_wait.recorded)
                if (end_reason := self._end_reason()) is not None:
                    return end_reason
                await self._poll_others(report)
                await self._wait(report)
        finally:
            self._executor.abandon_all()

    @property
    def claimed(self) -> int:
        """Number of items that this worker has claimed."""
        return self._claimed

    # -- the steps of a round ------------------------------------------------------------------------------------

    async def _commit_and_claim(self) -> CommitReport:
        report = await self._writer.write(self._commit)
        # Once paused, this worker stays paused even if another resumes the job, unless the job reaches a final state.
        if self._state is JobState.RUNNING or report.state not in UNFINISHED:
            self._state = report.state
        return report

    async def _commit(self) -> CommitReport:
        self._wake.clear()  # this commit includes all calls ended so far; only later ones need another commit
        return await self._committer.commit(Claim(free_slots=self._free_slots(), may_claim_suspect=self._is_idle()))

    async def _requeue(self, pause: Pause) -> None:
        await self._store.requeue(self._lease, self._breaker.failed_positions, pause)

    def _start(self, claimed_items: Sequence[ClaimedItem]) -> None:
        self._breaker.note_started(len(claimed_items))
        self._claimed += len(claimed_items)
        for claimed in claimed_items:
            self._runs_suspect = claimed.runs_alone
            self._executor.start(claimed)

    async def _poll_others(self, report: CommitReport) -> None:
        now = time.monotonic()
        is_waiting_for_others = not len(self._executor) and report.counts.running > 0
        if is_waiting_for_others or now >= self._poll_at:
            # Poll often: each delay in noticing that beats have stopped also delays reclaiming the lease.
            self._poll_at = now + self._options.lease_seconds / 15
            await self._writer.write(partial(self._monitor.poll, self._lease))

    async def _wait(self, report: CommitReport) -> None:
        if len(self._committer):
            await asyncio.sleep(0)  # verdicts are waiting: only let other tasks run
            return
        timeout = _POLL_SECONDS
        if self._free_slots() > 0:
            due = report.next_due_seconds
            timeout = _IDLE_SECONDS if due is None else max(0.01, min(_IDLE_SECONDS, due))
        try:
            async with asyncio.timeout(self._deadline.shorten(timeout)):
                await self._wake.wait()
        except TimeoutError:
            return

    # -- decisions -----------------------------------------------------------------------------------------------

    def _free_slots(self) -> int:
        """Return how many items may be claimed with the next commit."""
        if self._runs_suspect or self._is_stopping() or self._is_lease_lost or self._tripped is not None:
            return 0
        uncommitted = max(0, len(self._committer) - MAX_GROUP_VERDICTS)
        free = self._options.concurrency - len(self._executor) - uncommitted
        if self._options.limit is not None:
            free = min(free, self._options.limit - self._claimed)
        if (allowance := self._breaker.allowance) is not None:
            free = min(free, allowance)
        return max(0, free)

    def _is_idle(self) -> bool:
        return not len(self._executor) and len(self._committer) <= MAX_GROUP_VERDICTS

    def _is_stopping(self) -> bool:
        return self._stop.requested or self._state is not JobState.RUNNING

    def _end_reason(self) -> EndReason | None:
        if self._state in FINISHED:
            return EndReason.FINISHED
        if self._is_stopping():
            is_pause = self._pauses_itself and not self._stop.requested
            calls = len(self._executor)
            deadline = self._deadline.before_pause(calls) if is_pause else self._deadline.after_stop()
            self._executor.abandon_waiting()
            if (len(self._executor) and time.monotonic() < deadline) or len(self._committer):
                return None
            return END_REASONS.get(self._state, EndReason.STOPPED)
        limit = self._options.limit
        if limit is not None and self._claimed >= limit and not len(self._executor) and not len(self._committer):
            return EndReason.LIMIT
        return None

    # -- what calls and the committer report -----------------------------------------------------------------------

    def _on_ended(self, claimed: ClaimedItem, outcome: Outcome, usage: AttemptUsage) -> None:
        if claimed.runs_alone:
            self._runs_suspect = False
        max_attempts = self._settings.max_attempts
        verdict = decide(claimed, outcome, usage=usage, max_attempts=max_attempts, backoff=_BACKOFF)
        verdict = self._evidence.note(verdict)
        if verdict.conversation is not None:
            verdict = replace(verdict, provenance=self._provenance.metadata(claimed, usage))
        if verdict.halts_job:
            self._pauses_itself = True
        if (pause := self._breaker.record(verdict)) is not None:
            self._tripped, self._pauses_itself = pause, True
        self._committer.add(verdict)
        self._wake.set()

    def _on_committed(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            # The breaker has counted the outcome of the call, but not that the database refused it.
            if verdict.code in _REFUSED_CODES and (pause := self._breaker.record_refused(verdict)) is not None:
                self._tripped, self._pauses_itself = pause, True
