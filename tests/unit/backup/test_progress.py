"""Progress reports of backups, deletes and restores."""

from types import SimpleNamespace

import pytest

from backstay import progress
from backstay.backup.backup import BackupPhase
from backstay.backup.progress import BackupProgressReporter


@pytest.fixture
def stopwatch(monkeypatch):
    """Return a clock that a test sets by hand."""
    now = SimpleNamespace(seconds=1_000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


async def test_reports_are_bounded(stopwatch):
    """A listener hears the beginning and the end of each phase, and what is reported ten times a second between."""
    heard = []
    reporter = BackupProgressReporter("backup-1-a", lambda report: heard.append((report.phase, report.conversations)))

    for phase in (BackupPhase.WRITING, BackupPhase.VERIFYING):
        for count in range(1, 5):
            await reporter.report(phase, count, 4)
            stopwatch.seconds += 0.06

    assert heard == [(phase, count) for phase in (BackupPhase.WRITING, BackupPhase.VERIFYING) for count in (1, 3, 4)]


async def test_an_asynchronous_listener_is_awaited(stopwatch):
    """A listener that is a coroutine function hears the reports too."""
    heard = []

    async def listen(report):
        heard.append(report.conversations)

    await BackupProgressReporter("backup-1-a", listen).report(BackupPhase.WRITING, 1, 1)

    assert heard == [1]


async def test_a_listener_that_raises_hears_nothing_more(stopwatch, caplog):
    """A listener that raises is logged once and not called again; without a listener nothing is logged."""
    calls = []

    def fail(report):
        calls.append(report)
        raise ValueError("no")

    for listener in (fail, None):
        reporter = BackupProgressReporter("backup-1-a", listener)
        for _ in range(2):
            await reporter.report(BackupPhase.WRITING, 1, 1)

    assert len(calls) == 1
    assert caplog.messages == ["progress_listener_failed"]
