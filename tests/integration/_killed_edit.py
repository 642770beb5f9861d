"""A program that edits a conversation and is killed at its N-th statement or at the commit, for fault tests: python -m
integration._killed_edit DATABASE 3|before|after [in_pieces]. With `in_pieces`, each statement is committed at once."""

import asyncio
import sys

from backstay import Backstay, Turn
from support.faults.sabotage import die_at_commit
from support.faults.statement_kills import die_at_statement

TURNS = [Turn("system", "New"), Turn("user", "First"), Turn("assistant", "Second, edited")]
"""What the edit makes of the turns `First`, `Second` and `Third`."""


async def _edit(database: str, when: str) -> None:
    async with Backstay.open(database) as backstay:
        if when in ("before", "after"):
            die_at_commit(when, 1)
        else:
            die_at_statement(int(when), in_pieces="in_pieces" in sys.argv)
        await backstay.edits.edit("c", turns=TURNS, topic="New")


if __name__ == "__main__":
    asyncio.run(_edit(*sys.argv[1:3]))
