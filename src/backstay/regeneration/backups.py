"""The backups without which nothing is replaced: made before the first call, and anew when one cannot be used."""

from datetime import timedelta
from functools import partial

from backstay.backup.backup import Backup, BackupState, Listener
from backstay.backup.key_set import KeySet
from backstay.backup.locations import BackupLocations
from backstay.backup.store import RecordStore
from backstay.backup.writer import BackupWriter
from backstay.batch.job import Job
from backstay.batch.store import ReplacementBackup
from backstay.logs import get_logger
from backstay.regeneration.store import RegenerationStore

_log = get_logger("backstay.regeneration")

_REASON = "before_regenerate"


class ReplacementBackups:
    """The backups of one owner's conversations that are to be replaced."""

    def __init__(
        self,
        *,
        store: RegenerationStore,
        records: RecordStore,
        writer: BackupWriter,
        folders: BackupLocations,
        owner: str,
        retention: timedelta,
    ) -> None:
        self._store = store
        self._records = records
        self._writer = writer
        self._folders = folders
        self._owner = owner
        self._retention = retention

    async def write(
        self, keys: KeySet, *, plan_digest: str | None = None, on_progress: Listener | None = None
    ) -> Backup:
        """Back up conversations, and return the verified backup. Raises PlanOutdated, BackupError."""
        return await self._writer.write(
            keys,
            reason=_REASON,
            retention=self._retention,
            expected=len(keys),
            plan_digest=plan_digest,
            on_progress=on_progress,
        )

    async def prepare(self, job: Job) -> ReplacementBackup:
        """Return a usable backup of what a job is still to replace, for its next commits.

        A backup that has expired, was removed or is damaged, or whose file is missing, is replaced by a new one.

        Raises:
            BackupNotFound: the job was discarded.
            BackupError: no new backup can be made.
        """
        backup = await self._records.backup(self._owner, await self._store.backup_id(job))
        if backup.state is not BackupState.VERIFIED or not (await self._folders.for_backup(backup)).has(
            backup.id, size=backup.file_bytes
        ):
            keys = await self._store.unreplaced_keys(job)
            if keys:  # otherwise nothing is left to be replaced, and so nothing to be checked
                lost, backup = backup, await self.write(keys)
                await self._store.set_backup(job, backup)
                _log.warning("replacement_backup_renewed", job=job.id, lost=lost.id, backup=backup.id)
        folder = await self._folders.for_backup(backup)
        return ReplacementBackup(
            backup.id, partial(folder.has, backup.id, size=backup.file_bytes), partial(self.prepare, job)
        )
