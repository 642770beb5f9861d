"""Commands killed at a system call that writes: create, delete, restore, cleanup.

Afterwards: what was deleted can be restored, each file with a final name is complete, the next start removes what the
dead process left, and the same command, or the one that resumes it, succeeds.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest

from support.faults import strace
from support.harness import requirements
from support.harness.commands import Ended
from support.harness.sampling import FULL

pytestmark = pytest.mark.promise("K1", "K2", "K3", "K6")

_FAULTS = ("signal=SIGKILL", "error=EIO", "error=ENOSPC")


@pytest.fixture(scope="module", autouse=True)
def _strace() -> None:
    requirements.injected_faults()


def _backstay(library, *words: str, under: Sequence[str] = ()) -> Ended:
    command = [*under, sys.executable, "-m", "backstay", "--database", str(library.database), *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BACKSTAY", "BACKUP"))}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def _sql(library, statement: str) -> None:
    connection = apsw.Connection(str(library.database))
    connection.execute(statement)
    connection.close()


# -- the commands: how the library is prepared for each, and its arguments


def _nothing(library) -> None:
    return


def _deleted(library) -> None:
    assert _backstay(library, "conversations", "delete", "--all", "--yes").code == 0


def _expired(library) -> None:
    assert _backstay(library, "backups", "create", "--all").code == 0
    _sql(library, "UPDATE backups SET expires_at = created_at + 1")


def _create(library) -> list[str]:
    return ["backups", "create", "--all"]


def _delete(library) -> list[str]:
    return ["conversations", "delete", "--all", "--yes"]


def _restore(library) -> list[str]:
    return ["backups", "restore", library.latest_backup()]


def _cleanup(library) -> list[str]:
    return ["backups", "cleanup", "--now"]


_COMMANDS = {
    "create": (_nothing, _create),
    "delete": (_nothing, _delete),
    "restore": (_deleted, _restore),
    "cleanup": (_expired, _cleanup),
}


@pytest.fixture(scope="module", params=_COMMANDS)
def command(request, pristine, tmp_path_factory):
    """A library that is ready for a command, the command's arguments, and the calls at which it can be killed."""
    arrange, words_of = _COMMANDS[request.param]
    ready = pristine.copied(tmp_path_factory.mktemp(request.param) / "library")
    arrange(ready)
    trial = ready.copied(tmp_path_factory.mktemp("trial") / "library")
    log = trial.database.parent.parent / "log"
    assert _backstay(trial, *words_of(trial), under=strace.logging(log)).code == 0
    return request.param, ready, words_of, _cases(strace.read(log), trial.database.parent)


def _cases(calls: Sequence[strace.SystemCall], folder: Path) -> list[tuple[str, int]]:
    """Return the name and number of each call that changes anything in the library's folder."""
    cases: list[tuple[str, int]] = []
    by_name: dict[str, list[strace.SystemCall]] = {}
    for call in calls:
        by_name.setdefault(call.name, []).append(call)
    for name, same_calls in by_name.items():
        for number, index in enumerate(strace.struck(same_calls), start=1):
            if same_calls[index].path == folder or folder in same_calls[index].path.parents:
                cases.append((name, number))
    return cases


@pytest.mark.sweep
@pytest.mark.parametrize("fault", _FAULTS)
def test_struck_at_a_system_call(command, fault, tmp_path, aftermath):
    """A command that is killed, or whose system call fails, at any of its writes keeps every promise."""
    what, ready, words_of, cases = command
    tried = cases if FULL else [_one_case(cases, fault, list(_COMMANDS).index(what))]

    broken = {}
    for name, number in tried:
        library = ready.copied(tmp_path / f"{name}-{number}")
        if problems := _strike(aftermath, library, what, words_of(library), fault, name, number):
            broken[name, number] = problems
        shutil.rmtree(library.database.parent)

    assert broken == {}


def test_killed_before_the_folder_is_marked(file_library, aftermath):
    """The temporary file of a folder's marker is removed at the next start, although the folder is not marked yet."""
    assert _strike(aftermath, file_library, "create", _create(file_library), "signal=SIGKILL", "rename", 1) == []


def test_every_kind_of_call_is_struck(command):
    """The sweep covers writes to the file, its name, its folder and the database."""
    what, _, _, cases = command
    names = {name for name, _ in cases}

    expected = {
        "create": {"write", "fsync", "rename", "pwrite64", "fdatasync"},
        "delete": {"write", "fsync", "rename", "pwrite64", "fdatasync"},
        "restore": {"pwrite64", "fdatasync"},
        "cleanup": {"unlink", "fsync", "pwrite64", "fdatasync"},
    }[what]
    assert expected <= names


def _one_case(cases: list[tuple[str, int]], fault: str, turn: int) -> tuple[str, int]:
    """Return one case, chosen by command and fault."""
    by_name: dict[str, list[tuple[str, int]]] = {}
    for case in cases:
        by_name.setdefault(case[0], []).append(case)
    # The last kinds first: only a backup renames a file, and writes one differently from SQLite.
    middles = [group[len(group) // 2] for group in reversed(by_name.values())]
    return middles[(turn * len(_FAULTS) + _FAULTS.index(fault)) % len(middles)]


def _strike(aftermath, library, what: str, words: list[str], fault: str, name: str, number: int) -> list[str]:
    under = strace.injecting(fault, name, str(number), None, library.database.with_name("log"))
    struck = _backstay(library, *words, under=under)
    problems = []
    # The first write of the main thread may be the error message itself.
    is_reported = struck.err.startswith("Error: ") or (name == "write" and not struck.err)
    if struck.code > 0 and ("Traceback" in struck.err or not is_reported):
        problems.append(f"ended with {struck.code} and {struck.err}")
    return problems + aftermath(library, what, words)
