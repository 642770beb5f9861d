"""The signal that asks a run to stop, and how long its worker then waits, by a clock that is set by hand."""

import math
from types import SimpleNamespace

import pytest

from backstay.batch import stop_signal as stop_module
from backstay.batch.stop_signal import EndDeadline, StopSignal


def test_nothing_is_requested_at_first():
    """A new signal does not request a stop."""
    stop = StopSignal()

    assert (stop.requested, stop.at_once) == (False, False)


def test_listeners_hear_of_it():
    """Each listener is called once when a stop is requested."""
    stop, heard = StopSignal(), []
    stop.when_requested(lambda: heard.append("a"))
    stop.when_requested(lambda: heard.append("b"))

    stop.request()
    stop.request()

    assert heard == ["a", "b"]
    assert (stop.requested, stop.at_once) == (True, False)


def test_late_listener_hears_at_once():
    """A listener added after the request is called at once."""
    stop, heard = StopSignal(), []
    stop.request()

    stop.when_requested(lambda: heard.append("late"))

    assert heard == ["late"]


def test_listener_finds_the_stop_requested():
    """A listener sees the stop as requested when it is called."""
    stop, seen = StopSignal(), []
    stop.when_requested(lambda: seen.append((stop.requested, stop.at_once)))

    stop.request(at_once=True)

    assert seen == [(True, True)]


def test_second_request_may_take_the_grace_away():
    """A second request with `at_once` ends the grace period, and no later one restores it."""
    stop, seen = StopSignal(), []
    stop.when_requested(lambda: seen.append(stop.at_once))

    stop.request()
    stop.request(at_once=True)
    stop.request()
    stop.request(at_once=True)

    assert seen == [False, True]
    assert stop.at_once


# -- the end of a worker ---------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """Return the monotonic clock, set by hand."""
    now = SimpleNamespace(seconds=500.0)
    monkeypatch.setattr(stop_module, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.fixture
def deadline(clock):
    return EndDeadline(stop=StopSignal(), grace_seconds=30.0, job_id="job")


def test_grace_period_begins_with_the_first_call(deadline, clock):
    """Asking for the deadline of a stop again does not move it."""
    first = deadline.after_stop()
    clock.seconds += 20

    assert (first, deadline.after_stop()) == (530.0, 530.0)


def test_stop_at_once_leaves_no_grace_period(deadline):
    """A stop with `at_once` ends a grace period that has begun."""
    deadline.after_stop()
    deadline._stop.request(at_once=True)

    assert deadline.after_stop() == 0.0
    assert deadline.shorten(10.0) == 0.0


@pytest.mark.parametrize(("seconds", "timeout"), [(0, 10.0), (25, 5.0), (40, 0.0)])
def test_timeout_ends_with_the_grace_period(deadline, clock, seconds, timeout):
    """A timeout is shortened to what is left of a grace period that has begun, and to no less than nothing."""
    assert deadline.shorten(100.0) == 100.0
    deadline.after_stop()
    clock.seconds += seconds

    assert deadline.shorten(10.0) == timeout


def test_long_wait_before_a_pause_is_logged_once(deadline, clock, caplog):
    """A worker that pauses awaits its calls without a deadline, and logs once that they take more than a second."""
    logged = []
    for seconds, calls in [(0, 3), (0.9, 3), (0.1, 0), (0.1, 2), (9, 1)]:
        clock.seconds += seconds
        assert deadline.before_pause(calls) == math.inf
        logged.append([record.calls for record in caplog.records])

    assert logged == [[], [], [], [2], [2]]
