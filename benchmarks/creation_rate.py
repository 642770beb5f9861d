"""How fast does a file become a job, and how fast is an unchanged file recognised?"""

import asyncio
import json
import time
from pathlib import Path

from backstay import Backstay
from measurement import measure, parse, print_heading, print_table, spread

QUESTION = "How many items a second become a job?"

_CREATED = "JSONL file to job, the name unused before"
_MATCHED = "the same file again, compared with the job"


def main() -> None:
    options = parse(QUESTION, items=20_000, rounds=5)
    print_heading(QUESTION, "creation_rate.py", options)
    measured = measure([lambda folder: _create(folder, options.items)], rounds=options.rounds, folder=options.folder)
    print_table(["way", "items a second"], [[name, spread(figures)] for name, figures in measured.items()])


def _create(folder: Path, count: int) -> dict[str, float]:
    source = folder / "items.jsonl"
    with source.open("w") as file:
        for number in range(count):
            row = {"id": f"item-{number}", "topic": f"Topic number {number}", "persona": "someone", "level": number % 5}
            file.write(json.dumps(row) + "\n")
    return asyncio.run(_timed(folder / "engine.db", source, count))


async def _timed(database: Path, source: Path, count: int) -> dict[str, float]:
    rates = {}
    async with Backstay.open(database) as backstay:
        for name in (_CREATED, _MATCHED):
            started = time.perf_counter()
            job = await backstay.batches.create("bench", source, "scripted")
            rates[name] = count / (time.perf_counter() - started)
            assert job.counts.planned == count, job
    return rates


if __name__ == "__main__":
    main()
