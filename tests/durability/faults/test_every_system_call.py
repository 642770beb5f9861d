"""A worker dies, or meets a failing or full disk, at each system call by which a small job writes.

The calls are those on the database file, its log, the log's index, the journal of its first transaction and its
folder: pwrite64, fdatasync, ftruncate and unlink. A job renames nothing. `strace` counts calls separately for each
thread (see `support.faults.strace`), so each job is started in three ways; a call that no number strikes in one is
struck in another:

new     creates the file in one thread, then works in another, whose first calls on the log are not counted
made    starts with an empty database: all calls of the work are counted
killed  follows a killed worker: recovery of the log, a reclaimed lease, and the checkpoint of a closing connection

A call is struck before it is executed; after the last one comes the end of the run. The name of a worker's lock file is
not known beforehand, so its removal is struck while another program holds the database open.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw
import pytest

from backstay.storage.sqlite import schema_migration
from support.faults import strace
from support.faults.scene import Scene, last_words
from support.harness import requirements
from support.harness.sampling import FULL

pytestmark = pytest.mark.promise("B1", "B5")

Case = tuple[str, str, int]  # name of the call, name of the file, number

_STARTS: dict[str, Callable[[Scene], object]] = {
    "new": lambda scene: None,
    "made": lambda scene: schema_migration.prepare(scene.database, create=True),
    "killed": lambda scene: scene.run(die="after:7"),
}
_FAULTS = ("signal=SIGKILL", "error=EIO", "error=ENOSPC")
_EXTRA_CALLS = 3  # that another run may make more than the counted one


@pytest.fixture(scope="module", autouse=True)
def _strace() -> None:
    requirements.injected_faults()


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Case]]:
    """All cases of each start, as a run without faults shows them."""
    cases = {}
    for start, arrange in _STARTS.items():
        scene = _small_job(tmp_path_factory.mktemp(start))
        arrange(scene)
        log = scene.folder / "log"
        assert scene.run(under=strace.logging(log)) == 0, scene.errors()
        cases[start] = _cases(strace.read(log), scene.database.parent)
    return cases


@pytest.mark.sweep
@pytest.mark.parametrize("start", _STARTS)
@pytest.mark.parametrize("fault", _FAULTS)
def test_struck_at_a_system_call(cases, tmp_path, fault, start):
    """A fault at any system call loses nothing reported, ends the run clearly, and the next run completes the job."""
    turn = list(_STARTS).index(start) * len(_FAULTS) + _FAULTS.index(fault)
    selected = cases[start] if FULL else [_case_for_turn(cases[start], turn)]

    broken = {case: problems for case in selected if (problems := _strike(tmp_path, start, fault, case))}

    assert broken == {}


@pytest.mark.sweep
@pytest.mark.parametrize("fault", _FAULTS)
def test_struck_while_a_lock_file_is_removed(tmp_path, fault):
    """A fault while a lock file is removed, after creation or after the run, does no harm."""
    broken = {}
    for number in (1, 2):
        scene = _small_job(tmp_path / str(number))
        schema_migration.prepare(scene.database, create=True)
        neighbour = apsw.Connection(str(scene.database))
        neighbour.execute("SELECT * FROM jobs").fetchall()

        under = strace.injecting(fault, "unlink", str(number), None, scene.folder / "log")
        broken[number] = _run_and_resume(scene, fault, under)
        neighbour.close()

    assert broken == {1: [], 2: []}


@pytest.mark.parametrize("thread", ["main", "other"])
def test_a_kill_is_carried_out(tmp_path, thread):
    """A process that is to be killed at a system call dies before that call, in whichever thread it is made."""
    path = tmp_path / "file"
    path.touch()
    start = "remove()" if thread == "main" else "threading.Thread(target=remove).start()"
    victim = f"import os, threading\ndef remove(): os.unlink({str(path)!r})\n{start}"
    under = strace.injecting("signal=SIGKILL", "unlink", "1", None, tmp_path / "log")

    code = subprocess.run([*under, sys.executable, "-c", victim], check=False).returncode

    assert (code, path.exists()) == (-signal.SIGKILL, True)


def test_every_call_is_struck(cases):
    """The cases cover creation, work and closing: each file with each call that changes it."""
    reached = {(start, name, file) for start, struck in cases.items() for name, file, _ in struck}

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
    problems = _run_and_resume(scene, fault, under)
    shutil.rmtree(scene.folder)
    return problems


def _run_and_resume(scene: Scene, fault: str, under: Sequence[str]) -> list[str]:
    length_before = len(scene.errors()) if scene.crashes else 0
    code = scene.run(under=under)
    problems = []
    if code > 0:
        scene.crashes += 1  # its calls in flight are repeated, as after a crash
        last = last_words(scene.errors()[length_before:])
        if isinstance(last, str):
            problems.append(f"ended with {code} and {last}")
    if code < 0 and "SIGKILL" not in fault:
        problems.append(f"ended by signal {-code}")
    problems += scene.broken(untouched=True, at_rest=False, planned=None)
    if (code := scene.run()) != 0:
        problems.append(f"resumed, it ended with {code}: {scene.errors()}")
    return problems + scene.broken()


# -- the cases -------------------------------------------------------------------------------------------------------


def _small_job(folder: Path) -> Scene:
    (folder / "database").mkdir(parents=True)
    scene = Scene(folder)
    scene.database = folder / "database" / "backstay.db"
    scene.items, scene.concurrency = 12, 4
    return scene


def _cases(calls: Sequence[strace.SystemCall], folder: Path) -> list[Case]:
    cases: list[Case] = []
    for (name, path), targeted in strace.by_target(calls, folder).items():
        if path.suffix != ".lock":
            last = len(strace.struck(targeted)) + (_EXTRA_CALLS if len(targeted) > 10 else 0)
            cases += [(name, str(path.relative_to(folder)), number) for number in range(1, last + 1)]
    return cases


def _case_for_turn(cases: list[Case], turn: int) -> Case:
    """Return one case; each turn selects another file or call."""
    targets: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        targets.setdefault(case[:2], []).append(case)
    middles = [group[len(group) // 2] for group in targets.values()]
    return middles[turn % len(middles)]
