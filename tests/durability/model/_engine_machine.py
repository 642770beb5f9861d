"""The engine and its model, taken through the same steps and compared after each."""

import asyncio
import re
import shutil
import sys
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from backstay import Backstay, StopSignal
from backstay.batch import liveness
from backstay.batch.item import ClaimedItem, ItemState
from backstay.batch.lease import CRASH_LIMIT, LeaseMonitor
from backstay.batch.outcome import Verdict
from backstay.batch.store import Claim, Lease
from backstay.errors import (
    BackstayError,
    InvalidTransition,
    ItemNotFound,
    ItemsDiffer,
    JobDiffers,
    JobHasWorkers,
    JobNotFound,
    LeaseLost,
)
from backstay.settings import Settings
from durability.model._engine_model import FINISHED, STATES, UNFINISHED, ModelItem, ModelJob
from durability.model._judging_processor import JudgingProcessor
from support.data.conversations import conversation, drafts_of, items
from support.faults.batch_invariants import violations
from support.stores import memory_folder
from support.stores.sql import ask

OWNERS = ("north", "south")
NAMES = ("first", "second")
FIRST_CALLS = 20  # that the breaker watches, at the least

SCRIPTS = (
    ["ok"],
    ["ok"],
    ["none"],
    ["skip"],
    ["fail", "ok"],
    ["fail", "fail", "fail"],
    ["raise", "retry", "ok"],
    ["garbage", "skip"],
    ["empty", "none"],
    ["retry", "ok"],
    ["retry", "retry", "retry", "ok"],
    ["doom", "ok"],
    ["retry", "doom", "fail", "ok"],
    ["clash", "ok"],
)

# What may happen to a run while calls of it wait.
INCIDENTS = (
    "stop",
    "stop at once",
    "cancelled task",
    "pause",
    "cancel",
    "discard",
    "retry",
    "reclaimed",
    "reclaimed and paused",
    "second run",
    "second run with more",
)

some_job = st.integers(0, 10)
some_scripts = st.lists(st.sampled_from(SCRIPTS), min_size=1, max_size=7)
some_concurrency = st.integers(1, 4)
some_limit = st.sampled_from((1, None, 2, 4))
some_incident = st.one_of(st.none(), st.tuples(st.sampled_from(INCIDENTS), st.integers(0, 2)))

Incident = tuple[str, int]


@dataclass(slots=True)
class Dead:
    """Worker that acquired a lease and was never heard of again."""

    job: ModelJob
    lease: Lease
    claimed: Sequence[ClaimedItem]
    was_stopping: bool
    is_gone: bool = False
    """Somebody took it over."""


@dataclass(slots=True)
class Library:
    """What one owner has: the library opened twice, as by two programs, and what the model knows of it."""

    owner: str
    backstay: Backstay
    second: Backstay
    jobs: dict[str, ModelJob] = field(default_factory=dict)
    lives: Counter[str] = field(default_factory=Counter)
    taken: set[str] = field(default_factory=set)
    discarded: list[tuple[str, str, str]] = field(default_factory=list)
    """Job, item and text of each conversation whose job was discarded."""
    leftovers: int = 0
    """Creations and discards that were cut off."""


class EngineMachine(RuleBasedStateMachine):
    """Hypothesis chooses the steps. Each one is a method that does the same to the engine and to the model."""

    patience = 30.0
    """Seconds after which a run that has not ended never will."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = memory_folder.new_folder("backstay-model-")
        self._database = self.make_database()
        self._runner = asyncio.Runner()
        self._libraries = self._await(self._open())
        self._dead: list[Dead] = []

    def make_database(self) -> Path | str:
        """Return where an empty database is to be, or is."""
        return self._folder / "backstay.db"

    def drop_database(self) -> None:
        """Remove what `make_database` made, where it is not in the folder."""

    async def _open(self) -> list[Library]:
        libraries = []
        for owner in OWNERS:
            settings = Settings(database_url=str(self._database), owner=owner)
            backstay, second = Backstay(settings), Backstay(settings)
            await backstay.__aenter__()
            await second.__aenter__()
            libraries.append(Library(owner, backstay, second))
        return libraries

    # -- steps: a job begins and goes on ------------------------------------------------------------------------------

    @rule(
        which=some_job,
        scripts=some_scripts,
        max_attempts=st.integers(1, 3),
        is_named=st.booleans(),
        concurrency=some_concurrency,
        limit=some_limit,
        incident=some_incident,
    )
    def begin(
        self,
        which: int,
        scripts: list[list[str]],
        max_attempts: int,
        is_named: bool,
        concurrency: int,
        limit: int | None,
        incident: Incident | None,
    ) -> None:
        """Create a job and run it; if all names are used, run the same job again."""
        free = [(library, name) for library in self._libraries for name in NAMES if name not in library.jobs]
        if not free:
            self.go_on(which=which, by_run=True, concurrency=concurrency, limit=limit, incident=incident)
            return
        library, name = free[which % len(free)]
        job = self._new_job(library, name, scripts, max_attempts=max_attempts, is_named=is_named)
        self._await(self._run(library, job, "run", concurrency, limit, incident))

    @precondition(lambda self: not any(len(job.items) >= FIRST_CALLS for _, job in self._all_jobs()))
    @rule(which=some_job, count=st.integers(FIRST_CALLS, FIRST_CALLS + 3), outcome=st.sampled_from(("fail", "raise")))
    def begin_broken(self, which: int, count: int, outcome: str) -> None:
        """Create a job whose processor fails the same way for every item, as often as the circuit breaker allows."""
        free = [(library, name) for library in self._libraries for name in NAMES if name not in library.jobs]
        if not free:
            return
        library, name = free[which % len(free)]
        job = self._new_job(library, name, [[outcome, "ok"]] * count, max_attempts=2, is_named=True)
        self._await(self._run(library, job, "run", 4, None, None))

    @precondition(lambda self: self._all_jobs())
    @rule(which=some_job, by_run=st.booleans(), concurrency=some_concurrency, limit=some_limit, incident=some_incident)
    def go_on(self, which: int, by_run: bool, concurrency: int, limit: int | None, incident: Incident | None) -> None:
        """Run or resume an existing job."""
        library, job = self._pick(which)
        self._await(self._run(library, job, "run" if by_run else "resume", concurrency, limit, incident))

    @precondition(lambda self: self._all_jobs())
    @rule(which=some_job, concurrency=some_concurrency, limit=some_limit)
    def resume_with_failed(self, which: int, concurrency: int, limit: int | None) -> None:
        """Resume a job after returning its failed items to pending."""
        library, job = self._pick(which)
        if job.state == "cancelled":
            self._refused(InvalidTransition, library.backstay.batches.resume(job.name, _never, retry_failed=True))
            return
        job.retry()
        self._await(self._run(library, job, "resume with failed", concurrency, limit, None))

    @precondition(lambda self: self._all_jobs())
    @rule(which=some_job, scripts=some_scripts, by_run=st.booleans(), concurrency=some_concurrency, limit=some_limit)
    def add(self, which: int, scripts: list[list[str]], by_run: bool, concurrency: int, limit: int | None) -> None:
        """Continue a job with more items than it has."""
        library, job = self._pick(which)
        if job.state == "cancelled":
            more = [*job.inputs(), {"topic": "new"}]
            self._refused(
                InvalidTransition, library.backstay.batches.run(job.name, more, _never, accept_new_items=True)
            )
            return
        self._more(job, scripts)
        self._await(
            self._run(library, job, "run" if by_run else "resume with more", concurrency, limit, None, more=True)
        )

    @precondition(lambda self: self._all_jobs())
    @rule(which=some_job, change=st.sampled_from(("new", "missing", "changed", "processor")))
    def differ(self, which: int, change: str) -> None:
        """Run a job with something that differs: it is refused without a change."""
        library, job = self._pick(which)
        inputs = job.inputs()
        run = library.backstay.batches.run
        if change == "processor":
            self._refused(JobDiffers, run(job.name, inputs, "scripted"))
            return
        expected = {"new": 0, "missing": 0, "changed": 0}
        if change == "new":
            inputs, expected["new"] = [*inputs, {"topic": "new"}], 1
        elif change == "missing" and len(inputs) > 1:
            inputs, expected["missing"] = inputs[:-1], 1
        elif change == "changed" and job.is_named:
            inputs, expected["changed"] = [*inputs[:-1], {**inputs[-1], "topic": "another"}], 1
        else:
            return
        error = self._refused(ItemsDiffer, run(job.name, inputs, _never))
        assert {name: error.context[name] for name in expected} == expected

    # -- steps: a user steers -----------------------------------------------------------------------------------------

    @precondition(lambda self: self._all_jobs())
    @rule(which=some_job)
    def pause(self, which: int) -> None:
        library, job = self._pick(which)
        if job.state not in ("pending", "running"):
            self._refused(InvalidTransition, library.backstay.batches.pause(job.name))
            return
        self._await(library.backstay.batches.pause(job.name))
        job.pause()

    @precondition(lambda self: self._all_jobs())
    @rule(which=some_job)
    def cancel(self, which: int) -> None:
        library, job = self._pick(which)
        if job.state not in UNFINISHED:
            self._refused(InvalidTransition, library.backstay.batches.cancel(job.name))
            return
        self._await(library.backstay.batches.cancel(job.name))
        job.cancel()

    @precondition(lambda self: self._all_jobs())
    @rule(which=some_job)
    def retry_all(self, which: int) -> None:
        """Return all failed items of a job to pending."""
        library, job = self._pick(which)
        if job.state == "cancelled":
            self._refused(InvalidTransition, library.backstay.batches.retry(job.name))
            return
        assert self._await(library.backstay.batches.retry(job.name)) == job.retry()

    @precondition(lambda self: self._all_jobs())
    @rule(which=some_job, numbers=st.lists(st.integers(0, 8), min_size=1, max_size=3))
    def retry_some(self, which: int, numbers: list[int]) -> None:
        """Return items to pending by name: all of them, or none if one has not failed or does not exist."""
        library, job = self._pick(which)
        ids = [*job.items, "no such item"]
        named = [ids[number % len(ids)] for number in numbers]
        asked = library.backstay.batches.retry(job.name, named)
        if job.state == "cancelled":
            self._refused(InvalidTransition, asked)
        elif any(name in job.items and job.items[name].state != "failed" for name in named) or "no such item" in named:
            self._refused((InvalidTransition, ItemNotFound), asked)
        else:
            assert self._await(asked) == job.retry(named)

    @precondition(lambda self: self._all_jobs())
    @rule(which=some_job, numbers=st.lists(st.integers(0, 8), min_size=1, max_size=3))
    def skip_some(self, which: int, numbers: list[int]) -> None:
        """Skip items by name: all of them, or none if one cannot be skipped or does not exist."""
        library, job = self._pick(which)
        ids = [*job.items, "no such item"]
        named = [ids[number % len(ids)] for number in numbers]
        asked = library.backstay.batches.skip(job.name, named)
        states = {job.items[name].state if name in job.items else None for name in named}
        if job.state == "cancelled":
            self._refused(InvalidTransition, asked)
        elif not states <= {"pending", "failed"}:
            self._refused((InvalidTransition, ItemNotFound), asked)
        else:
            assert self._await(asked) == job.skip(named)

    @precondition(lambda self: self._all_jobs())
    @rule(which=some_job)
    def discard(self, which: int) -> None:
        library, job = self._pick(which)
        self._await(library.backstay.batches.discard(job.name))
        self._forget(library, job)

    @precondition(lambda self: self._all_jobs())
    @rule(which=some_job)
    def discard_under_a_worker(self, which: int) -> None:
        """Discard a job while a live worker holds some of it: refused."""
        library, job = self._pick(which)
        if job.is_settled or job.state not in UNFINISHED:
            return
        life = liveness.LivenessLock.open(library.backstay._store.locks_folder)
        lease, _ = self._enter(library, job, life, room=2)
        self._refused(JobHasWorkers, library.backstay.batches.discard(job.name))
        self._await(library.backstay._store.batches.work.release(lease))
        life.close()
        for item in job.items.values():
            if item.state == "running" and not self._dead_holder(job, item):
                item.release()

    # -- steps: a process dies ----------------------------------------------------------------------------------------

    @precondition(lambda self: self._all_jobs())
    @rule(
        which=some_job,
        room=st.sampled_from((3, 1, 6, 0)),
        commits=st.sampled_from((0, 1, 0, 3)),
        stopping=st.sampled_from((False, False, True)),
        times=st.sampled_from((1, 3, 9)),
    )
    def kill(self, which: int, room: int, commits: int, stopping: bool, times: int) -> None:
        """Claim items as a worker, commit the outcomes of some, and die; perhaps one after the other does."""
        library, job = self._pick(which)
        for _ in range(times):
            if job.is_settled or job.state not in UNFINISHED:
                return
            self._work_and_die(library, job, room, commits, stopping)
            if times > 1:
                self._look_for_dead(library, job)

    def _work_and_die(self, library: Library, job: ModelJob, room: int, commits: int, stopping: bool) -> None:
        work = library.backstay._store.batches.work
        life = liveness.LivenessLock.open(library.backstay._store.locks_folder)
        lease, claimed = self._enter(library, job, life, room=room)
        done, held = claimed[:commits], claimed[commits:]
        for item in done:
            self._await(work.commit(lease, [self._verdict(job, item)], Claim()))
            job.settle()
        if stopping:
            work.mark_stopping(lease)
        life.close(remove=False)
        self._dead.append(Dead(job, lease, held, stopping))

    def _look_for_dead(self, library: Library, job: ModelJob) -> None:
        work = library.second._store.batches.work
        watch = LeaseMonitor(store=work, owner=library.owner, job_id=job.name, lease_seconds=15.0)
        assert self._await(watch.poll()) == 0
        self._notice_reclaims()
        assert not any(dead.job is job and not dead.is_gone for dead in self._dead)

    @precondition(lambda self: self._all_jobs())
    @rule(which=some_job)
    def reclaim_lease(self, which: int) -> None:
        """Reclaim the leases of a job's dead workers."""
        self._look_for_dead(*self._pick(which))

    @precondition(lambda self: any(dead.is_gone for dead in self._dead))
    @rule(which=some_job)
    def late_word(self, which: int) -> None:
        """Wake up a worker whose lease was reclaimed, with answers: it can write nothing."""
        gone = [dead for dead in self._dead if dead.is_gone]
        dead = gone[which % len(gone)]
        work = next(
            library for library in self._libraries if library.owner == dead.lease.owner
        ).backstay._store.batches.work
        late = [Verdict(item, ItemState.COMPLETED, "completed", conversation("late")) for item in dead.claimed]
        self._refused(LeaseLost, work.commit(dead.lease, late, Claim(free_slots=3, may_claim_suspect=True)))
        with pytest.raises(LeaseLost):
            work.beat(dead.lease)
        self._await(work.release(dead.lease))

    @rule(which=some_job, count=st.integers(0, 3))
    def cut_creation(self, which: int, count: int) -> None:
        """Die while creating a job: nobody ever sees it."""
        library = self._libraries[which % len(self._libraries)]
        intake = library.backstay._store.batches.intake
        life = liveness.LivenessLock.open(library.backstay._store.locks_folder)

        async def stage() -> None:
            staged = await intake.stage(library.owner, life.identity)
            if count:
                await intake.stage_items(staged, await drafts_of(items(count)))

        self._await(stage())
        life.close(remove=False)
        library.leftovers += 1

    @precondition(lambda self: self._all_jobs())
    @rule(which=some_job)
    def cut_discard(self, which: int) -> None:
        """Die while discarding a job: its name is free, and the next run removes the rest."""
        library, job = self._pick(which)
        if any(dead.job is job and not dead.is_gone for dead in self._dead):
            return
        self._await(library.backstay._store.batches.jobs.discard(library.owner, job.name))
        self._forget(library, job)
        library.leftovers += 1

    # -- what holds after every step ----------------------------------------------------------------------------------

    @invariant()
    def agrees(self) -> None:
        """Check that engine and model agree and that no promise is broken."""
        self._notice_reclaims()
        for library in self._libraries:
            self._compare_jobs(library)
            self._compare_conversations(library)
        self._check_promises(at_rest=False)

    def teardown(self) -> None:
        """Let every job come to its end without interference, unless a step has failed already."""
        try:
            if sys.exc_info()[0] is None:
                self._come_to_rest()
        finally:
            self._close()

    def _come_to_rest(self) -> None:
        for library in self._libraries:
            for job in library.jobs.values():
                self._finish(library, job)
            # Whatever is run next tidies up behind jobs that nobody will run again.
            self._await(library.backstay.batches.run("last", items(1), _nothing))
            library.leftovers = 0
        self.agrees()
        self._check_promises(at_rest=True)

    def _close(self) -> None:
        for library in self._libraries:
            self._await(library.backstay.__aexit__(None, None, None))
            self._await(library.second.__aexit__(None, None, None))
        self._runner.close()
        self.drop_database()
        shutil.rmtree(self._folder)

    def _finish(self, library: Library, job: ModelJob) -> None:
        for _ in range(30):
            if job.state not in UNFINISHED:
                return
            self._await(self._run(library, job, "resume", 3, None, None))
        raise AssertionError(f"B6: {job.name} of {job.owner} comes to no end: {job}")

    # -- a run, and what may happen to it -----------------------------------------------------------------------------

    async def _run(
        self,
        library: Library,
        job: ModelJob,
        how: str,
        concurrency: int,
        limit: int | None,
        incident: Incident | None,
        *,
        more: bool = False,
    ) -> None:
        """Run a job and judge how it went. `more`: the model has items that the engine does not know yet."""
        if incident is not None:
            limit = None
        processor = self._processor(library, job, free=None if incident is None else incident[1])
        stop = StopSignal()
        batches = library.backstay.batches
        options: dict[str, Any] = {"concurrency": concurrency, "limit": limit, "stop": stop}
        match how:
            case "run":
                run = batches.run(
                    job.name, job.inputs(), processor, max_attempts=job.max_attempts, accept_new_items=more, **options
                )
            case "resume":
                run = batches.resume(job.name, processor, **options)
            case "resume with failed":
                run = batches.resume(job.name, processor, retry_failed=True, **options)
            case "resume with more":
                run = batches.resume(job.name, processor, accept_new_items=job.inputs(), **options)
        if more:
            job.reopen()
        was = job.state
        if was == "cancelled":
            await self._run_cancelled(job, run)
            library.leftovers = 0
            return
        if was in FINISHED:
            result = await run
            assert (result.did_nothing, processor.calls) == (True, []), "a finished job was worked on"
        else:
            job.acquire_lease()
            try:
                async with asyncio.timeout(self.patience):
                    if incident is None:
                        result = await run
                    else:
                        result = await self._run_into(library, job, run, processor, stop, incident)
            except TimeoutError:
                raise AssertionError(f"B6: a run came to no end; {incident} happened: {job}") from None
            self._judge(library, job, processor, result, concurrency, limit)
        library.leftovers = 0
        job.was_cleaned = job.was_cleaned or job.state == "completed"
        assert not processor.wrong, processor.wrong

    async def _run_cancelled(self, job: ModelJob, run: Coroutine[Any, Any, Any]) -> None:
        try:
            result = await run
        except InvalidTransition:
            self._notice_reclaims()
            assert not job.is_settled
        else:
            self._notice_reclaims()
            assert result.state == "cancelled"
            assert job.is_settled

    def _judge(
        self,
        library: Library,
        job: ModelJob,
        processor: JudgingProcessor,
        result: Any,
        concurrency: int,
        limit: int | None,
    ) -> None:
        self._notice_reclaims()
        first = max(FIRST_CALLS, concurrency)
        codes = set(processor.verdicts)
        if len(processor.calls) == first and len(codes) == 1 and processor.verdicts[0][0] == "failed":
            job.trip([item_id for item_id, _ in processor.calls], str(processor.verdicts[0][1]))
        job.settle()
        if limit is not None:
            assert len(processor.calls) <= limit, f"{len(processor.calls)} calls with a limit of {limit}"
        if result is None:
            return  # it has nothing to say of how the job stands
        assert result.ending == self._expected_ending(job, processor, limit), f"it ended {result.ending}: {job}"
        assert result.state == job.state or (result.state, job.state) == ("interrupted", "running")
        assert _as_dict(result.counts) == job.counts, f"counts are {result.counts}, should be {job.counts}"

    def _expected_ending(self, job: ModelJob, processor: JudgingProcessor, limit: int | None) -> str:
        if job.state in FINISHED:
            return "finished"
        if job.state in ("paused", "cancelled"):
            return job.state
        return "limit" if limit is not None and len(processor.calls) == limit else "stopped"

    async def _run_into(
        self,
        library: Library,
        job: ModelJob,
        run: Coroutine[Any, Any, Any],
        processor: JudgingProcessor,
        stop: StopSignal,
        incident: Incident,
    ) -> Any:
        """Let a run proceed until its calls wait, change something, and let it continue."""
        task = asyncio.create_task(run)
        while not task.done() and not processor.waiting:
            await asyncio.sleep(0.001)
        if not task.done():
            await self._until_agreed(library, job)
            await self._happen(library, job, task, processor, stop, incident[0])
        try:
            result = await task
        except asyncio.CancelledError:
            if incident[0] != "cancelled task":
                raise
            return None
        if incident[0] not in ("stop", "stop at once"):
            assert result.ending != "stopped", f"it stopped by itself: {job}"
        # Beside another, it saw the job when it ended itself, which is not how the job stands now.
        return None if incident[0].startswith("second run") else result

    async def _happen(
        self,
        library: Library,
        job: ModelJob,
        task: asyncio.Task[Any],
        processor: JudgingProcessor,
        stop: StopSignal,
        what: str,
    ) -> None:
        batches = library.second.batches
        match what:
            case "stop":
                stop.request()
            case "stop at once":
                stop.request(at_once=True)
                return  # what waits is torn, and given back
            case "cancelled task":
                task.cancel()
                return
            case "pause":
                await self._pause_if_possible(library, job)
            case "cancel":
                await batches.cancel(job.name)
                job.cancel()
            case "discard":
                await _refused(JobHasWorkers, batches.discard(job.name))
            case "retry":
                assert await batches.retry(job.name) == job.retry()
            case "reclaimed":
                await self._reclaim(library, job)
            case "reclaimed and paused":
                await self._reclaim(library, job)
                await self._pause_if_possible(library, job)
            case "second run" | "second run with more" if job.state == "running":
                await self._run_beside(library, job, processor, more=what.endswith("more"))
        processor.open()

    async def _pause_if_possible(self, library: Library, job: ModelJob) -> None:
        if job.state == "running":
            await library.second.batches.pause(job.name)
            job.pause()
        else:
            await _refused(InvalidTransition, library.second.batches.pause(job.name))

    async def _reclaim(self, library: Library, job: ModelJob) -> None:
        """Reclaim the run's lease by an observer that wrongly considers its worker dead."""
        work = library.second._store.batches.work
        for row in await work.workers(library.owner, job.name):
            if row.token in [dead.lease.token for dead in self._dead]:
                continue
            assert await work.reclaim(library.owner, row, crash_limit=CRASH_LIMIT)
            for item_id, attempt in self._sql(
                """SELECT items.id, attempts.number FROM attempts
                     JOIN items ON items.job_key = attempts.job_key AND items.position = attempts.position
                    WHERE attempts.worker = ? AND (result = 'interrupted' OR error_code = 'crashed_worker')""",
                row.token,
            ):
                item = job.items[item_id]
                if item.attempt < attempt:
                    item.claim(attempt)  # in the very commit before
                assert (item.state, item.attempt) == ("running", attempt), f"{item} was interrupted after its outcome"
                item.interrupt()
                job.void.add((item_id, attempt))

    async def _run_beside(self, library: Library, job: ModelJob, first: JudgingProcessor, *, more: bool) -> None:
        if more:
            self._more(job, [["ok"], ["retry", "ok"]])
        processor = self._processor(library, job)
        run = library.second.batches.run(
            job.name, job.inputs(), processor, max_attempts=job.max_attempts, concurrency=2, accept_new_items=more
        )
        task = asyncio.create_task(run)
        while not task.done() and len(await self._workers(library, job)) < 2:
            await asyncio.sleep(0.001)
        first.open()
        await task
        assert not processor.wrong, processor.wrong

    async def _until_agreed(self, library: Library, job: ModelJob) -> None:
        """Wait until the engine has committed the outcomes of all its calls."""
        while True:
            self._notice_reclaims()
            stored = self._sql(
                """SELECT items.id, items.state, items.attempt FROM items JOIN jobs ON jobs.key = job_key
                    WHERE jobs.owner = ? AND jobs.id = ?""",
                library.owner,
                job.name,
            )
            known = {(item.id, item.state, item.attempt) for item in job.items.values()}
            (state,) = self._sql("SELECT state FROM jobs WHERE owner = ? AND id = ?", library.owner, job.name)[0]
            if set(stored) == known and state == job.state:
                return
            await asyncio.sleep(0.002)

    # -- the same for a worker that a test plays ----------------------------------------------------------------------

    def _enter(
        self, library: Library, job: ModelJob, life: liveness.LivenessLock, *, room: int
    ) -> tuple[Lease, Sequence[ClaimedItem]]:
        """Acquire a lease and claim items, in addition to those of dead workers."""
        work = library.backstay._store.batches.work
        entered = self._await(work.acquire_lease(library.owner, job.name, life.identity, after_lease_loss=False))
        assert entered.lease is not None
        job.acquire_lease()
        report = self._await(work.commit(entered.lease, [], Claim(free_slots=room, may_claim_suspect=True)))
        pending = [item for item in job.items.values() if item.state == "pending"]
        innocent = [item for item in pending if not item.is_suspect]
        expected = min(room, len(innocent) or bool(pending))
        assert len(report.claimed) == expected, f"{len(report.claimed)} claimed, {expected} should be: {job}"
        for claimed in report.claimed:
            item = job.items[claimed.item.id]
            assert claimed.runs_alone == item.is_suspect
            assert claimed.tries == item.tries, f"B5: claimed with {claimed.tries} tries, should be: {item}"
            item.claim(claimed.attempt)
        return entered.lease, report.claimed

    def _verdict(self, job: ModelJob, claimed: ClaimedItem) -> Verdict:
        item = job.items[claimed.item.id]
        outcome = item.next_outcome if item.next_outcome in ("ok", "none", "skip", "fail") else "ok"
        state, code = job.end(item, outcome)
        generated = conversation_of(claimed, job.answer(item.id, item.attempt)) if outcome == "ok" else None
        return Verdict(claimed, ItemState(state), state, generated, code, code, uses_up_try=state == "failed")

    def _notice_reclaims(self) -> None:
        """Record which of the dead workers' leases were reclaimed since, and what that did to their items."""
        there = {token for (token,) in self._sql("SELECT token FROM workers")}
        for dead in self._dead:
            if dead.is_gone or dead.lease.token in there:
                continue
            dead.is_gone = True
            for claimed in dead.claimed:
                item = dead.job.items[claimed.item.id]
                assert (item.state, item.attempt) == ("running", claimed.attempt)
                if dead.was_stopping:
                    item.release()
                else:
                    item.interrupt()

    def _dead_holder(self, job: ModelJob, item: ModelItem) -> bool:
        return any(
            dead.job is job and not dead.is_gone and item.id in [claimed.item.id for claimed in dead.claimed]
            for dead in self._dead
        )

    # -- comparing ----------------------------------------------------------------------------------------------------

    def _compare_jobs(self, library: Library) -> None:
        listed = {job.id: job for job in self._await(library.backstay.batches.list()) if job.id != "last"}
        assert set(listed) == set(library.jobs)
        for name, job in library.jobs.items():
            self._compare_job(library, job, listed[name])
        incomplete = {job.id for job in self._await(library.backstay.batches.incomplete())}
        assert incomplete == {name for name, job in library.jobs.items() if job.state in UNFINISHED}
        for name in NAMES:
            if name not in library.jobs:
                self._refused(JobNotFound, library.backstay.batches.checkpoint(name))
        creating = self._sql("SELECT count(*) FROM jobs WHERE owner = ? AND state = 'creating'", library.owner)
        assert creating == [(library.leftovers,)], f"{creating} are being created, {library.leftovers} should be"

    def _compare_job(self, library: Library, job: ModelJob, shown: Any) -> None:
        assert _as_dict(shown.counts) == job.counts, f"counts are {shown.counts}, should be {job.counts}"
        assert shown.state == ("interrupted" if job.state == "running" else job.state), f"{shown.state}: {job}"
        assert (shown.pause.code if shown.pause else None) == job.pause_code
        stored = self._sql(
            """SELECT items.id, items.state, attempt, tries, interruptions, alone_interruptions,
                      (SELECT turns.content FROM turns JOIN conversations ON conversations.key = conversation_key
                        WHERE conversations.owner = items.owner AND conversations.id = items.conversation_id
                          AND turns.role = 'assistant')
                 FROM items JOIN jobs ON jobs.key = job_key WHERE jobs.owner = ? AND jobs.id = ? ORDER BY position""",
            library.owner,
            job.name,
        )
        known = [
            (item.id, item.state, item.attempt, item.tries, item.interruptions, item.alone_interruptions, item.text)
            for item in job.items.values()
        ]
        assert stored == known, f"stored are {stored}, should be {known}"
        failures = self._await(_all(library.backstay.batches.failed(job.name)))
        expected = [(item.id, item.code) for item in job.items.values() if item.state == "failed"]
        assert [(failure.item_id, failure.error_code) for failure in failures] == expected

    def _compare_conversations(self, library: Library) -> None:
        stored = self._sql(
            """SELECT job_id, item_id, turns.content FROM conversations JOIN turns ON conversation_key = key
                WHERE conversations.owner = ? AND role = 'assistant'""",
            library.owner,
        )
        own = [
            (job.name, item.id, item.text)
            for job in library.jobs.values()
            for item in job.items.values()
            if item.text is not None
        ]
        expected = [*library.discarded, *own]
        assert Counter(stored) == Counter(expected), f"stored are {stored}, should be {expected}"

    def _check_promises(self, *, at_rest: bool) -> None:
        may_fail = frozenset(item.id for _, job in self._all_jobs() for item in job.items.values())
        lines = violations(self._database, at_rest=at_rest, may_fail=may_fail)
        broken = [line for line in lines if not self._is_explained(line)]
        assert not broken, broken

    def _is_explained(self, line: str) -> bool:
        """Two things the checker cannot know: that a job was discarded before, and that it was cleaned before."""
        if match := re.match(r"B2: item (\S+) of (\S+) ", line):
            item, job = match.groups()
            return any((job, item) == row[:2] for library in self._libraries for row in library.discarded)
        if match := re.match(r"B4: item \S+ of (\S+) is (completed|skipped) after \d+ attempts, 0 of them", line):
            return match[1] == "None" or any(job.was_cleaned for _, job in self._all_jobs() if job.name == match[1])
        return False

    # -- small things -------------------------------------------------------------------------------------------------

    def _all_jobs(self) -> list[tuple[Library, ModelJob]]:
        return [(library, library.jobs[name]) for library in self._libraries for name in sorted(library.jobs)]

    def _pick(self, which: int) -> tuple[Library, ModelJob]:
        there = self._all_jobs()
        return there[which % len(there)]

    def _new_job(
        self, library: Library, name: str, scripts: Sequence[list[str]], *, max_attempts: int, is_named: bool
    ) -> ModelJob:
        job = ModelJob(library.owner, name, library.lives[name], max_attempts, is_named)
        library.lives[name] += 1
        library.jobs[name] = job
        self._more(job, scripts)
        return job

    def _more(self, job: ModelJob, scripts: Sequence[list[str]]) -> None:
        """Add items. One of a job may ask for the taken id: of two at once nobody could say which gets it."""
        # Any run of this owner cleans the jobs that have ended, those of dead workers included.
        job.was_cleaned = job.was_cleaned or job.state == "completed"
        for script in scripts:
            asks = any("clash" in item.script for item in job.items.values())
            job.add([["ok"] if asks and "clash" in script else script])

    def _processor(self, library: Library, job: ModelJob, *, free: int | None = None) -> JudgingProcessor:
        return JudgingProcessor(job, taken=library.taken, notice=self._notice_reclaims, free=free)

    def _forget(self, library: Library, job: ModelJob) -> None:
        del library.jobs[job.name]
        library.discarded += [(job.name, item.id, item.text) for item in job.items.values() if item.text is not None]
        self._notice_reclaims()

    async def _workers(self, library: Library, job: ModelJob) -> list[int]:
        rows = await library.second._store.batches.work.workers(library.owner, job.name)
        dead = [dead.lease.token for dead in self._dead]
        return [row.token for row in rows if row.token not in dead]

    def _await(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(coroutine)

    def _refused(self, kind: Any, coroutine: Coroutine[Any, Any, Any]) -> BackstayError:
        return self._runner.run(_refused(kind, coroutine))

    def _sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return ask(self._database, statement, *values)


async def _refused(kind: Any, coroutine: Coroutine[Any, Any, Any]) -> BackstayError:
    with pytest.raises(kind) as caught:
        await coroutine
    error: BackstayError = caught.value
    return error


def _as_dict(counts: Any) -> dict[str, int]:
    return {state: getattr(counts, state) for state in STATES}


async def _all(stream: Any) -> list[Any]:
    return [element async for element in stream]


async def _never(item: Any) -> None:
    raise AssertionError(f"item {item.id} was called by a run that should have been refused")


async def _nothing(item: Any) -> None:
    return None


def conversation_of(claimed: ClaimedItem, text: str) -> Any:
    made = conversation(claimed.item.topic)
    return type(made)([made.turns[0], type(made.turns[1])("assistant", text)])
