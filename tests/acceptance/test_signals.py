"""A stop by signal is graceful the first time, immediate the second, and never counts as a crash."""

import signal

import pytest

from support.harness.waiting import until
from support.stores.sql import ask

pytestmark = pytest.mark.promise("B5", "B6")


def interruptions(scene):
    ((count,),) = ask(scene.database, "SELECT coalesce(sum(interruptions), 0) FROM items")
    return count


def is_noted(scene):
    """Return whether the stop has been recorded in the database."""
    return bool(ask(scene.database, "SELECT token FROM workers WHERE stopping"))


def start_and_wait_for_calls(scene, **options):
    victim = scene.start(**options)
    scene.until_called(victim, 20)
    return victim


def test_a_stop_lets_calls_in_flight_finish(scene):
    """After SIGTERM no new call starts, and those in flight are stored."""
    victim = start_and_wait_for_calls(scene, seconds=0.05)

    victim.send_signal(signal.SIGTERM)

    assert scene.finish(victim) == 130
    assert scene.broken(at_rest=False) == []
    calls = len(scene.witness().calls)
    assert scene.witness().reported == calls < scene.items
    assert scene.run() == 0, scene.errors()
    assert scene.broken() == []
    assert len(scene.witness().calls) == scene.items, "no call was repeated"


def test_calls_that_outlast_the_grace_are_given_back(scene):
    """Calls that outlast the grace period return to pending, and do not count as interrupted."""
    victim = start_and_wait_for_calls(scene, seconds=0.01, doing="hang@15", grace=0.3)

    victim.send_signal(signal.SIGTERM)

    assert scene.finish(victim) == 130
    assert scene.broken(at_rest=False) == []
    assert interruptions(scene) == 0


def test_killed_while_stopping_is_not_a_crash(scene):
    """Items of a worker that is killed while it stops do not count as crashed."""
    victim = start_and_wait_for_calls(scene, seconds=0.01, doing="hang@10,hang@11")
    victim.send_signal(signal.SIGTERM)
    until(lambda: is_noted(scene))

    scene.kill(victim)

    assert scene.run() == 0, scene.errors()
    assert interruptions(scene) == 0
    assert scene.broken() == []


@pytest.mark.parametrize("times", [1, 2])
def test_a_blocked_loop_does_not_keep_the_note_of_a_stop(scene, times):
    """A stop is recorded by a thread even while the processor blocks the event loop."""
    victim = scene.start(seconds=0.01, doing="stuck@12")
    until(lambda: "stuck" in scene.witness().misbehaviour)

    for number in range(times):
        victim.send_signal(signal.SIGTERM)
        until(lambda number=number: scene.witness().stops > number)
    until(lambda: is_noted(scene))
    scene.kill(victim)

    assert scene.run(seconds=0.001) == 0, scene.errors()

    assert interruptions(scene) == 0
    assert scene.broken() == []
