"""A connection that writes, and finds out whether a transaction was committed when the reply to COMMIT is lost.

After a connection is lost between a COMMIT and its reply, only the server knows whether the transaction was committed;
neither repeating it nor giving it up is right. So each transaction stores its number in a row of `receipts` that
belongs to this connection alone. If a reply is lost, a new session writes to the same row, for which it waits until the
lost transaction has ended. If the row then has the number, the transaction was committed.

The server's own number (`pg_current_xact_id`) would not do, because after a crash the server may assign it again.
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

# Time after which the server ends a transaction whose client has vanished. It is shorter than a lease, so that a
# process that reclaims the lease need not wait for the transaction's locks.
_IDLE_TIMEOUT = "10s"
_CANCEL_SECONDS = 2.0
# Age at which any process that closes its connection removes the receipts of killed processes.
_RECEIPT_AGE = "7 days"


class WriteConnection:
    """A connection that is opened when it is first needed, and reopened after a loss.

    Only one thread may use it, except for `cancel` and `shut_down`.
    """

    def __init__(self, address: ServerAddress, *, schema: str, schema_version: int, stopping: threading.Event) -> None:
        """Open nothing yet. Once `stopping` is set, nothing waits for a lost server any longer."""
        self._address = address
        self._schema = schema
        self._schema_version = schema_version
        self._stopping = stopping
        self._id = uuid.uuid4()
        self._number = 0
        self.answered_at = 0.0  # when the server last answered, by the monotonic clock
        self._connection: Connection | None = None
        self._is_shut_down = False

    @property
    def current(self) -> Connection:
        """The connection of the current transaction."""
        if self._connection is None:
            raise StoreUnavailable(f"The connection to {self._address} was lost", database=self._address.location)
        return self._connection

    def begin(self) -> float:
        """Begin a transaction that writes, and return how many seconds that took. Raises SchemaTooNew, StorageError."""
        self._number += 1
        connection, sent_at = self._open(), time.monotonic()
        receipt = connection.execute(
            f"""
            BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
            {SETTINGS}
            SET LOCAL synchronous_commit = 'on';
            SET LOCAL idle_in_transaction_session_timeout = '{_IDLE_TIMEOUT}';
            INSERT INTO {self._schema}.receipts (channel, number)
            SELECT '{self._id}', {self._number}
             WHERE (SELECT max(number) FROM {self._schema}.migrations) = {self._schema_version}
                ON CONFLICT (channel) DO UPDATE SET number = excluded.number, committed_at = now()
        """
        )
        while receipt.nextset():
            pass
        self.answered_at = time.monotonic()
        if not receipt.rowcount:
            raise SchemaTooNew(
                f"{self._address} was migrated by a newer Backstay in the meantime; use that version or a newer one",
                database=self._address.location,
            )
        return self.answered_at - sent_at

    def commit(self, patience_seconds: float) -> None:
        """Commit the transaction. Returns only when the commit is known to be on disk.

        Raises:
            StoreUnavailable, StorageError: The transaction was not committed.
            CommitUnknown: The reply was lost, and the server could not be asked within `patience_seconds`.
        """
        try:
            status = self.current.execute("COMMIT").statusmessage
        except psycopg.Error as error:
            if not (self.current.closed or is_lost(error)):
                raise
            self.drop()
            if self._is_committed(patience_seconds):
                _log.info("commit_confirmed", database=self._address.location)
                return
            raise StoreUnavailable(
                f"The connection to {self._address} was lost before the commit; nothing of it was stored",
                database=self._address.location,
            ) from error
        if status != "COMMIT":
            raise StorageError(
                f"{self._address} rolled back a transaction that had failed", database=self._address.location
            )

    def begin_reading(self, mode: str, seconds: float | None) -> None:
        """Begin a transaction that reads, with the options `mode`; the server cancels a statement after `seconds`."""
        begin(self._open(), mode, statement_seconds=seconds)

    def end_reading(self) -> None:
        """End a transaction that reads."""
        self.current.execute("COMMIT")

    def rollback(self) -> None:
        """Roll back the current transaction, if there is one. Raises nothing."""
        if self._connection is None:
            return
        with suppress(psycopg.Error):
            if not self._connection.closed:
                self._connection.execute("ROLLBACK")
                return
        self.drop()

    def close(self) -> None:
        """Close the connection. Raises nothing."""
        if self._connection is not None and self._number:
            with suppress(psycopg.Error):
                own, outdated = f"channel = '{self._id}'", f"committed_at < now() - interval '{_RECEIPT_AGE}'"
                self._connection.execute(f"DELETE FROM {self._schema}.receipts WHERE {own} OR {outdated}")
        self.drop()

    def cancel(self) -> None:
        """Let the server cancel the current statement. May be called from any thread; raises nothing."""
        with suppress(psycopg.Error, OSError):
            if self._connection is not None:
                self._connection.cancel_safe(timeout=_CANCEL_SECONDS)

    def shut_down(self) -> None:
        """Shut the connection down, so that all use of it fails. May be called from any thread; raises nothing."""
        self._is_shut_down = True
        with suppress(psycopg.Error, OSError):
            if self._connection is not None:
                with socket.socket(fileno=os.dup(self._connection.fileno())) as duplicate:
                    duplicate.shutdown(socket.SHUT_RDWR)

    def _open(self) -> Connection:
        if self._is_shut_down:
            raise StoreUnavailable(f"{self._address} does not answer", database=self._address.location)
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._address)
        return self._connection

    def drop(self) -> None:
        """Close the connection, so that the next transaction opens a new one. Raises nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def _is_committed(self, patience_seconds: float) -> bool:
        """Return whether the last transaction was committed; ask the server for at most `patience_seconds`."""
        deadline, wait = time.monotonic() + patience_seconds, 0.05
        while True:
            try:
                return self._has_receipt()
            except (psycopg.Error, BackstayError) as error:
                self.drop()
                if time.monotonic() > deadline or self._stopping.wait(wait):
                    raise CommitUnknown(
                        f"{self._address} was lost during a commit and is still unreachable; whether it was made is "
                        "not known. Once the server runs, look, or try again: what was committed is kept",
                        database=self._address.location,
                    ) from error
            wait = min(1.0, wait * 2)

    def _has_receipt(self) -> bool:
        # This writes the row, because a read would not wait for the lost transaction, which still locks the row if the
        # server has not yet noticed the loss. A read would not even see a row that the lost transaction has inserted.
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
