"""One run of one job in one process: its lease, heartbeat and worker, and how it ends."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

from backstay.batch import liveness
from backstay.batch.job import Job
from backstay.batch.lease import Heartbeat, LeaseMonitor
from backstay.batch.processor import CallableProcessor
from backstay.batch.progress import JobProgressReporter
from backstay.batch.provenance import Provenance
from backstay.batch.stop_signal import StopSignal
from backstay.batch.store import Lease, ReplacementBackup, WorkStore
from backstay.batch.worker import END_REASONS, EndReason, Worker, WorkerOptions
from backstay.errors import BackstayError, BackupError, LeaseLost, StorageError
from backstay.logs import get_logger

_log = get_logger("backstay.run")

_PATIENCE_SECONDS = 5.0  # for the last writes to a database that is failing


class LeasedRun:
    """A run of a job until there is a reason to end, under as many leases as needed."""

    def __init__(
        self,
        *,
        store: WorkStore,
        job: Job,
        callee: CallableProcessor,
        options: WorkerOptions,
        monitor: LeaseMonitor,
        stop: StopSignal,
        folder: Path,
        reporter: JobProgressReporter,
        backup: ReplacementBackup | None,
    ) -> None:
        self._store = store
        self._job = job
        self._callee = callee
        self._options = options
        self._monitor = monitor
        self._stop = stop
        self._folder = folder
        self._reporter = reporter
        self._backup = backup
        self._current: tuple[Lease, Worker] | None = None
        self._mark_thread: threading.Thread | None = None
        self._loop = asyncio.get_running_loop()
        self._claimed = 0
        self._is_released = False
        self._is_over = False

    async def run_until_ended(self) -> EndReason:
        """Work on the job. If the caller is cancelled, release the items in flight, then propagate that.

        Raises:
            StorageError: the database failed; the job stays resumable.
            BackupError: what the job replaces can no longer be backed up; the job stays resumable.
        """
        self._stop.when_requested(self._on_stop)
        work = asyncio.create_task(self._run_under_leases())
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # Stop the worker instead of cancelling it: a running commit must complete, and items must be released.
            self._stop.request(at_once=True)
            await asyncio.wait([work])
            # Mark an exception as retrieved: the caller gets the cancellation instead.
            await asyncio.gather(work, return_exceptions=True)
            raise

    async def _run_under_leases(self) -> EndReason:
        after_lease_loss = False
        while True:
            try:
                return await self._run_under_one_lease(after_lease_loss=after_lease_loss)
            except LeaseLost as error:
                # Another worker reclaimed the lease, for instance while this process was suspended. Start anew
                # alongside it.
                _log.warning("lease_lost", job=self._job.id, **error.context)
                after_lease_loss = True
                if self._stop.requested:
                    return EndReason.STOPPED
                if self._remaining_limit() == 0:
                    return EndReason.LIMIT

    async def _run_under_one_lease(self, *, after_lease_loss: bool) -> EndReason:
        lock = await asyncio.to_thread(liveness.LivenessLock.open, self._folder)
        proves_death = False
        try:
            await self._monitor.poll()
            acquired = await self._store.acquire_lease(
                self._job.owner,
                self._job.id,
                lock.identity,
                after_lease_loss=after_lease_loss,
                revision=self._callee.revision,
            )
            if acquired.lease is None:
                return END_REASONS.get(acquired.job.state, EndReason.FINISHED)
            try:
                return await self._work_under(replace(acquired.lease, backup=self._backup))
            except LeaseLost:
                raise
            except BaseException:
                # If nothing could be released, the file stays: unlocked, it proves that this worker is dead.
                proves_death = not self._is_released
                raise
        finally:
            lock.close(remove=not proves_death)

    def _remaining_limit(self) -> int | None:
        limit = self._options.limit
        return None if limit is None else max(0, limit - self._claimed)

    async def _work_under(self, lease: Lease) -> EndReason:
        worker = Worker(
            store=self._store,
            lease=lease,
            callee=self._callee,
            settings=self._job.settings,
            provenance=Provenance.from_job(self._job, self._callee.revision),
            options=replace(self._options, limit=self._remaining_limit()),
            monitor=self._monitor,
            stop=self._stop,
            report=self._reporter.report,
        )
        heartbeat = Heartbeat(
            store=self._store, lease=lease, lease_seconds=self._options.lease_seconds, on_lost=worker.note_lease_lost
        )
        self._current, self._is_over = (lease, worker), False
        heartbeat.start()
        try:
            try:
                ending = await worker.run()
            finally:
                self._claimed += worker.claimed
                await self._stop_threads(heartbeat)
        except (StorageError, BackupError):
            self._is_released = await self._release_if_possible(lease)
            raise
        await self._store.release(lease)
        return ending

    async def _stop_threads(self, heartbeat: Heartbeat) -> None:
        self._current = None
        stops = [heartbeat.stop()]
        if self._mark_thread is not None:
            stops.append(asyncio.to_thread(self._mark_thread.join, _PATIENCE_SECONDS))
        await asyncio.gather(*stops)
        self._is_over = True

    async def _release_if_possible(self, lease: Lease) -> bool:
        # The original error is already being reported. If the release fails, the next worker reclaims the lease.
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._store.release(lease)
        except (StorageError, TimeoutError) as error:
            code = error.code if isinstance(error, StorageError) else "timeout"
            _log.warning("lease_release_failed", job=lease.job_id, code=code)
            return False
        return True

    def _on_stop(self) -> None:
        # May be called from anywhere, even a signal handler, and while a processor blocks the loop. So the worker is
        # only woken through the loop, and a thread marks it as stopping in the database. It is marked at once: if it
        # is killed before it ends, it counts as stopped, not as crashed.
        current = self._current
        if current is None:
            return
        lease, worker = current
        if self._mark_thread is None:
            self._mark_thread = threading.Thread(
                target=self._mark_stopping, args=(lease,), name="backstay-stop", daemon=True
            )
            self._mark_thread.start()
        self._loop.call_soon_threadsafe(worker.wake)

    def _mark_stopping(self, lease: Lease) -> None:
        try:
            self._store.mark_stopping(lease)
        except BackstayError as error:
            if self._is_over:
                return  # the end of the run was reported already; log nothing after it
            _log.warning("stop_mark_failed", job=lease.job_id, code=error.code)
