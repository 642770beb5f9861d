"""Heartbeats and the monitor of leases, without a database and almost without waiting."""

import logging
import time
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest

from backstay.batch import lease as lease_module
from backstay.batch.lease import CRASH_LIMIT, Heartbeat, LeaseMonitor
from backstay.batch.liveness import LivenessLock
from backstay.batch.store import Lease, WorkerRow
from backstay.errors import LeaseLost, StoreBusy
from support.fakes.workers import card
from support.harness.async_waiting import until
from support.harness.waiting import until as held_until

_LEASE = Lease("local", 1, "job", 7)


class _Rows:
    """A fake store of workers' rows that records which leases were reclaimed."""

    def __init__(self):
        self.rows = {}
        self.taken = []
        self.refuses = set()

    def put(self, token, *, beat=0, identity=None):
        self.rows[token] = WorkerRow(token, beat, identity or card(str(token)))

    def beat(self, token):
        self.rows[token] = replace(self.rows[token], beat=self.rows[token].beat + 1)

    async def workers(self, owner, job_id):
        assert (owner, job_id) == ("local", "job")
        return list(self.rows.values())

    async def reclaim(self, owner, worker, *, crash_limit):
        assert (owner, crash_limit) == ("local", CRASH_LIMIT)
        if worker.token in self.refuses or self.rows.get(worker.token) != worker:
            return False
        del self.rows[worker.token]
        self.taken.append(worker.token)
        return True


@pytest.fixture
def rows():
    return _Rows()


@pytest.fixture
def clock(monkeypatch):
    """Return the observer's monotonic clock, set by hand."""
    now = SimpleNamespace(seconds=500.0)
    monkeypatch.setattr(lease_module, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.fixture
def watch(rows):
    return LeaseMonitor(store=rows, owner="local", job_id="job", lease_seconds=10)


async def _poll_every_second(watch, clock, seconds):
    """Poll once a second, and return the number of live workers each time."""
    alive = []
    for _ in range(seconds):
        clock.seconds += 1
        alive.append(await watch.poll())
    return alive


async def test_worker_that_beats_is_alive(rows, clock, watch):
    """A worker is alive as long as each poll finds a new beat."""
    rows.put(1)

    for _ in range(10):
        assert await watch.poll() == 1
        clock.seconds += 9
        rows.beat(1)

    assert rows.taken == []


async def test_lease_of_a_silent_worker_is_reclaimed(rows, clock, watch):
    """A lease is reclaimed once its beat is unchanged for a whole lease by the observer's clock, and not before."""
    rows.put(1, beat=5)
    assert await watch.poll() == 1

    assert await _poll_every_second(watch, clock, 10) == [1] * 9 + [0]

    assert rows.taken == [1]


async def test_first_poll_proves_nothing(rows, clock, watch):
    """An observer's first poll reclaims nothing, whatever its clock shows."""
    clock.seconds = 1e9
    rows.put(1)

    assert await watch.poll() == 1


@pytest.mark.parametrize("seconds", [10, 3_600])
async def test_observer_that_slept_has_not_watched(rows, clock, watch, seconds):
    """The first poll after the observer was suspended or blocked reclaims nothing."""
    rows.put(1)
    await watch.poll()
    clock.seconds += seconds

    assert await watch.poll() == 1
    rows.beat(1)
    assert await _poll_every_second(watch, clock, 9) == [1] * 9


async def test_a_beat_starts_the_lease_anew(rows, clock, watch):
    """A single new beat restarts the lease duration."""
    rows.put(1)
    await watch.poll()
    await _poll_every_second(watch, clock, 9)
    rows.beat(1)

    assert await _poll_every_second(watch, clock, 11) == [1] * 10 + [0]


async def test_own_row_is_not_watched(rows, clock, watch):
    """A worker does not monitor its own lease."""
    rows.put(_LEASE.token)

    for _ in range(3):
        assert await watch.poll(_LEASE) == 0
        clock.seconds += 20

    assert rows.taken == []


async def test_worker_watches_all_others(rows, clock, watch):
    """A worker that monitors others counts those that live, and reclaims the lease of one that is silent."""
    rows.put(_LEASE.token)
    rows.put(1)

    alive = []
    for _ in range(11):
        alive.append(await watch.poll(_LEASE))
        clock.seconds += 1

    assert alive == [1] * 10 + [0]
    assert rows.taken == [1]


async def test_each_worker_is_judged_by_itself(rows, clock, watch):
    """Of two workers only the silent one loses its lease."""
    rows.put(1)
    rows.put(2)
    await watch.poll()
    await _poll_every_second(watch, clock, 8)
    rows.beat(2)

    assert await _poll_every_second(watch, clock, 8) == [2, 1, 1, 1, 1, 1, 1, 1]
    assert rows.taken == [1]


async def test_worker_that_moves_at_the_last_moment_is_left_alone(rows, clock, watch):
    """A worker counts as alive if the reclaim fails, because it sent a beat or another observer was faster."""
    rows.put(1)
    rows.refuses = {1}
    await watch.poll()

    await _poll_every_second(watch, clock, 20)

    assert rows.taken == []


async def test_lease_of_a_worker_proven_dead_is_reclaimed_at_once(rows, clock, watch, tmp_path):
    """The lease of a proven dead worker is reclaimed at once, and its lock file is removed."""
    life = LivenessLock.open(tmp_path)
    life.close(remove=False)
    rows.put(1, identity=life.identity)

    assert await watch.poll() == 0

    assert rows.taken == [1]
    assert list(tmp_path.iterdir()) == []


async def test_only_a_worker_that_may_still_run_is_warned_of(rows, clock, watch, tmp_path, caplog):
    """The reclaim of a silent worker's lease is a warning, that of a proven dead one is not."""
    caplog.set_level(logging.INFO)
    life = LivenessLock.open(tmp_path)
    life.close(remove=False)
    rows.put(1, identity=life.identity)
    rows.put(2)

    await watch.poll()
    await _poll_every_second(watch, clock, 10)

    assert [(record.levelname, record.host) for record in caplog.records] == [
        ("INFO", life.identity.host),
        ("WARNING", "elsewhere"),
    ]


async def test_workers_that_left_are_forgotten(rows, clock, watch):
    """The monitor forgets the beats of workers that have left."""
    for token in range(20):
        rows.put(token)
    await watch.poll()
    rows.rows.clear()
    await watch.poll()

    assert watch._seen == {}


# -- heartbeat -------------------------------------------------------------------------------------


class _Beats:
    """A fake store that counts beats, and raises an error if one is set."""

    def __init__(self):
        self.at = []
        self.error = None

    def beat(self, lease):
        assert lease is _LEASE
        self.at.append(time.monotonic())
        if self.error is not None:
            raise self.error


@pytest.fixture
def beats():
    return _Beats()


_LEASE_SECONDS = 0.06


def _heartbeat(beats, lost):
    return Heartbeat(store=beats, lease=_LEASE, lease_seconds=_LEASE_SECONDS, on_lost=lambda: lost.append(1))


def _rounds_of(heartbeat):
    """Count the rounds of a heartbeat, with or without a beat."""
    rounds, give = [], heartbeat._loop.call_soon_threadsafe

    def noted(*args):
        rounds.append(1)
        give(*args)

    heartbeat._loop = SimpleNamespace(call_soon_threadsafe=noted)
    return rounds


async def test_heartbeat_runs_until_it_is_stopped(beats):
    """A heartbeat sends three beats per lease until `stop`, after which none is in progress."""
    heartbeat = _heartbeat(beats, lost := [])
    heartbeat.start()
    await until(lambda: len(beats.at) >= 4)
    await heartbeat.stop()

    assert not heartbeat._thread.is_alive()
    assert all(later - earlier >= 0.019 for earlier, later in pairwise(beats.at))
    assert lost == []


async def test_lost_lease_is_reported_once(beats):
    """A lost lease is reported once, on the event loop, and ends the heartbeat."""
    beats.error = LeaseLost("gone")
    heartbeat = _heartbeat(beats, lost := [])
    heartbeat.start()
    await until(lambda: lost and not heartbeat._thread.is_alive())
    await heartbeat.stop()

    assert lost == [1]
    assert len(beats.at) == 1


async def test_missed_beat_is_no_loss(beats):
    """A beat that fails on a locked database does not end the heartbeat."""
    beats.error = StoreBusy("locked")
    heartbeat = _heartbeat(beats, lost := [])
    heartbeat.start()
    await until(lambda: len(beats.at) >= 3)
    await heartbeat.stop()

    assert lost == []


async def test_busy_loop_does_not_look_like_death(beats, clock):
    """A worker keeps its lease while its event loop is blocked for less than two leases."""
    heartbeat = _heartbeat(beats, [])
    heartbeat.start()
    await until(lambda: beats.at)

    clock.seconds += 1.9 * _LEASE_SECONDS
    before = len(beats.at)
    held_until(lambda: len(beats.at) >= before + 2)  # blocks the event loop

    await heartbeat.stop()


async def test_blocked_loop_stops_the_beats(beats, clock):
    """Beats stop while the event loop is blocked for more than two leases, and continue after it."""
    heartbeat = _heartbeat(beats, [])
    rounds = _rounds_of(heartbeat)
    heartbeat.start()
    await until(lambda: beats.at)

    clock.seconds += 2.1 * _LEASE_SECONDS
    before = len(rounds)
    held_until(lambda: len(rounds) > before)  # any beat in progress has ended
    count = len(beats.at)
    held_until(lambda: len(rounds) > before + 4)  # the event loop is still blocked
    assert len(beats.at) == count

    await until(lambda: len(beats.at) > count)
    await heartbeat.stop()
