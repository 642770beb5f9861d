"""The signal that asks a run to stop."""

from backstay.batch.stop import StopSignal


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
