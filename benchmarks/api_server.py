"""A server for benchmarks: `backstay serve` in a process of its own, as its users run it."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw
import psutil

from backstay.library.ids import new_id
from backstay.storage.sqlite.connection import connect
from backstay.storage.sqlite.schema_migration import prepare

_NOW = "2025-06-02T09:30:00.000000Z"
_ROW = "(?,?,?,?,?,?,?,?,?,?,?)"
_TURN = "(?,?,?,?,?,?,?)"
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Serving:
    """Address and token of a running server."""

    url: str
    token: str
    process: int

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used so far, which other work on the machine does not affect."""
        used = psutil.Process(self.process).cpu_times()
        return float(used.user + used.system)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def serving(folder: Path, toml: str = "") -> Iterator[Serving]:
    """Start a server in a folder, and stop it at the end."""
    (folder / "backstay.toml").write_text(f"[server]\n{toml}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BACKSTAY", "SUPABASE"))}
    command = [sys.executable, "-m", "backstay", "serve", "--port", "0"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        result = re.fullmatch(r"(http://[^/]+)/\?token=(\S+)", process.stdout.readline().decode().strip())
        assert result is not None
        yield Serving(result[1], result[2], process.pid)
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()


def library(folder: Path, count: int, *, noise: int = 0) -> list[str]:
    """Make a library of conversations of two turns; return some of their ids, evenly spread.

    With `noise`, each turn has so many random characters, of which compression saves half.
    """
    path = folder / ".backstay" / "backstay.db"
    path.parent.mkdir()
    prepare(path, create=True)
    connection = connect(path)
    stored: list[str] = []
    connection.execute("BEGIN IMMEDIATE")
    for start in range(0, count, _AT_ONCE):
        rows, turns = [], []
        number = min(_AT_ONCE, count - start)
        for key in range(start + 1, start + number + 1):
            name = new_id()
            rows += (key, "local", name, f"a lighthouse, number {key}", None, None, None, None, None, _NOW, _NOW)
            for sequence, role in ((1, "user"), (2, "assistant")):
                text = f"{key}: what the sea did, hour after hour. " * 8 + os.urandom(noise // 2).hex()
                turns += (key, sequence, "local", None, role, text, None)
            if key % (count // 1_000 or 1) == 0:
                stored.append(name)
        connection.execute("INSERT INTO conversations VALUES " + ",".join([_ROW] * number), rows)
        connection.execute("INSERT INTO turns VALUES " + ",".join([_TURN] * (2 * number)), turns)
    connection.execute("COMMIT")
    _checkpointed(connection)
    return stored


def _checkpointed(connection: apsw.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


async def until(seconds: float) -> None:
    """Sleep until a moment of the monotonic clock."""
    await asyncio.sleep(max(0.0, seconds - time.perf_counter()))
