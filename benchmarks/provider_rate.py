"""How much of a provider's speed reaches the disk? Compared with answers that cost only their latency.

The command `backstay run` has Python's garbage collector come by less often than a program does by itself; both are
measured. A bare client shows what the server and the sockets take by themselves, and what the library for HTTP takes.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import bare_client
import workload
from backstay import Backstay, Recipe
from backstay.cli import process_tuning
from local_provider import local_provider
from measurement import measure, parse, print_heading, print_table, spread

QUESTION = "How much of a provider's speed reaches the disk?"

_SECONDS = 0.5
_COMMAND = "Backstay, as its command runs"
_PROGRAM = "Backstay in a program that leaves the collector as it is"
_HTTP = "aiohttp alone: the same bytes over and over, answers counted"
_BARE = "sockets alone: the same"
_WAYS = (_COMMAND, _PROGRAM, _HTTP, _BARE)

Run = Callable[[int, int, str], Coroutine[None, None, tuple[float, float]]]
_SHARE, _RATE, _CPU = "of the ideal", "answers a second", "CPU, milliseconds each"
_DIGITS = {_SHARE: 2, _RATE: 0, _CPU: 2}


def main() -> None:
    options = parse(QUESTION, items=10_000, rounds=3, in_flight=1_000)
    print_heading(QUESTION, "provider_rate.py", options)
    process_tuning.raise_file_limit()
    with local_provider(_SECONDS) as base_url:
        measured = measure(
            [partial(_measured, way, options.items, options.in_flight, base_url) for way in _WAYS],
            rounds=options.rounds,
            folder=options.folder,
        )
    print(f"A server that answers after {_SECONDS} s, {options.in_flight:,} calls in flight.\n")
    print_table(
        ["way", _SHARE, _RATE, _CPU],
        [[way, *(spread(measured[f"{way}: {name}"], digits) for name, digits in _DIGITS.items())] for way in _WAYS],
    )


def _measured(way: str, count: int, in_flight: int, base_url: str, folder: Path) -> dict[str, float]:
    run = {_BARE: _bare(bare_client.ask), _HTTP: _bare(bare_client.ask_by_aiohttp)}.get(way, partial(_backstay, folder))
    with nullcontext() if way == _PROGRAM else _rested_collector():
        seconds, cpu = asyncio.run(run(count, in_flight, base_url))
    ideal = -(-count // in_flight) * _SECONDS
    figures = {_SHARE: ideal / seconds, _RATE: count / seconds, _CPU: 1000 * cpu / count}
    return {f"{way}: {name}": figure for name, figure in figures.items()}


async def _backstay(folder: Path, count: int, in_flight: int, base_url: str) -> tuple[float, float]:
    recipe = Recipe(model="local", base_url=base_url)
    async with Backstay.open(folder / "engine.db") as backstay:
        await backstay.batches.create("bench", workload.items(count), recipe)

        async def work() -> None:
            result = await backstay.batches.resume("bench", concurrency=in_flight)
            assert result.completed == count, result

        return await _timed(work)


def _bare(ask: Callable[..., Awaitable[None]]) -> Run:
    async def run(count: int, in_flight: int, base_url: str) -> tuple[float, float]:
        return await _timed(partial(ask, base_url, count, in_flight=in_flight))

    return run


async def _timed(work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Return the seconds by the clock and of CPU."""
    cpu, started = time.process_time(), time.perf_counter()
    await work()
    return time.perf_counter() - started, time.process_time() - cpu


@contextmanager
def _rested_collector() -> Iterator[None]:
    before = gc.get_threshold()
    process_tuning.tune_garbage_collector()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


if __name__ == "__main__":
    main()
