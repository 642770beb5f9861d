"""The interface of both databases: transactions that execute statements by name, and the base of their stores.

A statement is named by its file, without the suffix; see `statement_files`. Values are bound by name. A `_many` method
executes its statement once for all rows together; `fixed` are values that all rows share.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from backstay.backup.storage_identity import StorageIdentity
from backstay.clock import Clock
from backstay.errors import StoreClosed
from backstay.library.selection import Selection
from backstay.storage.sql.cascade.tables import TableCatalog

T = TypeVar("T")

Value = str | bytes | int | float | None
Values = Mapping[str, Any]
"""Values by parameter name."""
Row = tuple[Any, ...]
MAX_KEY = 2**63 - 1
"""No row has a larger key. A list that begins with the latest row is read as the rows before this key."""
AddedColumns = Mapping[str, str]
"""Columns that a user has added to a table, with their declared types."""


class Session(Protocol):
    """One transaction: committed when the function that was called with it returns, rolled back when it raises."""

    @property
    def kind(self) -> str:
        """The name of the kind of database, as backups record it."""
        ...

    @property
    def network_seconds(self) -> float:
        """The estimated network time of the statements so far; 0 for a database within the process."""
        ...

    @property
    def tables(self) -> TableCatalog:
        """The catalogue of the user's tables that refer to the built-in ones."""
        ...

    def database_identity(self) -> StorageIdentity:
        """Return the identity of the database; a copy has a different one."""
        ...

    def execute(self, name: str, values: Values) -> int:
        """Execute a statement, and return the number of rows that it changed."""
        ...

    def rows(self, name: str, values: Values | None = None, *, selection: Selection | None = None) -> list[Row]:
        """Return the rows of a query; `selection` fills `{selected}` in its text."""
        ...

    def stream(self, name: str, values: Values | None = None, *, selection: Selection | None = None) -> Iterator[Row]:
        """Yield the rows of a query, without holding all in memory."""
        ...

    def row(self, name: str, values: Values | None = None) -> Row | None:
        """Return the first row of a query; None if there is none."""
        ...

    def value(self, name: str, values: Values | None = None, *, selection: Selection | None = None) -> Any:
        """Return the first value of the first row; None if there is no row."""
        ...

    def execute_many(self, name: str, rows: Sequence[Row], *fixed: Value, columns: AddedColumns | None = None) -> int:
        """Execute a statement over rows of equal length, and return how many rows it changed; 0 for no rows.

        `columns` fills `{columns}` in its text.
        """
        ...

    def select_many(
        self, name: str, rows: Sequence[Row], *fixed: Value, columns: AddedColumns | None = None
    ) -> list[Row]:
        """Execute a query over rows of equal length, and return what it selects; nothing for no rows."""
        ...

    def turns(self, owner: str, keys: Sequence[int]) -> Iterable[Row]:
        """Return the turns of the conversations with these keys, in order of key and sequence.

        Each row is key, id, role, content and metadata. They are read as they are requested; or, on a server, those of
        the first conversations only, up to the one that brings them to `MAX_BATCH_BYTES`.
        """
        ...

    def lines(self, owner: str, keys: Sequence[int]) -> Sequence[Row] | None:
        """Return the conversations with these keys as lines of a backup, in the order in which they were stored.

        Each row is key, id, job id, item id, number of turns, number of metadata objects, and the line. The line
        holds metadata as the stored text. Return None if a value cannot be expressed in JSON.
        """
        ...

    def selected_lines(self, values: Values, selection: Selection) -> Iterator[Row] | None:
        """Yield all selected conversations like `lines`, without holding all in memory.

        No other statement may be executed until the last line is read. Return None if the database runs in this
        process: it would not prepare the next lines while the caller processes one, so streaming would gain nothing.
        """
        ...

    def lock(self, name: str, values: Values) -> None:
        """Lock the rows that the query `name` selects until the transaction ends, so that later reads stay true.

        On SQLite this does nothing: a write transaction holds the only write lock of the file.
        """
        ...

    def lock_many(self, name: str, rows: Sequence[Row], *fixed: Value) -> None:
        """Lock the rows that a query over rows of equal length selects; see `lock`."""
        ...

    def end_frozen_session(self, values: Values) -> None:
        """End the session of a suspended process that holds a worker's row, to free its locks. Nothing on SQLite."""
        ...


class Database(Protocol):
    """A database that runs functions, each in its own transaction.

    A submitted write runs to its end even if its caller is cancelled. The database may roll a function back and run it
    again from the start, so the function must have no effects outside the transaction.
    """

    async def write(
        self, function: Callable[[Session], T], *, wait_for_outcome: bool = False, overwrite_deleted: bool = False
    ) -> T:
        """Run `function` in a write transaction, which is committed to disk when this returns.

        If this raises anything but CommitUnknown, the transaction was rolled back. Raises StorageError, and what
        `function` raises.

        Args:
            wait_for_outcome: Wait for the outcome of the commit as long as the database is open, before raising
                CommitUnknown.
            overwrite_deleted: Overwrite deleted content in a database file, even if that writes extra pages.
        """
        ...

    async def erase(self) -> bool:
        """Overwrite what deleted rows have left in a file and its log; return whether nothing is left. Raises nothing.

        A large file is not rewritten, because other writes would wait. A server overwrites deleted rows by itself.
        """
        ...

    def write_blocking(self, function: Callable[[Session], T]) -> T:
        """Run `function` like `write`, and block the calling thread, which is not the event loop's.

        If the reply to a commit is lost, this soon raises CommitUnknown: `function` must be one that may be repeated.
        """
        ...

    async def read(self, function: Callable[[Session], T], *, owner: str | None = None) -> T:
        """Run `function` over one consistent snapshot. Raises StorageError, and what `function` raises.

        Owners take turns, so that long reads of one do not block the others. A read stops when its caller is cancelled;
        one that exceeds the time limit of this database raises ReadTooLong.
        """
        ...

    def snapshot(self) -> AbstractContextManager[Session]:
        """Open one consistent snapshot for as long as the context lasts. Blocks; use it in one thread."""
        ...

    def translate_errors(self) -> AbstractContextManager[None]:
        """Translate the database's errors within the context to Backstay's."""
        ...


def closed_error() -> StoreClosed:
    """Return the error for a database that was not opened yet, or was closed."""
    return StoreClosed("The database is not open; use it within `async with`")


class SqlStore:
    """A store of one database: the base of those in this package."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
