"""Progress of backups, deletes and restores on standard error: a bar on a terminal, a line now and then elsewhere."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from backstay.cli.output import Output, is_terminal
from backstay.cli.progress import SECONDS_BETWEEN_LINES

if TYPE_CHECKING:
    from backstay.backup.backup import BackupProgress


class BackupProgressView:
    """Listens and shows nothing. The others show something."""

    def __init__(self) -> None:
        self.latest: BackupProgress | None = None

    def __call__(self, progress: "BackupProgress") -> None:
        self.latest = progress

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class BackupProgressLines(BackupProgressView):
    """Prints a line at most every few seconds: what is over sooner needs none."""

    def __init__(self, out: Output) -> None:
        super().__init__()
        self._out = out
        self._told_at = time.monotonic()

    def __call__(self, progress: "BackupProgress") -> None:
        super().__call__(progress)
        if time.monotonic() - self._told_at >= SECONDS_BETWEEN_LINES:
            self._told_at = time.monotonic()
            self._out.note(f"{progress.phase}: {format_backup_progress(progress)}")


class BackupProgressBar(BackupProgressView):
    """A bar that moves, made by Rich, anew for each phase; it is gone at the end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        super().__init__()
        self._bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[told]}", markup=False),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
        )
        self._task = self._bar.add_task("looking", total=None, told="")

    def __call__(self, progress: "BackupProgress") -> None:
        super().__call__(progress)
        self._bar.update(
            self._task,
            description=str(progress.phase),
            total=progress.total,
            completed=progress.conversations,
            told=format_backup_progress(progress),
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def backup_progress_view(out: Output) -> BackupProgressView:
    """Choose how to show progress."""
    if is_terminal(2) and not out.json_logs and os.environ.get("TERM", "dumb") != "dumb":
        return BackupProgressBar()
    return BackupProgressView() if out.as_json else BackupProgressLines(out)


@contextmanager
def interruptible() -> Iterator[None]:
    """Have SIGTERM interrupt as Ctrl-C does, so that what it leaves is told of."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def format_backup_progress(progress: "BackupProgress") -> str:
    """Return `1,200 of 10,000 conversations, 3.1 MB`."""
    told = f"{progress.conversations:,} of {progress.total:,} conversations"
    return f"{told}, {format_size(progress.content_bytes)}" if progress.content_bytes else told


def format_size(number: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"
