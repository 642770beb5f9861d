"""A program that edits a conversation and is killed at its N-th statement or at the commit, for fault tests: python -m
integration._killed_edit DATABASE 3|before|after [in_pieces]. With `in_pieces`, each statement is committed at once."""

import asyncio
import os
import signal
import sys
from typing import Any

from backstay import Backstay, Turn
from backstay.storage.postgres import session as postgres_session
from backstay.storage.sqlite import session as sqlite_session
from support.faults.sabotage import die_at_commit

TURNS = [Turn("system", "New"), Turn("user", "First"), Turn("assistant", "Second, edited")]
"""What the edit makes of the turns `First`, `Second` and `Third`."""


def _die_at_statement(number: int, *, in_pieces: bool) -> None:
    """Kill this process before its `number`-th statement that writes."""
    count = 0

    def counted(write: Any) -> Any:
        def run(session: Any, *arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if in_pieces:
                session.connection.execute("COMMIT; BEGIN")
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(session, *arguments, **options)

        return run

    for session in (sqlite_session.SqliteSession, postgres_session.PostgresSession):
        for name in ("execute", "execute_many"):
            setattr(session, name, counted(getattr(session, name)))


async def _edit(database: str, when: str) -> None:
    async with Backstay.open(database) as backstay:
        if when in ("before", "after"):
            die_at_commit(when, 1)
        else:
            _die_at_statement(int(when), in_pieces="in_pieces" in sys.argv)
        await backstay.edits.edit("c", turns=TURNS, topic="New")


if __name__ == "__main__":
    asyncio.run(_edit(*sys.argv[1:3]))
