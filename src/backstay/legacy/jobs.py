"""Import of jobs that another program has begun."""

import asyncio
from collections.abc import AsyncIterable, Sequence
from pathlib import Path

from backstay.batch import liveness
from backstay.batch.creation import drop, drop_leftovers
from backstay.batch.item import SettledItem
from backstay.batch.job import JobSettings, Pause, format_how_to_resume
from backstay.batch.store import BatchStores, WorkerIdentity
from backstay.errors import JobNotFound
from backstay.library.id_text import check_id

_CODE = "taken_over"


class LegacyJobImporter:
    """Importer of jobs for one owner."""

    def __init__(self, *, stores: BatchStores, owner: str, folder: Path) -> None:
        self._stores = stores
        self._owner = owner
        self._folder = folder

    async def has(self, job_id: str) -> bool:
        """Return whether a job of that name exists."""
        try:
            await self._stores.jobs.job(self._owner, job_id)
        except JobNotFound:
            return False
        return True

    async def import_job(self, job_id: str, chunks: AsyncIterable[Sequence[SettledItem]]) -> bool:
        """Create a paused job of the items that another program has settled; return whether it is new.

        A run with all its items continues it. An existing job is not changed. An interrupted import leaves nothing;
        idempotent, also in several processes at once.

        Raises:
            InvalidRow: the job cannot have that name.
        """
        check_id(job_id, "the job's name", job_id=job_id)
        if await self.has(job_id):
            return False
        await drop_leftovers(self._stores, self._owner)
        lock = await asyncio.to_thread(liveness.LivenessLock.open, self._folder)
        is_tidy = False
        try:
            is_new = await self._import_job(job_id, chunks, lock.identity)
            is_tidy = True
        finally:
            lock.close(remove=is_tidy)
        return is_new

    async def _import_job(
        self, job_id: str, chunks: AsyncIterable[Sequence[SettledItem]], card: WorkerIdentity
    ) -> bool:
        intake = self._stores.intake
        staged = await intake.stage(self._owner, card)
        try:
            async for chunk in chunks:
                await intake.stage_settled(staged, chunk)
            pause = Pause(_CODE, f"imported; {format_how_to_resume(job_id)}")
            return await intake.publish_settled(staged, job_id, JobSettings(), pause)
        finally:
            await drop(self._stores, self._owner, staged.job_key)
