"""Reports of a backup's progress."""

from backstay.backup.backup import BackupPhase, BackupProgress, Listener
from backstay.progress import ProgressReporter


class BackupProgressReporter:
    """A reporter of a backup's progress that omits neither the beginning nor the end of a phase."""

    def __init__(self, backup_id: str, listener: Listener | None) -> None:
        self._backup_id = backup_id
        self._reporter = ProgressReporter(listener, backup=backup_id)
        self._phase: BackupPhase | None = None

    async def report(self, phase: BackupPhase, conversations: int, total: int, content_bytes: int = 0) -> None:
        is_edge = conversations >= total or phase is not self._phase
        self._phase = phase
        progress = BackupProgress(self._backup_id, phase, conversations, total, content_bytes)
        await self._reporter.report(lambda: progress, always=is_edge)
