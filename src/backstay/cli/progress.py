"""Progress on standard error: a live bar on a terminal, a line every few seconds elsewhere."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from backstay.cli.output import Output, is_terminal
from backstay.cli.text import format_count, format_duration, format_size, printable, truncate
from backstay.clock import SystemClock
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from backstay.backup.backup import BackupProgress
    from backstay.batch.progress import JobProgress

P = TypeVar("P")

_SECONDS_BETWEEN_LINES = 5.0
_MAX_NAME_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class ProgressState:
    """Progress as it is shown: `name: text`, and the fraction of a bar."""

    name: str
    text: str
    completed: int = 0
    total: int | None = None


class ProgressView(Generic[P]):
    """Listener to progress that shows nothing; subclasses show it."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self.announcement: str | None = None
        """Note to print when the work begins, unless the work is refused."""
        self.latest: P | None = None
        self.is_live = False
        """Whether a bar has hidden the cursor and occupies the last line of the terminal."""

    def __call__(self, progress: P) -> None:
        self.latest = progress
        if self.announcement is not None:
            self._announce(self.announcement)
            self.announcement = None

    def _announce(self, text: str) -> None:
        self._out.note(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class ProgressLines(ProgressView[P]):
    """Listener that prints a line at most every few seconds and, with `is_last_printed`, the last progress."""

    def __init__(
        self,
        out: Output,
        describe: Callable[[P], ProgressState],
        *,
        is_last_printed: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(out)
        self._describe = describe
        self._is_last_printed = is_last_printed
        self._now = now
        self._printed_at = now()
        self._printed: P | None = None

    def __call__(self, progress: P) -> None:
        super().__call__(progress)
        if self._now() - self._printed_at >= _SECONDS_BETWEEN_LINES:
            self._print(progress)

    def __exit__(self, *_: object) -> None:
        if self._is_last_printed and self.latest is not None and self.latest is not self._printed:
            self._print(self.latest)

    def _print(self, progress: P) -> None:
        self._printed_at, self._printed = self._now(), progress
        state = self._describe(progress)
        self._out.note(f"{state.name}: {state.text}")


class ProgressBar(ProgressView[P]):
    """Listener with a Rich progress bar, which disappears at the end."""

    def __init__(self, out: Output, describe: Callable[[P], ProgressState], first: ProgressState) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        super().__init__(out)
        self._describe = describe
        self._bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),  # leaves room, so that a ^C that the terminal prints does not wrap
            TextColumn("{task.fields[text]}", markup=False),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
        )
        self._task = self._bar.add_task(truncate(first.name, _MAX_NAME_CHARACTERS), total=None, text=first.text)

    def __call__(self, progress: P) -> None:
        super().__call__(progress)
        state = self._describe(progress)
        self._bar.update(
            self._task,
            description=truncate(state.name, _MAX_NAME_CHARACTERS),
            total=state.total,
            completed=state.completed,
            text=state.text,
        )

    def _announce(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)  # above the bar, which is the last line

    def __enter__(self) -> Self:
        self.is_live = True
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        self.is_live = False


def job_progress_view(out: Output, name: str) -> "ProgressView[JobProgress]":
    """Choose how to show the progress of a job."""
    return _choose_view(out, describe_job, ProgressState(printed_id(name), "reading items"), is_last_printed=True)


def backup_progress_view(out: Output) -> "ProgressView[BackupProgress]":
    """Choose how to show the progress of a backup, a delete or a restore."""
    return _choose_view(out, describe_backup, ProgressState("preparing", ""))


def review_progress_view(out: Output) -> "ProgressView[int]":
    """Choose how to show the number of conversations that were reviewed so far."""
    return _choose_view(
        out,
        lambda count: ProgressState("reviewing", format_count(count, "conversation")),
        ProgressState("reviewing", ""),
    )


def _choose_view(
    out: Output, describe: Callable[[P], ProgressState], first: ProgressState, *, is_last_printed: bool = False
) -> ProgressView[P]:
    if is_terminal(2) and not out.json_logs and os.environ.get("TERM", "dumb") != "dumb":
        return ProgressBar(out, describe, first)
    return ProgressView(out) if out.as_json else ProgressLines(out, describe, is_last_printed=is_last_printed)


def describe_job(progress: "JobProgress") -> ProgressState:
    """Describe a job's progress: `40 of 120, 4.1/s, 20.0 s left, 2 failed, 1,200 + 3,400 tokens`, then any wait."""
    counts, tokens = progress.counts, progress.tokens
    clauses = [f"{counts.settled:,} of {counts.planned:,}", format_rate(progress.rate)]
    if progress.eta_seconds and not counts.all_settled:
        clauses.append(f"{format_duration(progress.eta_seconds)} left")
    if counts.failed:
        clauses.append(f"{counts.failed:,} failed")
    if tokens.tokens_in or tokens.tokens_out:
        clauses.append(format_tokens(tokens.tokens_in, tokens.tokens_out))
    waiting = (
        f". {printable(progress.provider_wait.format_message(SystemClock().now()))}" if progress.provider_wait else ""
    )
    return ProgressState(printed_id(progress.job_id), ", ".join(clauses) + waiting, counts.settled, counts.planned)


def describe_backup(progress: "BackupProgress") -> ProgressState:
    """Describe the progress of a backup's phase: `1,200 of 10,000 conversations, 3.1 MB`."""
    text = f"{progress.conversations:,} of {progress.total:,} conversations"
    if progress.content_bytes:
        text += f", {format_size(progress.content_bytes)}"
    return ProgressState(str(progress.phase), text, progress.conversations, progress.total)


def format_rate(rate: float) -> str:
    """Return `4.1/s`, or `3.0/min` if each takes longer than ten seconds."""
    return f"{60 * rate:,.1f}/min" if 0 < rate < 0.1 else f"{rate:,.1f}/s"


def format_tokens(tokens_in: int, tokens_out: int) -> str:
    """Return `1,200 + 3,400 tokens`, sent and received."""
    return f"{tokens_in:,} + {format_count(tokens_out, 'token')}"
