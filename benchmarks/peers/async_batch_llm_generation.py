"""async-batch-llm, asking a model, with its SQLite store; runs in a venv that has it.

`full`: one pass of `process_stream` over the file with `llm("openai-compatible:…")`, its own way to such servers, and
room for as many connections as calls. Queues are bounded and the store is `SqliteArtifactStore`, as its documentation
has it for large runs, at `SqliteDurability.FULL`: a result is handed out after the commit that holds it was flushed. So
results are durable one by one, in groups of up to 100.
`memory`: the same without a store. Nothing is kept when the program ends; what is counted is what was handed out.

The time is from making the strategy until the stream has ended. No limits on requests or tokens are set, which is its
default.
"""

import asyncio
import importlib.metadata
import sqlite3
from contextlib import closing
from pathlib import Path

from async_batch_llm import (
    ArtifactIdentity,
    ProcessorConfig,
    ResumePolicy,
    SqliteArtifactStore,
    SqliteDurability,
    llm,
    process_stream,
)

import assignment


async def _generate(path: Path | None, items: Path, base_url: str, in_flight: int) -> tuple[assignment.Spent, int]:
    clock, count = assignment.Clock(), 0
    identity = ArtifactIdentity(provider="local", model=assignment.MODEL, prompt_version="1")
    results = process_stream(
        llm(f"openai-compatible:{assignment.MODEL}", base_url=base_url, api_key="none", max_connections=in_flight),
        ((item["id"], assignment.prompt(item)) for item in assignment.items(items)),
        config=ProcessorConfig(
            concurrency=in_flight, max_queue_size=4 * in_flight, max_result_queue_size=4 * in_flight
        ),
        artifact_store=SqliteArtifactStore(path, identity=identity, durability=SqliteDurability.FULL) if path else None,
        resume=ResumePolicy.REUSE_SUCCESSES,
    )
    async for result in results:
        count += result.success
    return clock.spent(), count


def _stored(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM item_records WHERE success = 1").fetchone()
    return int(count)


def main() -> None:
    options = assignment.parse(__doc__, ["full", "memory"])
    path = options.folder / "artifacts.sqlite" if options.task == "full" else None
    spent, count = asyncio.run(_generate(path, options.items, options.base_url, options.in_flight))
    assignment.answer(
        seconds=spent.seconds,
        cpu_seconds=spent.cpu_seconds,
        items=_stored(path) if path else count,
        versions={name: importlib.metadata.version(name) for name in ("async-batch-llm", "openai")},
    )


if __name__ == "__main__":
    main()
