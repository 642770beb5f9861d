"""How many finished conversations a second does the engine store, compared with a loop that only inserts them?

The CPU time per item is shown, too: other work on the machine changes it far less than the time by the clock.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import workload
from backstay import Backstay, Conversation, Item
from backstay.batch.processor import Processor
from bare_loop import bare_file, bare_sqlite
from measurement import Measurement, measure, parse, print_heading, print_table, ratios, spread

QUESTION = "How many conversations a second does the engine keep?"

_ENGINE = "engine, asynchronous processor, concurrency 256"
_BARE = "bare loop, 64 a commit"
_FILE = "file append, flushed to disk each"
_WHOLE = "the same, with creating the job and cleaning up after it"
_FILE_ITEMS = 500
_CPU = " (CPU)"


def main() -> None:
    options = parse(QUESTION, items=20_000, rounds=5)
    print_heading(QUESTION, "durable_rate.py", options)
    few = max(1, options.items // 4)
    measurements: list[Measurement] = [
        partial(_engine, name=_ENGINE, items=options.items, process=workload.converse_async, concurrency=256),
        partial(_bare, name=_BARE, items=options.items, group=64),
        partial(_bare, name="bare loop, 256 a commit", items=few, group=256),
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
    measured = measure(measurements, rounds=options.rounds, folder=options.folder)
    print_table(
        ["way", "conversations a second", "relative to the bare loop", "CPU, µs a conversation"],
        [
            [name, spread(figures), spread(ratios(measured, name, _BARE), 2), _spread_of(measured.get(name + _CPU))]
            for name, figures in measured.items()
            if not name.endswith(_CPU)
        ],
    )


def _spread_of(figures: Sequence[float] | None) -> str:
    return spread(figures, 1) if figures else ""


def _bare(folder: Path, *, name: str, items: int, group: int) -> dict[str, float]:
    rate, cpu = bare_sqlite(folder, items=items, group=group)
    return {name: rate, name + _CPU: cpu}


def _engine(folder: Path, *, name: str, items: int, process: Processor, concurrency: int) -> dict[str, float]:
    run = Run(process)
    asyncio.run(run.go(folder / "engine.db", items, concurrency))
    figures = {
        name: items / (run.ended_at - run.started_at),
        name + _CPU: 1e6 * (run.ended_cpu - run.started_cpu) / items,
    }
    if name == _ENGINE:
        figures[_WHOLE] = items / (run.cleaned_at - run.asked_at)
    return figures


class Run:
    """Run of a job that is created for it, with the times of its steps."""

    def __init__(self, process: Processor) -> None:
        self._process = process
        self.asked_at = 0.0
        self.started_at = 0.0
        """The first call of the processor."""
        self.started_cpu = 0.0
        self.ended_at = 0.0
        """The last commit, and the end of the worker's lease."""
        self.ended_cpu = 0.0
        self.cleaned_at = 0.0

    async def go(self, database: Path | str, items: int, concurrency: int) -> None:
        async with Backstay.open(database) as backstay:
            self.asked_at = time.perf_counter()
            result = await backstay.batches.run(
                "bench",
                workload.items(items),
                self._call_async if asyncio.iscoroutinefunction(self._process) else self._call,
                concurrency=concurrency,
                on_progress=self._note_progress,
            )
            self.cleaned_at = time.perf_counter()
        assert result.completed == items, result

    def _call(self, item: Item) -> Conversation:
        self._note_start()
        return workload.converse(item)

    async def _call_async(self, item: Item) -> Conversation:
        self._note_start()
        return workload.converse(item)

    def _note_start(self) -> None:
        if not self.started_at:
            self.started_at, self.started_cpu = time.perf_counter(), time.process_time()

    def _note_progress(self, _: object) -> None:
        self.ended_at, self.ended_cpu = time.perf_counter(), time.process_time()


if __name__ == "__main__":
    main()
