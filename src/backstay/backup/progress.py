"""Progress reports to a listener."""

import inspect
import time

from backstay.backup.backup import BackupPhase, BackupProgress, Listener
from backstay.logs import get_logger

_log = get_logger("backstay.backup")

_MIN_INTERVAL_SECONDS = 0.1


class BackupProgressReporter:
    """A reporter of progress, at most ten times a second within a phase, and always at its end.

    A listener that raises gets no further reports: a broken progress bar must not make a backup fail.
    """

    def __init__(self, backup_id: str, listener: Listener | None) -> None:
        self._backup_id = backup_id
        self._listener = listener
        self._reported_at = 0.0
        self._phase: BackupPhase | None = None

    async def report(self, phase: BackupPhase, conversations: int, total: int, content_bytes: int = 0) -> None:
        now = time.monotonic()
        is_due = now - self._reported_at >= _MIN_INTERVAL_SECONDS or conversations >= total or phase is not self._phase
        if self._listener is None or not is_due:
            return
        self._reported_at, self._phase = now, phase
        try:
            result = self._listener(BackupProgress(self._backup_id, phase, conversations, total, content_bytes))
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            _log.exception("progress_listener_failed", backup=self._backup_id, error=type(error).__name__)
            self._listener = None
