"""What does a job of a million items cost at its start, at its end, in memory and on disk?

Each stage is a process of its own, so that its memory is its own and a resume is what a user sees: an interpreter that
starts, opens the database, and calls the processor.
"""

import argparse
import asyncio
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import workload
from holdfast import Conversation, Holdfast, Item, Progress
from measuring import parse, print_heading, print_table, scratch, spread

QUESTION = "What does a job of a million items cost?"

_LEFT = 1_000  # items that are left for the resume
_WINDOW = 20  # the cost at one place of the job is measured over one item in so many
_MB = 1_000_000


@dataclass
class Watched:
    """A processor, and a listener that notes what the work has cost so far."""

    started_at: float = field(default_factory=time.perf_counter)
    first_call_at: float = 0.0
    notes: list[tuple[int, float, float]] = field(default_factory=list)
    """Items completed, seconds since the start, seconds of CPU."""

    async def process(self, item: Item) -> Conversation:
        self.first_call_at = self.first_call_at or time.time()
        return workload.conversation(int(item.id.removeprefix("item-")))

    def note(self, progress: Progress) -> None:
        self.notes.append((progress.completed, time.perf_counter() - self.started_at, time.process_time()))

    def cost(self, first: int, last: int) -> tuple[float, float]:
        """Return the microseconds an item took between these two, and those of CPU."""
        within = [note for note in self.notes if first <= note[0] <= last]
        items, seconds, cpu = (after - before for before, after in zip(within[0], within[-1], strict=True))
        return 1e6 * seconds / items, 1e6 * cpu / items


def main() -> None:
    chosen = parse(QUESTION, items=1_000_000, rounds=1)
    print_heading(QUESTION, "million_items.py", chosen)
    with scratch(chosen.folder) as folder:
        source = folder / "items.jsonl"
        _write(source, chosen.items)
        rounds = [_measure(source, folder / f"{number}.db", chosen) for number in range(chosen.rounds)]
    print_table(["what", "measured"], [[name, spread([r[name] for r in rounds], 2)] for name in rounds[0]])


def _measure(source: Path, database: Path, chosen: argparse.Namespace) -> dict[str, float]:
    count = chosen.items
    created = _in_a_process(_create, source, database)
    worked = _in_a_process(_work, database, count)
    resumed = _in_a_process(_resume, database, time.time())
    size = database.stat().st_size
    database.unlink()
    return {
        "creating the job from JSONL, items a second": count / created["seconds"],
        "memory while creating, MB above that of the opened library": created["memory"],
        "an item near the start, µs": worked["start"],
        "an item near the end, µs": worked["end"],
        "the same in CPU time, near the start, µs": worked["cpu_start"],
        "the same in CPU time, near the end, µs": worked["cpu_end"],
        "end beside start": worked["end"] / worked["start"],
        "end beside start, in CPU time": worked["cpu_end"] / worked["cpu_start"],
        "memory while working, MB above that of the opened library": worked["memory"],
        f"resume with {_LEFT:,} left: seconds from starting Python to the first call": resumed["latency"],
        "cleaning up at the end, seconds": resumed["cleaning"],
        "database, bytes a finished item": size / count,
        "of which text of the conversation": _text_bytes(),
    }


def _create(source: Path, database: Path) -> dict[str, float]:
    async def create() -> dict[str, float]:
        async with Holdfast.open(database) as hold:
            baseline, started = _memory_now(), time.perf_counter()
            await hold.batches.create("million", source, "scripted")
            return {"seconds": time.perf_counter() - started, "memory": _memory_peak() - baseline}

    return asyncio.run(create())


def _work(database: Path, count: int) -> dict[str, float]:
    async def work() -> dict[str, float]:
        async with Holdfast.open(database) as hold:
            baseline, watched = _memory_now(), Watched()
            await hold.batches.resume(
                "million", watched.process, concurrency=256, limit=count - _LEFT, on_progress=watched.note
            )
            window = count // _WINDOW
            # From the thousandth on: before it, the first pages of everything are read and the statements prepared.
            start, cpu_start = watched.cost(1_000, 1_000 + window)
            end, cpu_end = watched.cost(count - _LEFT - window, count - _LEFT)
            memory = _memory_peak() - baseline
            return {"start": start, "end": end, "cpu_start": cpu_start, "cpu_end": cpu_end, "memory": memory}

    return asyncio.run(work())


def _resume(database: Path, asked_at: float) -> dict[str, float]:
    async def resume() -> dict[str, float]:
        async with Holdfast.open(database) as hold:
            watched = Watched()
            result = await hold.batches.resume("million", watched.process, concurrency=256, on_progress=watched.note)
            assert result.counts.pending == 0, result
            cleaning = time.perf_counter() - watched.started_at - watched.notes[-1][1]
            return {"latency": watched.first_call_at - asked_at, "cleaning": cleaning}

    return asyncio.run(resume())


def _write(source: Path, count: int) -> None:
    with source.open("w") as file:
        for number in range(count):
            file.write(f'{{"id": "item-{number}", "topic": "a lighthouse, number {number}", "shelf": {number % 50}}}\n')


def _in_a_process(stage: Callable[..., dict[str, float]], *given: Any) -> dict[str, float]:
    """Run a stage of this file in an interpreter of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(stage, *given).result()


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
