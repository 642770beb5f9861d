"""Progress reports of one run."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

import backstay.batch.progress
import backstay.progress
from backstay.batch.progress import ItemCounts, JobProgress, JobProgressReporter, ProviderWait, TokenCounts


@pytest.fixture
def stopwatch(monkeypatch):
    """Return a clock that a test sets by hand."""
    now = SimpleNamespace(seconds=1_000.0)
    for module in (backstay.progress, backstay.batch.progress):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.fixture
def updates():
    return []


def _reporter(listener):
    return JobProgressReporter(job_id="topics", listener=listener)


async def test_rate_and_eta_know_this_run_only(stopwatch, updates):
    """Items finished before a resume do not affect rate and remaining time."""
    reporter = _reporter(updates.append)

    await reporter.report(ItemCounts(pending=100, completed=1_000), TokenCounts(), last=True)
    stopwatch.seconds += 10
    await reporter.report(ItemCounts(pending=80, completed=1_020), TokenCounts(7, 9), last=True)

    assert updates[0].rate == 0
    assert updates[0].eta_seconds is None
    assert updates[1] == JobProgress(
        "topics", ItemCounts(pending=80, completed=1_020), TokenCounts(7, 9), 10.0, 2.0, 40.0
    )


async def test_failures_are_no_progress(stopwatch, updates):
    """Failed items reduce the remaining work but do not raise the rate."""
    reporter = _reporter(updates.append)

    await reporter.report(ItemCounts(pending=10), TokenCounts())
    stopwatch.seconds += 2
    await reporter.report(ItemCounts(pending=4, running=2, completed=1, failed=2, skipped=1), TokenCounts())
    stopwatch.seconds += 2
    await reporter.report(ItemCounts(failed=8, completed=1, skipped=1), TokenCounts())

    assert (updates[1].rate, updates[1].eta_seconds) == (1.0, 6.0)
    assert (updates[2].rate, updates[2].eta_seconds) == (0.5, 0.0)


async def test_results_to_generate_again_lower_no_rate_below_zero(stopwatch, updates):
    """If items that were completed before this run are pending again, the rate is 0 and the remaining time unknown."""
    reporter = _reporter(updates.append)

    await reporter.report(ItemCounts(pending=10, completed=5), TokenCounts())
    stopwatch.seconds += 2
    await reporter.report(ItemCounts(pending=13, completed=2), TokenCounts())

    assert (updates[1].rate, updates[1].eta_seconds) == (0.0, None)


async def test_provider_wait_is_reported(stopwatch, updates):
    """The progress includes what all calls wait for."""
    waiting = ProviderWait("Rate limited by models.example", "429: per-minute quota", datetime(2026, 1, 1, tzinfo=UTC))

    await _reporter(updates.append).report(ItemCounts(pending=10), TokenCounts(), waiting)

    assert updates[0].provider_wait == waiting
    eight_seconds_before = waiting.until - timedelta(seconds=7.5)
    assert waiting.format_message(eight_seconds_before) == (
        "Rate limited by models.example; retrying in 8 s (429: per-minute quota)"
    )


async def test_nothing_left_takes_no_time(stopwatch, updates):
    """The remaining time is 0 if no item is left, even for a run that did nothing."""
    await _reporter(updates.append).report(ItemCounts(completed=5), TokenCounts(), last=True)

    assert updates[0].eta_seconds == 0.0


async def test_listener_is_called_ten_times_a_second(stopwatch, updates):
    """The listener is called at most ten times a second, and always with the last report."""
    reporter = _reporter(updates.append)

    for completed in range(100):
        await reporter.report(ItemCounts(pending=100 - completed, completed=completed), TokenCounts())
        stopwatch.seconds += 0.01
    await reporter.report(ItemCounts(completed=100), TokenCounts(), last=True)

    assert len(updates) in (10, 11)
    assert updates[-1].completed == 100


async def test_asynchronous_listener_is_awaited(updates):
    """An asynchronous listener is awaited before the run continues."""

    async def listen(update):
        await asyncio.sleep(0)
        updates.append(update)

    await _reporter(listen).report(ItemCounts(completed=1), TokenCounts(), last=True)

    assert [update.completed for update in updates] == [1]


@pytest.mark.parametrize("is_async", [False, True])
async def test_listener_that_raises_is_not_called_again(updates, caplog, is_async):
    """A listener that raises is logged and not called again, and the run continues."""

    def breaks(update):
        updates.append(update)
        raise ValueError("broken bar")

    async def breaks_later(update):
        breaks(update)

    reporter = _reporter(breaks_later if is_async else breaks)
    with caplog.at_level(logging.ERROR, logger="backstay"):
        for _ in range(3):
            await reporter.report(ItemCounts(pending=1), TokenCounts(), last=True)

    assert len(updates) == 1
    assert [(record.msg, record.job, record.error) for record in caplog.records] == [
        ("progress_listener_failed", "topics", "ValueError")
    ]


async def test_listener_is_optional():
    """Without a listener nothing is reported."""
    await _reporter(None).report(ItemCounts(pending=1), TokenCounts(), last=True)


@pytest.mark.parametrize(
    ("counts", "percentage"),
    [(ItemCounts(), 100), (ItemCounts(pending=4), 0), (ItemCounts(running=1, completed=1, failed=1, skipped=1), 75)],
)
def test_percentage_is_the_share_of_what_is_settled(counts, percentage):
    """The percentage is the share of settled items, and 100 if nothing was planned."""
    assert JobProgress("topics", counts, TokenCounts(), 1, 1, 1).percentage == percentage


def test_counts_add_up():
    """`planned` is the sum of all counts, and `settled` that of the items without work left."""
    counts = ItemCounts(1, 2, 4, 8, 16)

    assert (counts.planned, counts.settled, counts.all_settled) == (31, 28, False)
    assert ItemCounts(completed=3).all_settled
    assert not ItemCounts(pending=1, completed=3).all_settled
    assert not ItemCounts(running=1, completed=3).all_settled
