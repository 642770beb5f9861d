"""One connection that writes, and what it knows of its commits.

A connection may end between a COMMIT and its answer. Then nobody knows from here whether the transaction was made, and
neither doing it again nor leaving it is right. So each transaction notes its number in a row that belongs to this
channel alone, and that note is committed with it. Whoever lost an answer writes to the same row, which the lost
transaction holds until it is decided: there is the number, or it is not.

A number of the server's own (`pg_current_xact_id`) would not do: after a crash the server may give it away again.
"""

import os
import socket
import threading
import time
import uuid
from contextlib import suppress

import psycopg

from backstay.errors import BackstayError, CommitUnknown, SchemaTooNew, StorageError, StoreUnavailable
from backstay.logs import get_logger
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.connection import SETTINGS, begin, connect
from backstay.storage.postgres.errors import is_lost
from backstay.storage.postgres.session import Connection

_log = get_logger("backstay.postgres")

# After which the server ends a transaction whose client has vanished, so that its locks are let go: before others may
# hold it for dead, so that they need not wait for it.
_IDLE = "10s"
_CANCEL_SECONDS = 2.0
# After which whoever closes its connection removes the receipts of those that were killed, and could not.
_FORGOTTEN = "7 days"


class WriteConnection:
    """A connection, made when it is first needed, and again after it was lost.

    For one thread, but for `cancel` and `cut`.
    """

    def __init__(self, address: ServerAddress, *, schema: str, known: int, leaving: threading.Event) -> None:
        """Name it. Once `leaving` is set, no more is waited for a server that has gone."""
        self._address = address
        self._schema = schema
        self._known = known
        self._leaving = leaving
        self._id = uuid.uuid4()
        self._number = 0
        self.answered_at = 0.0  # when the server last did, by the monotonic clock
        self._connection: Connection | None = None
        self._is_cut = False

    @property
    def connection(self) -> Connection:
        """The connection of the transaction that was begun."""
        if self._connection is None:
            raise StoreUnavailable(f"The connection to {self._address} was lost", database=self._address.place)
        return self._connection

    def begin(self) -> float:
        """Begin to write; return how many seconds that took. Raises SchemaTooNew, StorageError."""
        self._number += 1
        connection, asked_at = self._open(), time.monotonic()
        noted = connection.execute(
            f"""
            BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
            {SETTINGS}
            SET LOCAL synchronous_commit = 'on';
            SET LOCAL idle_in_transaction_session_timeout = '{_IDLE}';
            INSERT INTO {self._schema}.receipts (channel, number)
            SELECT '{self._id}', {self._number}
             WHERE (SELECT max(number) FROM {self._schema}.migrations) = {self._known}
                ON CONFLICT (channel) DO UPDATE SET number = excluded.number, committed_at = now()
        """
        )
        while noted.nextset():
            pass
        self.answered_at = time.monotonic()
        if not noted.rowcount:
            raise SchemaTooNew(
                f"{self._address} was migrated by a newer Backstay in the meantime; resume with that version or a "
                "newer one",
                database=self._address.place,
            )
        return self.answered_at - asked_at

    def commit(self, patience_seconds: float) -> None:
        """Make the transaction. Returns only when it is known to be on disk.

        Raises:
            StoreUnavailable, StorageError: it was not made.
            CommitUnknown: the answer was lost, and the server did not come back to say in as much time.
        """
        try:
            ended = self.connection.execute("COMMIT").statusmessage
        except psycopg.Error as error:
            if not (self.connection.closed or is_lost(error)):
                raise
            self.drop()
            if self._is_made(patience_seconds):
                _log.info("commit_confirmed", database=self._address.place)
                return
            raise StoreUnavailable(
                f"The connection to {self._address} was lost before the commit; nothing of it was kept",
                database=self._address.place,
            ) from error
        if ended != "COMMIT":
            raise StorageError(f"{self._address} undid a transaction that had failed", database=self._address.place)

    def begin_reading(self, how: str, seconds: float | None) -> None:
        """Begin a transaction that reads, in the mode `how`; cancel a statement after `seconds`, if given."""
        begin(self._open(), how, statement_seconds=seconds)

    def end_reading(self) -> None:
        """End it."""
        self.connection.execute("COMMIT")

    def rollback(self) -> None:
        """End a transaction that will not be made, if there is one. Raises nothing."""
        if self._connection is None:
            return
        with suppress(psycopg.Error):
            if not self._connection.closed:
                self._connection.execute("ROLLBACK")
                return
        self.drop()

    def end(self) -> None:
        """Close the connection. Raises nothing."""
        if self._connection is not None and self._number:
            with suppress(psycopg.Error):
                mine, forgotten = f"channel = '{self._id}'", f"committed_at < now() - interval '{_FORGOTTEN}'"
                self._connection.execute(f"DELETE FROM {self._schema}.receipts WHERE {mine} OR {forgotten}")
        self.drop()

    def cancel(self) -> None:
        """Have the server give up what it does on this connection. From any thread; raises nothing."""
        with suppress(psycopg.Error, OSError):
            if self._connection is not None:
                self._connection.cancel_safe(timeout=_CANCEL_SECONDS)

    def cut(self) -> None:
        """Have whatever waits for the server on this connection fail, now and ever. From any thread; raises nothing."""
        self._is_cut = True
        with suppress(psycopg.Error, OSError):
            if self._connection is not None:
                with socket.socket(fileno=os.dup(self._connection.fileno())) as line:
                    line.shutdown(socket.SHUT_RDWR)

    def _open(self) -> Connection:
        if self._is_cut:
            raise StoreUnavailable(f"{self._address} does not answer", database=self._address.place)
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._address)
        return self._connection

    def drop(self) -> None:
        """Close the connection, so that the next transaction opens a new one. Raises nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def _is_made(self, patience_seconds: float) -> bool:
        """Ask whether the last transaction was made, for as long as that."""
        deadline, wait = time.monotonic() + patience_seconds, 0.05
        while True:
            try:
                return self._ask()
            except (psycopg.Error, BackstayError) as error:
                self.drop()
                if time.monotonic() > deadline or self._leaving.wait(wait):
                    raise CommitUnknown(
                        f"{self._address} was lost during a commit and does not come back; whether it was made is not "
                        "known. Once the server runs, look, or resume: what was made is found",
                        database=self._address.place,
                    ) from error
            wait = min(1.0, wait * 2)

    def _ask(self) -> bool:
        # Written, not only read: a server that has not noticed yet that we are gone still holds the row, and a row that
        # it has only just put in, with the first transaction of a channel, nobody can see or lock to wait for it.
        row = (
            self._open()
            .execute(
                f"""
                INSERT INTO {self._schema}.receipts AS receipt (channel, number)
                VALUES (%s, 0)
                    ON CONFLICT (channel) DO UPDATE SET number = receipt.number
                RETURNING number
                """,
                (self._id,),
            )
            .fetchone()
        )
        self.answered_at = time.monotonic()
        return row is not None and row[0] == self._number
