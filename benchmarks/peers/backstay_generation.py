"""Backstay, asking a model: in a process of its own, from the file that all are given.

`generate`: one call of `batches.run` over the file with a recipe that names the model and the base URL and is otherwise
as it comes. The time is that of opening the database and of the whole call: reading the file,
checking each prompt, making the job, asking, finding the turns in each answer and validating them, cleaning up. WAL,
`synchronous=FULL`; an item is acknowledged after the commit that holds its conversation.
"""

import asyncio
import importlib.metadata
from pathlib import Path

import assignment
from backstay import Backstay, Recipe, Selection

_JOB = "side-by-side"


async def _generate(database: Path, items: Path, base_url: str, in_flight: int) -> tuple[assignment.Spent, int]:
    clock = assignment.Clock()
    async with Backstay.open(database) as backstay:
        recipe = Recipe(model=assignment.MODEL, base_url=base_url)
        result = await backstay.batches.run(_JOB, items, recipe, concurrency=in_flight)
        spent = clock.spent()
        stored = await backstay.conversations.count(Selection(job_id=_JOB))
        assert result.completed == stored, result
    return spent, stored


def main() -> None:
    options = assignment.parse(__doc__, ["generate"])
    spent, stored = asyncio.run(
        _generate(options.folder / "backstay.db", options.items, options.base_url, options.in_flight)
    )
    assignment.answer(
        seconds=spent.seconds,
        cpu_seconds=spent.cpu_seconds,
        items=stored,
        versions={"Backstay": importlib.metadata.version("backstay")},
    )


if __name__ == "__main__":
    main()
