"""How much of a provider's speed reaches the disk? Beside the ideal: answers that cost nothing but their waiting."""

import asyncio
import resource
import time
from pathlib import Path

import workload
from holdfast import Holdfast, Recipe
from local_provider import local_provider
from measuring import measure, parse, print_heading, print_table, spread

QUESTION = "How much of a provider's speed reaches the disk?"

_SECONDS = 0.5
_IN_FLIGHT = 1_000
_SHARE = "of the ideal"
_RATE = "conversations a second"
_CPU = "CPU of ours, milliseconds a conversation"


def main() -> None:
    chosen = parse(QUESTION, items=10_000, rounds=3)
    print_heading(QUESTION, "provider_rate.py", chosen)
    _allow_connections()
    with local_provider(_SECONDS) as base_url:
        measured = measure(
            [lambda folder: asyncio.run(_run(folder, chosen.items, base_url))],
            rounds=chosen.rounds,
            folder=chosen.folder,
        )
    print(f"A server that answers after {_SECONDS} s, {_IN_FLIGHT:,} calls in flight.\n")
    print_table(
        ["what", "measured"],
        [[name, spread(figures, 0 if name == _RATE else 2)] for name, figures in measured.items()],
    )


async def _run(folder: Path, count: int, base_url: str) -> dict[str, float]:
    recipe = Recipe(model="local", base_url=base_url)
    async with Holdfast.open(folder / "engine.db") as hold:
        await hold.batches.create("bench", workload.items(count), recipe)
        cpu, started = time.process_time(), time.perf_counter()
        result = await hold.batches.resume("bench", concurrency=_IN_FLIGHT)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert result.completed == count, result
    ideal = -(-count // _IN_FLIGHT) * _SECONDS
    return {_SHARE: ideal / seconds, _RATE: count / seconds, _CPU: 1000 * cpu / count}


def _allow_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(8_192, hard)), hard))


if __name__ == "__main__":
    main()
