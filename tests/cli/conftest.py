"""Fixtures that run the command line as a process in a folder of its own, with a clean environment."""

import asyncio
import contextlib
import fcntl
import math
import os
import pty
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from backstay import Backstay, BackstayError, Job
from support.harness import warm_processes
from support.harness.commands import Ended, in_process
from support.harness.waiting import PATIENCE_SECONDS

_PROCESSORS = """
import asyncio
import time
from pathlib import Path

from backstay import Conversation, Halt, Fail, Turn


def _made(item):
    return Conversation(turns=[Turn("user", item.topic), Turn("assistant", "Indeed.")])


async def good(item):
    print("a processor prints what it likes")
    return _made(item)


async def picky(item, work):
    work.usage(tokens_in=3, tokens_out=5)
    if "bad" in item.topic and not Path("mended").exists():
        raise ValueError(f"there is no {item.topic}")
    return _made(item)


async def declines(item):
    return Fail("no", code="refusal")


async def broke(item):
    return Halt("the key was refused", code="credentials")


async def refused(item, work):
    if "none" in item.topic:
        return Fail("there is none")
    if "bad" in item.topic:
        work.raw("<html>refused</html>")
        return Halt("the prompt was refused", code="refused")
    return _made(item)


async def slow(item):
    await asyncio.sleep(0.2)  # simulates a slow call
    return _made(item)


async def endless(item):
    Path("called").touch()
    await asyncio.sleep(3600)  # hangs until killed


async def held(item):
    if "bad" in item.topic:
        return Fail("there is none")
    await asyncio.sleep(0.01)  # by now the run has reported the number of calls
    Path(f"held-{item.id}").touch()
    while not Path("let go").exists():
        await asyncio.sleep(0.01)
    return _made(item)


async def hog(item):
    time.sleep(0.3)  # blocks the loop
    return _made(item)


async def stuck(item):
    Path("called").touch()
    time.sleep(3600)  # hangs until killed


def hostile(item):
    raise ValueError("\\x1b[31mred\\x1b]0;title\\x07\\nsecond line \\u202egnirts")


def needs_three(item, work, more):
    return None
"""


class Commands:
    """Runner of `backstay` in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    @property
    def database(self) -> Path:
        return self.folder / ".backstay" / "backstay.db"

    def __call__(self, *words: str, stdin: bytes | None = None, **environment: str) -> Ended:
        """Run a command to its end; `stdin` is its standard input, other names go into its environment."""
        ended = warm_processes.run(
            "backstay",
            words,
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=stdin or b"",
            timeout=PATIENCE_SECONDS,
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def start(self, *words: str, **streams: Any) -> subprocess.Popen[bytes]:
        """Start a command; it does not outlive the test. Names in capitals go into its environment."""
        more = {name: streams.pop(name) for name in list(streams) if name.isupper()}
        pipes: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **streams,
        }
        environment = self.environment(TERM="xterm-256color", **more)
        command = [sys.executable, "-m", "backstay", *words]
        process = subprocess.Popen(command, cwd=self.folder, env=environment, **pipes)
        self._started.append(process)
        return process

    def on_terminal(
        self, *words: str, typed: Sequence[tuple[bytes, bytes]] = (), columns: int = 100, apart_seconds: float = 0.0
    ) -> Ended:
        """Run a command on a terminal of so many columns; all that it showed is its `out`.

        `typed` says what to wait for and what to type then, one after the other, and at least so many seconds apart.
        """
        master, slave = pty.openpty()
        os.set_blocking(master, False)
        termios.tcsetwinsize(master, (30, columns))
        process = subprocess.Popen(
            [sys.executable, "-m", "backstay", *words],
            cwd=self.folder,
            env=self.environment(TERM="xterm-256color"),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # So that Ctrl-C reaches it. Safe: it takes no lock that a thread of the test may hold.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        self._started.append(process)
        os.close(slave)
        output, remaining, typed_at = b"", list(typed), -math.inf
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            ended = process.poll() is not None
            with contextlib.suppress(BlockingIOError, OSError):
                while piece := os.read(master, 65536):
                    output += piece
            if remaining and remaining[0][0] in output and time.monotonic() - typed_at > apart_seconds:
                os.write(master, remaining.pop(0)[1])
                typed_at = time.monotonic()
            if ended:
                break
            time.sleep(0.02)
        os.close(master)
        return Ended(process.wait(timeout=1), output.decode(), "")

    def environment(self, **more: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8", **more}

    def write(self, name: str, *topics: str) -> str:
        """Write a CSV whose items are called `i1`, `i2`, …; return its name."""
        rows = [f"i{number},{topic}\n" for number, topic in enumerate(topics, start=1)]
        (self.folder / name).write_text("id,topic\n" + "".join(rows), encoding="utf-8")
        return name

    def count(self, job: str, *states: str) -> int:
        """Count the items of a job in one of these states; 0 if the job does not exist."""
        result = self.job(job)
        return sum(getattr(result.counts, state) for state in states) if result is not None else 0

    def job(self, name: str) -> Job | None:
        """Return the checkpoint of a job, read without a command."""

        async def read() -> Job:
            async with Backstay.open(self.database, create=False) as backstay:
                return await backstay.batches.checkpoint(name)

        try:
            return asyncio.run(read())
        except BackstayError:
            return None

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait(timeout=PATIENCE_SECONDS)
            for stream in (process.stdout, process.stderr, process.stdin):
                if stream is not None:
                    stream.close()


@pytest.fixture
def backstay(tmp_path: Path) -> Iterator[Commands]:
    """Run `backstay` as a process; `made.py` in its folder has processors."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "made.py").write_text(_PROCESSORS, encoding="utf-8")
    commands = Commands(folder)
    yield commands
    commands.end()


@pytest.fixture
def within(backstay: Commands, monkeypatch, capfd) -> Iterator[Callable[..., Ended]]:
    """Run `backstay` in this process, where a separate process would only cost time."""
    monkeypatch.chdir(backstay.folder)
    for name in [name for name in os.environ if name.startswith(("BACKSTAY_", "SUPABASE_", "BACKUP_"))]:
        monkeypatch.delenv(name)
    path = list(sys.path)
    yield in_process(capfd)
    sys.path[:] = path
    sys.modules.pop("made", None)


def _bound_by_modes(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command without the privilege of root to ignore file modes."""
    rights = "-dac_override,-dac_read_search"
    without = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*without, sys.executable, "-m", "backstay", *words],
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": "/"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def bound():
    """Run a command as a user whom file modes restrict."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("no mode binds root, and there is no setpriv to take that right away")
    return _bound_by_modes
