"""Backstay, measured like its peers: in a process of its own, from the files that all are given.

`rate`: one call of `batches.run` over the file, concurrency 256, with an asynchronous processor that returns at
once. The time is that of opening the database and of the whole call: reading the file, making the job, the work,
cleaning up the checkpoint. WAL, `synchronous=FULL`; an item is acknowledged after the commit that holds its
conversation, its attempt and the counters. With `--database-url` it is a server's database that is opened, migrated
before.

`prepare`: the same, for the three that follow. Each is a process of its own, and its time is from opening the
database to the answer that nothing is left to do.

`again`: the same file is given to `batches.run` once more, and compared with the job item by item.
`by-name`: `batches.resume` of the job; no items are given.
`again-and-read`: as `again`, then every conversation is read back, since a peer that replays results hands them
over.
"""

import asyncio
import importlib.metadata
import time
from pathlib import Path

import apsw

import assignment
from backstay import Backstay, Conversation, Item, Selection, Turn

_JOB = "side-by-side"


class _Instant:
    """A processor that has its conversations before any clock starts."""

    def __init__(self, path: Path) -> None:
        self._made = [
            Conversation([Turn(turn["role"], turn["content"]) for turn in conversation["turns"]])
            for conversation in assignment.conversations(path)
        ]

    async def __call__(self, item: Item) -> Conversation:
        number: int = item.parameters["number"]
        return self._made[number % len(self._made)]


async def _measure(task: str, database: Path | str, items: Path, process: _Instant) -> tuple[float, int]:
    started = time.perf_counter()
    async with Backstay.open(database) as backstay:
        if task == "by-name":
            result = await backstay.batches.resume(_JOB, process, concurrency=256)
        else:
            result = await backstay.batches.run(_JOB, items, process, concurrency=256)
        if task == "again-and-read":
            read = [len(stored.turns) async for stored in backstay.conversations.export(Selection(job_id=_JOB))]
            assert len(read) == result.completed, len(read)
        seconds = time.perf_counter() - started
        assert result.did_nothing is (task not in {"rate", "prepare"}), result
        assert result.completed == await backstay.conversations.count(Selection(job_id=_JOB)), result
    return seconds, result.completed


def main() -> None:
    options = assignment.parse(__doc__, ["rate", "prepare", "again", "by-name", "again-and-read"])
    process = _Instant(options.conversations)
    database = options.database_url or options.folder / "backstay.db"
    seconds, completed = asyncio.run(_measure(options.task, database, options.items, process))
    stored = {"psycopg": importlib.metadata.version("psycopg")} if options.database_url else {}
    versions = {
        "Backstay": importlib.metadata.version("backstay"),
        **(stored or {"SQLite": apsw.sqlite_lib_version()}),
    }
    assignment.answer(seconds=seconds, items=completed, versions=versions)


if __name__ == "__main__":
    main()
