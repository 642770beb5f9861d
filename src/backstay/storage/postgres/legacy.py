"""The original library's tables in any schema of the same database. Implements `legacy.store.LegacyStore`."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

import psycopg

from backstay.errors import InputUnreadable, SettingsError
from backstay.legacy.store import CHECKPOINTS, EXPORTS, LegacyCheckpoint, LegacyElement, LegacyExport
from backstay.remedy import Remedy
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.connection import begin, check_server, connect
from backstay.storage.postgres.errors import translate_errors
from backstay.storage.postgres.queries import Statements, quoted
from backstay.storage.postgres.session import Connection
from backstay.storage.sql.database import Row

# With row_security off, PostgreSQL raises an error instead of silently hiding rows by a policy.
_READ = "ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL row_security = off"
_BATCH_ROWS = 4_000

_COLUMNS: Mapping[str, Sequence[str]] = {
    CHECKPOINTS: ("job_id", "completed_items", "failed_items", "progress_percentage"),
    EXPORTS: ("backup_id", "user_id", "file_path", "conversation_ids", "backup_reason", "expires_at", "created_at"),
}
_REQUIRED_COLUMNS: Mapping[str, Sequence[str]] = {
    CHECKPOINTS: ("job_id", "completed_items"),
    EXPORTS: ("backup_id", "conversation_ids"),
}


class PostgresLegacyStore:
    """A database in which the original library may keep its tables."""

    def __init__(self, address: ServerAddress, *, schema: str) -> None:
        """Take the address of the database, and Backstay's own schema."""
        self._address = address
        self._schema = schema

    @contextmanager
    def open(self, source: str) -> Iterator["PostgresLegacyTables"]:
        statements = Statements(self._schema)
        with translate_errors(self._address, self._schema), connect(self._address) as connection:
            check_server(connection, self._address)
            with _read_transaction(connection):
                rows = connection.execute(statements.text("legacy_columns"), {"source": source}).fetchall()
            if source == self._schema or any(is_backstays for _, _, is_backstays in rows):
                raise SettingsError(
                    f"The tables and views in the schema {source!r} are Backstay's own, not the original library's",
                    remedy=Remedy.NAME_SOURCE,
                    setting="source",
                )
            if not rows:
                raise SettingsError(
                    f"{self._address} has neither {CHECKPOINTS} nor {EXPORTS} in a schema {source!r}",
                    remedy=Remedy.NAME_SOURCE,
                    setting="source",
                )
            columns: dict[str, set[str]] = {}
            for table, column, _ in rows:
                columns.setdefault(table, set()).add(column)
            yield PostgresLegacyTables(connection, self._address, statements, source, columns)


class PostgresLegacyTables:
    """The original library's tables in one schema. Missing columns are null, but `_REQUIRED_COLUMNS` must exist."""

    def __init__(
        self,
        connection: Connection,
        address: ServerAddress,
        statements: Statements,
        source: str,
        columns: Mapping[str, set[str]],
    ) -> None:
        self._connection = connection
        self._address = address
        self._statements = statements
        self._source = source
        self._columns = columns

    @property
    def faults(self) -> Sequence[tuple[str, str]]:
        return [
            (table, f"the table in schema {self._source} has no column {column}")
            for table in self._columns
            for column in self._missing_columns(table)
        ]

    def checkpoints(self) -> Sequence[LegacyCheckpoint]:
        return [
            LegacyCheckpoint(job_id, progress) for job_id, progress in self._read_all(CHECKPOINTS, "legacy_checkpoints")
        ]

    def items(self, job_id: str) -> Generator[tuple[bool, Sequence[LegacyElement]]]:
        for has_failed, column in ((False, "completed_items"), (True, "failed_items")):
            with closing(self._read_elements(CHECKPOINTS, "job_id", job_id, column)) as chunks:
                for elements in chunks:
                    yield has_failed, elements

    def exports(self) -> Sequence[LegacyExport]:
        return [LegacyExport(*row) for row in self._read_all(EXPORTS, "legacy_exports")]

    def conversation_ids(self, backup_id: str) -> Generator[Sequence[LegacyElement]]:
        return self._read_elements(EXPORTS, "backup_id", backup_id, "conversation_ids")

    def _missing_columns(self, table: str) -> list[str]:
        return [column for column in _REQUIRED_COLUMNS[table] if column not in self._columns[table]]

    def _read_all(self, table: str, statement: str) -> list[Row]:
        if table not in self._columns or self._missing_columns(table):
            return []
        with self._translated_transaction():
            # psycopg turns %% into % only if parameters are passed, even an empty dict.
            return self._connection.execute(self._text(statement, table), {}).fetchall()

    def _read_elements(self, table: str, key_column: str, key: str, column: str) -> Generator[Sequence[LegacyElement]]:
        if column not in self._columns[table]:
            return
        expressions = {"key": _qualified(key_column), "column": _qualified(column)}
        values = {"key": key}
        with self._translated_transaction():
            try:
                kinds = self._connection.execute(self._text("legacy_kinds", table, expressions), values).fetchall()
                if other_kinds := [kind for (kind,) in kinds if kind != "array"]:
                    raise InputUnreadable(f"{column} must be an array, not {other_kinds[0]}")
                with self._connection.cursor(name="backstay_legacy") as cursor:
                    cursor.execute(self._text("legacy_elements", table, expressions), values)
                    while rows := cursor.fetchmany(_BATCH_ROWS):
                        yield [LegacyElement(*row) for row in rows]
            except psycopg.DataError as error:
                raise InputUnreadable(f"{column} is text, and not JSON that can be read") from error

    @contextmanager
    def _translated_transaction(self) -> Generator[None]:
        # Translated within the import, which can then report one entry's error and continue with the next.
        with translate_errors(self._address, self._statements.schema), _read_transaction(self._connection):
            yield

    def _text(self, statement: str, table: str, expressions: Mapping[str, str] | None = None) -> str:
        text = self._statements.text(statement)
        for column in _COLUMNS[table]:
            text = text.replace(f"{{{column}}}", _qualified(column) if column in self._columns[table] else "NULL::text")
        for placeholder, expression in (expressions or {}).items():
            text = text.replace(f"{{{placeholder}}}", expression)
        # The schema's name may contain any text, even a placeholder, so it comes last.
        table_name = f"{quoted(self._source)}.{quoted(table)}"
        return text.replace("{original}", table_name.replace("%", "%%"))


def _qualified(column: str) -> str:
    return f"legacy.{quoted(column)}"


@contextmanager
def _read_transaction(connection: Connection) -> Generator[None]:
    """Read in a separate transaction, so that a failed one does not break those after it."""
    begin(connection, _READ)
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
