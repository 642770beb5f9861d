"""A library to delete from: conversations with everything that must come back."""

import asyncio
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backstay import Backstay, Selection
from support.faults.backup_invariants import digest

ALL = Selection(everything=True)


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Yield conversations in the native shape: nested metadata, awkward text, ids of turns, a kilobyte in a backup."""
    for number in range(count):
        text = f"Some words. {random.Random(number).randbytes(1_000).hex()}"
        yield {
            "id": f"c{number:05}",
            "topic": f"topic {number}",
            "persona": "Ünïcode" if number % 2 else None,
            "metadata": {"z": number, "a": {"deep": [1, {"er": None}], "x": 0.5}} if number % 3 == 0 else {},
            "created_at": f"2025-01-{1 + number % 28:02}T00:00:00Z",
            "conversation_turns": [
                {
                    "role": "user",
                    "content": f"{number}? {text}",
                    "id": f"t{number}",
                    "metadata": {"frames": [{"s": 1}]},
                },
                {"role": "assistant", "content": f"\u2028 {number}! 😀 {text}"},
            ],
        }


def fill(database: Path | str, count: int, *, job: bool = True) -> dict[str, str]:
    """Make a library, some of it by a job; return the digests of its conversations by their ids."""
    return asyncio.run(filled(database, count, job=job))


async def filled(database: Path | str, count: int, *, job: bool = True) -> dict[str, str]:
    """The same within a loop."""
    async with Backstay.open(database) as backstay:
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as source:
            source.writelines(json.dumps(row) + "\n" for row in rows(count))
            source.flush()
            await backstay.conversations.import_file(source.name)
        if job:
            items = [{"id": f"i{number}", "topic": f"job {number}"} for number in range(5)]
            await backstay.batches.run("job", items, "scripted")
        return await digests(backstay)


async def digests(backstay: Backstay) -> dict[str, str]:
    """Return the digests of all conversations by their ids, in the order of storing."""
    return {str(stored.id): digest(stored.to_dict()) async for stored in backstay.conversations.export(ALL)}
