"""How a run is asked to stop."""

from backstay.batch.stop import StopSignal


def test_nothing_is_asked_at_first():
    """A new one lets the run go on."""
    stop = StopSignal()

    assert (stop.requested, stop.at_once) == (False, False)


def test_listeners_hear_of_it():
    """Each of them, once."""
    stop, heard = StopSignal(), []
    stop.when_requested(lambda: heard.append("a"))
    stop.when_requested(lambda: heard.append("b"))

    stop.request()
    stop.request()

    assert heard == ["a", "b"]
    assert (stop.requested, stop.at_once) == (True, False)


def test_late_listener_hears_at_once():
    """A stop that was asked for before the run began is not lost."""
    stop, heard = StopSignal(), []
    stop.request()

    stop.when_requested(lambda: heard.append("late"))

    assert heard == ["late"]


def test_listener_finds_the_stop_requested():
    """What it is called for is already true."""
    stop, seen = StopSignal(), []
    stop.when_requested(lambda: seen.append((stop.requested, stop.at_once)))

    stop.request(at_once=True)

    assert seen == [(True, True)]


def test_second_request_may_take_the_grace_away():
    """And no third gives it back."""
    stop, seen = StopSignal(), []
    stop.when_requested(lambda: seen.append(stop.at_once))

    stop.request()
    stop.request(at_once=True)
    stop.request()
    stop.request(at_once=True)

    assert seen == [False, True]
    assert stop.at_once
