"""One run of one job in one process: lease, heart, worker, and the way out."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

from backstay.batch import liveness
from backstay.batch.checkpoint import ProviderWait
from backstay.batch.job import Job, JobState
from backstay.batch.lease import Heartbeat, LeaseMonitor
from backstay.batch.processor import CallableProcessor
from backstay.batch.progress import ProgressReporter
from backstay.batch.stop import StopSignal
from backstay.batch.store import CommitReport, Lease, WorkStore
from backstay.batch.worker import EndReason, Worker, WorkerOptions
from backstay.errors import BackstayError, LeaseLost, StorageError
from backstay.logs import get_logger

_log = get_logger("backstay.run")

_PATIENCE_SECONDS = 5.0  # with a database that is in trouble, for the last that it is told

_ENDINGS = {JobState.PAUSED: EndReason.PAUSED, JobState.CANCELLED: EndReason.CANCELLED}


class LeasedRun:
    """Works on a job until there is a reason to end, under as many leases as it takes."""

    def __init__(
        self,
        *,
        store: WorkStore,
        owner: str,
        job: Job,
        callee: CallableProcessor,
        options: WorkerOptions,
        monitor: LeaseMonitor,
        stop: StopSignal,
        folder: Path,
        reporter: ProgressReporter,
    ) -> None:
        self._store = store
        self._owner = owner
        self._job = job
        self._callee = callee
        self._options = options
        self._watch = monitor
        self._stop = stop
        self._folder = folder
        self._teller = reporter
        self._lease: Lease | None = None
        self._worker: Worker | None = None
        self._marking: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._claimed = 0
        self._gave_back = False
        self._is_over = False

    async def run_until_ended(self) -> EndReason:
        """Work; when the caller is cancelled, give back what is in flight before passing that on.

        Raises:
            StorageError: the database could not go on; the job stays resumable.
        """
        self._loop = asyncio.get_running_loop()
        self._stop.when_requested(self._on_stop)
        work = asyncio.create_task(self._under_leases())
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # A commit under way must come to its end, and what is held must be given back: stop, do not tear.
            self._stop.request(at_once=True)
            await asyncio.wait([work])
            if not work.cancelled():
                work.exception()  # looked at: the cancellation is what the caller hears of
            raise

    async def _under_leases(self) -> EndReason:
        again = False
        while True:
            try:
                return await self._under_one_lease(again=again)
            except LeaseLost as error:
                # We slept, and another worker took over. It has our items; we start anew beside it.
                _log.warning("lease_lost", job=self._job.id, **error.context)
                again = True
                if self._stop.requested:
                    return EndReason.STOPPED
                if self._left() == 0:
                    return EndReason.LIMIT

    async def _under_one_lease(self, *, again: bool) -> EndReason:
        life = await asyncio.to_thread(liveness.LivenessLock.open, self._folder)
        proves = False
        try:
            await self._watch.poll()
            entered = await self._store.acquire_lease(self._owner, self._job.id, life.identity, after_lease_loss=again)
            if entered.lease is None:
                return _ENDINGS.get(entered.job.state, EndReason.FINISHED)
            try:
                return await self._under(entered.lease)
            except LeaseLost:
                raise
            except BaseException:
                # Where nothing could be given back, the file stays and, unlocked, proves to others that we are gone.
                proves = not self._gave_back
                raise
        finally:
            life.close(remove=not proves)

    def _left(self) -> int | None:
        limit = self._options.limit
        return None if limit is None else max(0, limit - self._claimed)

    async def _under(self, lease: Lease) -> EndReason:
        worker = Worker(
            store=self._store,
            lease=lease,
            callee=self._callee,
            settings=self._job.settings,
            options=replace(self._options, limit=self._left()),
            monitor=self._watch,
            stop=self._stop,
            on_report=self._report_progress,
        )
        heart = Heartbeat(
            store=self._store, lease=lease, lease_seconds=self._options.lease_seconds, on_lost=worker.lose
        )
        self._lease, self._worker = lease, worker
        heart.start()
        try:
            ending = await worker.run()
        except StorageError:
            await self._end(heart)
            self._gave_back = await self._release_if_possible(lease)
            raise
        except BaseException:
            await self._end(heart)
            raise
        finally:
            self._claimed += worker.claimed
        await self._end(heart)
        await self._store.release(lease)
        return ending

    async def _end(self, heart: Heartbeat) -> None:
        self._lease, self._worker = None, None
        marking = self._marking
        noted = asyncio.to_thread(marking.join, _PATIENCE_SECONDS) if marking is not None else asyncio.sleep(0)
        await asyncio.gather(heart.stop(), noted)
        self._is_over = True

    async def _release_if_possible(self, lease: Lease) -> bool:
        # The same trouble as the one being reported. Whoever comes next finds us dead and takes the items back.
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._store.release(lease)
        except StorageError as error:
            _log.warning("lease_release_failed", job=lease.job_id, code=error.code)
            return False
        except TimeoutError:
            _log.warning("lease_release_failed", job=lease.job_id, code="timeout")
            return False
        return True

    async def _report_progress(self, report: CommitReport, waiting: ProviderWait | None) -> None:
        await self._teller.report(report.counts, report.tokens, waiting)

    def _on_stop(self) -> None:
        # Called from anywhere, a signal handler included, and perhaps while a processor blocks the loop: so the loop
        # is only told, and the note is made by a thread. It is made at once, because a worker that is killed before it
        # has come to its end was stopped, not crashed.
        lease, worker, loop = self._lease, self._worker, self._loop
        if lease is None or worker is None or loop is None:
            return
        if self._marking is None:
            self._marking = threading.Thread(target=self._mark, args=(lease,), name="backstay-stop", daemon=True)
            self._marking.start()
        loop.call_soon_threadsafe(worker.wake)

    def _mark(self, lease: Lease) -> None:
        try:
            self._store.mark_stopping(lease)
        except BackstayError as error:
            if self._is_over:
                return  # whoever looks at the run has been told how it ended, and that is to be the last word
            _log.warning("stop_mark_failed", job=lease.job_id, code=error.code)
