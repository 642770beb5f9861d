"""A job over a connection that is cut at its COMMITs, before the server receives them or after it has replied."""

import random
from collections.abc import Callable

import pytest

from support.faults.postgres_proxy import Cut, Proxy
from support.harness.sampling import FULL
from support.harness.waiting import until

pytestmark = pytest.mark.promise("B1", "B2", "B5")

_CUTS = [cut for cut in Cut if cut is not Cut.NONE]
_ITEMS = 1_200 if FULL else 160
_WANTED = 300 if FULL else 40


def cutting_every_third(*, after: int = 0) -> Callable[[], Cut]:
    """Return a plan that cuts every third COMMIT after the first few, in a different way each time."""
    chance, count = random.Random(6), 0

    def plan() -> Cut:
        nonlocal count
        count += 1
        return chance.choice(_CUTS) if count > after and count % 3 == 0 else Cut.NONE

    return plan


def _cut(proxy: Proxy) -> int:
    return sum(cut is not Cut.NONE for cut in proxy.cuts)


@pytest.mark.sweep
def test_a_job_over_a_wire_that_is_cut_at_commits(scene, url):
    """A job over such a connection loses no lease, calls nothing twice and stores nothing twice."""
    scene.items = _ITEMS
    with Proxy(url, plan=cutting_every_third(), held_seconds=0.1) as proxy:
        worker = scene.start(database=proxy.url, seconds=0.01, concurrency=2)
        code = scene.finish(worker, seconds=600)
        cuts = _cut(proxy)

    assert code == 0, scene.errors()
    assert cuts >= _WANTED
    assert "lease_lost" not in scene.errors()
    assert len(scene.witness().calls) == scene.items
    assert scene.broken() == []


@pytest.mark.parametrize("guess", ["made", "lost"])
def test_a_worker_that_guesses_is_noticed(scene, url, guess):
    """Control: a worker that takes a lost reply for a success, or for a failure, fails the same checks."""
    scene.items = 400
    with Proxy(url, plan=cutting_every_third(after=20), held_seconds=0.1) as proxy:
        # Calls that take longer than a commit: whatever is guessed wrong, calls are in flight whose results are lost.
        worker = scene.start(
            database=proxy.url, seconds=0.3, concurrency=8, lease=1, without=f"answers-guessed-{guess}"
        )
        until(lambda: worker.poll() is not None or _cut(proxy) > 20)
        worker.kill()
        worker.wait()
    scene.crashes += 1  # calls in flight when the worker was killed may have been made twice

    broken = scene.broken(at_rest=False, concurrency=8)
    assert [line for line in broken if line.startswith(("B1", "B3", "B5"))]
