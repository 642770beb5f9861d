"""How long does a search take in a library of so many conversations, with a text index and without?

The conversations are of words that are as unevenly common as those of a language. A search reads the first page of the
list and its total, as the page in the browser does; each figure is the median of several reads of one process.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

from backstay import Backstay, Selection
from measurement import parse, print_heading, print_table, scratch
from million_conversations import List, bytes_of, time_list

QUESTION = "How long does a search take, with a text index and without?"

_WORDS = 30_000
_TURN_WORDS = 75
_READS = 5


class Words:
    """Words of two to nine letters, the first ones common and the last ones rare, as of a seeded chance."""

    def __init__(self) -> None:
        self._chance = random.Random(7)
        syllables = [first + second for first in "bcdfghjklmnprstvwz" for second in "aeiou"]
        found = {
            "".join(self._chance.choices(syllables, k=self._chance.choice([1, 2, 2, 3, 3, 4]))) for _ in range(99_999)
        }
        self.words = self._chance.sample(sorted(found), _WORDS)
        self._weights = [1 / (rank + 3) for rank in range(_WORDS)]

    def text(self) -> str:
        return " ".join(self._chance.choices(self.words, self._weights, k=_TURN_WORDS)).capitalize() + "."


def main() -> None:
    options = parse(QUESTION, items=200_000, rounds=1)
    print_heading(QUESTION, "text_search.py", options)
    words = Words()
    with scratch(options.folder) as folder:
        source = folder / "conversations.jsonl"
        write_texts(source, options.items, words)
        searches = searches_for(words, options.items)
        path = folder / "library.db"
        asyncio.run(measure_searches(source, str(path), searches, options.items, lambda: bytes_of(path)))


def searches_for(words: Words, count: int) -> list[List]:
    """Return the searches in a library of so many conversations."""
    return [
        List("the most common word", Selection(search=words.words[0])),
        List("a word of 1 in 100", Selection(search=f" {words.words[400]} ")),
        List("a rare word", Selection(search=f" {words.words[-1]} ")),
        List("one conversation", Selection(search=f"number {count // 2} ")),
        List("a part of a word", Selection(search=words.words[-2][1:5])),
        List("three common words that none has in a row", Selection(search=" ".join([words.words[5]] * 3))),
        List("what none contains", Selection(search="xylophone")),
        List("two letters", Selection(search="xq")),
        List("a rare word, in long ones", Selection(search=f" {words.words[-1]} ", min_turns=8)),
    ]


async def measure_searches(source: Path, where: str, searches: list[List], count: int, size: Callable[[], int]) -> None:
    """Import the conversations of a file into an empty database, search them, and print the tables."""
    async with Backstay.open(where) as backstay:
        await backstay.conversations.import_file(source)
        await backstay.index.fill()
        bytes_before = size()
        scanned = [await time_list(backstay, each, 1) for each in searches]
        started = time.monotonic()
        await backstay.index.create_text_index()
        await backstay.index.fill()
        filled, bytes_after = time.monotonic() - started, size()
        indexed = [await time_list(backstay, each, _READS) for each in searches]
    rows = [
        [each.name, str(total), f"{page:,.0f}", f"{counted:,.0f}", f"{old_page:,.0f}", f"{old_counted:,.0f}"]
        for each, (total, page, counted), (_, old_page, old_counted) in zip(searches, indexed, scanned, strict=True)
    ]
    print_table(["search", "total", "page, ms", "total, ms", "page without index, ms", "total without index, ms"], rows)
    print_table(
        ["what", "measured"],
        [
            ["texts, bytes a conversation", f"{source.stat().st_size / count:,.0f}"],
            ["database without text index, bytes a conversation", f"{bytes_before / count:,.0f}"],
            ["text index, bytes a conversation", f"{(bytes_after - bytes_before) / count:,.0f}"],
            ["indexing texts, µs a conversation", f"{1e6 * filled / count:,.0f}"],
        ],
    )


def write_texts(path: Path, count: int, words: Words) -> None:
    """Write a file of so many conversations."""
    texts = [words.text() for _ in range(20_011)]  # a prime, so that they meet in ever new ways
    with path.open("w") as file:
        for number in range(count):
            file.write(json.dumps(_row(number, texts)) + "\n")


def _row(number: int, texts: list[str]) -> dict[str, object]:
    turns = [texts[(number * 7 + turn * 101) % len(texts)] for turn in range(2 + 2 * (number % 4))]
    turns[0] = f"This is number {number} of them. {turns[0]}"
    roles = ("user", "assistant")
    messages = [{"role": roles[turn % 2], "content": text} for turn, text in enumerate(turns)]
    return {"id": f"conversation-{number:07}", "messages": messages}


if __name__ == "__main__":
    main()
