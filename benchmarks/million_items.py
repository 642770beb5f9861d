"""What does a job of a million items cost at its start, at its end, in memory and on disk?

Each stage is a process of its own, so that its memory is its own and a resume is what a user sees: an interpreter that
starts, opens the database, and calls the processor. Whether an item costs more near the end is measured side by side:
the last items of the large job take turns with the first, from the thousandth on, of a small one in another database.
"""

import asyncio
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import workload
from backstay import Backstay, Conversation, Item, JobProgress
from measurement import parse, print_heading, print_table, scratch, spread

QUESTION = "What does a job of a million items cost?"

_LEFT = 1_000  # items that are left for the resume
_BEFORE = 1_000  # items of the small job that come first: they read the first pages and prepare the statements
_TURN = 10_000  # items of a turn of the two jobs …
_TURNS = 7  # … and how many turns each has
_MB = 1_000_000

Figures = dict[str, Sequence[float]]
"""What was measured, by name: one figure or one a turn."""


def main() -> None:
    options = parse(QUESTION, items=1_000_000, rounds=1)
    print_heading(QUESTION, "million_items.py", options)
    figures: list[Figures] = []
    with scratch(options.folder) as folder:
        source = folder / "items.jsonl"
        write_items(source, options.items)
        for number in range(options.rounds):
            path, small = folder / f"{number}.db", folder / f"{number}.small.db"
            result = measure_job(source, str(path), str(small), options.items)
            figures.append({**result, **per_item(path.stat().st_size, options.items)})
            path.unlink()
    print_figures(figures)


def print_figures(rounds: Sequence[Figures]) -> None:
    """Print the table of all rounds."""
    print_table(
        ["what", "measured"], [[name, _format_spread(result)] for figures in rounds for name, result in figures.items()]
    )


def _format_spread(measured: Sequence[float]) -> str:
    digits = 0 if measured[0] >= 1_000 else 2
    return spread(measured, digits) if len(measured) > 1 else f"{measured[0]:,.{digits}f}"


def measure_job(source: Path, database: str, small: str, count: int) -> Figures:
    """Measure a job of so many items in one database, and a small one in another; neither exists, or is empty."""
    created = _in_a_process(_create, source, database)
    worked = _in_a_process(_work, database, small, count)
    return {**created, **worked, **_in_a_process(_resume, database, time.time())}


def per_item(size: int, count: int) -> Figures:
    """Format the bytes of a database per item."""
    return {
        "database, bytes a finished item": [size / count],
        "of these, text of the conversation": [_text_bytes()],
    }


def _create(source: Path, database: str) -> Figures:
    async def create() -> Figures:
        async with Backstay.open(database) as backstay:
            baseline, started = _memory_now(), time.perf_counter()
            job = await backstay.batches.create("job", source, "scripted")
            seconds = time.perf_counter() - started
            return {
                "creating the job from JSONL, items a second": [job.counts.planned / seconds],
                "memory while creating, MB above that of the opened library": [_memory_peak() - baseline],
            }

    return asyncio.run(create())


def _work(database: str, small_database: str, count: int) -> Figures:
    async def work() -> Figures:
        async with Backstay.open(database) as large, Backstay.open(small_database) as small:
            baseline = _memory_now()
            await _process(large, count - _LEFT - _TURNS * _TURN)
            memory = _memory_peak() - baseline
            await small.batches.create("job", workload.items(_BEFORE + _TURNS * _TURN), "scripted")
            await _process(small, _BEFORE)
            near_end: list[_Cost] = []
            near_start: list[_Cost] = []
            for number in range(_TURNS):
                for backstay, costs in [(large, near_end), (small, near_start)][:: 1 if number % 2 else -1]:
                    costs.append(await _process(backstay, _TURN))
            relative = [late / early for late, early in zip(near_end, near_start, strict=True)]
            return {
                "memory while working, MB above that of the opened library": [memory],
                "an item near the thousandth, µs": [cost.elapsed for cost in near_start],
                f"an item near the end of {count:,}, µs": [cost.elapsed for cost in near_end],
                "the latter relative to the former": [ratio.elapsed for ratio in relative],
                "the same in CPU time": [ratio.cpu for ratio in relative],
            }

    return asyncio.run(work())


@dataclass(frozen=True)
class _Cost:
    """Microseconds per item, of clock and of CPU time."""

    elapsed: float
    cpu: float

    def __truediv__(self, other: "_Cost") -> "_Cost":
        return _Cost(self.elapsed / other.elapsed, self.cpu / other.cpu)


async def _process(backstay: Backstay, limit: int) -> _Cost:
    """Process so many items of the job."""
    started, cpu = time.perf_counter(), time.process_time()
    await backstay.batches.resume("job", _converse, concurrency=256, limit=limit)
    return _Cost(1e6 * (time.perf_counter() - started) / limit, 1e6 * (time.process_time() - cpu) / limit)


async def _converse(item: Item) -> Conversation:
    return workload.conversation(int(item.id.removeprefix("item-")))


def _resume(database: str, asked_at: float) -> Figures:
    first_call_at = worked_until = 0.0

    async def process(item: Item) -> Conversation:
        nonlocal first_call_at
        first_call_at = first_call_at or time.time()
        return await _converse(item)

    def note(_: JobProgress) -> None:
        nonlocal worked_until
        worked_until = time.perf_counter()

    async def resume() -> Figures:
        async with Backstay.open(database) as backstay:
            result = await backstay.batches.resume("job", process, concurrency=256, on_progress=note)
            assert result.counts.pending == 0, result
            return {
                f"resume with {_LEFT:,} left: seconds from starting Python to the first call": [
                    first_call_at - asked_at
                ],
                "cleaning up after the last item, seconds": [time.perf_counter() - worked_until],
            }

    return asyncio.run(resume())


def write_items(source: Path, count: int) -> None:
    """Write the items of a job as JSONL."""
    with source.open("w") as file:
        for number in range(count):
            file.write(f'{{"id": "item-{number}", "topic": "a lighthouse, number {number}", "shelf": {number % 50}}}\n')


def _in_a_process(stage: Callable[..., Figures], *arguments: Any) -> Figures:
    """Run a stage of this file in an interpreter of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(stage, *arguments).result()


def _memory_now() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MB


def _memory_peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MB


def _text_bytes() -> float:
    return statistics.mean(
        sum(len(turn.content.encode()) for turn in workload.conversation(number).turns) for number in range(500)
    )


if __name__ == "__main__":
    main()
