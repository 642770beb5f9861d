"""A program that imports a file with a quarantine and is killed at its N-th commit, for fault tests: python -m
integration._killed_quarantine DATABASE FILE QUARANTINE before:1"""

import asyncio
import sys

from backstay import Backstay
from support.faults.sabotage import die_at_commit


async def _import(database: str, file: str, quarantine: str, when: str) -> None:
    async with Backstay.open(database) as backstay:
        which, _, number = when.partition(":")
        die_at_commit(which, int(number))
        await backstay.conversations.import_file(file, quarantine=quarantine)


if __name__ == "__main__":
    asyncio.run(_import(*sys.argv[1:]))
