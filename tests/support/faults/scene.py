"""One database, one ledger, and real processes that work on it and are killed."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from backstay import errors
from support.faults.batch_invariants import violations
from support.faults.ledger import Witness
from support.harness.waiting import PATIENCE_SECONDS, until
from support.harness.warm_processes import WarmProcess
from support.stores.sql import is_server

_TESTS = Path(__file__).parents[2]
_VICTIM = "support.faults.victim"


class Scene:
    """Starter of victims on one job, which counts crashes and checks the result."""

    def __init__(self, folder: Path, *, database: Path | str | None = None) -> None:
        self.folder = folder
        self.database = database or folder / "backstay.db"
        """A file, or the URL of a server's database."""
        self.ledger = folder / "ledger.jsonl"
        self.items = 100
        self.concurrency = 8
        self.crashes = 0
        self.inside: Sequence[str] = ()
        """A command that takes victims to where the database is, when that is a file system of its own."""
        self.root = Path("/")
        """Where that place's files are seen from here."""
        self._started: list[subprocess.Popen[bytes]] = []

    def start(
        self,
        *,
        program: str = _VICTIM,
        under: Sequence[str] = (),
        cold: bool = False,
        environment: dict[str, str] | None = None,
        **options: object,
    ) -> subprocess.Popen[bytes]:
        """Start a victim; options as of `support.faults.victim`.

        Args:
            program: The module to run, which takes the same options.
            under: A command that starts it, as strace does.
            cold: Start a new interpreter, whose parent is this process, so that this one can wait for its stops.
            environment: What it gets beside our own.
        """
        values = {
            "database": self.database,
            "ledger": self.ledger,
            "items": self.items,
            "concurrency": self.concurrency,
            **options,
        }
        words = [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_TESTS), *sys.path]), **(environment or {})}
        with (self.folder / "stderr.txt").open("ab") as said:
            prefix = [*self.inside, *under]
            if cold or prefix or program != _VICTIM:
                command = [*prefix, sys.executable, "-m", program, *words]
                process = subprocess.Popen(command, stderr=said, start_new_session=True, env=surroundings)
            else:
                process = WarmProcess(
                    program,
                    words,
                    streams=(0, 1, said.fileno()),
                    cwd=Path.cwd(),
                    env=surroundings,
                    start_new_session=True,
                )
        self._started.append(process)
        return process

    def finish(self, process: subprocess.Popen[bytes], *, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for the end and return how it ended; below zero is a signal."""
        code = process.wait(timeout=seconds)
        if code == -signal.SIGKILL:
            self.crashes += 1
        return code

    def run(self, **options: Any) -> int:
        """Start a victim and wait for its end."""
        return self.finish(self.start(**options))

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill it if it has not ended."""
        process.kill()
        self.finish(process)

    def until_called(self, process: subprocess.Popen[bytes], calls: int) -> None:
        """Wait until so many calls have begun, while this process runs."""
        until(lambda: process.poll() is not None or len(self.witness().calls) >= calls)
        assert process.poll() is None, self.errors()

    @contextmanager
    def gate(self) -> Iterator[Path]:
        """Yield a gate that holds all processes started with `--gate` until this context ends."""
        path = self.folder / "gate"
        with path.open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield path

    def until_arrived(self, victims: Sequence[subprocess.Popen[bytes]]) -> None:
        """Wait until all have reached the gate; the limit grows with their number."""
        count = len(victims)
        until(
            lambda: self.witness().arrived >= count or any(victim.poll() is not None for victim in victims),
            seconds=PATIENCE_SECONDS + 2 * count,
        )

    def witness(self) -> Witness:
        return Witness.from_ledger(self.ledger)

    def broken(self, *, untouched: bool = False, **expected: Any) -> list[str]:
        """Return the promises that are broken now.

        Whoever opens a database mends it. With `untouched` a copy is looked at, so that the next victim finds what the
        last one left; nothing may work on it then.
        """
        expected = {"planned": self.items, "crashes": self.crashes, "concurrency": self.concurrency, **expected}
        database = self.database
        if not is_server(database):
            database = self._copy(Path(database)) if untouched or self.inside else Path(database)
            if not _is_made(database):
                return []
        return violations(database, self.witness(), **expected)

    def _copy(self, database: Path) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="copy-", dir=self.folder))
        there = self.root / database.parent.relative_to("/")
        for file in there.glob(f"{database.name}*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, folder)
        return folder / database.name

    def errors(self) -> str:
        """Return everything that the victims have written to standard error."""
        return (self.folder / "stderr.txt").read_text()

    def end(self) -> None:
        """Kill everything that still runs."""
        for process in self._started:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGCONT)
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _is_made(database: Path) -> bool:
    connection = apsw.Connection(str(database))
    try:
        return bool(connection.execute("PRAGMA user_version").get)
    finally:
        connection.close()


def last_words(said: str) -> type[errors.BackstayError] | str:
    """Return the class of the Backstay error that ended a victim; other last words as text."""
    for complaint in ("Exception ignored", "Exception in thread", "never retrieved", "Fatal Python error"):
        if complaint in said:
            return said
    name = said.strip().rpartition("\n")[2].partition(":")[0]
    error = getattr(errors, name.removeprefix("backstay.errors."), None) if "." in name else None
    return error if isinstance(error, type) and issubclass(error, errors.BackstayError) else said
