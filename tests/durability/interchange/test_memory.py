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
