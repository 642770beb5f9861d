"""Who works, and who has stopped working: beats, and the watch over others' beats.

A lease ends by takeover, not by time. No wall clock judges it: an observer calls a worker expired when it saw the
same beat for a whole lease by its own monotonic clock, while its own writes went through.
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

LEASE_SECONDS = 15.0
_PATIENCE_SECONDS = 5.0  # with the last beat of a lease
CRASH_LIMIT = 3  # interruptions suffered alone after which an item is held to have crashed its workers


class Heartbeat:
    """Beats for one lease from a thread of its own, so that a busy event loop does not look like death.

    A loop that has not turned for two leases is as good as dead, though: then the beats stop, and others may take
    over. `on_lost` is called on the loop when the lease turns out to be lost.
    """

    def __init__(self, *, store: WorkStore, lease: Lease, lease_seconds: float, on_lost: Callable[[], None]) -> None:
        self._store = store
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._loop_turned_at = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backstay-heart", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        """Stop beating; returns when no beat is under way any more, or the database does not answer the last one."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, _PATIENCE_SECONDS)

    def _run(self) -> None:
        # Three beats a lease: one that is late or lost must not look like death.
        while not self._stop.wait(self._lease_seconds / 3):
            try:
                self._loop.call_soon_threadsafe(self._note_turn)
            except RuntimeError:
                return  # the loop is closed, and this worker with it
            if time.monotonic() - self._loop_turned_at > 2 * self._lease_seconds:
                continue
            try:
                self._store.beat(self._lease)
            except LeaseLost:
                with suppress(RuntimeError):  # as above
                    self._loop.call_soon_threadsafe(self._on_lost)
                return
            except StorageError as error:
                if self._stop.is_set():
                    return  # the run is over, and has said what there was to say
                # A missed beat is no harm in itself; the next commit meets the same trouble and reports it.
                _log.warning("heartbeat_missed", code=error.code, job=self._lease.job_id)

    def _note_turn(self) -> None:
        self._loop_turned_at = time.monotonic()


class LeaseMonitor:
    """Finds workers of a job that are dead, and takes over what they held."""

    def __init__(self, *, store: WorkStore, owner: str, job_id: str, lease_seconds: float) -> None:
        self._store = store
        self._owner = owner
        self._job_id = job_id
        self._lease_seconds = lease_seconds
        self._seen: dict[int, tuple[int, float]] = {}  # token → its beat, and for how long we saw it stand still
        self._looked_at = time.monotonic()

    async def poll(self, own: Lease | None = None) -> int:
        """Look once, take over whoever is dead, and return how many live or unknown others there are."""
        rows = await self._store.workers(self._owner, self._job_id)
        others = [row for row in rows if own is None or row.token != own.token]
        self._seen = {row.token: self._seen[row.token] for row in others if row.token in self._seen}
        # Between two looks we may have slept, or waited for a lock that kept the others from beating as well: then the
        # first look after it proves nothing yet.
        now = time.monotonic()
        watched, self._looked_at = min(now - self._looked_at, self._lease_seconds / 2), now
        alive = 0
        for row in others:
            if not self._is_dead(row, watched):
                alive += 1
            elif await self._store.reclaim(self._owner, row, crash_limit=CRASH_LIMIT):
                # After a kill this is how a resume begins; a worker that is only silent may yet wake up and wonder.
                level = logging.INFO if liveness.is_proven_dead(row.identity) else logging.WARNING
                _log.log(level, "lease_reclaimed", job=self._job_id, host=row.identity.host, pid=row.identity.pid)
                liveness.remove_lock_file(row.identity)
            else:
                alive += 1
        return alive

    def _is_dead(self, row: WorkerRow, watched: float) -> bool:
        if liveness.is_proven_dead(row.identity):
            return True
        beat, still = self._seen.get(row.token, (None, 0.0))
        still = still + watched if beat == row.beat else 0.0
        self._seen[row.token] = (row.beat, still)
        return still >= self._lease_seconds
