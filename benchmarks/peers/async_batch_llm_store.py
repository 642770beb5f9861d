"""async-batch-llm with its SQLite store; runs in a venv that has it.

`rate`: one pass of `process_stream` over the file, concurrency 256, with a `CallableStrategy` that returns at once.
The store is `SqliteArtifactStore` at `SqliteDurability.FULL` (WAL, `synchronous=FULL`): a result is handed out
after the commit that holds it, and a commit contains up to 100 results or what comes within 10 ms. So every result is
durable before it is seen. The time is from opening the store until the stream has ended and closed it.

Kept fair: `process_stream` with bounded queues and this store is what its documentation has for large runs; prompts
and contexts are not stored, as is its default. Groups of up to 64 and 256, intervals of 0 and 2 ms, and 32 to 1,024
calls at a time were tried; none was faster beyond the noise, so the store keeps its defaults.

`prepare`: fills a store for `again` through the store's own `prepare_item` and `append`, without the processor
around them, at the lower durability, 1,000 a commit: only `again` is compared.

`again`: the same file over the finished store with `ResumePolicy.REUSE_SUCCESSES`. Each item is looked up, its
result decoded and handed over; no call is made. The time is from opening the store until the stream has ended. 5,
16 and 256 workers were tried; 5 and 16 were a little faster, so it has 16.
"""

import asyncio
import importlib.metadata
import itertools
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from async_batch_llm import (
    ArtifactIdentity,
    CallableStrategy,
    CallOutcome,
    LLMWorkItem,
    ProcessorConfig,
    ResumePolicy,
    SqliteArtifactStore,
    SqliteDurability,
    WorkItemResult,
    process_stream,
)

import assignment

_IDENTITY = ArtifactIdentity(
    provider="benchmark", model="instant", prompt_version="1", parser_version="1", application_version="1"
)
_CHUNK = 1000


class _Instant:
    """A strategy that has its conversations before any clock starts."""

    def __init__(self, path: Path) -> None:
        self._made = assignment.conversations(path)
        self.calls = 0
        self.strategy = CallableStrategy(self._invoke, identity=_IDENTITY)

    def result(self, number: int) -> dict[str, Any]:
        return self._made[number % len(self._made)]

    async def _invoke(self, prompt: str, *, attempt: int, timeout: float, state: Any) -> CallOutcome[dict[str, Any]]:
        self.calls += 1
        return CallOutcome(self.result(int(prompt.rpartition(" ")[2])))


def _store(path: Path) -> SqliteArtifactStore:
    return SqliteArtifactStore(path, identity=_IDENTITY, durability=SqliteDurability.FULL)


async def _stream(path: Path, items: Path, instant: _Instant, concurrency: int) -> tuple[float, int]:
    config = ProcessorConfig(
        concurrency=concurrency, max_queue_size=4 * concurrency, max_result_queue_size=4 * concurrency
    )
    started, count = time.perf_counter(), 0
    results = process_stream(
        instant.strategy,
        ((item["id"], item["topic"]) for item in assignment.items(items)),
        config=config,
        artifact_store=_store(path),
        resume=ResumePolicy.REUSE_SUCCESSES,
    )
    async for result in results:
        assert result.success, result
        count += 1
    return time.perf_counter() - started, count


async def _prepare(path: Path, items: Path, instant: _Instant) -> tuple[float, int]:
    store = SqliteArtifactStore(
        path, identity=_IDENTITY, durability=SqliteDurability.BALANCED, commit_batch_size=_CHUNK
    )

    async def keep(item: dict[str, Any]) -> None:
        work = LLMWorkItem(item_id=item["id"], strategy=instant.strategy, prompt=item["topic"])
        prepared = await store.prepare_item(work)
        result = WorkItemResult(item_id=item["id"], success=True, output=instant.result(item["number"]))
        await store.append(work, prepared, result)

    started = time.perf_counter()
    for chunk in _chunks(assignment.items(items)):
        await asyncio.gather(*map(keep, chunk))
    await store.close()
    return time.perf_counter() - started, _stored(path)


def _chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while chunk := list(itertools.islice(rows, _CHUNK)):
        yield chunk


def _stored(path: Path) -> int:
    connection = sqlite3.connect(path)
    (count,) = connection.execute("SELECT count(*) FROM item_records WHERE success = 1").fetchone()
    connection.close()
    return int(count)


def main() -> None:
    options = assignment.parse(__doc__, ["rate", "prepare", "again"])
    path, instant = options.folder / "artifacts.sqlite", _Instant(options.conversations)
    if options.task == "prepare":
        seconds, count = asyncio.run(_prepare(path, options.items, instant))
    else:
        concurrency = 256 if options.task == "rate" else 16
        seconds, count = asyncio.run(_stream(path, options.items, instant, concurrency))
    # Each item is stored once, by a call when there was no result and by none when there was.
    assert _stored(path) == count, count
    assert instant.calls == (count if options.task == "rate" else 0), instant.calls
    versions = {"async-batch-llm": importlib.metadata.version("async-batch-llm"), "SQLite": sqlite3.sqlite_version}
    assignment.answer(seconds=seconds, items=count, versions=versions)


if __name__ == "__main__":
    main()
