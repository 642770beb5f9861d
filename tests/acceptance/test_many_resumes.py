"""Many processes on one job share the work; they never store an item twice."""

import time

from support.torture import FULL


def test_fifty_resumes_in_the_same_instant(scene):
    """The first may create the job, all work on it, each item is called once."""
    scene.items, scene.concurrency = 400, 2
    start_at = time.time() + (12 if FULL else 8)

    victims = [scene.start(start_at=start_at, seconds=0.02) for _ in range(50)]

    assert [scene.finish(victim) for victim in victims] == [0] * 50, scene.errors()
    assert scene.broken() == []
    assert len(scene.witness().calls) == scene.items


def test_fifty_resumes_of_a_killed_job(scene):
    """They find the dead worker's items once."""
    scene.items, scene.concurrency = 400, 4
    first = scene.start(seconds=0.02)
    while len(scene.witness().calls) < 100:
        time.sleep(0.01)
    scene.kill(first)
    start_at = time.time() + (12 if FULL else 8)

    victims = [scene.start(start_at=start_at, seconds=0.02) for _ in range(50)]

    assert [scene.finish(victim) for victim in victims] == [0] * 50, scene.errors()
    assert scene.broken() == []
