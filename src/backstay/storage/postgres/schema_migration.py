"""Migrates a PostgreSQL database to the schema that this code knows, upon a command only."""

import re
import secrets
from collections.abc import Sequence
from functools import cache

from psycopg import errors as pg

from backstay import former_name
from backstay.errors import SchemaOutdated, SettingsError, StorageError, StoreCorrupt, StoreDenied
from backstay.migration_result import MigrationResult
from backstay.remedy import Remedy
from backstay.storage.postgres import privileges
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.connection import SETTINGS, check_server, connect
from backstay.storage.postgres.errors import translate_errors
from backstay.storage.postgres.session import Connection, query_value
from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES
from backstay.storage.sql.migrations import (
    Migration,
    compute_fingerprints,
    read_migrations,
    refuse_live_workers,
    refuse_newer,
)

_CREATED_NAME = re.compile(r"^CREATE (?:TABLE|VIEW|SEQUENCE) \{schema\}\.(\w+)", re.MULTILINE)
_REVISIONS = 14  # the migration that creates the table of revisions
_DROPPED_NAME = re.compile(r"^DROP (?:TABLE|VIEW|SEQUENCE) \{schema\}\.(\w+)", re.MULTILINE)


@cache
def migrations() -> list[Migration]:
    return read_migrations(__package__)


def plan(address: ServerAddress, schema: str, known: Sequence[Migration] | None = None) -> MigrationResult:
    """Return what `migrate` would do. Changes nothing. Raises like `migrate`."""
    known = migrations() if known is None else known
    with translate_errors(address, schema), connect(address) as connection:
        check_server(connection, address)
        before = version_of(connection, schema)
        refuse_newer(address, before, known[-1][0], database=address.location)
        if before < known[-1][0]:
            _refuse_without_privilege(connection, address, schema)
        if before == 0:
            _refuse_other_tables(connection, address, schema, known)
        elif before == known[-1][0]:
            refuse_incomplete(connection, address, schema, known)
        return MigrationResult(before, known[-1][0], [number for number, _ in known if number > before])


def migrate(address: ServerAddress, schema: str, known: Sequence[Migration] | None = None) -> MigrationResult:
    """Apply the missing migrations, each in a transaction. Idempotent; concurrent calls wait for each other.

    Raises:
        StoreUnavailable, StoreDenied, StoreNotFound, StoreReadOnly, StorageError: The database does not allow it.
        SchemaTooNew: A newer Backstay has migrated the schema.
        SchemaOutdated: A worker uses the schema.
        StoreCorrupt: A table is missing.
        SettingsError: A schema cannot have that name, or it belongs to another program.
    """
    known = migrations() if known is None else known
    with translate_errors(address, schema), connect(address) as connection:
        check_server(connection, address)
        before = None
        applied = []
        for number, statements in known:
            with connection.transaction():
                connection.execute(SETTINGS)  # views and defaults keep the functions that the search path finds now
                hold_schema(connection, schema)
                version = version_of(connection, schema)
                before = version if before is None else before
                refuse_newer(address, version, known[-1][0], database=address.location)
                if version >= number:
                    continue
                _refuse_without_privilege(connection, address, schema)
                if version == 0:
                    _refuse_other_tables(connection, address, schema, known)
                    _create_schema(connection, address, schema)
                else:
                    refuse_while_in_use(connection, address, schema, "needs a migration")
                connection.execute(statements.replace("{schema}", schema))
                if number == _REVISIONS:
                    table = f"{schema}.recipe_revisions"
                    compute_fingerprints(connection.execute, connection.execute, table, "%s")
                connection.execute(f"INSERT INTO {schema}.migrations (number) VALUES (%s)", (number,))
                if number == known[0][0]:
                    connection.execute(
                        f"INSERT INTO {schema}.meta (name, value) VALUES ('database_id', %s)", (secrets.token_hex(8),)
                    )
                applied.append(number)
        refuse_incomplete(connection, address, schema, known)
        # Another process may have applied the later migrations.
        return MigrationResult(before or 0, applied[-1] if applied else known[-1][0], applied)


def version_of(connection: Connection, schema: str) -> int:
    """Return the number of the last applied migration; 0 if there is none.

    Raises:
        SettingsError: The schema belongs to another program.
    """
    if query_value(connection, "SELECT to_regclass(%s)", (f"{schema}.migrations",)) is None:
        return 0
    try:
        return int(query_value(connection, f"SELECT coalesce(max(number), 0) FROM {schema}.migrations"))
    except pg.UndefinedColumn:
        raise SettingsError(
            f"The schema {schema!r} is another program's: its table migrations is not Backstay's; choose another with "
            "BACKSTAY_SCHEMA",
            setting="schema",
        ) from None


def refuse_unmigrated(
    connection: Connection, address: ServerAddress, schema: str, *, without: frozenset[str] = frozenset()
) -> None:  # fmt: skip
    """Refuse a database of another schema version; the tables in `without` may be missing.

    Raises:
        SchemaTooNew, SchemaOutdated: The schema has another version.
        StoreCorrupt: A table is missing.
        SettingsError: The schema belongs to another program.
    """
    known, version = migrations(), version_of(connection, schema)
    refuse_newer(address, version, known[-1][0], database=address.location)
    if version < known[-1][0]:
        problem = f"has no Backstay tables in the schema {schema!r}" if version == 0 else f"is of schema {version}"
        raise SchemaOutdated(f"{address} {problem}", remedy=Remedy.MIGRATE, database=address.location, schema=version)
    refuse_incomplete(connection, address, schema, known, without=without)


def refuse_incomplete(
    connection: Connection,
    address: ServerAddress,
    schema: str,
    known: Sequence[Migration],
    *,
    without: frozenset[str] = frozenset(),
) -> None:
    """Refuse a database that lacks a table, as after a partial restore. Raises StoreCorrupt."""
    if missing := _expected_names(known) - _existing_names(connection, schema, known) - without:
        if missing <= set(BUILT_IN_TABLES) and _has_adopted(connection, schema):
            raise StoreCorrupt(
                f"{address}: adopted tables, or columns of them, were dropped, and with them Backstay's views over "
                "them",
                remedy=Remedy.UNDO_ADOPTION,
                database=address.location,
                missing=sorted(missing),
            )
        raise StoreCorrupt(
            f"{address}: the schema {schema!r} lacks {', '.join(sorted(missing))}; restore it whole from a dump",
            remedy=Remedy.MIGRATE_OTHER_SCHEMA,
            database=address.location,
            missing=sorted(missing),
        )


def _has_adopted(connection: Connection, schema: str) -> bool:
    return bool(query_value(connection, f"SELECT EXISTS (SELECT FROM {schema}.adopted)"))


def _expected_names(known: Sequence[Migration]) -> set[str]:
    """Return the names of the tables, views and sequences that exist after these migrations."""
    names = {"migrations"}
    for _, statements in known:
        names = (names | set(_CREATED_NAME.findall(statements))) - set(_DROPPED_NAME.findall(statements))
    return names


def _existing_names(connection: Connection, schema: str, known: Sequence[Migration]) -> set[str]:
    """Return which of the expected names exist in the schema."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relname = ANY (%s)",
        (schema, list(_expected_names(known))),
    )
    return {str(name) for (name,) in rows}


def _refuse_other_tables(
    connection: Connection, address: ServerAddress, schema: str, known: Sequence[Migration]
) -> None:
    if existing := _existing_names(connection, schema, known):
        raise StorageError(
            f"{address}: the schema {schema!r} has a table {min(existing)} already, but no record of a migration; it "
            "is another program's, or restored in part. Restore it whole, or choose another with BACKSTAY_SCHEMA",
            database=address.location,
        )


def _refuse_without_privilege(connection: Connection, address: ServerAddress, schema: str) -> None:
    if missing := privileges.find_missing_to_migrate(connection, schema):
        raise StoreDenied(f"{address}: {missing}", database=address.location)


def _refuse_former(connection: Connection, address: ServerAddress) -> None:
    if query_value(connection, "SELECT to_regclass(%s)", (f"{former_name.NAME}.receipts",)) is not None:
        raise SettingsError(
            f"The schema {former_name.NAME!r} of {address} is a library of {former_name.FORMER_PROJECT}, which this "
            "version cannot read; rename that schema to start a new library next to it, or name another database",
            setting="database_url",
        )


def _create_schema(connection: Connection, address: ServerAddress, schema: str) -> None:
    # A role that may not create schemas may still have one, so CREATE SCHEMA only if it is missing.
    if query_value(connection, "SELECT to_regnamespace(%s)", (schema,)) is None:
        _refuse_former(connection, address)
        try:
            connection.execute(f"CREATE SCHEMA {schema}")
        except (pg.SyntaxError, pg.ReservedName):
            raise SettingsError(
                f"PostgreSQL keeps the name {schema!r} for itself; choose another with BACKSTAY_SCHEMA",
                setting="schema",
            ) from None
    connection.execute(
        f"CREATE TABLE {schema}.migrations (number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )


def hold_schema(connection: Connection, schema: str) -> None:
    """Prevent other processes from migrating or adopting until the transaction ends."""
    # A lock of the transaction, because behind a pooler a lock of the session would stay for ever.
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"backstay {schema}",))


def refuse_while_in_use(connection: Connection, address: ServerAddress, schema: str, reason: str) -> None:
    """Refuse a change of the schema while a worker uses it; no worker can start until the transaction ends.

    Raises:
        SchemaOutdated: A worker uses the schema.
    """
    # Every write begins with its receipt, so this waits for writes in progress; later writes find the new schema.
    connection.execute(f"LOCK TABLE {schema}.receipts IN SHARE ROW EXCLUSIVE MODE")
    refuse_live_workers(connection.execute, f"{schema}.workers", f"{address} {reason}", database=address.location)
