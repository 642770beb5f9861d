"""A run's progress on standard error: a live bar on a terminal, a line now and then elsewhere."""

import os
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from backstay.cli.output import Output, is_terminal
from backstay.cli.text import format_count, format_duration, printable, shortened
from backstay.clock import SystemClock
from backstay.library.id_text import printed_id

if TYPE_CHECKING:
    from backstay.batch.checkpoint import JobProgress

SECONDS_BETWEEN_LINES = 5.0
_LONGEST_NAME = 40


class RunProgressView:
    """Listens to a run without showing its progress; subclasses show it."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self.announcement: str | None = None
        """A note to print once the run has begun, and not if it is refused."""
        self.latest: JobProgress | None = None
        self.is_live = False
        """Whether the cursor is hidden, and the last line of the terminal ours."""

    def __call__(self, progress: "JobProgress") -> None:
        self.latest = progress
        if self.announcement is not None:
            self._announce(self.announcement)
            self.announcement = None

    def _announce(self, text: str) -> None:
        self._out.note(text)

    @property
    def in_flight(self) -> int:
        return self.latest.counts.running if self.latest is not None else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class MonotonicClock(Protocol):
    """Seconds of a monotonic clock."""

    def __call__(self) -> float: ...


class RunProgressLines(RunProgressView):
    """Prints a line at most every few seconds, and one at the end."""

    def __init__(self, out: Output, *, now: MonotonicClock = time.monotonic) -> None:
        super().__init__(out)
        self._now = now
        self._told_at = now()
        self._told: JobProgress | None = None

    def __call__(self, progress: "JobProgress") -> None:
        super().__call__(progress)
        if self._now() - self._told_at >= SECONDS_BETWEEN_LINES:
            self._print(progress)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.latest is not None and self.latest is not self._told:
            self._print(self.latest)

    def _print(self, progress: "JobProgress") -> None:
        self._told_at, self._told = self._now(), progress
        self._out.note(f"{printed_id(progress.job_id)}: {format_progress(progress)}")


class RunProgressBar(RunProgressView):
    """A bar that moves, made by Rich; it is gone when the run has ended."""

    def __init__(self, out: Output, name: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        super().__init__(out)
        self._bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),  # short of the edge: a ^C that the terminal shows must not wrap
            TextColumn("{task.fields[told]}", markup=False),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
        )
        self._task = self._bar.add_task(shortened(printed_id(name), _LONGEST_NAME), total=None, told="reading items")

    def __call__(self, progress: "JobProgress") -> None:
        super().__call__(progress)
        counts = progress.counts
        self._bar.update(self._task, total=counts.planned, completed=counts.settled, told=format_progress(progress))

    def _announce(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)  # above the bar, which is the last line

    def __enter__(self) -> Self:
        self.is_live = True
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        self.is_live = False


def run_progress_view(out: Output, name: str) -> RunProgressView:
    """Choose how to show the progress of a job."""
    if is_terminal(2) and not out.json_logs and os.environ.get("TERM", "dumb") != "dumb":
        return RunProgressBar(out, name)
    return RunProgressView(out) if out.as_json else RunProgressLines(out)


def format_progress(progress: "JobProgress") -> str:
    """Return `40 of 120, 4.1/s, 20.0 s left, 2 failed, 1,200 + 3,400 tokens`, and what all calls wait for."""
    counts, tokens = progress.counts, progress.tokens
    parts = [f"{counts.settled:,} of {counts.planned:,}", format_rate(progress.rate)]
    if progress.eta_seconds and not counts.all_settled:
        parts.append(f"{format_duration(progress.eta_seconds)} left")
    if counts.failed:
        parts.append(f"{counts.failed:,} failed")
    if tokens.tokens_in or tokens.tokens_out:
        parts.append(format_tokens(tokens.tokens_in, tokens.tokens_out))
    waiting = (
        f". {printable(progress.provider_wait.format_message(SystemClock().now()))}" if progress.provider_wait else ""
    )
    return ", ".join(parts) + waiting


def format_rate(rate: float) -> str:
    """Return `4.1/s`, or `3.0/min` for what takes longer than ten seconds each."""
    return f"{60 * rate:,.1f}/min" if 0 < rate < 0.1 else f"{rate:,.1f}/s"


def format_tokens(tokens_in: int, tokens_out: int) -> str:
    """Return `1,200 + 3,400 tokens`, sent and received."""
    return f"{tokens_in:,} + {format_count(tokens_out, 'token')}"
