"""The story that the power cuts happen in: two jobs from their creation to their end, and what was promised on the way.

Everything the engine acknowledges is noted among the recorded changes of the disk, so that at any cut it is known what
must be there: each outcome from the moment the engine calls it committed, each job from the moment a call about it
returned.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pytest

from backstay import Backstay, Conversation, Fail, Item, Retry, Skip, Turn, Work
from backstay.batch.committer import Committer
from backstay.batch.creation import JobCreator
from backstay.batch.outcome import Verdict
from backstay.settings import Settings
from backstay.storage.sqlite import database, schema_migration
from support.faults.batch_invariants import violations
from support.faults.recorded_disk import Recorder, recording

CONCURRENCY = 8
JOB, SPARE = "job", "spare"
SPARE_ITEMS = 6

Key = tuple[str, str]
"""An item: its job's name and its own."""

# What an item does → the calls that it takes without a cut, and the state it ends in.
DOES = {
    "answer": (1, "completed"),
    "nothing": (1, "completed"),
    "skip": (1, "skipped"),
    "retry": (2, "completed"),
    "fail": (2, "completed"),  # fails until what it needs is mended
}


# -- what is noted -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Called:
    """The processor was called."""

    key: Key
    attempt: int


@dataclass(frozen=True, slots=True)
class Committed:
    """The engine said that this outcome is committed."""

    key: Key
    attempt: int
    state: str


@dataclass(frozen=True, slots=True)
class Stands:
    """A call returned, after which the job has this state: "" when it is gone, None when more is about to happen."""

    job: str
    state: str | None
    planned: int | None = None


Note = Called | Committed | Stands


@dataclass(slots=True)
class Promises:
    """All that was noted up to some moment."""

    calls: Counter[tuple[Key, int]] = field(default_factory=Counter)
    outcomes: dict[Key, Committed] = field(default_factory=dict)
    jobs: dict[str, Stands] = field(default_factory=dict)

    def note(self, fact: Note) -> None:
        match fact:
            case Called(key, attempt):
                self.calls[key, attempt] += 1
            case Committed(key):
                self.outcomes[key] = fact
            case Stands(job):
                self.jobs[job] = fact

    def copy(self) -> "Promises":
        return Promises(self.calls.copy(), dict(self.outcomes), dict(self.jobs))


# -- the items and their processor -------------------------------------------------------------------------------------


def story_items(count: int) -> list[dict[str, str]]:
    """Return the items of the main job: most answer, some do each of the other things."""
    doing = {3: "retry", 7: "fail", 11: "skip", 13: "nothing"}
    return [{"id": f"i{n}", "topic": f"topic {n}", "does": doing.get(n % 17, "answer")} for n in range(count)]


def spare_items() -> list[dict[str, str]]:
    return [{"id": f"s{n}", "topic": f"spare {n}", "does": "answer"} for n in range(SPARE_ITEMS)]


def answer(key: Key, attempt: int) -> str:
    """Return the one answer that this attempt gives; some are longer than a page of the database."""
    text = f"{key[0]} {key[1]} in attempt {attempt}. "
    return text * (1 + len(text) * int(key[1][1:]) % 37) * (12 if key[1].endswith("5") else 1)


class Writer:
    """The processor. What an item does stands in its parameters."""

    def __init__(self, recorder: Recorder, chance: random.Random) -> None:
        self._recorder = recorder
        self._chance = chance
        self.is_mended = False

    def make_processor(self, job: str) -> "Any":
        async def process(item: Item, work: Work) -> Any:
            key = (job, item.id)
            self._recorder.note(Called(key, work.attempt))
            await asyncio.sleep(self._chance.uniform(0, 0.002))  # lets calls end out of order
            match item.parameters["does"]:
                case "nothing":
                    return None
                case "skip":
                    return Skip("not wanted")
                case "retry" if work.attempt == 1:
                    return Retry("not now", after_seconds=0.0)
                case "fail" if not self.is_mended:
                    return Fail("something is missing")
            return Conversation([Turn("user", item.topic), Turn("assistant", answer(key, work.attempt))])

        return process


# -- the telling -------------------------------------------------------------------------------------------------------


@contextmanager
def listening(recorder: Recorder, pragmas: Sequence[str] = ()) -> Iterator[None]:
    """Record what the engine does to the disk within, and what it acknowledges."""
    with pytest.MonkeyPatch.context() as patch:
        _hear_commits(patch, recorder)
        _hear_creations(patch, recorder)
        for module in (database, schema_migration):
            _run_on_connect(patch, module, pragmas)
        with recording(recorder):
            yield


def _hear_commits(patch: pytest.MonkeyPatch, recorder: Recorder) -> None:
    begin = Committer.__init__

    def init(self: Committer, *, store: Any, lease: Any, on_committed: Any) -> None:
        def heard(verdicts: Sequence[Verdict]) -> None:
            for verdict in verdicts:
                claimed = verdict.claimed
                recorder.note(Committed((lease.job_id, claimed.item.id), claimed.attempt, str(verdict.state)))
            on_committed(verdicts)

        begin(self, store=store, lease=lease, on_committed=heard)

    patch.setattr(Committer, "__init__", init)


def _hear_creations(patch: pytest.MonkeyPatch, recorder: Recorder) -> None:
    create = JobCreator.create

    async def heard(self: JobCreator, wanted: Any, chunks: Any) -> Any:
        created = await create(self, wanted, chunks)
        if created.is_new:
            recorder.note(Stands(wanted.job_id, "pending"))
            recorder.note(Stands(wanted.job_id, None))
        return created

    patch.setattr(JobCreator, "create", heard)


def _run_on_connect(patch: pytest.MonkeyPatch, module: Any, pragmas: Sequence[str]) -> None:
    connect = module.connect

    def connected(*arguments: Any, **named: Any) -> apsw.Connection:
        connection: apsw.Connection = connect(*arguments, **named)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    patch.setattr(module, "connect", connected)


def library(path: Path) -> Backstay:
    """Open the library with the shortest lease there is: after a cut, workers are found dead by their silence only."""
    return Backstay(Settings(database_url=str(path), lease_seconds=0.2))


async def run_story(path: Path, recorder: Recorder, chance: random.Random, count: int) -> None:
    """Run the whole story once: create, stop at a limit, pause, go on, mend and retry, complete, clean, discard."""
    writer = Writer(recorder, chance)
    async with library(path) as backstay:
        await backstay.batches.run(SPARE, spare_items(), writer.make_processor(SPARE), concurrency=2)
        recorder.note(Stands(SPARE, "completed", SPARE_ITEMS))
        limit = chance.randrange(count // 4, count)
        await backstay.batches.run(
            JOB, story_items(count), writer.make_processor(JOB), concurrency=CONCURRENCY, limit=limit
        )
        await backstay.batches.pause(JOB)
        recorder.note(Stands(JOB, "paused", count))
    recorder.note(Stands(JOB, None))
    async with library(path) as backstay:
        result = await backstay.batches.run(
            JOB, story_items(count), writer.make_processor(JOB), concurrency=CONCURRENCY
        )
        assert result.state == "completed_with_failures", result
        recorder.note(Stands(JOB, "completed_with_failures", count))
        recorder.note(Stands(JOB, None))
        writer.is_mended = True
        result = await backstay.batches.resume(
            JOB, writer.make_processor(JOB), concurrency=CONCURRENCY, retry_failed=True
        )
        assert result.state == "completed", result
        recorder.note(Stands(JOB, "completed", count))
        recorder.note(Stands(SPARE, None))
        await backstay.batches.discard(SPARE)
        recorder.note(Stands(SPARE, ""))


async def finish_story(path: Path, recorder: Recorder, chance: random.Random, count: int) -> None:
    """Go on after a cut, as a user would: run the job again, retry what failed, finish what else is there."""
    writer = Writer(recorder, chance)
    writer.is_mended = True
    recorder.note(Stands(JOB, None))
    async with library(path) as backstay:
        await backstay.batches.run(JOB, story_items(count), writer.make_processor(JOB), concurrency=CONCURRENCY)
        await backstay.batches.resume(JOB, writer.make_processor(JOB), concurrency=CONCURRENCY, retry_failed=True)
        for job in await backstay.batches.incomplete():
            recorder.note(Stands(job.id, None))
            await backstay.batches.resume(job.id, writer.make_processor(job.id), concurrency=2)


# -- what is left ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Left:
    """What a database holds, and which promises it breaks by itself."""

    broken: list[str]
    jobs: dict[str, tuple[str, int]]
    """State, and how many items are there."""
    items: dict[Key, tuple[str, int]]
    """State, and number of the latest attempt."""
    texts: dict[Key, list[str]]
    """What is stored for each item, discarded ones included."""

    @classmethod
    def from_database(cls, path: Path, *, at_rest: bool = False) -> "Left":
        broken = violations(path, at_rest=at_rest)
        connection = apsw.Connection(str(path))
        try:
            jobs = {
                job: (state, count)
                for job, state, count in connection.execute(
                    "SELECT id, state, (SELECT count(*) FROM items WHERE job_key = key) FROM jobs WHERE id IS NOT NULL"
                )
            }
            items = {
                (job, item): (state, attempt)
                for job, item, state, attempt in connection.execute(
                    "SELECT jobs.id, items.id, items.state, attempt FROM items JOIN jobs ON key = job_key"
                )
            }
            texts: dict[Key, list[str]] = {}
            for job, item, text in connection.execute(
                """SELECT job_id, item_id, turns.content FROM conversations
                     JOIN turns ON conversation_key = key AND role = 'assistant'"""
            ):
                texts.setdefault((job, item), []).append(text)
        finally:
            connection.close()
        return cls(broken, jobs, items, texts)

    def lost(self, promises: Promises) -> list[str]:
        """Return every promise that does not hold here, each as a line that starts with its number."""
        broken = [*self.broken, *self._jobs_lost(promises)]
        for key, outcome in promises.outcomes.items():
            broken += self._outcome_lost(key, outcome, promises)
        for key, texts in self.texts.items():
            state, attempt = self.items.get(key, ("completed", 1))
            if texts != [answer(key, attempt)]:
                broken.append(f"B3: what is stored for {key} is not the answer of its attempt {attempt}, {state}")
        return broken

    def _jobs_lost(self, promises: Promises) -> Iterator[str]:
        for job, stands in promises.jobs.items():
            state, count = self.jobs.get(job, ("", 0))
            if stands.state is not None and state != stands.state:
                yield f"B1: job {job} was said to be {stands.state or 'gone'}, it is {state or 'gone'}"
            if stands.planned is not None and stands.state and count != stands.planned:
                yield f"B1: job {job} was said to have {stands.planned} items, it has {count}"

    def _outcome_lost(self, key: Key, outcome: Committed, promises: Promises) -> Iterator[str]:
        may_be_discarded = key[0] == SPARE and SPARE in promises.jobs and not promises.jobs[SPARE].state
        state, attempt = self.items.get(key, ("", 0))
        if attempt < outcome.attempt and not may_be_discarded:
            yield f"B1: attempt {outcome.attempt} of {key} was reported, the last one on disk is {attempt}"
        elif outcome.state in ("completed", "skipped") and state != outcome.state and not may_be_discarded:
            yield f"B1: {key} was reported {outcome.state}, it is {state}"
        elif outcome.state == "completed" and not self.texts.get(key) and not key_answers_nothing(key):
            yield f"B1: {key} was reported completed, its conversation is lost"

    def not_at_the_end(self, promises: Promises, *, count: int, cuts: int) -> list[str]:
        """Return what is wrong with the end of the story, after so many cuts."""
        broken = self.lost(promises)
        if self.jobs.get(JOB) != ("completed", count):
            broken.append(f"B6: the job should be completed with {count} items, it is {self.jobs.get(JOB)}")
        for item in story_items(count):
            state = self.items.get((JOB, item["id"]), ("", 0))[0]
            if state != DOES[item["does"]][1]:
                broken.append(f"B6: item {item['id']} should be {DOES[item['does']][1]}, it is {state}")
        broken += [f"B5: {call} was called {n} times" for call, n in promises.calls.items() if n > 1]
        calls = sum(key[0] == JOB for key, _ in promises.calls)
        needed = sum(DOES[item["does"]][0] for item in story_items(count))
        if calls > needed + cuts * CONCURRENCY:
            broken.append(f"B5: {calls} calls, where {needed} and {cuts * CONCURRENCY} in flight at cuts were enough")
        return broken


def key_answers_nothing(key: Key) -> bool:
    return key[0] == JOB and int(key[1][1:]) % 17 == 13
