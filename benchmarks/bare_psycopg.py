"""What the engine on PostgreSQL is compared with: a loop that keeps the same rows and promises nothing else.

The same schema and the same rows, in one thread without an event loop, the bulk of them by COPY: no claims, no
attempts, no counters, no fence, no receipts, no retries. Of the ways to write it that were tried (text or binary COPY,
arrays, JSON) it is the fastest.
"""

import asyncio
import time

import psycopg
from psycopg.rows import TupleRow

import workload
from backstay import Backstay
from backstay.library.ids import new_id

_CONVERSATIONS = """COPY backstay.conversations (key, owner, id, topic, persona, content, metadata, job_id, item_id,
                                                 created_at, updated_at) FROM STDIN (FORMAT binary)"""
_TURNS = (
    "COPY backstay.turns (conversation_key, sequence, owner, id, role, content, metadata) FROM STDIN (FORMAT binary)"
)
_CONVERSATION = ("bigint", *["text"] * 10)
_TURN = ("bigint", "integer", *["text"] * 5)
_ITEMS = """UPDATE backstay.items SET state = 'completed', conversation_id = ended.conversation_id
              FROM (SELECT * FROM unnest(%s::bigint[], %s::text[])) AS ended (position, conversation_id)
             WHERE items.job_key = %s AND items.position = ended.position"""
_NOW = "2025-06-02T09:30:00.000000Z"


def bare_postgres(url: str, *, items: int, group: int) -> float:
    """Store a conversation for each item, `group` a commit; return items a second."""
    asyncio.run(_create_job(url, items))
    with psycopg.connect(url) as connection:
        (job_key,) = connection.execute("SELECT key FROM backstay.jobs").fetchone() or (0,)
        rows = connection.execute(
            "SELECT position, items.id, topic FROM backstay.items JOIN backstay.item_inputs USING (job_key, position)"
            " ORDER BY position"
        ).fetchall()
        connection.commit()
        started = time.perf_counter()
        for start in range(0, items, group):
            _store(connection, job_key, rows[start : start + group])
        return items / (time.perf_counter() - started)


def _store(connection: psycopg.Connection[TupleRow], job_key: int, rows: list[TupleRow]) -> None:
    cursor = connection.cursor()
    ids = [new_id() for _ in rows]
    with cursor.copy(_CONVERSATIONS) as copy:
        copy.set_types(_CONVERSATION)
        for (position, item_id, topic), conversation_id in zip(rows, ids, strict=True):
            row = (position + 1, "local", conversation_id, topic, None, None, None, "bench", item_id, _NOW, _NOW)
            copy.write_row(row)
    with cursor.copy(_TURNS) as copy:
        copy.set_types(_TURN)
        for position, _, _ in rows:
            for sequence, turn in enumerate(workload.conversation(position).turns, start=1):
                copy.write_row((position + 1, sequence, "local", turn.id, turn.role, turn.content, None))
    cursor.execute(_ITEMS, ([position for position, _, _ in rows], ids, job_key))
    connection.commit()


async def _create_job(url: str, items: int) -> None:
    async with Backstay.open(url) as backstay:
        await backstay.batches.create("bench", workload.items(items), "scripted")
