"""How many finished conversations a second does the engine keep, on disk, beside a loop that only inserts them?"""

import asyncio
import time
from functools import partial
from pathlib import Path

import workload
from bare_loop import bare_file, bare_sqlite
from holdfast import Conversation, Holdfast, Item
from holdfast.batch.processor import Processor
from measuring import Measurement, measure, parse, print_heading, print_table, ratios, spread

QUESTION = "How many conversations a second does the engine keep?"

_ENGINE = "engine, asynchronous processor, concurrency 256"
_BARE = "bare loop, 64 a commit"
_FILE = "file append, flushed to disk each"
_WHOLE = "the same, with creating the job and cleaning up after it"
_FILE_ITEMS = 500


def main() -> None:
    chosen = parse(QUESTION, items=20_000, rounds=5)
    print_heading(QUESTION, "durable_rate.py", chosen)
    few = max(1, chosen.items // 4)
    measurements: list[Measurement] = [
        partial(_engine, name=_ENGINE, items=chosen.items, process=workload.converse_async, concurrency=256),
        lambda folder: {_BARE: bare_sqlite(folder, items=chosen.items, group=64)},
        lambda folder: {"bare loop, 256 a commit": bare_sqlite(folder, items=few, group=256)},
        *(
            partial(_engine, name=f"engine, {kind}, concurrency {many}", items=few, process=process, concurrency=many)
            for kind, process in (
                ("asynchronous processor", workload.converse_async),
                ("blocking processor", workload.converse),
            )
            for many in (64, 16)
        ),
        lambda folder: {_FILE: bare_file(folder, items=_FILE_ITEMS)},
    ]
    measured = measure(measurements, rounds=chosen.rounds, folder=chosen.folder)
    print_table(
        ["way", "conversations a second", "beside the bare loop"],
        [[name, spread(figures), spread(ratios(measured, name, _BARE), 2)] for name, figures in measured.items()],
    )


def _engine(folder: Path, *, name: str, items: int, process: Processor, concurrency: int) -> dict[str, float]:
    run = _Run(process)
    asyncio.run(run.go(folder / "engine.db", items, concurrency))
    rates = {name: items / (run.ended_at - run.started_at)}
    if name == _ENGINE:
        rates[_WHOLE] = items / (run.cleaned_at - run.asked_at)
    return rates


class _Run:
    """One run of a job that is made for it, and when its steps came."""

    def __init__(self, process: Processor) -> None:
        self._process = process
        self.asked_at = 0.0
        self.started_at = 0.0
        """The first call of the processor."""
        self.ended_at = 0.0
        """The last commit, and the end of the worker's lease."""
        self.cleaned_at = 0.0

    async def go(self, database: Path, items: int, concurrency: int) -> None:
        async with Holdfast.open(database) as hold:
            self.asked_at = time.perf_counter()
            result = await hold.batches.run(
                "bench",
                workload.items(items),
                self._call_async if asyncio.iscoroutinefunction(self._process) else self._call,
                concurrency=concurrency,
                on_progress=self._note_progress,
            )
            self.cleaned_at = time.perf_counter()
        assert result.completed == items, result

    def _call(self, item: Item) -> Conversation:
        self.started_at = self.started_at or time.perf_counter()
        return workload.converse(item)

    async def _call_async(self, item: Item) -> Conversation:
        self.started_at = self.started_at or time.perf_counter()
        return workload.converse(item)

    def _note_progress(self, _: object) -> None:
        self.ended_at = time.perf_counter()


if __name__ == "__main__":
    main()
