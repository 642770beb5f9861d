"""How a connection is opened: nothing depends on its session, so that a pooler may give each transaction another."""

import psycopg

from backstay.errors import StorageError, StoreReadOnly
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.errors import unavailable
from backstay.storage.postgres.queries import quoted
from backstay.storage.postgres.session import Connection

OLDEST = 14

# What our statements depend on, whatever the server, the database or the role are set to. Not in the greeting of a
# connection, since a pooler gives each transaction another session. In a search path that names pg_catalog, operators
# of somebody else's may stand before those we mean; what stood in it stays, for the sake of triggers.
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
    """Open a connection, with some parameters otherwise than the address says.

    It commits only what is committed by name, and prepares no statements.

    Raises:
        StoreUnavailable: the server cannot be reached just now.
        StoreDenied, StoreNotFound, SettingsError: it will not let us in, as things are.
    """
    try:
        # A pooler gives each transaction another session, in which nothing is prepared.
        return psycopg.connect(**{**address.parameters, **parameters}, autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise unavailable(error, address) from error


def begin(connection: Connection, how: str, *, statement_seconds: float | None = None) -> None:
    """Begin a transaction that reads, with the options `how`; it does not depend on settings of others.

    The transaction may last as long as it needs, but none of its statements longer than `statement_seconds`, if given.
    """
    limit = f"SET LOCAL statement_timeout = {max(1, int(1000 * statement_seconds))};" if statement_seconds else ""
    connection.execute(f"BEGIN {how}; {SETTINGS} SET LOCAL idle_in_transaction_session_timeout = 0; {limit}")


def check_server(connection: Connection, address: ServerAddress) -> None:
    """Refuse a server that cannot keep what is asked of it.

    Raises:
        StorageError: too old, or of an encoding that does not hold all text.
        StoreReadOnly: a replica, or a database made read-only.
    """
    version = connection.info.server_version // 10_000
    if version < OLDEST:
        raise StorageError(
            f"{address} runs PostgreSQL {version}; Backstay needs {OLDEST} or newer", database=address.place
        )
    row = connection.execute(
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',"
        " current_setting('server_encoding')"
    ).fetchone()
    is_read_only, encoding = row or (False, "")
    if is_read_only:
        raise StoreReadOnly(
            f"{address} is read-only, perhaps a replica; name the primary server", database=address.place
        )
    if encoding != "UTF8":
        raise StorageError(
            f"{address} stores text as {encoding}, which cannot hold all of it; make another database with "
            f"`CREATE DATABASE {quoted(address.database + '_utf8')} ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0`",
            database=address.place,
        )
