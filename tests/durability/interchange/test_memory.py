"""Imports and exports stream, so memory does not grow with the number of conversations."""

import subprocess
import sys

import pytest

from support.harness.sampling import FULL

pytestmark = pytest.mark.promise("K7")

_COUNT = 1_000_000 if FULL else 6_000
_MOST_MEGABYTES = 150

_PROGRAM = """
import asyncio, json, sys
from pathlib import Path
import psutil
from backstay import Backstay

CALL = {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": '{"place": "Oslo"}'}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}

def write(path, count):
    with open(path, "w") as file:
        for n in range(count):
            turns = [
                {"role": "user", "content": f"{n} " + "some words " * 20},
                {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "thoughts " * 20},
                {"role": "tool", "content": "a result " * 20, "tool_call_id": "call00001"},
                {"role": "assistant", "content": f"{n} " + "an answer " * 20},
                {"role": "user", "content": "and then?"},
            ]
            file.write(json.dumps({"id": f"c{n}", "messages": turns, "tools": [TOOL]}) + "\\n")

async def all_of_it(folder, count):
    write(folder / "in.jsonl", count)
    async with Backstay.open(folder / f"{count}.db") as backstay:
        result = await backstay.conversations.import_file(folder / "in.jsonl")
        assert result.imported == result.warned == count, result
        for name in sys.argv[3:]:
            result = await backstay.conversations.write_export(folder / name, format=name)
            assert result.exported == count and not result.losses, result

async def main():
    process, folder = psutil.Process(), Path(sys.argv[1])
    await all_of_it(folder, 500)
    before = most = process.memory_info().rss

    async def watch():
        nonlocal most
        while True:
            most = max(most, process.memory_info().rss)
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    await all_of_it(folder, int(sys.argv[2]))
    watching.cancel()
    print((most - before) // 1_000_000)

asyncio.run(main())
"""


@pytest.mark.sweep
def test_conversations_with_tools_are_imported_and_exported_with_flat_memory(tmp_path):
    """The import of many conversations, and their export as messages and Parquet, need little more memory than of few.

    All have tools, calls, reasoning and a warning.
    """
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path), str(_COUNT), "messages", "parquet"]

    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=3_600, check=True)

    assert int(ended.stdout) < _MOST_MEGABYTES


_LARGE_COUNT = 60
_MOST_MEGABYTES_OF_LARGE = 200
_LARGE_PROGRAM = """
import asyncio, json, sys, threading
from pathlib import Path
import psutil
from backstay import Backstay
from backstay.library import batches
from backstay.storage.sql import conversations

if sys.argv[3:]:
    batches.MAX_BATCH_BYTES = conversations.MAX_BATCH_BYTES = sys.maxsize

def write(path, count):
    with open(path, "w") as file:
        for n in range(600):
            file.write(json.dumps({"id": f"s{n}", "messages": [{"role": "user", "content": "short"}]}) + "\\n")
        for n in range(count):
            image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{n:04}" + "iVBO" * 250_000}}
            turns = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]
            file.write(json.dumps({"id": f"c{n}", "messages": turns}) + "\\n")

async def all_of_it(folder, count):
    write(folder / "in.jsonl", count)
    async with Backstay.open(folder / f"{count}.db") as backstay:
        result = await backstay.conversations.import_file(folder / "in.jsonl")
        assert result.imported == 600 + count, result
        for name in ("out.jsonl", "out.parquet"):
            result = await backstay.conversations.write_export(folder / name)
            assert result.exported == 600 + count, result
    async with Backstay.open(folder / f"{count}-again.db") as backstay:
        await backstay.conversations.import_file(folder / "out.parquet")

def watch():
    global most
    while not ended.wait(0.02):
        most = max(most, process.memory_info().rss)

process, folder, ended = psutil.Process(), Path(sys.argv[1]), threading.Event()
asyncio.run(all_of_it(folder, 5))
before = most = process.memory_info().rss
watching = threading.Thread(target=watch)
watching.start()
asyncio.run(all_of_it(folder, int(sys.argv[2])))
ended.set()
watching.join()
print((most - before) // 1_000_000)
"""


def _memory_for_large_conversations(folder, *options):
    command = [sys.executable, "-c", _LARGE_PROGRAM, str(folder), str(_LARGE_COUNT), *options]
    return int(subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout)


def test_large_conversations_are_imported_and_exported_a_few_at_a_time(tmp_path):
    """The import and export of many conversations with an image of 1 MB, after small ones, need memory for a few."""
    assert _memory_for_large_conversations(tmp_path) < _MOST_MEGABYTES_OF_LARGE


def test_large_conversations_take_their_memory_together_without_a_limit_of_bytes(tmp_path):
    """Control: with limits by count only, hundreds of megabytes are in memory together."""
    assert _memory_for_large_conversations(tmp_path, "by count only") > 1.5 * _MOST_MEGABYTES_OF_LARGE
