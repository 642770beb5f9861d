"""One run of one job in one process: lease, heart, worker, and the way out."""

import asyncio
from pathlib import Path

import structlog

from holdfast.batch import host
from holdfast.batch.job import Job
from holdfast.batch.lease import Heart, Watch
from holdfast.batch.processor import Callee
from holdfast.batch.progress import ProgressTeller
from holdfast.batch.stop import Stop
from holdfast.batch.store import CommitReport, Lease, WorkStore
from holdfast.batch.worker import Ending, Worker, WorkerOptions
from holdfast.errors import LeaseLost, StorageError

_log = structlog.get_logger("holdfast.run")


class Run:
    """Works on a job until there is a reason to end, under as many leases as it takes."""

    def __init__(
        self,
        *,
        store: WorkStore,
        owner: str,
        job: Job,
        callee: Callee,
        options: WorkerOptions,
        watch: Watch,
        stop: Stop,
        folder: Path,
        teller: ProgressTeller,
    ) -> None:
        self._store = store
        self._owner = owner
        self._job = job
        self._callee = callee
        self._options = options
        self._watch = watch
        self._stop = stop
        self._folder = folder
        self._teller = teller
        self._lease: Lease | None = None
        self._worker: Worker | None = None
        self._marking: asyncio.Future[None] | None = None
        self._report: CommitReport | None = None

    async def until_ended(self) -> Ending:
        """Work; when the caller is cancelled, give back what is in flight before passing that on.

        Raises:
            StorageError: the database could not go on; the job stays resumable.
        """
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

    async def _under_leases(self) -> Ending:
        life = await asyncio.to_thread(host.LifeLine.open, self._folder)
        gave_back = False
        try:
            while True:
                await self._watch.look()
                entered = await self._store.enter(self._owner, self._job.id, life.card)
                if entered.lease is None:
                    gave_back = True
                    return Ending.FINISHED
                try:
                    ending = await self._under(entered.lease)
                    gave_back = True
                    return ending
                except LeaseLost:
                    # We slept, and another worker took over. It has our items; we start anew beside it.
                    _log.warning("lease_lost", job=self._job.id, token=entered.lease.token)
                    if self._stop.requested:
                        return Ending.STOPPED
        finally:
            # When nothing could be given back, the file stays and, unlocked, proves to others that we are gone.
            life.close(remove=gave_back)

    async def _under(self, lease: Lease) -> Ending:
        worker = Worker(
            store=self._store,
            lease=lease,
            callee=self._callee,
            settings=self._job.settings,
            options=self._options,
            watch=self._watch,
            stop=self._stop,
            on_report=self._tell,
        )
        heart = Heart(store=self._store, lease=lease, lease_seconds=self._options.lease_seconds, on_lost=worker.lose)
        self._lease, self._worker = lease, worker
        heart.start()
        try:
            ending = await worker.run()
        except StorageError:
            await self._end(heart)
            await self._leave_if_possible(lease, worker)
            raise
        except BaseException:
            await self._end(heart)
            raise
        await self._end(heart)
        await self._store.leave(lease, worker.held)
        if self._report is not None:
            await self._teller.tell(self._report.counts, self._report.tokens, last=True)
        return ending

    async def _end(self, heart: Heart) -> None:
        self._lease, self._worker = None, None
        await heart.stop()
        if self._marking is not None:
            await asyncio.gather(self._marking, return_exceptions=True)

    async def _leave_if_possible(self, lease: Lease, worker: Worker) -> None:
        try:
            await self._store.leave(lease, worker.held)
        except StorageError as error:
            # The same trouble as the one being reported. Whoever comes next finds us dead and takes the items back.
            _log.warning("could_not_give_back", job=lease.job_id, code=error.code)

    async def _tell(self, report: CommitReport) -> None:
        self._report = report
        await self._teller.tell(report.counts, report.tokens)

    def _on_stop(self) -> None:
        if self._lease is None or self._worker is None:
            return
        self._worker.wake()
        # Noted at once: should the process be killed before it is done, its items were stopped, not crashed.
        self._marking = asyncio.get_running_loop().run_in_executor(None, self._store.mark_stopping, self._lease)
