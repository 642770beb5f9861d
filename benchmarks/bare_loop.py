"""What the engine is compared with: loops that keep the same results and promise nothing else.

The loop over SQLite has the same schema, the same pragmas and the same rows, in one thread without an event loop: no
claims, no attempts, no counters, no fence, no retries. Of the ways to write it that were tried (one statement a row,
many rows a statement, larger and smaller pieces) this is the fastest.
"""

import asyncio
import os
import sys
import time
from functools import cache
from pathlib import Path

import apsw
import orjson

import workload
from backstay import Backstay
from backstay.library.ids import new_id
from backstay.storage.sqlite.connection import connect

_CONVERSATIONS = """INSERT INTO conversations (key, owner, id, topic, persona, content, metadata, job_id, item_id,
                                               created_at, updated_at) VALUES """
_TURNS = "INSERT INTO turns (conversation_key, sequence, owner, id, role, content, metadata) VALUES "
_ITEM = "UPDATE items SET state = 'completed', conversation_id = ? WHERE job_key = ? AND position = ?"
_NOW = "2025-06-02T09:30:00.000000Z"


def bare_sqlite(folder: Path, *, items: int, group: int) -> tuple[float, float]:
    """Store a conversation for each item, `group` a commit; return items a second, and µs of CPU of one."""
    path = folder / "bare.db"
    asyncio.run(_create_job(path, items))
    connection = connect(path)
    job_key = connection.execute("SELECT key FROM jobs").get
    rows = connection.execute(
        "SELECT position, items.id, topic FROM items JOIN item_inputs USING (job_key, position) ORDER BY position"
    ).fetchall()
    started, cpu = time.perf_counter(), time.process_time()
    for start in range(0, items, group):
        _store(connection, job_key, rows[start : start + group])
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    connection.close()
    return items / seconds, 1e6 * cpu / items


def _store(connection: apsw.Connection, job_key: int, rows: list[tuple[int, str, str]]) -> None:
    conversations, turns, finished, turn_count = [], [], [], 0
    for position, item_id, topic in rows:
        key, conversation_id, made = position + 1, new_id(), workload.conversation(position)
        conversations += (key, "local", conversation_id, topic, None, None, None, "bench", item_id, _NOW, _NOW)
        for sequence, turn in enumerate(made.turns, start=1):
            turns += (key, sequence, "local", turn.id, turn.role, turn.content, None)
        turn_count += len(made.turns)
        finished.append((conversation_id, job_key, position))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_CONVERSATIONS + _values(11, len(rows)), conversations)
    connection.execute(_TURNS + _values(7, turn_count), turns)
    connection.executemany(_ITEM, finished)
    connection.execute("COMMIT")


@cache
def _values(columns: int, rows: int) -> str:
    return ",".join(["(" + ",".join("?" * columns) + ")"] * rows)


async def _create_job(path: Path, items: int) -> None:
    async with Backstay.open(path) as backstay:
        await backstay.batches.create("bench", workload.items(items), "scripted")


def bare_file(folder: Path, *, items: int) -> float:
    """Append each conversation to a file as a line of JSON and flush it to disk; return items a second."""
    descriptor = os.open(folder / "bare.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    flush = os.fsync if sys.platform == "darwin" else os.fdatasync
    started = time.perf_counter()
    for number in range(items):
        os.write(descriptor, orjson.dumps(workload.conversation(number).to_dict()) + b"\n")
        flush(descriptor)
    seconds = time.perf_counter() - started
    os.close(descriptor)
    return items / seconds
