"""The power fails at any instant, and the disk keeps any part of what was not synced: nothing promised is lost.

A real run is recorded once, change by change. For every change the states are rebuilt in which a disk may be left if
the power fails right after it (`support.faults.power_cut` says which, and why no others). Each is opened like any
library and searched for what was acknowledged before the cut. Some are then resumed to the end.
"""

import asyncio
import hashlib
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from backstay.batch import liveness
from backstay.storage.sqlite.schema_migration import prepare
from durability.power._power_story import Left, Promises, finish_story, listening, run_story
from support.faults.power_cut import Contents, Disk
from support.faults.recorded_disk import Event, Noted, Recorder
from support.harness.sampling import FULL, sample
from support.stores import memory_folder

pytestmark = pytest.mark.promise("B1")

DATABASE = "backstay.db"

# By default the log is checkpointed every 1,000 pages, which a short run reaches only at its end. With a smaller
# number it meets checkpoints, and a reused log, as often as a long run.
DEFAULT_LOG, SMALL_LOG = (), ("wal_autocheckpoint = 40",)

RUNS = 4 if FULL else 2
STATES_OF_A_RUN = 5_000  # at least, under torture
CUTS = 100  # of a run, otherwise
RESUMED = 200 if FULL else 8  # of a run
SECOND_RUNS = 2 if FULL else 1
FIRST_CUTS = 25 if FULL else 2  # each followed by a run that is cut again
SECOND_CUTS_APART = 5 if FULL else 60  # changes between two cuts of such a run
TOGETHER = 8  # resumed at once, since each mostly waits for a lease to end


@dataclass(frozen=True, slots=True)
class State:
    """What a power cut may leave on disk, and what had been promised by then."""

    moment: int
    how: str
    contents: Contents
    promises: Promises

    @property
    def digest(self) -> bytes:
        digest = hashlib.blake2b(digest_size=16)
        for name, data in sorted(self.contents.items()):
            digest.update(f"{name} {len(data)} ".encode())
            digest.update(data)
        return digest.digest()

    def __str__(self) -> str:
        return f"cut after change {self.moment}, on disk: {self.how}"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory if there is one, since the cost of syncs is not tested here."""
    path = memory_folder.new_folder("backstay-states-")
    yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart of the machine, which gives it another boot id."""
    boots = iter(range(10**9))
    monkeypatch.setattr(liveness, "machine_id", lambda: "this-machine")

    def restart() -> None:
        boot = f"boot-{next(boots)}"
        monkeypatch.setattr(liveness, "boot_id", lambda: boot)

    restart()
    return restart


def recorded(folder: Path, seed: int, pragmas: tuple[str, ...]) -> tuple[list[Event], int]:
    """Return the events of one run, and the number of its items."""
    chance, recorder = random.Random(seed), Recorder()
    count = chance.randrange(40, 80)
    path = folder / "recorded"
    with listening(recorder, pragmas):
        asyncio.run(run_story(path / DATABASE, recorder, chance, count))
    shutil.rmtree(path)
    return recorder.events, count


def states(events: list[Event], seed: int, cuts: Sequence[int], promises: Promises | None = None) -> Iterator[State]:
    """Yield the states that cuts after these events may leave; `promises` were made before the first event."""
    disk, promises = Disk(), promises.copy() if promises else Promises()
    awaited = set(cuts)
    for moment, event in enumerate(events):
        if isinstance(event, Noted):
            promises.note(event.fact)
        disk.follow(event)
        if moment not in awaited:
            continue
        chance = random.Random(f"{seed} {moment}")
        possible = list(disk.possible(chance))
        if not FULL:
            possible = [possible[0], chance.choice(possible)]
        promised = promises.copy()
        for how, contents in possible:
            yield State(moment, how, contents, promised)


def open_state(folder: Path, contents: Contents) -> Left:
    """Open a state like Backstay does at its start, and return what it holds."""
    write(folder, contents)
    try:
        prepare(folder / DATABASE, create=True)
        return Left.from_database(folder / DATABASE)
    finally:
        shutil.rmtree(folder)


def write(folder: Path, contents: Contents) -> None:
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)


class Survey:
    """The different states seen, each opened once and checked against the promises of every cut that may leave it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "state"
        self._seen: dict[bytes, Left] = {}
        self.lost: list[str] = []

    def check(self, state: State) -> bool:
        """Check a state, and return whether it was new."""
        digest = state.digest
        is_new = digest not in self._seen
        if is_new:
            self._seen[digest] = open_state(self._folder, state.contents)
        self.lost += [f"{state}: {line}" for line in self._seen[digest].lost(state.promises)]
        return is_new

    def __len__(self) -> int:
        return len(self._seen)


async def ends(folder: Path, state: State, count: int, cuts: int) -> list[str]:
    """Resume a state to the end of the story, and return what is wrong then, after so many cuts."""
    write(folder, state.contents)
    try:
        recorder = Recorder()
        await finish_story(folder / DATABASE, recorder, random.Random(state.moment), count)
        promises = state.promises.copy()
        for event in recorder.events:
            promises.note(event.fact)
        broken = Left.from_database(folder / DATABASE, at_rest=True).not_at_the_end(promises, count=count, cuts=cuts)
        return [f"{state}, then resumed: {line}" for line in broken]
    finally:
        shutil.rmtree(folder)


async def all_end(folder: Path, states: list[State], count: int, cuts: int = 1) -> list[str]:
    broken = []
    for start in range(0, len(states), TOGETHER):
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(ends(folder / f"resumed-{n}", state, count, cuts))
                for n, state in enumerate(states[start : start + TOGETHER])
            ]
        broken += [line for task in tasks for line in task.result()]
    return broken


class Sample:
    """A random sample of a stream of unknown length, in which each element is equally likely."""

    def __init__(self, size: int, chance: random.Random) -> None:
        self.states: list[State] = []
        self._size = size
        self._chance = chance
        self._offered = 0

    def offer(self, state: State) -> None:
        self._offered += 1
        if len(self.states) < self._size:
            self.states.append(state)
        elif (index := self._chance.randrange(self._offered)) < self._size:
            self.states[index] = state


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Print how much was tested, where that is the point of the run."""
    if FULL:
        with capsys.disabled():
            print(f"\n{text}")


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(RUNS))
def test_power_cut_at_any_instant(folder, machine, capsys, seed):
    """Every state that a power cut may leave is consistent, holds what was acknowledged, and can be resumed."""
    events, count = recorded(folder, seed, SMALL_LOG if seed % 2 else DEFAULT_LOG)
    machine()

    survey, selected = Survey(folder), Sample(RESUMED, random.Random(seed))
    for state in states(events, seed, sample(range(len(events)), CUTS)):
        if survey.check(state):
            selected.offer(state)
    broken = survey.lost + asyncio.run(all_end(folder, selected.states, count))

    say(capsys, f"run {seed}: {len(events)} changes, {len(survey)} states, {len(selected.states)} of them resumed")
    assert not broken, "\n".join(broken[:50])
    assert not FULL or len(survey) >= STATES_OF_A_RUN


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(SECOND_RUNS))
def test_power_cut_again_while_resuming(folder, machine, capsys, seed):
    """A second power cut while the state of a first is resumed loses nothing either."""
    events, count = recorded(folder, seed, SMALL_LOG)
    firsts = Sample(FIRST_CUTS, random.Random(seed))
    for state in states(events, seed, sorted(random.Random(seed).sample(range(len(events)), FIRST_CUTS))):
        firsts.offer(state)

    survey, selected = Survey(folder), Sample(RESUMED, random.Random(seed))
    for first in firsts.states:
        machine()
        recorder = Recorder()
        recorder.begin_with(first.contents)
        begun = len(recorder.events)
        write(folder / "resumed", first.contents)
        with listening(recorder, SMALL_LOG):
            asyncio.run(finish_story(folder / "resumed" / DATABASE, recorder, random.Random(seed), count))
        shutil.rmtree(folder / "resumed")
        machine()
        for state in states(
            recorder.events, seed, range(len(recorder.events))[begun::SECOND_CUTS_APART], first.promises
        ):
            second = replace(state, how=f"{state.how}; resumed from {first}")
            if survey.check(second):
                selected.offer(second)
    broken = survey.lost + asyncio.run(all_end(folder, selected.states, count, cuts=2))

    say(capsys, f"second cuts {seed}: {len(survey)} states, {len(selected.states)} of them resumed")
    assert not broken, "\n".join(broken[:50])


def test_without_full_sync_power_cuts_lose_what_was_acknowledged(folder, machine):
    """The control: with `synchronous = NORMAL` a commit does not wait for the disk, and the same cuts lose commits."""
    events, _ = recorded(folder, 0, ("synchronous = NORMAL",))
    machine()

    survey = Survey(folder)
    for state in states(events, 0, sample(range(len(events)), 30)):
        survey.check(state)

    assert any(": B1: " in line for line in survey.lost)
