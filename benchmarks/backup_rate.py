"""How fast are backup, delete and restore, compared with the least work that is possible?"""

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw
import zstandard

import workload
from backstay import Backstay, Conversation, Selection
from backstay.library.ids import new_id
from backstay.storage.sqlite.connection import connect
from backstay.storage.sqlite.schema_migration import prepare
from measurement import Measurement, measure, parse, print_heading, print_table, ratios, spread

QUESTION = "How fast are backup, delete and restore?"

_BACKUP = "backup, verification included"
_BARE_EXPORT = "SQLite's own JSON into zstd, nothing else"
_DUMP = "`sqlite3 .dump` into `zstd`"
_RESTORE = "restore, each conversation read back and compared"
_BARE_INSERT = "bulk insert of the same rows, nothing else"
_DELETE = "delete, backup and verification included"
_VERIFY = "verification alone"
_CPU = " (by CPU time)"

_MAX_DELETED = 100_000

_JSON = """
SELECT json_object('id', id, 'topic', topic, 'persona', persona, 'content', content, 'metadata', metadata,
                   'job_id', job_id, 'item_id', item_id, 'created_at', created_at, 'updated_at', updated_at,
                   'conversation_turns',
                   (SELECT json_group_array(json_object('id', id, 'sequence', sequence, 'role', role,
                                                        'content', content, 'metadata', metadata))
                      FROM turns WHERE conversation_key = key))
  FROM conversations WHERE owner = 'local' ORDER BY key
"""
NOW = "2025-06-02T09:30:00.000000Z"
_ALL = Selection(everything=True)


def main() -> None:
    options = parse(QUESTION, items=50_000, rounds=3)
    print_heading(QUESTION, "backup_rate.py", options)
    library = make_library(options.folder, options.items)
    try:
        measurements: list[Measurement] = [
            partial(_backup_and_restore, library=library, items=options.items),
            partial(_delete, library=library, items=min(options.items, _MAX_DELETED)),
            partial(_bare_export, library=library, items=options.items),
            partial(_bare_insert, items=options.items),
        ]
        if shutil.which("sqlite3") and shutil.which("zstd"):
            measurements.append(partial(_dump, library=library, items=options.items))
        measured = measure(measurements, rounds=options.rounds, folder=options.folder)
    finally:
        shutil.rmtree(library.parent)
    waits = measured.pop("waits")
    table = []
    for name, reference in (
        (_BACKUP, _BARE_EXPORT),
        (_VERIFY, _BARE_EXPORT),
        (_BARE_EXPORT, _BARE_EXPORT),
        (_DUMP, _BARE_EXPORT),
        (_RESTORE, _BARE_INSERT),
        (_BARE_INSERT, _BARE_INSERT),
        (_DELETE, _BARE_EXPORT),
        (_BACKUP, _DUMP),
        (_BACKUP + _CPU, _BARE_EXPORT + _CPU),
        (_BACKUP + _CPU, _DUMP + _CPU),
        (_RESTORE + _CPU, _BARE_INSERT + _CPU),
    ):
        if name in measured and reference in measured:
            table.append([name, spread(measured[name]), spread(ratios(measured, name, reference), 2), f"{reference}"])
    print_table(["way", "conversations a second", "relative", "what"], table)
    print("CPU time is that of all threads and processes: what a machine takes that has no second CPU to spare.\n")
    print(
        f"The delete was of {min(options.items, _MAX_DELETED):,}. Meanwhile another process wrote; what it waited for"
    )
    print(f"its commit at the 99th percentile: {spread(waits)} ms.\n")


def make_library(folder: Path, items: int, conversation: Callable[[int], Conversation] = workload.conversation) -> Path:
    """Make a library of these conversations once; every measurement works on a copy of it."""
    path = folder / f"backstay-bench-library-{time.time_ns()}" / "library.db"
    path.parent.mkdir()
    prepare(path, create=True)
    connection = connect(path)
    _insert(connection, items, conversation)
    connection.close()
    return path


def _insert(
    connection: apsw.Connection, items: int, conversation: Callable[[int], Conversation] = workload.conversation
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for start in range(0, items, 256):
        conversations, turns = [], []
        count = min(256, items - start)
        for number in range(start, start + count):
            key, made = number + 1, conversation(number)
            topic = f"a lighthouse, number {number}"
            conversations += (key, "local", new_id(), topic, None, None, None, None, None, NOW, NOW)
            for sequence, turn in enumerate(made.turns, start=1):
                turns += (key, sequence, "local", None, turn.role, turn.content, None)
        connection.execute(
            "INSERT INTO conversations VALUES " + ",".join(["(?,?,?,?,?,?,?,?,?,?,?)"] * count), conversations
        )
        connection.execute("INSERT INTO turns VALUES " + ",".join(["(?,?,?,?,?,?,?)"] * (len(turns) // 7)), turns)
    connection.execute("COMMIT")


class _Timing:
    """Rate per second, by the clock and by the CPU time of this process and its children."""

    def __init__(self, rates: dict[str, float], name: str, items: int) -> None:
        self._rates = rates
        self._name = name
        self._items = items

    def __enter__(self) -> None:
        self._began = time.perf_counter(), _cpu_seconds()

    def __exit__(self, *_: object) -> None:
        clock, cpu = self._began
        self._rates[self._name] = self._items / (time.perf_counter() - clock)
        self._rates[self._name + _CPU] = self._items / (_cpu_seconds() - cpu)


def _cpu_seconds() -> float:
    took = os.times()
    return took.user + took.system + took.children_user + took.children_system


def _bare_export(folder: Path, *, library: Path, items: int) -> dict[str, float]:
    connection = connect(library, read_only=True)
    compressor = zstandard.ZstdCompressor(level=3).compressobj()
    rates: dict[str, float] = {}
    with _Timing(rates, _BARE_EXPORT, items), (folder / "export.zst").open("wb") as out:
        lines: list[str] = []
        for (line,) in connection.execute(_JSON):
            lines.append(line)
            if len(lines) == 256:
                out.write(compressor.compress("\n".join(lines).encode()))
                lines = []
        out.write(compressor.compress("\n".join(lines).encode()))
        out.write(compressor.flush())
    connection.close()
    return rates


def _dump(folder: Path, *, library: Path, items: int) -> dict[str, float]:
    rates: dict[str, float] = {}
    with _Timing(rates, _DUMP, items):
        subprocess.run(f"sqlite3 '{library}' .dump | zstd -q -o '{folder}/dump.zst'", shell=True, check=True)
    return rates


def _bare_insert(folder: Path, *, items: int) -> dict[str, float]:
    prepare(folder / "bare.db", create=True)
    connection = connect(folder / "bare.db")
    rates: dict[str, float] = {}
    with _Timing(rates, _BARE_INSERT, items):
        _insert(connection, items)
    connection.close()
    return rates


def _backup_and_restore(folder: Path, *, library: Path, items: int) -> dict[str, float]:
    shutil.copy(library, folder / "library.db")
    return asyncio.run(_there_and_back(folder / "library.db", items))


async def _there_and_back(database: Path, items: int) -> dict[str, float]:
    rates: dict[str, float] = {}
    async with Backstay.open(database) as backstay:
        with _Timing(rates, _BACKUP, items):
            backup = await backstay.backups.create(_ALL)
        with _Timing(rates, _VERIFY, items):
            await backstay.backups.verify(backup.id)
        _leave(database, 0)
        with _Timing(rates, _RESTORE, items):
            await backstay.backups.restore(backup.id)
    return rates


def _delete(folder: Path, *, library: Path, items: int) -> dict[str, float]:
    shutil.copy(library, folder / "library.db")
    _leave(folder / "library.db", items)
    return asyncio.run(_deleted(folder / "library.db", items))


async def _deleted(database: Path, items: int) -> dict[str, float]:
    rates: dict[str, float] = {}
    async with Backstay.open(database) as backstay:
        with _Writer(database) as writer, _Timing(rates, _DELETE, items):
            await backstay.conversations.delete(_ALL)
        rates["waits"] = writer.percentile_ms()
    return rates


def _leave(database: Path, items: int) -> None:
    """Delete all but the first conversations."""
    connection = connect(database)
    with connection:
        connection.execute("DELETE FROM turns WHERE conversation_key > ?", (items,))
        connection.execute("DELETE FROM conversations WHERE key > ?", (items,))
    connection.close()


_WRITER = """
import sys, time
from pathlib import Path
from backstay.storage.sqlite.connection import connect
connection = connect(Path(sys.argv[1]))
while True:
    started = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO meta VALUES ('bench', '1') ON CONFLICT DO UPDATE SET value = value + 1")
    connection.execute("COMMIT")
    print(1000 * (time.perf_counter() - started), flush=True)
    time.sleep(0.01)
"""


class _Writer:
    """Process that writes a row a hundred times a second, and the durations of its commits."""

    def __init__(self, database: Path) -> None:
        command = [sys.executable, "-c", _WRITER, str(database)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._waits: list[float] = []
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> "_Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._thread.join()
        self._process.wait()

    def percentile_ms(self) -> float:
        return statistics.quantiles(self._waits, n=100)[98]

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            self._waits = [float(line) for line in lines if line.endswith("\n")]


if __name__ == "__main__":
    main()
