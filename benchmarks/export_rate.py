"""How fast are exports, compared with pyarrow that writes the same columns from memory, and what memory do they take?

Each measurement is a process of its own, so that its memory is its own. The memory is what is added to that of the
opened library with pyarrow, which loads pandas if it is there. pyarrow gets its Python lists before the clock starts.
"""

import asyncio
import json
import multiprocessing
import random
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from backstay import Backstay, Conversation, Turn
from backstay.cli.process_tuning import tune_garbage_collector
from backstay.clock import from_text
from backstay.library.conversation_columns import ConversationColumns
from backup_rate import NOW, make_library
from measurement import Measurement, measure, parse, print_heading, print_table, ratios, spread

QUESTION = "How fast are exports, and what memory do they take?"

_PARQUET = "export to Parquet"
_BARE_PARQUET = "pyarrow, the same columns from Python lists in memory"
_MESSAGES = "export to `messages`"
_SPLIT = "export to `messages`, split and in shards"
_BARE_JSON = "`json.dumps` of the same messages from memory"
_MEMORY = " (MB)"
_CPU = " (by CPU time)"
_GROUP_ROWS = 10_000
_MB = 1_000_000

Figures = dict[str, float]


def main() -> None:
    options = parse(QUESTION, items=100_000, rounds=3)
    print_heading(QUESTION, "export_rate.py", options)
    library = make_library(options.folder, options.items, _conversation)
    exports = {
        _PARQUET: {"target": "all.parquet"},
        _MESSAGES: {"target": "all.jsonl"},
        _SPLIT: {"target": "all", "split": "train=0.95,test=0.05", "shard_size": 10_000},
    }
    try:
        measurements: list[Measurement] = [
            *(
                partial(_in_a_process, _export, library, options.items, name, choices)
                for name, choices in exports.items()
            ),
            partial(_in_a_process, _bare_parquet, options.items),
            partial(_in_a_process, _bare_json, options.items),
        ]
        measured = measure(measurements, rounds=options.rounds, folder=options.folder)
    finally:
        shutil.rmtree(library.parent)
    table = []
    for name, reference in (
        (_PARQUET, _BARE_PARQUET),
        (_BARE_PARQUET, _BARE_PARQUET),
        (_MESSAGES, _BARE_JSON),
        (_SPLIT, _BARE_JSON),
        (_BARE_JSON, _BARE_JSON),
        (_PARQUET + _CPU, _BARE_PARQUET + _CPU),
        (_MESSAGES + _CPU, _BARE_JSON + _CPU),
    ):
        memory = spread(measured[name + _MEMORY]) if name + _MEMORY in measured else ""
        table.append([name, spread(measured[name]), spread(ratios(measured, name, reference), 2), memory])
    print_table(["way", "conversations a second", "relative", "memory added, MB"], table)
    print("CPU time is that of all threads: what a machine takes that has no second CPU to spare.\n")


def _in_a_process(function: Callable[..., Figures], *arguments: object) -> Figures:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _export(library: Path, items: int, name: str, choices: dict[str, Any], folder: Path) -> Figures:
    pa.array([""])  # loads what pyarrow loads late
    tune_garbage_collector()  # as the command line does

    async def export() -> Figures:
        async with Backstay.open(library) as backstay:
            others = {key: value for key, value in choices.items() if key != "target"}
            with _Memory() as memory, _Timing(name, items) as timing:
                result = await backstay.conversations.write_export(folder / choices["target"], **others)
            assert result.exported == items
            return {**timing.rates, name + _MEMORY: memory.added_mb}

    return asyncio.run(export())


class _Timing:
    """The rate of a context per second, by the clock and by the CPU time of this process."""

    def __init__(self, name: str, items: int) -> None:
        self.rates: Figures = {}
        self._name = name
        self._items = items

    def __enter__(self) -> "_Timing":
        self._started, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.rates[self._name] = self._items / (time.perf_counter() - self._started)
        self.rates[self._name + _CPU] = self._items / (time.process_time() - self._cpu)


class _Memory:
    """The most memory that a process takes while a context lasts, above that at its beginning."""

    def __enter__(self) -> "_Memory":
        self._process = psutil.Process()
        self._before = self._most = self._process.memory_info().rss
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def added_mb(self) -> float:
        return (self._most - self._before) / _MB

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self._most = max(self._most, self._process.memory_info().rss)


def _bare_parquet(items: int, folder: Path) -> Figures:
    pa.array([""])
    schema = ConversationColumns(with_fields=False).schema
    columns: dict[str, list[object]] = {name: [None] * items for name in schema.names}
    columns["id"] = [f"{number:036}" for number in range(items)]
    columns["topic"] = [f"a lighthouse, number {number}" for number in range(items)]
    columns["created_at"] = columns["updated_at"] = [from_text(NOW)] * items
    columns["messages"] = [_messages(number) for number in range(items)]
    with (
        _Timing(_BARE_PARQUET, items) as timing,
        pq.ParquetWriter(folder / "bare.parquet", schema, compression="zstd") as writer,
    ):
        for start in range(0, items, _GROUP_ROWS):
            group = {name: values[start : start + _GROUP_ROWS] for name, values in columns.items()}
            writer.write_table(pa.Table.from_pydict(group, schema))
    return timing.rates


def _bare_json(items: int, folder: Path) -> Figures:
    rows = [_messages(number) for number in range(items)]
    with _Timing(_BARE_JSON, items) as timing, (folder / "bare.jsonl").open("w") as out:
        out.writelines(json.dumps({"messages": messages}, ensure_ascii=False) + "\n" for messages in rows)
    return timing.rates


@cache
def _sentences() -> Sequence[str]:
    """Return sentences of random words, which compress about as well as prose; a repeated text would cost nothing."""
    source = random.Random(7)
    words = ["".join(source.choices(ascii_lowercase, k=source.randint(2, 10))) for _ in range(5_000)]
    return [" ".join(source.choices(words, k=12)) + ". " for _ in range(50_000)]


def _conversation(number: int) -> Conversation:
    source, sentences = random.Random(number), _sentences()
    texts = ["".join(source.choices(sentences, k=4)) for _ in range(8)]
    return Conversation([Turn(role, text) for role, text in zip(("user", "assistant") * 4, texts, strict=True)])


def _messages(number: int) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in _conversation(number).turns]


if __name__ == "__main__":
    main()
