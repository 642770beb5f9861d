"""Heartbeats of a worker, and detection of workers whose heartbeats have stopped.

A lease does not expire by itself: another worker has to reclaim it. Wall clocks play no role. An observer considers a
worker dead once it has seen the same beat for a whole lease duration by its own monotonic clock, during which its own
writes succeeded.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from backstay.batch import liveness
from backstay.batch.store import Lease, WorkerRow, WorkStore
from backstay.errors import LeaseLost, StorageError
from backstay.logs import get_logger

_log = get_logger("backstay.lease")

_PATIENCE_SECONDS = 5.0  # how long `stop` waits for the last beat
CRASH_LIMIT = 3  # interruptions while running alone after which an item counts as having crashed its workers


class Heartbeat:
    """The heartbeat of one lease, sent from its own thread so that a busy event loop does not look like a dead worker.

    If the event loop is blocked for more than two lease durations, the beats stop, so that another worker may reclaim
    the lease. `on_lost` is called on the loop when the lease turns out to be lost.
    """

    def __init__(self, *, store: WorkStore, lease: Lease, lease_seconds: float, on_lost: Callable[[], None]) -> None:
        self._store = store
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._loop_ran_at = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backstay-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        """Stop the beats. Returns when the last one is written, or the database has been silent for too long."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, _PATIENCE_SECONDS)

    def _run(self) -> None:
        # Three beats per lease: a single late or lost one must not look like a dead worker.
        while not self._stop.wait(self._lease_seconds / 3):
            try:
                self._loop.call_soon_threadsafe(self._note_loop_ran)
            except RuntimeError:
                return  # the loop is closed, and this worker with it
            if time.monotonic() - self._loop_ran_at > 2 * self._lease_seconds:
                continue
            try:
                self._store.beat(self._lease)
            except LeaseLost:
                with suppress(RuntimeError):  # as above
                    self._loop.call_soon_threadsafe(self._on_lost)
                return
            except StorageError as error:
                if self._stop.is_set():
                    return  # the run is over and has reported its own errors
                # A missed beat is harmless by itself; the next commit meets and reports the same error.
                _log.warning("heartbeat_missed", code=error.code, job=self._lease.job_id)

    def _note_loop_ran(self) -> None:
        self._loop_ran_at = time.monotonic()


class LeaseMonitor:
    """Detection of a job's dead workers, whose leases it reclaims."""

    def __init__(self, *, store: WorkStore, owner: str, job_id: str, lease_seconds: float) -> None:
        self._store = store
        self._owner = owner
        self._job_id = job_id
        self._lease_seconds = lease_seconds
        self._seen: dict[int, tuple[int, float]] = {}  # token → its beat, and for how long it was seen unchanged
        self._polled_at = time.monotonic()

    async def poll(self, own: Lease | None = None) -> int:
        """Reclaim the leases of dead workers, and return the number of other workers that may be alive."""
        rows = await self._store.workers(self._owner, self._job_id)
        others = [row for row in rows if own is None or row.token != own.token]
        self._seen = {row.token: self._seen[row.token] for row in others if row.token in self._seen}
        # Since the last poll this process may have been suspended, or have waited for a lock that also blocked the
        # beats of the others. So a single long interval between polls proves nothing.
        now = time.monotonic()
        watched, self._polled_at = min(now - self._polled_at, self._lease_seconds / 2), now
        alive = 0
        for row in others:
            if not self._is_dead(row, watched):
                alive += 1
            elif await self._store.reclaim(self._owner, row, crash_limit=CRASH_LIMIT):
                # Usual in a resume after a kill. A worker that is only silent, however, may still be running.
                level = logging.INFO if liveness.is_proven_dead(row.identity) else logging.WARNING
                _log.log(level, "lease_reclaimed", job=self._job_id, host=row.identity.host, pid=row.identity.pid)
                liveness.remove_lock_file(row.identity)
            else:
                alive += 1
        return alive

    def _is_dead(self, row: WorkerRow, watched: float) -> bool:
        if liveness.is_proven_dead(row.identity):
            return True
        beat, unchanged_seconds = self._seen.get(row.token, (None, 0.0))
        unchanged_seconds = unchanged_seconds + watched if beat == row.beat else 0.0
        self._seen[row.token] = (row.beat, unchanged_seconds)
        return unchanged_seconds >= self._lease_seconds
