"""A worker: claim, process, commit, until the job is drained, asked to stop, or fenced."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from backstay.batch.backoff import Backoff
from backstay.batch.breaker import CircuitBreaker
from backstay.batch.checkpoint import ProviderWait
from backstay.batch.committer import GROUP, Committer
from backstay.batch.executor import Executor
from backstay.batch.item import ClaimedItem, ItemState
from backstay.batch.job import FINISHED, MAX_EVIDENCE, UNFINISHED, JobSettings, JobState, Pause
from backstay.batch.lease import LEASE_SECONDS, LeaseMonitor
from backstay.batch.outcome import AttemptUsage, Outcome, Verdict, decide
from backstay.batch.processor import CallableProcessor, CanWait
from backstay.batch.stop import StopSignal
from backstay.batch.store import Claim, CommitReport, Lease, WorkStore
from backstay.errors import OutcomeRefused, StoreBusy, StoreUnavailable
from backstay.logs import get_logger

T = TypeVar("T")

_log = get_logger("backstay.worker")

_LOOK_SECONDS = 1.0  # how often a worker whose slots are all taken looks whether its job was paused
_PATIENCE_SECONDS = 5.0  # with a database that does not answer, once a run that was asked to stop is to end
_NOTED_SECONDS = 1.0  # by less than this the end of a wait may move before it is noted anew
_SAYS_SECONDS = 1.0  # until a worker that waits for calls before it pauses says so
_IDLE_SECONDS = 0.25  # how often one with nothing to claim looks whether other workers left something


class EndReason(StrEnum):
    """Why a worker ended."""

    FINISHED = "finished"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How one run works; nothing of it is kept with the job."""

    concurrency: int = 16
    limit: int | None = None
    """Items claimed at most by this run."""
    grace_seconds: float = 10.0
    """How long calls in flight may go on after a stop was asked for."""
    lease_seconds: float = LEASE_SECONDS
    backoff: Backoff = field(default_factory=Backoff)


class Worker:
    """Works on one job under one lease, in the event loop it was made in."""

    def __init__(
        self,
        *,
        store: WorkStore,
        lease: Lease,
        callee: CallableProcessor,
        settings: JobSettings,
        options: WorkerOptions,
        monitor: LeaseMonitor,
        stop: StopSignal,
        on_report: Callable[[CommitReport, ProviderWait | None], Awaitable[None]],
    ) -> None:
        self._store = store
        self._lease = lease
        self._settings = settings
        self._options = options
        self._watch = monitor
        self._stop = stop
        self._on_report = on_report
        self._calls = Executor(callee=callee, timeout_seconds=settings.timeout_seconds, on_ended=self._on_ended)
        self._committer = Committer(store=store, lease=lease, on_committed=self._on_committed)
        self._breaker = CircuitBreaker(concurrency=options.concurrency)
        self._tripped: Pause | None = None
        self._pauses_itself = False
        self._says_at = 0.0
        self._waits = callee.function if isinstance(callee.function, CanWait) else None
        self._waiting: ProviderWait | None = None
        self._put_off: deque[tuple[int, int]] = deque(maxlen=MAX_EVIDENCE)
        """Position and attempt of the latest tries that left their item pending, since one that completed its own."""
        self._claimed = 0
        self._alone = False
        self._lost = False
        self._state = JobState.RUNNING
        self._wake = asyncio.Event()
        self._stop_at: float | None = None
        self._look_at = 0.0

    def wake(self) -> None:
        """Have the worker look up from its wait."""
        self._wake.set()

    def lose(self) -> None:
        """Note that the lease is lost; the next commit finds out for certain."""
        self._lost = True
        self._wake.set()

    async def run(self) -> EndReason:
        """Work until there is a reason to end. What is in flight then is abandoned, and given back with the lease.

        Raises:
            LeaseLost: another worker took over. Nothing of what was in flight may be written any more.
            StorageError: the database could not go on. Everything acknowledged is safe, the job stays resumable.
        """
        try:
            while True:
                report = await self._commit_and_claim()
                self._start(report.claimed)
                # What tripped it has to be committed first; nothing is claimed meanwhile.
                if (pause := self._tripped) is not None and not len(self._committer):
                    await self._retry_until_written(partial(self._requeue, pause))
                    if self._tripped is pause:  # else a call has ended meanwhile, whose item is to be put back as well
                        self._tripped = None
                    if self._state is not JobState.CANCELLED:
                        self._state = JobState.PAUSED
                await self._note_waiting()
                await self._on_report(report, self._waiting)
                if (ending := self._end_reason()) is not None:
                    return ending
                await self._watch_others(report)
                await self._wait(report)
        finally:
            self._calls.abandon_all()

    @property
    def claimed(self) -> int:
        """How many items it claimed."""
        return self._claimed

    # -- the steps of a round ------------------------------------------------------------------------------------

    async def _commit_and_claim(self) -> CommitReport:
        report = await self._retry_until_written(self._commit)
        # Once paused it stays so for this worker, even when another goes on with the job, but for a final state.
        if self._state is JobState.RUNNING or report.state not in UNFINISHED:
            self._state = report.state
        return report

    async def _commit(self) -> CommitReport:
        self._wake.clear()  # what ended up to here is in this commit, and only what ends from here on asks for another
        return await self._committer.commit(Claim(free_slots=self._free_slots(), may_claim_suspect=self._is_idle()))

    async def _requeue(self, pause: Pause) -> None:
        await self._store.requeue(self._lease, self._breaker.failed_positions, pause)

    async def _note_waiting(self) -> None:
        """Let everybody see what the calls wait for, when that has changed."""
        before = self._waiting
        waiting = self._waits.waiting_for_provider() if self._waits is not None else None
        is_alike = (
            waiting is not None
            and before is not None
            and (waiting.reason, waiting.detail) == (before.reason, before.detail)
            and abs((waiting.until - before.until).total_seconds()) < _NOTED_SECONDS
        )
        if waiting != before and not is_alike:
            await self._retry_until_written(partial(self._store.note_waiting, self._lease, waiting))
            self._waiting = waiting

    async def _retry_until_written(self, step: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Take a step as soon as the database can: another program may hold it, its server may be gone for a while.

        Meanwhile what is finished waits in the committer, and takes up the slots of new calls.
        """
        while True:
            try:
                return await self._until_leaving(step())
            except (StoreBusy, StoreUnavailable) as error:
                if self._is_stopping():
                    raise
                _log.warning(
                    "database_unavailable_retrying",
                    job=self._lease.job_id,
                    code=error.code,
                    waiting=len(self._committer),
                )

    async def _until_leaving(self, step: Coroutine[Any, Any, T]) -> T:
        """Wait for a step, but once a stop was asked for no longer than calls in flight would be waited for.

        A database that answers nothing at all must not keep a run from ending.
        """
        task = asyncio.create_task(step)
        patient_until = None
        try:
            while not (await asyncio.wait([task], timeout=_LOOK_SECONDS))[0]:
                if not self._stop.requested:
                    continue
                patient_until = patient_until or time.monotonic() + _PATIENCE_SECONDS
                if time.monotonic() > max(patient_until, self._leaves_at()):
                    raise StoreUnavailable("The database does not answer; what was not stored yet will be done again")
            return task.result()
        finally:
            task.cancel()

    def _leaves_at(self) -> float:
        """Return when a stop that was asked for no longer waits for calls in flight."""
        if self._stop.at_once:
            self._stop_at = 0.0
        elif self._stop_at is None:
            self._stop_at = time.monotonic() + self._options.grace_seconds
        return self._stop_at

    def _start(self, claimed_items: Sequence[ClaimedItem]) -> None:
        self._breaker.note_started(len(claimed_items))
        self._claimed += len(claimed_items)
        for claimed in claimed_items:
            self._alone = claimed.runs_alone
            self._calls.start(claimed)

    async def _watch_others(self, report: CommitReport) -> None:
        now = time.monotonic()
        waits_for_others = not len(self._calls) and not report.claimed and report.counts.running > 0
        if waits_for_others or now >= self._look_at:
            # Often: who sees a beat stand still late takes over as much later.
            self._look_at = now + self._options.lease_seconds / 15
            await self._retry_until_written(partial(self._watch.poll, self._lease))

    async def _wait(self, report: CommitReport) -> None:
        if len(self._committer):
            await asyncio.sleep(0)  # there is work to write: only let the calls have their turn
            return
        timeout = _LOOK_SECONDS
        if self._free_slots() > 0 or self._is_idle():
            due = report.next_due_seconds
            timeout = _IDLE_SECONDS if due is None else max(0.01, min(_IDLE_SECONDS, due))
        if self._stop_at is not None:
            timeout = min(timeout, max(0.0, self._stop_at - time.monotonic()))
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return

    # -- decisions -----------------------------------------------------------------------------------------------

    def _free_slots(self) -> int:
        """How many items may be claimed with the next commit."""
        if self._alone or self._is_stopping() or self._lost or self._tripped is not None:
            return 0
        uncommitted = max(0, len(self._committer) - GROUP)
        room = self._options.concurrency - len(self._calls) - uncommitted
        if self._options.limit is not None:
            room = min(room, self._options.limit - self._claimed)
        if (allowance := self._breaker.allowance) is not None:
            room = min(room, allowance)
        return max(0, room)

    def _is_idle(self) -> bool:
        return not len(self._calls) and len(self._committer) <= GROUP

    def _is_stopping(self) -> bool:
        return self._stop.requested or self._state is not JobState.RUNNING

    def _end_reason(self) -> EndReason | None:
        if self._state in FINISHED:
            return EndReason.FINISHED
        if self._is_stopping():
            leaves_at = self._leaves_at() if self._stop.requested or not self._pauses_itself else self._lingers()
            self._calls.abandon_waiting()
            if (len(self._calls) and time.monotonic() < leaves_at) or len(self._committer):
                return None
            match self._state:
                case JobState.PAUSED:
                    return EndReason.PAUSED
                case JobState.CANCELLED:
                    return EndReason.CANCELLED
                case _:
                    return EndReason.STOPPED
        limit = self._options.limit
        if limit is not None and self._claimed >= limit and not len(self._calls) and not len(self._committer):
            return EndReason.LIMIT
        return None

    def _lingers(self) -> float:
        """Wait for calls in flight: they may be paid for, each has its time-out, and nobody asked for haste."""
        now = time.monotonic()
        self._says_at = self._says_at or now + _SAYS_SECONDS
        if now >= self._says_at and len(self._calls):
            self._says_at = math.inf
            _log.warning("pause_delayed_by_calls", job=self._lease.job_id, calls=len(self._calls))
        return math.inf

    # -- what calls and the committer report -----------------------------------------------------------------------

    def _on_ended(self, claimed: ClaimedItem, outcome: Outcome, usage: AttemptUsage) -> None:
        if claimed.runs_alone:
            self._alone = False
        verdict = decide(
            claimed,
            outcome,
            usage=usage,
            max_attempts=self._settings.max_attempts,
            backoff=self._options.backoff,
        )
        if verdict.result == "doomed":
            self._pauses_itself = True
            verdict = replace(verdict, evidence=tuple(reversed(self._put_off)))
        elif verdict.state is ItemState.PENDING:
            self._put_off.append((claimed.position, claimed.attempt))
        elif verdict.state is ItemState.COMPLETED:
            self._put_off.clear()
        if (pause := self._breaker.record(verdict)) is not None:
            self._tripped, self._pauses_itself = pause, True
        self._committer.add(verdict)
        self._wake.set()

    def _on_committed(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            if verdict.code == OutcomeRefused.code:
                # The breaker has seen what the processor made of it, but not that the database would not take it.
                self._breaker.note_started(1)
                self._tripped = self._breaker.record(verdict) or self._tripped
