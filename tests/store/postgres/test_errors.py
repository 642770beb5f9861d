"""Errors of PostgreSQL, as Backstay's with the reason and the remedy."""

from types import SimpleNamespace

import psycopg
import pytest
from psycopg import errors as pg

from backstay.errors import OutcomeRefused, StorageError, StoreBusy
from backstay.remedy import Remedy
from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.errors import translate_errors

_ADDRESS = ServerAddress.from_url("postgresql://ann@127.0.0.1/library")


class _NewerServer(psycopg.OperationalError):
    sqlstate = "57P99"


class _FunctionOfUser(psycopg.DatabaseError):
    sqlstate = "MY001"


def _translated(error):
    with pytest.raises(StorageError) as caught, translate_errors(_ADDRESS, "backstay"):
        raise error
    return caught.value


def test_a_value_that_names_null_holds_no_nul():
    """Only a NUL character is reported as one, not a value or constraint whose text contains these letters."""
    refused = _translated(pg.InvalidTextRepresentation('invalid input syntax for type integer: "NULL"'))
    unstorable = _translated(psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"))

    assert refused.message == "The database refused it: a value does not fit its column"
    assert unstorable.message == "The database refused it: a text holds a character that the database cannot store"


def test_a_cancelled_statement_is_not_blamed_on_locks():
    """A statement that the server cancelled is reported as cancelled, with the server's reason."""
    cancelled = _translated(pg.QueryCanceled("canceling statement due to user request"))

    assert isinstance(cancelled, StoreBusy)
    assert cancelled.message.endswith(" cancelled a statement (canceling statement due to user request); try again")


def test_an_error_that_only_a_newer_server_knows_is_not_blamed_on_a_trigger():
    """A SQLSTATE in one of the server's classes is the server's, even if psycopg does not know it."""
    from_server, from_user = _translated(_NewerServer("new")), _translated(_FunctionOfUser("my"))

    assert not isinstance(from_server, OutcomeRefused)
    assert isinstance(from_user, OutcomeRefused)
    assert "one of your own triggers or functions raised an error" in from_user.message


@pytest.mark.parametrize(
    "context",
    [
        "PL/pgSQL function backstay.adopted_turns() line 5 at SQL statement",
        "PL/pgSQL function adopted_turns() line 5 at SQL statement",  # the search path includes the schema
        "PL/pgSQL-Funktion backstay.adopted_turns() Zeile 5 bei SQL-Anweisung",
    ],
)
def test_a_renamed_table_is_recognised_by_the_function_that_used_it(context):
    """A missing table is an adopted one if a function of the adoption used it, in whatever words the server says so."""

    class Missing(pg.UndefinedTable):
        diag = SimpleNamespace(context=context, message_primary="")

    renamed = _translated(Missing())

    assert "was renamed" in renamed.message
    assert renamed.remedy is Remedy.ADOPT_AGAIN
