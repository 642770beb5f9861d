"""A victim that dies, meets a failing disk or a full one, at each system call by which a small job writes.

The calls are those on the database file, its log, the log's index, the journal of its first transaction and its
folder: pwrite64, fdatasync, ftruncate and unlink. A job renames nothing. `strace` counts calls apart for each
thread (see `support.strace`), so each job is begun in three ways; what no number strikes in one is struck in another:

new     creates the file in one thread, then works in another: of the work's calls on the log the first are shadowed
made    on an empty database: all calls of the work
killed  after a worker that was killed: recovery of the log, takeover, and the checkpoint of a closing connection

A call is struck before it is carried out; after the last one stands the end of the run. The removal of a worker's
lock file has a name that nobody knows beforehand, and is struck with another program holding the database open.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw
import pytest

from backstay.storage.sqlite import migrate
from support import needs, strace
from support.scene import Scene, last_words
from support.torture import FULL

pytestmark = pytest.mark.promise("B1", "B5")

Case = tuple[str, str, int]  # name of the call, name of the file, number

_STARTS: dict[str, Callable[[Scene], object]] = {
    "new": lambda scene: None,
    "made": lambda scene: migrate.prepare(scene.database, create=True),
    "killed": lambda scene: scene.run(die="after:7"),
}
_FAULTS = ("signal=SIGKILL", "error=EIO", "error=ENOSPC")
_MORE = 3  # by so many calls may another run be longer than the one that was counted


@pytest.fixture(scope="module", autouse=True)
def _strace() -> None:
    needs.injected_faults()


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Case]]:
    """All cases of each start, as one run without faults shows them."""
    found = {}
    for start, arrange in _STARTS.items():
        scene = _small_job(tmp_path_factory.mktemp(start))
        arrange(scene)
        log = scene.folder / "log"
        assert scene.run(under=strace.logging(log)) == 0, scene.errors()
        found[start] = _cases(strace.read(log), scene.database.parent)
    return found


@pytest.mark.sweep
@pytest.mark.parametrize("start", _STARTS)
@pytest.mark.parametrize("fault", _FAULTS)
def test_struck_at_a_system_call(cases, tmp_path, fault, start):
    """Whatever it strikes, nothing reported is lost, the end is clear, and the next run completes the job."""
    turn = list(_STARTS).index(start) * len(_FAULTS) + _FAULTS.index(fault)
    chosen = cases[start] if FULL else [_one(cases[start], turn)]

    broken = {case: found for case in chosen if (found := _strike(tmp_path, start, fault, case))}

    assert broken == {}


@pytest.mark.sweep
@pytest.mark.parametrize("fault", _FAULTS)
def test_struck_while_a_lock_file_is_removed(tmp_path, fault):
    """Creation and run each remove a lock file at their end; one that stays is no harm."""
    broken = {}
    for number in (1, 2):
        scene = _small_job(tmp_path / str(number))
        migrate.prepare(scene.database, create=True)
        neighbour = apsw.Connection(str(scene.database))
        neighbour.execute("SELECT * FROM jobs").fetchall()

        under = strace.injecting(fault, "unlink", str(number), None, scene.folder / "log")
        broken[number] = _run_and_resume(scene, fault, under)
        neighbour.close()

    assert broken == {1: [], 2: []}


def test_every_call_is_struck(cases):
    """The sweep reaches creation, work and closing: each file by each call that changes it."""
    reached = {(start, name, file) for start, all_of_it in cases.items() for name, file, _ in all_of_it}

    everywhere = {
        ("pwrite64", "backstay.db"),
        ("pwrite64", "backstay.db-wal"),
        ("pwrite64", "backstay.db-shm"),
        ("fdatasync", "backstay.db"),
        ("fdatasync", "backstay.db-wal"),
        ("fdatasync", "."),
        ("ftruncate", "backstay.db-shm"),
        ("unlink", "backstay.db-wal"),
        ("unlink", "backstay.db-shm"),
    }
    assert {(start, *call) for start in _STARTS for call in everywhere} <= reached
    assert ("new", "unlink", "backstay.db-journal") in reached
    assert not [name for _, name, _ in reached if name.startswith("rename")]


# -- one case --------------------------------------------------------------------------------------------------------


def _strike(folder: Path, start: str, fault: str, case: Case) -> list[str]:
    name, file, number = case
    scene = _small_job(folder / f"{name}-{file}-{number}")
    _STARTS[start](scene)
    path = scene.database.parent / file
    under = strace.injecting(fault, name, str(number), path, scene.folder / "log")
    found = _run_and_resume(scene, fault, under)
    shutil.rmtree(scene.folder)
    return found


def _run_and_resume(scene: Scene, fault: str, under: Sequence[str]) -> list[str]:
    said_before = len(scene.errors()) if scene.crashes else 0
    code = scene.run(under=under)
    found = []
    if code > 0:
        scene.crashes += 1  # what it had in flight was called for nothing, as if it had crashed
        last = last_words(scene.errors()[said_before:])
        if isinstance(last, str):
            found.append(f"ended with {code} and {last}")
    if code < 0 and "SIGKILL" not in fault:
        found.append(f"ended by signal {-code}")
    found += scene.broken(untouched=True, at_rest=False, planned=None)
    if (code := scene.run()) != 0:
        found.append(f"resumed, it ended with {code}: {scene.errors()}")
    return found + scene.broken()


# -- the cases -------------------------------------------------------------------------------------------------------


def _small_job(folder: Path) -> Scene:
    (folder / "database").mkdir(parents=True)
    scene = Scene(folder)
    scene.database = folder / "database" / "backstay.db"
    scene.items, scene.concurrency = 12, 4
    return scene


def _cases(calls: Sequence[strace.SystemCall], folder: Path) -> list[Case]:
    found: list[Case] = []
    for (name, path), those in strace.by_target(calls, folder).items():
        if path.suffix != ".lock":
            last = len(strace.struck(those)) + (_MORE if len(those) > 10 else 0)
            found += [(name, str(path.relative_to(folder)), number) for number in range(1, last + 1)]
    return found


def _one(cases: list[Case], turn: int) -> Case:
    """Return one case; each turn gives another file or call."""
    targets: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        targets.setdefault(case[:2], []).append(case)
    middles = [those[len(those) // 2] for those in targets.values()]
    return middles[turn % len(middles)]
