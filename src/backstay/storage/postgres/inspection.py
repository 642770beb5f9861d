"""Inspects a database on a server without changing it."""

from collections.abc import Sequence
from dataclasses import dataclass

from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.adoption.status import AdoptionStatus, adoption_status
from backstay.storage.postgres.connection import begin, check_server, connect
from backstay.storage.postgres.errors import translate_errors
from backstay.storage.postgres.queries import Statements
from backstay.storage.postgres.schema_migration import migrations, refuse_incomplete, version_of
from backstay.storage.postgres.session import PostgresSession, query_value
from backstay.storage.sql.database_report import DatabaseReport, database_report, miscounted_jobs

# If one of these is off, a confirmed commit may be lost, or the whole database with it.
_DURABILITY_SETTINGS = ("fsync", "full_page_writes")


@dataclass(frozen=True, slots=True)
class PostgresInspection:
    """The state of a server and a schema."""

    version: str
    user: str
    schema: int
    known_schema: int
    unsafe_settings: Sequence[str]
    """Server settings that are off, so that a commit can be lost."""
    miscounted_jobs: Sequence[str]
    """Jobs whose counters are wrong; checked only by a deep inspection."""
    report: DatabaseReport
    adopted: Sequence[AdoptionStatus] = ()


def inspect(address: ServerAddress, schema: str, *, owner: str, deep: bool) -> PostgresInspection:
    """Inspect the schema of that name, which need not exist.

    Raises:
        StorageError, StoreNotFound, SettingsError: the server cannot be used.
    """
    with translate_errors(address, schema), connect(address) as connection:
        check_server(connection, address)
        begin(connection, "ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute("SELECT current_setting('server_version'), current_user").fetchone()
        version, user = row or ("", "")
        unsafe_settings = [
            name
            for name in _DURABILITY_SETTINGS
            if query_value(connection, "SELECT current_setting(%s)", (name,)) == "off"
        ]
        number, known = version_of(connection, schema), migrations()[-1][0]
        if number == known:
            refuse_incomplete(connection, address, schema, migrations())
        session = PostgresSession(connection, Statements(schema))
        return PostgresInspection(
            version=str(version).split()[0],
            user=str(user),
            schema=number,
            known_schema=known,
            unsafe_settings=unsafe_settings,
            miscounted_jobs=miscounted_jobs(session) if deep and number == known else (),
            report=database_report(session, owner) if number == known else DatabaseReport(),
            adopted=adoption_status(connection, schema, deep=deep) if number == known else (),
        )
