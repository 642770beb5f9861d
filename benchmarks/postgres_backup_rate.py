"""How fast is a verified backup of a library on a server, compared with `pg_dump` of the same tables?"""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psycopg

import workload
from backstay import Backstay, Selection
from backstay.library.ids import new_id
from measurement import Measurement, measure, parse, print_heading, print_table, ratios, spread
from servers import Server, database, described, server

QUESTION = "On PostgreSQL: how fast is a backup?"

_BACKUP = "backup, verification included"
_VERIFY = "verification alone"
_DUMP = "`pg_dump --data-only` into zstd"
_NOW = "2025-06-02T09:30:00.000000Z"
_COLUMNS = "(key, owner, id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at)"
_CHUNK = 1 << 20
# The program where there is one, as SQLite's benchmark has it; else the library, in a process of its own.
_ZSTD = [shutil.which("zstd") or sys.executable]
_ZSTD += (
    ["-q", "-c"]
    if shutil.which("zstd")
    else ["-c", "import sys, zstandard as z; z.ZstdCompressor(3).copy_stream(sys.stdin.buffer, sys.stdout.buffer)"]
)


def main() -> None:
    options = parse(QUESTION, items=200_000, rounds=3)
    print_heading(QUESTION, "postgres_backup_rate.py", options)
    with server(options.folder) as running, database(running) as url:
        _fill(url, options.items)
        measurements: list[Measurement] = [
            partial(_backstay, url=url, items=options.items),
            partial(_dump, running=running, url=url, items=options.items),
        ]
        measured = measure(measurements, rounds=options.rounds, folder=options.folder)
        print(f"{described(running)}; {_version(running)}.\n")
    print_table(
        ["way", "conversations a second", "relative to pg_dump"],
        [[name, spread(figures), spread(ratios(measured, name, _DUMP), 2)] for name, figures in measured.items()],
    )


def _fill(url: str, items: int) -> None:
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        with cursor.copy(f"COPY backstay.conversations {_COLUMNS} FROM STDIN") as copy:
            for number in range(items):
                topic = f"a lighthouse, number {number}"
                copy.write_row((number + 1, "local", new_id(), topic, None, None, None, None, None, _NOW, _NOW))
        columns = "(conversation_key, sequence, owner, id, role, content, metadata)"
        with cursor.copy(f"COPY backstay.turns {columns} FROM STDIN") as copy:
            for number in range(items):
                for sequence, turn in enumerate(workload.conversation(number).turns, start=1):
                    copy.write_row((number + 1, sequence, "local", None, turn.role, turn.content, None))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE backstay.conversations, backstay.turns")


def _backstay(folder: Path, *, url: str, items: int) -> dict[str, float]:
    os.environ["BACKUP_DIRECTORY"] = str(folder / "backups")
    return asyncio.run(_backup(url, items))


async def _backup(url: str, items: int) -> dict[str, float]:
    async with Backstay.open(url) as backstay:
        started = time.perf_counter()
        backup = await backstay.backups.create(Selection(everything=True))
        created = time.perf_counter() - started
        started = time.perf_counter()
        await backstay.backups.verify(backup.id)
        verified = time.perf_counter() - started
        assert backup.conversations == items, backup
    return {_BACKUP: items / created, _VERIFY: items / verified}


def _dump(folder: Path, *, running: Server, url: str, items: int) -> dict[str, float]:
    tables = ["--table=backstay.conversations", "--table=backstay.turns"]
    started = time.perf_counter()
    with (folder / "dump.zst").open("wb") as file:
        dump = subprocess.Popen([running.program("pg_dump"), "--data-only", *tables, url], stdout=subprocess.PIPE)
        packed = subprocess.run(_ZSTD, stdin=dump.stdout, stdout=file, check=False)
        assert (dump.wait(), packed.returncode) == (0, 0)
        os.fsync(file.fileno())
    return {_DUMP: items / (time.perf_counter() - started)}


def _version(running: Server) -> str:
    ended = subprocess.run([running.program("pg_dump"), "--version"], capture_output=True, text=True, check=True)
    return ended.stdout.strip()


if __name__ == "__main__":
    main()
