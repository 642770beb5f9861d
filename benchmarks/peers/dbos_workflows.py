"""DBOS Transact, a workflow with one step an item; runs in a venv that has it.

The step returns the conversation, which DBOS keeps as the step's output before the workflow goes on; the workflow
returns nothing, so that no conversation is stored twice. The workflow's id is the item's, as its documentation has
it for work that is to run once. Start, step and end are commits of their own. On SQLite DBOS sets neither
`journal_mode` nor `synchronous`; SQLite then uses a rollback journal at FULL, so each commit is flushed.

`default`: asynchronous workflows, 256 in flight, DBOS as it configures itself.
`one-connection`: the same with `sys_db_pool_size` 1. Writers of SQLite exclude each other, and with one connection
they queue in the program instead of waiting for the file's lock.
`wal`: the same on a file that was put into WAL mode before DBOS opened it. Its documentation does not propose that;
it is here because WAL is what the others use.
`queue`: synchronous workflows through a queue without limits, one connection, polled every 10 ms, not every second.

`postgres`: the same on the database that is given, DBOS as it configures itself. It is committed with
`synchronous_commit` on, so each commit is flushed.
`postgres-queue`: like `postgres`, but synchronous workflows through a queue without limits, polled every 10 ms.

Kept fair: the database is made and DBOS launched before the time starts; it ends with the last result. Workflows
called or started one after the other, or from 8 threads, and pools of 2, 4 and 20 connections were tried: slower
than the fastest here on a file of the same journal mode. What DBOS makes durable is more general (any steps of any
workflow), and for production its documentation recommends PostgreSQL.
"""

import asyncio
import importlib.metadata
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from dbos import DBOS, SetWorkflowID

import assignment

_MADE: list[dict[str, Any]] = []


@DBOS.step()
async def converse_async(number: int) -> dict[str, Any]:
    return _MADE[number % len(_MADE)]


@DBOS.workflow()
async def item_async(number: int) -> None:
    await converse_async(number)


@DBOS.step()
def converse(number: int) -> dict[str, Any]:
    return _MADE[number % len(_MADE)]


@DBOS.workflow()
def item_sync(number: int) -> None:
    converse(number)


async def _in_flight(items: list[dict[str, Any]]) -> None:
    slots = asyncio.Semaphore(256)

    async def process(item: dict[str, Any]) -> None:
        async with slots:
            with SetWorkflowID(item["id"]):
                await item_async(item["number"])

    async with asyncio.TaskGroup() as group:
        for item in items:
            group.create_task(process(item))


def _through_queue(items: list[dict[str, Any]]) -> None:
    handles = []
    for item in items:
        with SetWorkflowID(item["id"]):
            handles.append(DBOS.enqueue_workflow("items", item_sync, item["number"]))
    for handle in handles:
        handle.get_result()


def _check(path: Path, items: int, journal_mode: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        (workflows,) = connection.execute("SELECT count(*) FROM workflow_status WHERE status = 'SUCCESS'").fetchone()
        (steps,) = connection.execute("SELECT count(*) FROM operation_outputs").fetchone()
    # 2 is FULL: DBOS opens its connections through the same library and leaves the setting alone.
    assert (mode, synchronous, workflows, steps) == (journal_mode, 2, items, items)


def _check_server(url: str, items: int) -> None:
    with psycopg.connect(url) as connection:
        (on,) = connection.execute("SHOW synchronous_commit").fetchone()
        (workflows,) = connection.execute(
            "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS' AND name LIKE 'item%'"
        ).fetchone()
        (steps,) = connection.execute("SELECT count(*) FROM dbos.operation_outputs").fetchone()
    assert (on, workflows, steps) == ("on", items, items), (on, workflows, steps)


def main() -> None:
    options = assignment.parse(__doc__, ["default", "one-connection", "wal", "queue", "postgres", "postgres-queue"])
    path, items = options.folder / "dbos.sqlite", list(assignment.items(options.items))
    _MADE.extend(assignment.conversations(options.conversations))
    if options.task == "wal":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    pool = {"sys_db_pool_size": 1} if options.task in {"one-connection", "wal", "queue"} else {}
    url = options.database_url or f"sqlite:///{path}"
    DBOS(config={"name": "benchmark", "system_database_url": url, "log_level": "ERROR", **pool})
    DBOS.launch()
    if options.task.endswith("queue"):
        DBOS.register_queue("items", polling_interval_sec=0.01)
    started = time.perf_counter()
    if options.task.endswith("queue"):
        _through_queue(items)
    else:
        asyncio.run(_in_flight(items))
    seconds = time.perf_counter() - started
    DBOS.destroy()
    if options.database_url:
        _check_server(options.database_url, len(items))
        database = {"psycopg (dbos)": psycopg.__version__}
    else:
        _check(path, len(items), "wal" if options.task == "wal" else "delete")
        database = {"SQLite": sqlite3.sqlite_version}
    versions = {"DBOS Transact": importlib.metadata.version("dbos"), **database}
    assignment.answer(seconds=seconds, items=len(items), versions=versions)


if __name__ == "__main__":
    main()
