"""Translates PostgreSQL's errors to Backstay's, without server texts that could contain a value or a password."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import errors as pg

from backstay.errors import (
    BackstayError,
    OutcomeRefused,
    SchemaOutdated,
    SettingsError,
    StorageError,
    StoreBusy,
    StoreCorrupt,
    StoreDenied,
    StoreFull,
    StoreNotFound,
    StoreReadOnly,
    StoreUnavailable,
)
from backstay.remedy import Remedy
from backstay.storage.postgres import privileges
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.queries import quoted

# The database refuses a value. Only the outcome that holds this value fails.
_VALUE_ERRORS = (
    psycopg.IntegrityError,
    psycopg.DataError,
    pg.ProgramLimitExceeded,
    pg.DatatypeMismatch,
    UnicodeEncodeError,
    OverflowError,
)

# The transaction conflicted with another one, and may succeed when it runs again.
RETRYABLE = (pg.SerializationFailure, pg.DeadlockDetected)

# The server cannot be used at the moment.
_UNAVAILABLE = (
    pg.CannotConnectNow,
    pg.AdminShutdown,
    pg.CrashShutdown,
    pg.IdleInTransactionSessionTimeout,
    pg.IdleSessionTimeout,
    pg.DatabaseDropped,
    pg.TooManyConnections,
    pg.ConnectionException,
)

# Time limits of the server, by their SQLSTATEs, since an older psycopg has no classes for them. A session that was idle
# is replaced. A transaction that took too long would do so again, so its error is not one that is retried.
_SERVER_TIMEOUTS = {"25P04": (StorageError, "transaction_timeout"), "57P05": (StoreUnavailable, "idle_session_timeout")}

# Wrong certificates or parameters. Unlike a connection lost during the handshake, these stay until someone acts.
_ENCRYPTION = (
    "certificate verify failed",
    "certificate for",
    "certificate file",
    "private key file",
    "server does not support ssl",
    "invalid sslmode",
    "sslmode value",
)
_QUOTED_NAMES = re.compile(r'"[^"\n]*"')
_INDEX = re.compile(r'index "(\w+)"')
_ID_CONSTRAINTS = ("conversations_by_id", "adopted_conversations_app_id_key", "adopted_conversations_id_key")
_TOO_LARGE = "a value is too large"
_PREFIX = re.compile(r"^(connection (failed|is bad): )?(connection to server [^\n]*? failed: )?((FATAL|ERROR): +)?")


# Replaces the message of the user's code, which may quote the values to be stored.
USER_CODE_FAILED = "one of your own triggers or functions raised an error; the server's log has its message"
# SQLSTATEs that Backstay's own functions raise.
ID_DIFFERS, CONVERSATION_ABSENT = "HF001", "HF002"
_RAISED_BY_BACKSTAY = {
    ID_DIFFERS: "an id does not fit the column of the adopted table, or would be written differently there",
    CONVERSATION_ABSENT: "a turn belongs to a conversation that does not exist",
}
_ADOPTED_FUNCTION = re.compile(r"\badopted_\w+\(")
_RAISE = re.compile(r"\bRAISE$", re.MULTILINE)
# The first two characters of the server's own SQLSTATEs, but not of those in PL/pgSQL, which users raise.
_SERVER_CLASSES = {
    error.sqlstate[:2]
    for error in vars(pg).values()
    if isinstance(error, type) and issubclass(error, psycopg.Error) and error.sqlstate
} - {"P0"}


@contextmanager
def translate_errors(address: ServerAddress, schema: str) -> Iterator[None]:
    """Turn errors of psycopg within the context into Backstay's, which name the database and the next step.

    Args:
        address: The database. If a privilege is missing, another connection finds out which.
        schema: Backstay's schema.
    """
    try:
        yield
    except BackstayError:
        raise
    except _VALUE_ERRORS as error:
        raise _refused_error(_value_problem(error), address) from error
    except psycopg.Error as error:
        if (problem := _raised_problem(error)) is not None:
            raise _refused_error(problem, address) from error
        if isinstance(error, pg.InsufficientPrivilege):
            raise _privilege_error(error, address, schema) from error
        raise _translate_error(error, address) from error


def _value_problem(error: Exception) -> str:
    if isinstance(error, psycopg.Error) and (problem := _raised_problem(error)) is not None:
        return problem
    if isinstance(error, pg.UniqueViolation):
        if error.diag.constraint_name in _ID_CONSTRAINTS:
            return "a conversation with this id exists already"
        return f"{error.diag.constraint_name} requires unique values, and this one exists already"
    if isinstance(error, pg.NotNullViolation):
        return f"the column {error.diag.column_name} of {error.diag.table_name} needs a value"
    if isinstance(error, pg.ForeignKeyViolation) and str(error.diag.constraint_name).endswith("_user_id_fkey"):
        return "an owner who is a UUID must be a user, and there is no user of that id in auth.users"
    if isinstance(error, pg.ProgramLimitExceeded):
        index = _INDEX.search(str(error))
        return f"the names in {index[1]} are too long together; shorten the id or the owner" if index else _TOO_LARGE
    if isinstance(error, psycopg.Error) and error.diag.constraint_name:
        return f"it breaks {error.diag.constraint_name}"
    if isinstance(error, pg.StringDataRightTruncation):
        return "a text is longer than its column takes"
    # Only the primary message: the context after it may quote values.
    words = error.diag.message_primary or str(error) if isinstance(error, psycopg.Error) else str(error)
    if "NUL (0x00)" in words or isinstance(error, pg.UntranslatableCharacter | pg.CharacterNotInRepertoire):
        return "a text holds a character that the database cannot store"
    if isinstance(error, UnicodeEncodeError):
        return "a text is not valid Unicode"
    return "a value does not fit its column"


def _raised_problem(error: psycopg.Error) -> str | None:
    """Return what a function reported, Backstay's or the user's; None if the server itself raised the error."""
    if error.sqlstate is None:
        return None
    if error.sqlstate in _RAISED_BY_BACKSTAY:
        return _RAISED_BY_BACKSTAY[error.sqlstate]
    is_of_server = error.sqlstate[:2] in _SERVER_CLASSES and not _RAISE.search(error.diag.context or "")
    return None if is_of_server else USER_CODE_FAILED


def is_lost(error: psycopg.Error) -> bool:
    """Return whether the connection may have ended before the reply came."""
    return isinstance(error, (*_UNAVAILABLE, psycopg.OperationalError, psycopg.InterfaceError)) and (
        error.sqlstate is None or error.sqlstate.startswith("08") or isinstance(error, _UNAVAILABLE)
    )


def _translate_error(error: psycopg.Error, address: ServerAddress) -> BackstayError:
    location = address.location
    match error:
        case pg.InvalidPassword() | pg.InvalidAuthorizationSpecification():
            return _denied_error(address)
        case pg.InvalidCatalogName():
            return _no_database_error(address)
        case pg.UndefinedTable() | pg.InvalidSchemaName() | pg.UndefinedColumn() | pg.UndefinedFunction():
            return _outdated_error(error, address)
        case pg.ReadOnlySqlTransaction():
            return StoreReadOnly(
                f"{address} is read-only, perhaps a replica; name the primary server", database=location
            )
        case pg.DiskFull():
            return StoreFull(
                f"No space is left on the server of {address}; free some, then try again", database=location
            )
        case pg.QueryCanceled():
            return StoreBusy(f"{address} cancelled a statement ({_first_line(error)}); try again", database=location)
        case pg.LockNotAvailable() | pg.SerializationFailure() | pg.DeadlockDetected():
            return StoreBusy(f"{address} is busy with other work on the same rows; try again", database=location)
        case pg.DataCorrupted() | pg.IndexCorrupted():
            return StoreCorrupt(f"{address} is damaged ({_describe(error)}); ask its administrator", database=location)
        case pg.TooManyConnections():
            return _no_connections_error(address)
        case _ if error.sqlstate in _SERVER_TIMEOUTS:
            kind, setting = _SERVER_TIMEOUTS[error.sqlstate]
            statement = f"ALTER ROLE CURRENT_USER IN DATABASE {quoted(address.database)} SET {setting} = 0"
            return kind(
                f"{address} ended the session because of {setting}; remove this limit as {address.user!r}: "
                f"`{statement}`",
                database=location,
            )
        case _ if is_lost(error):
            return StoreUnavailable(
                f"The connection to {address} was lost; try again when the server is back", database=location
            )
        case _:
            return StorageError(f"{address}: {_describe(error)}", database=location)


def connection_error(error: psycopg.Error, address: ServerAddress) -> BackstayError:
    """Return the error for a connection that could not be opened.

    Before a session exists there is no SQLSTATE, only the texts of the client, the server and the pooler. If a text is
    not in English, the cause stays unknown, and the server counts as unavailable at the moment.
    """
    location, reason = address.location, _first_line(error)
    message = _QUOTED_NAMES.sub("", str(error).lower())

    def says(*words: str) -> bool:
        return any(word in message for word in words)

    if says(
        "authentication failed",
        "no password supplied",
        "not permitted to log in",
        "no such user",
        "user not found",
    ):
        return _denied_error(address)
    if says("role") and says("does not exist"):
        return _denied_error(address)
    if says("permission denied for database"):
        statement = f"GRANT CONNECT ON DATABASE {quoted(address.database)} TO {quoted(address.user)}"
        missing = privileges.MissingPrivilege(address.user, "may not connect to the database", statement)
        return StoreDenied(f"{address}: {missing}", database=location)
    if says("no such database") or (says("database") and says("does not exist")):
        return _no_database_error(address)
    if says(*_ENCRYPTION):
        return SettingsError(
            f"{address}: no encrypted connection could be made ({reason}); see sslmode and sslrootcert in the address",
            setting="database_url",
        )
    if says("definition of service", "configuration parameter", "invalid value for parameter"):
        return SettingsError(f"{address}: {reason}; fix BACKSTAY_DATABASE_URL", setting="database_url")
    if says("too many connections", "no more connections", "too many clients", "connection slots", "max clients"):
        return _no_connections_error(address)
    # After the other causes: by default libpq tries again without encryption, and adds that this is refused as well.
    if says("pg_hba.conf"):
        remedy = "from this machine; ask its administrator for an entry in pg_hba.conf"
        if address.parameters.get("sslmode") == "disable":
            remedy = "without encryption; use sslmode=require in the address"
        return StoreDenied(f"{address} does not let {address.user!r} in {remedy}", database=location)
    if says("could not translate host name", "name or service not known"):
        return StoreUnavailable(f"The host of {address} is not known; check BACKSTAY_DATABASE_URL", database=location)
    if says("fatal:"):
        return StoreUnavailable(
            f"{address} accepts no connections at the moment ({reason}); try again, or ask its administrator",
            database=location,
        )
    return StoreUnavailable(
        f"{address} cannot be reached; check that the server runs, then try again", database=location
    )


def _outdated_error(error: psycopg.Error, address: ServerAddress) -> SchemaOutdated:
    is_column_or_table = isinstance(error, pg.UndefinedTable | pg.UndefinedColumn)
    if is_column_or_table and _ADOPTED_FUNCTION.search(error.diag.context or ""):
        return SchemaOutdated(
            f"{address}: an adopted table, or a column of it, was renamed",
            remedy=Remedy.ADOPT_AGAIN,
            database=address.location,
        )
    return SchemaOutdated(
        f"{address} does not have the tables that this Backstay uses", remedy=Remedy.MIGRATE, database=address.location
    )


def _refused_error(problem: str, address: ServerAddress) -> OutcomeRefused:
    return OutcomeRefused(f"The database refused it: {problem}", database=address.location)


def _no_database_error(address: ServerAddress) -> StoreNotFound:
    return StoreNotFound(
        f"There is no database {address.database!r} at {address}; create it, or name another in BACKSTAY_DATABASE_URL",
        database=address.location,
    )


def _no_connections_error(address: ServerAddress) -> StoreUnavailable:
    return StoreUnavailable(
        f"{address} takes no more connections; end some, or go through a pooler", database=address.location
    )


def _denied_error(address: ServerAddress) -> StoreDenied:
    return StoreDenied(
        f"{address} does not let {address.user!r} in; check user and password in BACKSTAY_DATABASE_URL",
        database=address.location,
    )


def _privilege_error(error: psycopg.Error, address: ServerAddress, schema: str) -> StoreDenied:
    missing, message = None, _first_line(error)
    # The failed transaction accepts no more statements, so a new session finds out what is missing.
    with suppress(psycopg.Error), psycopg.connect(**address.parameters, prepare_threshold=None) as connection:
        missing = privileges.find_missing(connection, schema, message)
    if missing is None:
        missing = privileges.MissingPrivilege(address.user, f"lacks a right ({_describe(error)})", None)
    return StoreDenied(f"{address}: {missing}", database=address.location)


def _describe(error: psycopg.Error) -> str:
    """Return the kind of an error, without the server's text, which may quote a value."""
    if error.sqlstate is None:
        return _first_line(error)
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__).lower()
    return f"{words}, SQLSTATE {error.sqlstate}; the server's log has the message"


def _first_line(error: psycopg.Error) -> str:
    text = error.diag.message_primary or str(error).strip() or type(error).__name__
    return _PREFIX.sub("", text).splitlines()[0]
