"""What the stores ask of a database: transactions, and in them statements by name.

The statement `name` is the file `queries/<name>.sql` of the database that is open. Values are bound by name. A
statement that takes many rows takes all of them at once, behind `fixed` values which are the same for each.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from backstay.library.selection import Selection
from backstay.storage.sql.cascade.tables import TableCatalog

T = TypeVar("T")

Value = str | bytes | int | float | None
Values = Mapping[str, Any]
"""By name; each a `JsonValue`."""
Row = tuple[Any, ...]
AddedColumns = Mapping[str, str]
"""Columns that a user has added to a table, with the types they declared."""


class Session(Protocol):
    """One transaction. It is committed when the function that was given it returns, and undone when that raises."""

    @property
    def kind(self) -> str:
        """The kind of database, as a backup names it."""
        ...

    @property
    def seconds_on_the_way(self) -> float:
        """How long, as near as can be told, what was said and answered was only on its way; 0 within one process."""
        ...

    @property
    def tables(self) -> TableCatalog:
        """The tables of a user's own that hang on ours."""
        ...

    def execute(self, name: str, values: Values) -> int:
        """Execute a statement and return how many rows it changed."""
        ...

    def rows(
        self,
        name: str,
        values: Values | None = None,
        *,
        selection: Selection | None = None,
        columns: AddedColumns | None = None,
    ) -> list[Row]:
        """Return what a query finds.

        One that speaks of `{selected}` takes a selection, one that speaks of `{columns}` those to add.
        """
        ...

    def stream(
        self,
        name: str,
        values: Values | None = None,
        *,
        selection: Selection | None = None,
        columns: AddedColumns | None = None,
    ) -> Iterator[Row]:
        """Likewise, without holding all of it at once."""
        ...

    def row(self, name: str, values: Values | None = None) -> Row | None:
        """Return the first row that a query finds."""
        ...

    def value(self, name: str, values: Values | None = None, *, selection: Selection | None = None) -> Any:
        """Return the first value of the first row; None where there is none."""
        ...

    def execute_rows(self, name: str, rows: Sequence[Row], *fixed: Value, columns: AddedColumns | None = None) -> int:
        """Execute a statement over rows of equal length, which may be none, and return how many it changed."""
        ...

    def select_rows(
        self, name: str, rows: Sequence[Row], *fixed: Value, columns: AddedColumns | None = None
    ) -> list[Row]:
        """Execute a query over rows of equal length, which may be none, and return all that it finds."""
        ...

    def lines(self, owner: str, keys: Sequence[int]) -> Sequence[Row] | None:
        """Return the conversations at these places as lines of a backup, in the order of storing.

        Each row is key, id, job, item, number of turns, number of metadata, and the line, in which metadata is the text
        that is stored. None where one of them holds a value that JSON has no word for.
        """
        ...

    def selected_lines(self, values: Values, selection: Selection) -> Iterator[Row] | None:
        """Return all selected conversations likewise, without holding all of it at once.

        Nothing else may be asked for until the last was taken. None where nothing is gained by it: where a database
        does its work in this process, and does not go on while something else is done.
        """
        ...

    def lock(self, name: str, values: Values) -> None:
        """Keep others from changing what the query finds until the transaction ends.

        What is read after it is what it will stay. Where there is one writer at a time nothing is done.
        """
        ...

    def lock_rows(self, name: str, rows: Sequence[Row], *fixed: Value) -> None:
        """Likewise, over rows of equal length."""
        ...


class Database(Protocol):
    """Runs functions in transactions of their own.

    A write that was handed in runs to its end, whatever becomes of who waits for it. Where the database asks for it, a
    function is run again from its beginning, with nothing kept of what it did before: it must be fit for that.
    """

    async def write(self, function: Callable[[Session], T], *, until_known: bool = False, erases: bool = False) -> T:
        """Run `function` in a write transaction; it is committed, to disk, when this returns.

        When it raises anything but CommitUnknown, nothing of it is kept. Raises StorageError, and whatever `function`
        raises.

        Args:
            until_known: Rather wait, until the database is closed, than raise CommitUnknown.
            erases: Overwrite what it deletes, in a file, whatever that costs.
        """
        ...

    async def erase(self) -> bool:
        """Overwrite what deleted rows have left in a file and its log; return whether nothing is left. Raises nothing.

        A large file is not rewritten, because others would wait for it; a server does this itself.
        """
        ...

    def write_blocking(self, function: Callable[[Session], T]) -> T:
        """The same for a thread that is not the event loop's, of something that may as well be done twice."""
        ...

    async def read(self, function: Callable[[Session], T], *, owner: str | None = None) -> T:
        """Run `function` over one consistent snapshot. Raises StorageError, and whatever `function` raises.

        Owners take turns, so that many long reads of one do not block the others. A read stops when it is cancelled, or
        exceeds the time limit of this database: ReadTooLong.
        """
        ...

    def snapshot(self) -> AbstractContextManager[Session]:
        """Hold one consistent snapshot for as long as the context lasts. Blocks; for one thread."""
        ...

    def translate_errors(self) -> AbstractContextManager[None]:
        """Turn what the database raises within into errors of ours."""
        ...
