"""Many processes on one job share the work; they never store an item twice."""

import time

import pytest

from support.sql import is_server
from support.torture import FULL

pytestmark = pytest.mark.sweep


def many(scene) -> int:
    """How many at once: on a server, which is asked for a connection by each of their threads, fewer in a sample."""
    return 50 if FULL or not is_server(scene.database) else 15


def test_many_resumes_in_the_same_instant(scene):
    """The first may create the job, all work on it, each item is called once."""
    scene.items, scene.concurrency = 400, 2
    start_at = time.time() + many(scene) / 4  # by then all have been started

    victims = [scene.start(start_at=start_at, seconds=0.02) for _ in range(many(scene))]

    assert [scene.finish(victim) for victim in victims] == [0] * len(victims), scene.errors()
    assert scene.broken() == []
    assert len(scene.witness().calls) == scene.items


def test_many_resumes_of_a_killed_job(scene):
    """They find the dead worker's items once."""
    scene.items, scene.concurrency = 400, 4
    first = scene.start(seconds=0.02)
    while len(scene.witness().calls) < 100:
        time.sleep(0.01)
    scene.kill(first)
    start_at = time.time() + many(scene) / 4  # by then all have been started

    victims = [scene.start(start_at=start_at, seconds=0.02) for _ in range(many(scene))]

    assert [scene.finish(victim) for victim in victims] == [0] * len(victims), scene.errors()
    assert scene.broken() == []
