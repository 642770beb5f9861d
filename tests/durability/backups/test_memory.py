"""Import, backup, verification, delete, restore and replacing stream, so memory does not grow with the library."""

import subprocess
import sys

import pytest

from support.harness.sampling import FULL

pytestmark = pytest.mark.promise("K7")

_COUNT = 1_000_000 if FULL else 6_000

_PROGRAM = """
import asyncio, json, sys
import apsw, psutil
from backstay import Backstay, Selection

ALL = Selection(everything=True)

def write(path, count, first):
    with open(path, "w") as file:
        for n in range(first, first + count):
            turns = [{"role": "user", "content": f"{n} " + "some words " * 25} for _ in range(8)]
            file.write(json.dumps({"id": f"c{n}", "messages": turns}) + "\\n")

async def all_of_it(backstay, path):
    await backstay.conversations.import_file(path)
    deleted = await backstay.conversations.delete(ALL)
    await backstay.backups.verify(deleted.backup_id)
    restored = await backstay.backups.restore(deleted.backup_id)
    other = apsw.Connection(sys.argv[1])
    other.set_busy_timeout(60_000)
    other.execute("UPDATE conversations SET topic = 'other'")
    other.close()
    replaced = await backstay.backups.restore(deleted.backup_id, on_conflict="replace")
    assert replaced.replaced == restored.restored
    await backstay.backups.delete(replaced.replaced_backup_id)
    await backstay.backups.delete(deleted.backup_id)
    return restored.restored

async def main():
    process = psutil.Process()
    async with Backstay.open(sys.argv[1]) as backstay:
        write(sys.argv[2], 1_000, 0)
        await all_of_it(backstay, sys.argv[2])
        await backstay.conversations.delete(ALL, backup=False)
        write(sys.argv[2], int(sys.argv[3]), 1_000)
        before = most = process.memory_info().rss

        async def watch():
            nonlocal most
            while True:
                most = max(most, process.memory_info().rss)
                await asyncio.sleep(0.02)

        watching = asyncio.create_task(watch())
        restored = await all_of_it(backstay, sys.argv[2])
        watching.cancel()
        print(restored, (most - before) // 1_000_000)

asyncio.run(main())
"""


@pytest.mark.sweep
def test_a_library_is_backed_up_deleted_restored_and_replaced_with_flat_memory(tmp_path):
    """All operations on a large library need at most 150 MB more memory than on a small one."""
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path / "library.db"), str(tmp_path / "in.jsonl"), str(_COUNT)]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=3_600, check=True)

    restored, grown_megabytes = map(int, ended.stdout.split())
    assert restored == _COUNT
    assert grown_megabytes < 150
