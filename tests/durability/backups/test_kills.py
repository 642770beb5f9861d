"""A command that is killed at a system call by which it writes: create, delete, restore, cleanup.

After each: what was deleted can be restored, no final name is anything but whole, the next start leaves nothing of the
dead, and the same command, or the one it was told to go on with, comes to the end.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest

from support import needs, strace
from support.commands import Ended
from support.torture import FULL

pytestmark = pytest.mark.promise("K1", "K2", "K3", "K6")

_FAULTS = ("signal=SIGKILL", "error=EIO", "error=ENOSPC")


@pytest.fixture(scope="module", autouse=True)
def _strace() -> None:
    needs.injected_faults()


def _backstay(kept, *words: str, under: Sequence[str] = ()) -> Ended:
    command = [*under, sys.executable, "-m", "backstay", "--database", str(kept.database), *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BACKSTAY", "BACKUP"))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
    return Ended(done.returncode, done.stdout, done.stderr)


def _sql(kept, statement: str) -> None:
    connection = apsw.Connection(str(kept.database))
    connection.execute(statement)
    connection.close()


# -- the commands: what comes before each, the words of it, and how it comes to its end when it was cut off


def _nothing(kept) -> None:
    return


def _deleted(kept) -> None:
    assert _backstay(kept, "conversations", "delete", "--all", "--yes").code == 0


def _expired(kept) -> None:
    assert _backstay(kept, "backups", "create", "--all").code == 0
    _sql(kept, "UPDATE backups SET expires_at = created_at + 1")


def _create(kept) -> list[str]:
    return ["backups", "create", "--all"]


def _delete(kept) -> list[str]:
    return ["conversations", "delete", "--all", "--yes"]


def _restore(kept) -> list[str]:
    return ["backups", "restore", kept.latest_backup()]


def _cleanup(kept) -> list[str]:
    return ["backups", "cleanup", "--now"]


_COMMANDS = {
    "create": (_nothing, _create),
    "delete": (_nothing, _delete),
    "restore": (_deleted, _restore),
    "cleanup": (_expired, _cleanup),
}


@pytest.fixture(scope="module", params=_COMMANDS)
def command(request, pristine, tmp_path_factory):
    """A library that is ready for a command, the words of it, and all the calls that it may be struck at."""
    arrange, words_of = _COMMANDS[request.param]
    ready = pristine.copied(tmp_path_factory.mktemp(request.param) / "library")
    arrange(ready)
    trial = ready.copied(tmp_path_factory.mktemp("trial") / "library")
    log = trial.database.parent.parent / "log"
    assert _backstay(trial, *words_of(trial), under=strace.logging(log)).code == 0
    return request.param, ready, words_of, _cases(strace.read(log), trial.database.parent)


def _cases(calls: Sequence[strace.SystemCall], folder: Path) -> list[tuple[str, int]]:
    """Return name and number of each call that changes anything in the library's folder."""
    found: list[tuple[str, int]] = []
    by_name: dict[str, list[strace.SystemCall]] = {}
    for call in calls:
        by_name.setdefault(call.name, []).append(call)
    for name, those in by_name.items():
        for number, index in enumerate(strace.struck(those), start=1):
            if those[index].path == folder or folder in those[index].path.parents:
                found.append((name, number))
    return found


@pytest.mark.sweep
@pytest.mark.parametrize("fault", _FAULTS)
def test_struck_at_a_system_call(command, fault, tmp_path, aftermath):
    """A command killed or failed at any system call keeps every promise."""
    what, ready, words_of, cases = command
    chosen = cases if FULL else [_one(cases, fault, list(_COMMANDS).index(what))]

    broken = {}
    for name, number in chosen:
        kept = ready.copied(tmp_path / f"{name}-{number}")
        if found := _strike(aftermath, kept, what, words_of(kept), fault, name, number):
            broken[name, number] = found
        shutil.rmtree(kept.database.parent)

    assert broken == {}


def test_every_kind_of_call_is_struck(command):
    """The sweep reaches the file, its name, its folder and the database."""
    what, _, _, cases = command
    names = {name for name, _ in cases}

    expected = {
        "create": {"write", "fsync", "rename", "pwrite64", "fdatasync"},
        "delete": {"write", "fsync", "rename", "pwrite64", "fdatasync"},
        "restore": {"pwrite64", "fdatasync"},
        "cleanup": {"unlink", "fsync", "pwrite64", "fdatasync"},
    }[what]
    assert expected <= names


def _one(cases: list[tuple[str, int]], fault: str, turn: int) -> tuple[str, int]:
    """Return one case, chosen by command and fault."""
    by_name: dict[str, list[tuple[str, int]]] = {}
    for case in cases:
        by_name.setdefault(case[0], []).append(case)
    # The kinds that come last first: only a backup renames a file, and writes one otherwise than SQLite does.
    middles = [those[len(those) // 2] for those in reversed(by_name.values())]
    return middles[(turn * len(_FAULTS) + _FAULTS.index(fault)) % len(middles)]


def _strike(aftermath, kept, what: str, words: list[str], fault: str, name: str, number: int) -> list[str]:
    under = strace.injecting(fault, name, str(number), None, kept.database.with_name("log"))
    struck = _backstay(kept, *words, under=under)
    found = []
    # The first write of the main thread may be that of the error itself.
    is_told = struck.err.startswith("Error: ") or (name == "write" and not struck.err)
    if struck.code > 0 and ("Traceback" in struck.err or not is_told):
        found.append(f"ended with {struck.code} and {struck.err}")
    return found + aftermath(kept, what, words)
