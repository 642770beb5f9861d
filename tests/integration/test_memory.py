"""Memory does not grow with the number of items."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.promise("K7")

_COUNT = 1_000_000 if os.environ.get("BACKSTAY_TORTURE") == "1" else 50_000

_CREATE = """
import asyncio, sys
import psutil
from backstay import Backstay

def items(count):
    for n in range(count):
        yield {"id": f"item-{n}", "topic": f"topic {n}", "text": "some words " * 20}

async def main():
    process = psutil.Process()
    async with Backstay.open(sys.argv[1]) as backstay:
        await backstay.batches.create("warm", items(2_000), "scripted")
        before = most = process.memory_info().rss

        async def watch():
            nonlocal most
            while True:
                most = max(most, process.memory_info().rss)
                await asyncio.sleep(0.02)

        watching = asyncio.create_task(watch())
        job = await backstay.batches.create("batch", items(int(sys.argv[2])), "scripted")
        watching.cancel()
        print(job.counts.pending, (most - before) // 1_000_000)

asyncio.run(main())
"""


@pytest.mark.sweep
def test_job_is_made_from_a_generator_with_flat_memory(tmp_path):
    """A job is created from a generator one chunk at a time, in constant memory."""
    command = [sys.executable, "-c", _CREATE, str(tmp_path / "library.db"), str(_COUNT)]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=1_800, check=True)

    pending, grown_megabytes = map(int, ended.stdout.split())
    assert pending == _COUNT
    assert grown_megabytes < 100
