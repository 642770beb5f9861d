"""The simplest checkpoint: the ids of completed items are one JSON array in the job's row, rewritten per item.

The task names the size: `10000` measures items that are added while the array holds about 10,000 ids, half of them
before it does and half after. The cost grows with the array, so the size is stated with the rate, and a bounded number
of items is measured there, not all from none.

Kept fair: it has Backstay's own SQLite and connection (WAL, `synchronous=FULL`). The conversation is one row of
JSON, stored in the transaction that rewrites the array, so that an item costs one flush and both are there or
neither. The ids are kept in memory and written by the JSON library that Backstay uses. There are no claims,
attempts, counters or retries, and there is no event loop; the items are in memory and the tables made before the
time starts.
"""

import importlib.metadata
import time
from pathlib import Path

import apsw
import orjson

import assignment
from backstay.storage.sqlite.connection import connect

_TABLES = """
CREATE TABLE jobs (id TEXT PRIMARY KEY, completed_items TEXT NOT NULL, progress_percentage INTEGER NOT NULL);
CREATE TABLE conversations (id TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
"""
_REWRITE = "UPDATE jobs SET completed_items = ?, progress_percentage = ? WHERE id = 'job'"


def _measure(database: Path, size: int, items: Path, made: list[dict[str, object]]) -> tuple[float, int]:
    connection = connect(database, create=True)
    connection.execute(_TABLES)
    expected = list(assignment.items(items))
    held = size - len(expected) // 2
    completed = [f"done-{number:07}" for number in range(held)]
    connection.execute("INSERT INTO jobs VALUES ('job', ?, 0)", (orjson.dumps(completed).decode(),))
    started = time.perf_counter()
    for item in expected:
        content = orjson.dumps(made[item["number"] % len(made)]).decode()
        completed.append(item["id"])
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO conversations VALUES (?, ?)", (item["id"], content))
        percentage = 100 * len(completed) // (held + len(expected))
        connection.execute(_REWRITE, (orjson.dumps(completed).decode(), percentage))
        connection.execute("COMMIT")
    seconds = time.perf_counter() - started
    stored = connection.execute("SELECT json_array_length(completed_items) FROM jobs").get
    assert stored == held + len(expected), stored
    connection.close()
    return seconds, len(expected)


def main() -> None:
    options = assignment.parse(__doc__, ["1000", "10000", "30000"])
    made = assignment.conversations(options.conversations)
    seconds, added = _measure(options.folder / "array.db", int(options.task), options.items, made)
    versions = {"orjson": importlib.metadata.version("orjson"), "SQLite": apsw.sqlite_lib_version()}
    assignment.answer(seconds=seconds, items=added, versions=versions)


if __name__ == "__main__":
    main()
