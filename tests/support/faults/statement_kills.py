"""Kills of this process at a statement that writes."""

import os
import signal
from typing import Any

from backstay.storage.postgres import session as postgres_session
from backstay.storage.sqlite import session as sqlite_session


def die_at_statement(number: int, *, in_pieces: bool = False) -> None:
    """Kill this process before its `number`-th statement that writes; with `in_pieces`, commit each one at once."""
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
