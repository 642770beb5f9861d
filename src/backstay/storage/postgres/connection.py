"""Opens connections. No code depends on the session, since a pooler may give each transaction another one."""

import psycopg

from backstay.errors import StorageError, StoreReadOnly
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.errors import connection_error
from backstay.storage.postgres.queries import quoted
from backstay.storage.postgres.session import Connection

MIN_VERSION = 14

# Settings that the statements depend on, whatever the server, the database or the role has set. They are not startup
# parameters, since a pooler gives each transaction another session. pg_catalog comes first in the search path, so that
# no other operator precedes a built-in one; the rest of the path stays, as triggers of the app may need it.
SETTINGS = """
    SET LOCAL client_encoding = 'UTF8';
    SET LOCAL standard_conforming_strings = on;
    SET LOCAL TimeZone = 'UTC';
    SET LOCAL DateStyle = 'ISO, YMD';
    SET LOCAL IntervalStyle = 'postgres';
    SET LOCAL extra_float_digits = 1;
    SET LOCAL bytea_output = 'hex';
    SET LOCAL array_nulls = on;
    SET LOCAL quote_all_identifiers = off;
    SET LOCAL lock_timeout = 0;
    SET LOCAL statement_timeout = 0;
    SELECT pg_catalog.set_config('search_path', pg_catalog.concat('pg_catalog', pg_catalog.regexp_replace(
               pg_catalog.current_setting('search_path'), '^(?=.)', ', ')), true),
           CASE WHEN pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL  -- since PostgreSQL 17
                THEN pg_catalog.set_config('transaction_timeout', '0', true) END;
"""


def connect(address: ServerAddress, **parameters: object) -> Connection:
    """Open a connection to the address; `parameters` override the address's own.

    The connection is in autocommit mode, and prepares no statements.

    Raises:
        StoreUnavailable: the server cannot be reached at the moment.
        StoreDenied, StoreNotFound, SettingsError: the server refuses the connection, and would do so again.
    """
    try:
        # A pooler gives each transaction another session, in which nothing is prepared.
        return psycopg.connect(**{**address.parameters, **parameters}, autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise connection_error(error, address) from error


def begin(connection: Connection, mode: str, *, statement_seconds: float | None = None) -> None:
    """Begin a read transaction with the options `mode`, overriding the settings of the role and the database.

    The transaction itself has no time limit; `statement_seconds` limits each of its statements.
    """
    limit = f"SET LOCAL statement_timeout = {max(1, int(1000 * statement_seconds))};" if statement_seconds else ""
    connection.execute(f"BEGIN {mode}; {SETTINGS} SET LOCAL idle_in_transaction_session_timeout = 0; {limit}")


def check_server(connection: Connection, address: ServerAddress) -> None:
    """Refuse a server that is too old, cannot hold all text, or is read-only.

    Raises:
        StorageError: the server is too old, or its encoding does not hold all text.
        StoreReadOnly: the server is a replica, or the database was made read-only.
    """
    version = connection.info.server_version // 10_000
    if version < MIN_VERSION:
        raise StorageError(
            f"{address} runs PostgreSQL {version}; Backstay needs {MIN_VERSION} or newer", database=address.location
        )
    row = connection.execute(
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',"
        " current_setting('server_encoding')"
    ).fetchone()
    is_read_only, encoding = row or (False, "")
    if is_read_only:
        raise StoreReadOnly(
            f"{address} is read-only, perhaps a replica; name the primary server", database=address.location
        )
    if encoding != "UTF8":
        raise StorageError(
            f"{address} stores text as {encoding}, which cannot hold all of it; make another database with "
            f"`CREATE DATABASE {quoted(address.database + '_utf8')} ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0`",
            database=address.location,
        )
