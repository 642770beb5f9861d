"""How long does the first page of a list of a million conversations take, by any filter and in any order?

The conversations are imported, so that each has its own time, persona, model and number of turns. Every list is read
before the index is filled and after it; each figure is the median of several reads of one process.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw

from backstay import Backstay, Selection
from backstay.library.lists import Sort
from measurement import parse, print_heading, print_table, scratch

QUESTION = "How long does the first page of a list of a million conversations take?"

_SENTENCE = "A keeper of a lighthouse writes down what the sea did, and what it did not do, hour after hour. "
_START = datetime(2026, 1, 1, tzinfo=UTC)
_READS = 5
_MAX_SCAN_READS = 1


@dataclass(frozen=True)
class List:
    """A list that is measured."""

    name: str
    selection: Selection | None = None
    sort: Sort = Sort.NEWEST


def lists(count: int) -> list[List]:
    """Return the lists; the values of their filters fit so many conversations."""
    at = _START + timedelta(seconds=count // 2)
    return [
        List("all, newest first"),
        List("all, oldest first", sort=Sort.OLDEST),
        List("all, longest first", sort=Sort.LONGEST),
        List("all, most turns first", sort=Sort.MOST_TURNS),
        List("one model of five", Selection(model="model-3")),
        List("no model of that name", Selection(model="none")),
        List("with tools (1 in 50)", Selection(has_tools=True)),
        List("8 turns or more (1 in 4)", Selection(min_turns=8)),
        List("turns that none has", Selection(min_turns=100)),
        List("1,000 to 1,050 characters", Selection(min_characters=1_000, max_characters=1_050)),
        List("a persona (1 in 5,000)", Selection(persona="keeper number 77")),
        List("persona contains a text (1 in 500)", Selection(persona_contains="NUMBER 12")),
        List("persona contains what none does", Selection(persona_contains="nobody")),
        List("topic contains a text (1 in 1,000)", Selection(topic_contains="number 123")),
        List("created before the middle", Selection(created_before=at)),
        List("an hour of it", Selection(created_after=at, created_before=at + timedelta(hours=1))),
        List("the last import", Selection(import_id="last")),
        List("model, tools and turns", Selection(model="model-2", has_tools=True, min_turns=4)),
        List("the same, longest first", Selection(model="model-2", has_tools=True, min_turns=4), Sort.LONGEST),
        List("search: a common word", Selection(search="lighthouse")),
        List("search: what none contains", Selection(search="zebra crossing")),
    ]


def main() -> None:
    options = parse(QUESTION, items=1_000_000, rounds=1)
    print_heading(QUESTION, "million_conversations.py", options)
    with scratch(options.folder) as folder:
        source = folder / "conversations.jsonl"
        write_conversations(source, options.items)
        path = folder / "library.db"
        asyncio.run(measure_lists(source, str(path), options.items, lambda: bytes_of(path)))


def bytes_of(path: Path) -> int:
    """Return the size of a database file, without its log."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        pages, page_bytes = connection.execute("PRAGMA page_count").get, connection.execute("PRAGMA page_size").get
        return int(pages * page_bytes)


async def measure_lists(source: Path, where: str, count: int, size: Callable[[], int]) -> None:
    """Import the conversations of a file into an empty database, and print the tables."""
    async with Backstay.open(where) as backstay:
        started = time.monotonic()
        await backstay.conversations.import_file(source)
        imported, bytes_before = time.monotonic() - started, size()
        scanned = [await time_list(backstay, each, _MAX_SCAN_READS) for each in lists(count)]
        started = time.monotonic()
        await backstay.index.fill()
        filled, bytes_after = time.monotonic() - started, size()
        indexed = [await time_list(backstay, each, _READS) for each in lists(count)]
        steps = [await _time_step(backstay, each, count) for each in lists(count)]
    rows = [
        [each.name, str(total), f"{page:,.0f}", f"{counted:,.0f}", f"{old_page:,.0f}", f"{old_counted:,.0f}"]
        for each, (total, page, counted), (_, old_page, old_counted) in zip(lists(count), indexed, scanned, strict=True)
    ]
    print_table(["list", "total", "page, ms", "total, ms", "page without index, ms", "total without index, ms"], rows)
    print_table(
        ["list, read from its middle", "next and previous, ms"],
        [[each.name, f"{step:,.0f}"] for each, step in zip(lists(count), steps, strict=True)],
    )
    print_table(
        ["what", "measured"],
        [
            ["importing, conversations a second", f"{count / imported:,.0f}"],
            ["indexing, conversations a second", f"{count / filled:,.0f}"],
            ["indexing, µs a conversation", f"{1e6 * filled / count:,.1f}"],
            ["database, bytes a conversation", f"{bytes_before / count:,.0f}"],
            ["index, bytes a conversation", f"{(bytes_after - bytes_before) / count:,.0f}"],
        ],
    )


async def time_list(backstay: Backstay, each: List, reads: int) -> tuple[Any, float, float]:
    """Return the total of a list, and the milliseconds that its first page and its total take."""
    pages, totals, total = [], [], None
    for _ in range(reads):
        started = time.perf_counter()
        await backstay.conversations.lists.page(each.selection, sort=each.sort)
        pages.append(1e3 * (time.perf_counter() - started))
        started = time.perf_counter()
        total = await backstay.conversations.lists.total(each.selection)
        totals.append(1e3 * (time.perf_counter() - started))
    return total, statistics.median(pages), statistics.median(totals)


async def _time_step(backstay: Backstay, each: List, count: int) -> float:
    """Return the milliseconds to find the neighbours of a conversation in the middle, even if the list lacks it."""
    position = await backstay.conversations.lists.position(f"conversation-{count // 2:07}", sort=each.sort)
    steps = []
    for _ in range(_READS):
        started = time.perf_counter()
        await backstay.conversations.lists.neighbours(position, each.selection, sort=each.sort)
        steps.append(1e3 * (time.perf_counter() - started))
    return statistics.median(steps)


def write_conversations(path: Path, count: int) -> None:
    """Write a file of so many conversations."""
    with path.open("w") as file:
        for number in range(count):
            file.write(json.dumps(_row(number)) + "\n")


def _row(number: int) -> dict[str, Any]:
    turns = list(_turns(number))
    row = {
        "id": f"conversation-{number:07}",
        "persona": f"keeper number {number % 5_000}",
        "created_at": (_START + timedelta(seconds=number)).isoformat(),
        "model": f"model-{number % 5}",
        "messages": turns,
    }
    if number % 3:
        row["topic"] = f"a lighthouse, number {number}"
    if number % 50 == 0:
        row["tools"] = [{"type": "function", "function": {"name": "tide", "parameters": {}}}]
    return row


def _turns(number: int) -> Iterator[dict[str, str]]:
    for turn in range(2 + 2 * (number % 4)):
        text = f"{number}.{turn}: {_SENTENCE * 2}"[: 150 + number % 37]
        yield {"role": "user" if turn % 2 == 0 else "assistant", "content": text}


if __name__ == "__main__":
    main()
