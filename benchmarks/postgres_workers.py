"""Do several processes on one job keep more than one does, or get in each other's way?"""

import asyncio
import multiprocessing
import time
from functools import partial
from multiprocessing import queues, synchronize
from pathlib import Path

import workload
from backstay import Backstay, JobProgress, Selection
from measurement import Measurement, measure, parse, print_heading, print_table, ratios, spread
from servers import Server, database, described, server

QUESTION = "On PostgreSQL: do more worker processes on one job keep more?"

_COUNTS = (1, 2, 4)
_SPAWN = multiprocessing.get_context("spawn")


def main() -> None:
    options = parse(QUESTION, items=20_000, rounds=5)
    print_heading(QUESTION, "postgres_workers.py", options)
    with server(options.folder) as running:
        measurements: list[Measurement] = [
            partial(_measure, running=running, items=options.items, workers=many) for many in _COUNTS
        ]
        measured = measure(measurements, rounds=options.rounds, folder=options.folder)
        print(f"{described(running)}.\n")
    item = _name(_COUNTS[0])
    print_table(
        ["way", "conversations a second", "relative to one process"],
        [[name, spread(figures), spread(ratios(measured, name, item), 2)] for name, figures in measured.items()],
    )


def _name(workers: int) -> str:
    return f"{workers} process{'es' if workers > 1 else ''}, concurrency 256 each"


def _measure(_: Path, *, running: Server, items: int, workers: int) -> dict[str, float]:
    with database(running) as url:
        asyncio.run(_create(url, items))
        ready, ended = _SPAWN.Barrier(workers + 1), _SPAWN.SimpleQueue()
        processes = [_SPAWN.Process(target=_work, args=(url, ready, ended)) for _ in range(workers)]
        for process in processes:
            process.start()
        ready.wait()
        started_at = time.monotonic()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * workers
        asyncio.run(_check(url, items))
        return {_name(workers): items / (max(ended.get() for _ in processes) - started_at)}


def _work(url: str, ready: synchronize.Barrier, ended: "queues.SimpleQueue[float]") -> None:
    """Work on the job once all processes have started, and report the end by a clock that all share."""
    ended_at = 0.0

    def note(_: JobProgress) -> None:
        nonlocal ended_at
        ended_at = time.monotonic()

    async def work() -> None:
        async with Backstay.open(url) as backstay:
            await asyncio.to_thread(ready.wait)
            await backstay.batches.resume("bench", workload.converse_async, concurrency=256, on_progress=note)

    asyncio.run(work())
    ended.put(ended_at)


async def _create(url: str, items: int) -> None:
    async with Backstay.open(url) as backstay:
        await backstay.batches.create("bench", workload.items(items), "scripted")


async def _check(url: str, items: int) -> None:
    async with Backstay.open(url) as backstay:
        job = await backstay.batches.checkpoint("bench")
        assert job.counts.completed == items, job
        assert await backstay.conversations.count(Selection(everything=True)) == items


if __name__ == "__main__":
    main()
