"""Counters equal the rows that they count, after any sequence of actions."""

import asyncio
import random
from collections import Counter

import pytest

from backstay.batch.job import FINISHED, UNFINISHED, JobAction, JobState, Pause
from backstay.batch.progress import ItemCounts
from support.data.conversations import items
from support.data.verdicts import completed, completed_with_none, doomed, failed, retried, skipped
from support.stores.jobs import OWNER, acquire_lease, claim, commit, create, die, job, stage

pytestmark = pytest.mark.promise("B7")

_CRASH_LIMIT = 2
_ENDINGS = (completed, completed, completed_with_none, failed, failed, skipped, retried, doomed)


class _Walk:
    """A random sequence of actions on a job, with its own record of every item."""

    def __init__(self, store, seed):
        self.store = store
        self.draw = random.Random(seed)
        self.states = {}
        self.held = {}  # by lease: its claimed items by position
        self.crashes = Counter()  # by item: interruptions while it ran alone

    async def begin(self):
        await create(self.store, 12)
        self.states = dict.fromkeys(range(12), "pending")

    @property
    def counts(self):
        return ItemCounts(**Counter(self.states.values()))

    async def step(self):
        now = await job(self.store)
        ways = [self.add] if now.state is not JobState.CANCELLED else []
        if now.state in UNFINISHED and not now.counts.all_settled and len(self.held) < 3:
            ways += [self.acquire_lease, self.acquire_lease]
        if self.held:
            ways += [self.work] * 6 + [self.release, self.die, self.die, self.requeue]
        if now.state in (*UNFINISHED, *FINISHED):
            ways += [self.retry, self.skip]
        if now.state in (JobState.PENDING, JobState.RUNNING):
            ways += [self.pause]
        self.store.clock.move(self.draw.choice([0, 0.5, 20, -5]))
        await self.draw.choice(ways)()

    async def acquire_lease(self):
        self.held[await acquire_lease(self.store, name=str(self.draw.random()))] = {}

    async def work(self):
        lease = self._lease()
        held = self.held[lease]
        ended = self.draw.sample(list(held.values()), self.draw.randint(0, len(held)))
        verdicts = [self.draw.choice(_ENDINGS)(claimed) for claimed in ended]
        is_idle = len(ended) == len(held)

        report = await commit(self.store, lease, *verdicts, room=self.draw.randint(0, 4), alone=is_idle)

        for verdict in verdicts:
            del held[verdict.claimed.position]
            self.states[verdict.claimed.position] = str(verdict.state)
        self._take(lease, report.claimed)
        assert report.counts == self.counts

    async def release(self):
        lease = self._lease()
        await self.store.batches.work.release(lease)
        self._give_back(self.held.pop(lease))

    async def die(self):
        lease = self._lease()
        was_stopping = self.draw.random() < 0.3
        if was_stopping:
            await asyncio.to_thread(self.store.batches.work.mark_stopping, lease)
        assert await die(self.store, lease, crash_limit=_CRASH_LIMIT)
        held = self.held.pop(lease)
        self._give_back(held)
        for position, claimed in held.items():
            if claimed.runs_alone and not was_stopping:
                self.crashes[position] += 1
                if self.crashes[position] >= _CRASH_LIMIT:
                    self.states[position] = "failed"

    async def requeue(self):
        failed_ones = [position for position, state in self.states.items() if state == "failed"]
        selected = self.draw.sample(failed_ones, self.draw.randint(0, len(failed_ones)))
        await self.store.batches.work.requeue(self._lease(), selected, Pause("all", "all of them"))
        self.states.update(dict.fromkeys(selected, "pending"))

    async def retry(self):
        failed_ones = [position for position, state in self.states.items() if state == "failed"]
        selected = failed_ones if self.draw.random() < 0.5 else failed_ones[:1]
        ids = None if len(selected) == len(failed_ones) else [f"item-{position + 1}" for position in selected]
        assert await self.store.batches.jobs.retry(OWNER, "job", ids) == len(selected)
        self.states.update(dict.fromkeys(selected, "pending"))
        for position in selected:
            self.crashes[position] = 0

    async def skip(self):
        open_ones = [position for position, state in self.states.items() if state in ("pending", "failed")]
        selected = self.draw.sample(open_ones, min(self.draw.randint(0, 2), len(open_ones)))
        ids = [f"item-{position + 1}" for position in selected]
        assert await self.store.batches.jobs.skip(OWNER, "job", ids) == len(selected)
        self.states.update(dict.fromkeys(selected, "skipped"))

    async def add(self):
        if len(self.states) > 40:
            return
        staged = await stage(self.store, items(2, start=len(self.states) + 1))
        assert await self.store.batches.intake.accept_new(staged, "job") == 2
        while await self.store.batches.intake.drop_step(OWNER, staged.job_key):
            pass
        self.states.update({len(self.states): "pending", len(self.states) + 1: "pending"})

    async def pause(self):
        await self.store.batches.jobs.apply_action(OWNER, "job", JobAction.PAUSE)

    def _lease(self):
        return self.draw.choice(list(self.held))

    def _take(self, lease, claimed_items):
        for claimed in claimed_items:
            assert self.states[claimed.position] == "pending"
            self.held[lease][claimed.position] = claimed
            self.states[claimed.position] = "running"

    def _give_back(self, held):
        self.states.update(dict.fromkeys(held, "pending"))


@pytest.mark.parametrize("seed", range(12))
async def test_counters_equal_rows(store, seed):
    """The stored counts equal the items' states after each of many random claims, deaths, retries and additions."""
    walk = _Walk(store, seed)
    await walk.begin()

    for _ in range(60):
        await walk.step()
        assert (await job(store)).counts == walk.counts
    assert store.violations() == []

    rows = store.sql("SELECT state, count(*) FROM items GROUP BY state")
    assert ItemCounts(**dict(rows)) == walk.counts


async def test_planned_is_the_sum_of_all_states(store):
    """The planned number equals the sum of all states at every moment of a job's life."""
    await create(store, 10)
    lease, seen = await acquire_lease(store), set()
    for ending in (completed, failed, skipped, retried):
        for _ in range(2):
            await commit(store, lease, *map(ending, await claim(store, lease, 1)))
            seen.add((await job(store)).counts.planned)

    assert seen == {10}
