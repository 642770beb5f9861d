"""The power goes at any instant, and the disk keeps whatever it likes of what was not synced: nothing promised is lost.

A real run is recorded once, change by change. For every change the states are rebuilt in which a disk may be left if
the power goes right after it (`support.power_cut` says which, and why no others), each is opened as any library is, and
what was acknowledged before the cut is looked for. Some are then worked on to the end.
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
from backstay.storage.sqlite.migrate import prepare
from support import memory
from support.power_cut import Contents, Disk
from support.power_story import Left, Promises, listening, tell, tell_the_rest
from support.recorded_disk import Event, Noted, Recorder
from support.torture import FULL, sample

pytestmark = pytest.mark.promise("B1")

DATABASE = "backstay.db"

# As shipped, the log is copied back into the database every 1,000 pages. So short a run would meet that at its end
# only; with a smaller number it meets it, and a log that is started over, as often as a long one.
AS_SHIPPED, SMALL_LOG = (), ("wal_autocheckpoint = 40",)

RUNS = 4 if FULL else 2
STATES_OF_A_RUN = 5_000  # at least, under torture
CUTS = 100  # of a run, otherwise
RESUMED = 200 if FULL else 8  # of a run
SECOND_RUNS = 2 if FULL else 1
FIRST_CUTS = 25 if FULL else 2  # each followed by a run that is cut again …
SECOND_CUTS_APART = 5 if FULL else 60  # … after every so many changes
TOGETHER = 8  # resumed at once, as each mostly waits for a lease to be over


@dataclass(frozen=True, slots=True)
class State:
    """What a cut may have left, and what had been promised by then."""

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
    """A folder in memory where there is one: what a sync would cost is not what is tested."""
    path = memory.new_folder("backstay-states-")
    yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a cut the machine is started anew, which names each boot differently."""
    boots = iter(range(10**9))
    monkeypatch.setattr(liveness, "machine_id", lambda: "this-machine")

    def start_anew() -> None:
        boot = f"boot-{next(boots)}"
        monkeypatch.setattr(liveness, "boot_id", lambda: boot)

    start_anew()
    return start_anew


def recorded(folder: Path, seed: int, pragmas: tuple[str, ...]) -> tuple[list[Event], int]:
    """Return the events of one run, and the number of its items."""
    chance, recorder = random.Random(seed), Recorder()
    count = chance.randrange(40, 80)
    place = folder / "recorded"
    with listening(recorder, pragmas):
        asyncio.run(tell(place / DATABASE, recorder, chance, count))
    shutil.rmtree(place)
    return recorder.events, count


def states(events: list[Event], seed: int, cuts: Sequence[int], promises: Promises | None = None) -> Iterator[State]:
    """Yield what cuts after these events may leave; `promises` were made before the first."""
    disk, promises = Disk(), promises.copy() if promises else Promises()
    awaited = set(cuts)
    for moment, event in enumerate(events):
        if isinstance(event, Noted):
            promises.note(event.fact)
        disk.follow(event)
        if moment not in awaited:
            continue
        chance = random.Random(f"{seed} {moment}")
        found = list(disk.possible(chance))
        if not FULL:
            found = [found[0], chance.choice(found)]
        then = promises.copy()
        for how, contents in found:
            yield State(moment, how, contents, then)


def left(folder: Path, contents: Contents) -> Left:
    """Open what a cut left, as Backstay does at its start, and look at it."""
    write(folder, contents)
    try:
        prepare(folder / DATABASE, create=True)
        return Left.of(folder / DATABASE)
    finally:
        shutil.rmtree(folder)


def write(folder: Path, contents: Contents) -> None:
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)


class Survey:
    """Looks at each different state once, and holds every promise made by any cut that may leave it against it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "state"
        self._seen: dict[bytes, Left] = {}
        self.lost: list[str] = []

    def look(self, state: State) -> bool:
        """Return whether the state is one not seen before."""
        digest = state.digest
        is_new = digest not in self._seen
        if is_new:
            self._seen[digest] = left(self._folder, state.contents)
        self.lost += [f"{state}: {line}" for line in self._seen[digest].lost(state.promises)]
        return is_new

    def __len__(self) -> int:
        return len(self._seen)


async def ends(folder: Path, state: State, count: int, cuts: int) -> list[str]:
    """Work on a state to the end of the story, and return what is wrong with it then, after so many cuts."""
    write(folder, state.contents)
    try:
        recorder = Recorder()
        await tell_the_rest(folder / DATABASE, recorder, random.Random(state.moment), count)
        promises = state.promises.copy()
        for event in recorder.events:
            promises.note(event.fact)
        found = Left.of(folder / DATABASE, at_rest=True).not_at_the_end(promises, count=count, cuts=cuts)
        return [f"{state}, then resumed: {line}" for line in found]
    finally:
        shutil.rmtree(folder)


async def all_end(folder: Path, chosen: list[State], count: int, cuts: int = 1) -> list[str]:
    broken = []
    for start in range(0, len(chosen), TOGETHER):
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(ends(folder / f"resumed-{n}", state, count, cuts))
                for n, state in enumerate(chosen[start : start + TOGETHER])
            ]
        broken += [line for task in tasks for line in task.result()]
    return broken


class Drawn:
    """Keeps some of a stream of unknown length, each with the same chance."""

    def __init__(self, size: int, chance: random.Random) -> None:
        self.kept: list[State] = []
        self._size = size
        self._chance = chance
        self._offered = 0

    def offer(self, state: State) -> None:
        self._offered += 1
        if len(self.kept) < self._size:
            self.kept.append(state)
        elif (place := self._chance.randrange(self._offered)) < self._size:
            self.kept[place] = state


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Show how much was tried, where that is the point of the run."""
    if FULL:
        with capsys.disabled():
            print(f"\n{text}")


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(RUNS))
def test_power_cut_at_any_instant(folder, machine, capsys, seed):
    """Whatever the disk kept, what was acknowledged is there, the rest is whole, and a resume ends the job."""
    events, count = recorded(folder, seed, SMALL_LOG if seed % 2 else AS_SHIPPED)
    machine()

    survey, chosen = Survey(folder), Drawn(RESUMED, random.Random(seed))
    for state in states(events, seed, sample(range(len(events)), CUTS)):
        if survey.look(state):
            chosen.offer(state)
    broken = survey.lost + asyncio.run(all_end(folder, chosen.kept, count))

    say(capsys, f"run {seed}: {len(events)} changes, {len(survey)} states, {len(chosen.kept)} of them resumed")
    assert not broken, "\n".join(broken[:50])
    assert not FULL or len(survey) >= STATES_OF_A_RUN


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(SECOND_RUNS))
def test_power_cut_again_while_resuming(folder, machine, capsys, seed):
    """What the first cut left is resumed, and the power goes again: recovery is as safe as the rest."""
    events, count = recorded(folder, seed, SMALL_LOG)
    firsts = Drawn(FIRST_CUTS, random.Random(seed))
    for state in states(events, seed, sorted(random.Random(seed).sample(range(len(events)), FIRST_CUTS))):
        firsts.offer(state)

    survey, chosen = Survey(folder), Drawn(RESUMED, random.Random(seed))
    for first in firsts.kept:
        machine()
        recorder = Recorder()
        recorder.begin_with(first.contents)
        begun = len(recorder.events)
        write(folder / "resumed", first.contents)
        with listening(recorder, SMALL_LOG):
            asyncio.run(tell_the_rest(folder / "resumed" / DATABASE, recorder, random.Random(seed), count))
        shutil.rmtree(folder / "resumed")
        machine()
        for state in states(
            recorder.events, seed, range(len(recorder.events))[begun::SECOND_CUTS_APART], first.promises
        ):
            second = replace(state, how=f"{state.how}; resumed from {first}")
            if survey.look(second):
                chosen.offer(second)
    broken = survey.lost + asyncio.run(all_end(folder, chosen.kept, count, cuts=2))

    say(capsys, f"second cuts {seed}: {len(survey)} states, {len(chosen.kept)} of them resumed")
    assert not broken, "\n".join(broken[:50])


def test_without_full_sync_power_cuts_lose_what_was_acknowledged(folder, machine):
    """The control. With `synchronous = NORMAL` a commit waits for nothing, and the same cuts take it back."""
    events, _ = recorded(folder, 0, ("synchronous = NORMAL",))
    machine()

    survey = Survey(folder)
    for state in states(events, 0, sample(range(len(events)), 30)):
        survey.look(state)

    assert any(": B1: " in line for line in survey.lost)
