"""PostgreSQL's errors in our words. Nothing of a server's text is passed on that could hold a value or a password."""

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
from backstay.storage.postgres import privileges
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.queries import quoted

# What another value in the same statement would not have met: these fail the one outcome that holds the value.
_REFUSALS = (
    psycopg.IntegrityError,
    psycopg.DataError,
    pg.ProgramLimitExceeded,
    pg.DatatypeMismatch,
    UnicodeEncodeError,
    OverflowError,
)

# The transaction met another one, and would have gone well alone.
AGAIN = (pg.SerializationFailure, pg.DeadlockDetected)

# The server is there, but does not take us just now.
_LATER = (
    pg.CannotConnectNow,
    pg.AdminShutdown,
    pg.CrashShutdown,
    pg.IdleInTransactionSessionTimeout,
    pg.IdleSessionTimeout,
    pg.DatabaseDropped,
    pg.TooManyConnections,
    pg.ConnectionException,
)

# By SQLSTATE, because an older psycopg has no class for each. An idle session can simply be replaced; a transaction
# that is run again would take as long.
_LIMITS = {"25P04": (StorageError, "transaction_timeout"), "57P05": (StoreUnavailable, "idle_session_timeout")}

# A certificate, or what is asked for: nothing that passes by itself, as a connection that breaks while it is encrypted.
_ENCRYPTION = (
    "certificate verify failed",
    "certificate for",
    "certificate file",
    "private key file",
    "server does not support ssl",
    "invalid sslmode",
    "sslmode value",
)
_NAMES = re.compile(r'"[^"\n]*"')
_INDEX = re.compile(r'index "(\w+)"')
_IDS = ("conversations_by_id", "adopted_conversations_their_id_key", "adopted_conversations_id_key")
_TOO_LARGE = "a value is too large"
_HIDING = re.compile(r"query would be affected by row-level security policy for table (.+)")
_PREFIX = re.compile(r"^(connection (failed|is bad): )?(connection to server [^\n]*? failed: )?((FATAL|ERROR): +)?")


# Raised by whoever wrote it, in words of theirs, which may quote what was to be stored.
RAISED = "a trigger or a function of the database's own raised an error; its words are in the server's log"
# Raised by functions of ours.
UNLIKE, ABSENT = "HF001", "HF002"
_OURS = {
    UNLIKE: "an id does not fit the column of the adopted table, or would read otherwise there",
    ABSENT: "a turn belongs to a conversation that is not there",
}
_ADOPTED = re.compile(r"function \S+\.adopted_\w+\(")
_RAISE = re.compile(r"\bRAISE$", re.MULTILINE)


@contextmanager
def translate_errors(address: ServerAddress, schema: str) -> Iterator[None]:
    """Turn what psycopg raises within into errors of ours, each naming the database and the next step.

    Args:
        address: The database. Another connection to it finds out which right is lacking.
        schema: The schema that is ours.
    """
    try:
        yield
    except BackstayError:
        raise
    except _REFUSALS as error:
        raise OutcomeRefused(f"The database refused it: {_refusal(error)}", database=address.place) from error
    except psycopg.Error as error:
        if error.sqlstate in _OURS:
            raise OutcomeRefused(f"The database refused it: {_OURS[error.sqlstate]}", database=address.place) from error
        if _is_raised(error):
            raise OutcomeRefused(f"The database refused it: {RAISED}", database=address.place) from error
        if isinstance(error, pg.InsufficientPrivilege):
            raise _barred(error, address, schema) from error
        raise translate_error(error, address) from error


def _refusal(error: Exception) -> str:
    if isinstance(error, psycopg.Error) and _is_raised(error):
        return RAISED
    if isinstance(error, pg.UniqueViolation):
        if error.diag.constraint_name in _IDS:
            return "a conversation with this id is there already"
        return f"what {error.diag.constraint_name} keeps unique is there already"
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
    # Its own words alone: what is quoted behind them, where it happened, may hold any.
    words = error.diag.message_primary or str(error) if isinstance(error, psycopg.Error) else str(error)
    if "NUL" in words or isinstance(error, pg.UntranslatableCharacter | pg.CharacterNotInRepertoire):
        return "a text holds a character that the database cannot store"
    if isinstance(error, UnicodeEncodeError):
        return "a text is not valid Unicode"
    return "a value does not fit its column"


def _is_raised(error: psycopg.Error) -> bool:
    """Whether it comes from a function somebody wrote, under whatever code: one of theirs, or one of the server's."""
    if error.sqlstate is None or error.sqlstate in _LIMITS:
        return False
    try:
        psycopg.errors.lookup(error.sqlstate)
    except KeyError:
        return True
    return error.sqlstate.startswith("P0") or bool(_RAISE.search(error.diag.context or ""))


def is_lost(error: psycopg.Error) -> bool:
    """Whether the connection may have ended before the answer came."""
    return isinstance(error, (*_LATER, psycopg.OperationalError, psycopg.InterfaceError)) and (
        error.sqlstate is None or error.sqlstate.startswith("08") or isinstance(error, _LATER)
    )


def translate_error(error: psycopg.Error, address: ServerAddress) -> BackstayError:
    """Return the error of ours that says what one of PostgreSQL's means."""
    place = address.place
    match error:
        case pg.InvalidPassword() | pg.InvalidAuthorizationSpecification():
            return _denied(address)
        case pg.InvalidCatalogName():
            return StoreNotFound(
                f"There is no database {address.database!r} on that server ({place}); create it, or name another in "
                "BACKSTAY_DATABASE_URL",
                database=place,
            )
        case pg.UndefinedTable() | pg.UndefinedColumn() if _ADOPTED.search(error.diag.context or ""):
            return SchemaOutdated(
                f"{place}: an adopted table, or a column of it, has got another name; run `backstay adopt` again, with "
                "the names that there are now",
                database=place,
            )
        case pg.UndefinedTable() | pg.InvalidSchemaName() | pg.UndefinedColumn() | pg.UndefinedFunction():
            return SchemaOutdated(
                f"{place} does not have the tables that this Backstay uses; run `backstay migrate`", database=place
            )
        case pg.ReadOnlySqlTransaction():
            return StoreReadOnly(f"{place} is read-only, perhaps a replica; name the primary server", database=place)
        case pg.DiskFull():
            return StoreFull(f"No space is left on the server of {place}; free some, then resume", database=place)
        case pg.LockNotAvailable() | pg.SerializationFailure() | pg.DeadlockDetected() | pg.QueryCanceled():
            return StoreBusy(f"{place} is busy with other work on the same rows; try again", database=place)
        case pg.DataCorrupted() | pg.IndexCorrupted():
            return StoreCorrupt(f"{place} is damaged ({_named(error)}); ask whoever runs it", database=place)
        case pg.TooManyConnections():
            return StoreUnavailable(
                f"{place} takes no more connections; end some, or go through a pooler", database=place
            )
        case _ if error.sqlstate in _LIMITS:
            kind, setting = _LIMITS[error.sqlstate]
            lifted = f"ALTER ROLE CURRENT_USER IN DATABASE {quoted(address.database)} SET {setting} = 0"
            return kind(
                f"{place} ended the session by its {setting}; lift that, as {address.user!r}: `{lifted}`",
                database=place,
            )
        case _ if is_lost(error):
            return StoreUnavailable(
                f"The connection to {place} was lost; resume when the server is back", database=place
            )
        case _:
            return StorageError(f"{place}: {_named(error)}", database=place)


def unavailable(error: psycopg.Error, address: ServerAddress) -> BackstayError:
    """Return what it means that a connection cannot be made.

    Before a session exists there is no SQLSTATE, only words: of the client, and of a server or pooler. A server that
    speaks another language than English is understood as one that cannot be reached just now.
    """
    place, reason = address.place, _first_line(error)
    told = _NAMES.sub("", str(error).lower())

    def says(*words: str) -> bool:
        return any(word in told for word in words)

    if says("no encryption"):
        return StoreDenied(
            f"{place} does not let {address.user!r} in without encryption; add sslmode=require to the address",
            database=place,
        )
    if says(
        "authentication failed",
        "no password supplied",
        "pg_hba.conf",
        "not permitted to log in",
        "no such user",
        "user not found",
    ):
        return _denied(address)
    if says("permission denied for database") or (says("role") and says("does not exist")):
        return _denied(address)
    if says("no such database") or (says("database") and says("does not exist")):
        return StoreNotFound(
            f"There is no database {address.database!r} at {place}; create it, or name another in "
            "BACKSTAY_DATABASE_URL",
            database=place,
        )
    if says(*_ENCRYPTION):
        return SettingsError(
            f"{place}: no encrypted connection could be made ({reason}); see sslmode and sslrootcert in the address",
            setting="database_url",
        )
    if says("definition of service", "configuration parameter", "invalid value for parameter"):
        return SettingsError(f"{place}: {reason}; mend BACKSTAY_DATABASE_URL", setting="database_url")
    if says("too many connections", "no more connections", "too many clients", "connection slots", "max clients"):
        return StoreUnavailable(f"{place} takes no more connections; end some, or go through a pooler", database=place)
    if says("could not translate host name", "name or service not known"):
        return StoreUnavailable(f"The host of {place} is not known; check BACKSTAY_DATABASE_URL", database=place)
    if says("fatal:"):
        return StoreUnavailable(
            f"{place} lets nobody in just now ({reason}); ask whoever runs it, or try again", database=place
        )
    return StoreUnavailable(f"{place} cannot be reached; check that the server runs, then try again", database=place)


def _denied(address: ServerAddress) -> StoreDenied:
    return StoreDenied(
        f"{address.place} does not let {address.user!r} in; check user and password in BACKSTAY_DATABASE_URL",
        database=address.place,
    )


def _barred(error: psycopg.Error, address: ServerAddress, schema: str) -> StoreDenied:
    lacking, said = None, _first_line(error)
    # The failed transaction takes no more queries, so a new session finds out; without one, less is known.
    with suppress(psycopg.Error), psycopg.connect(**address.parameters, prepare_threshold=None) as connection:
        lacking = privileges.denial(connection, schema, said)
    if lacking is None:
        lacking = privileges.MissingPrivilege(address.user, f"lacks a right ({_named(error)})", None)
    return StoreDenied(f"{address.place}: {lacking}", database=address.place)


def _named(error: psycopg.Error) -> str:
    """Return what kind of error it is: the server's words may quote a value."""
    if error.sqlstate is None:
        return _first_line(error)
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__).lower()
    return f"{words}, SQLSTATE {error.sqlstate}; the server's log has its words"


def _first_line(error: psycopg.Error) -> str:
    text = error.diag.message_primary or str(error).strip() or type(error).__name__
    return _PREFIX.sub("", text).splitlines()[0]
