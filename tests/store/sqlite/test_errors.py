"""The translation of SQLite's errors."""

import errno
from pathlib import Path

import apsw
import pytest

from backstay.errors import (
    JobNotFound,
    NotADatabase,
    OutcomeRefused,
    StorageError,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreReadOnly,
)
from backstay.storage.sqlite.errors import translate_errors

_PATH = Path("/data/library.db")


@pytest.mark.parametrize(
    ("error", "translation", "says"),
    [
        (apsw.ConstraintError("UNIQUE constraint failed"), OutcomeRefused, "The database refused it: UNIQUE"),
        (apsw.MismatchError("x"), OutcomeRefused, "refused"),
        (apsw.TooBigError("string too big"), OutcomeRefused, "refused"),
        (OverflowError("int too big"), OutcomeRefused, "refused"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), OutcomeRefused, "refused"),
        (apsw.BusyError("locked"), StoreBusy, "is locked by another program; close that program"),
        (apsw.FullError("full"), StoreFull, "No space is left for /data/library.db; free some, then try again"),
        (apsw.ReadOnlyError("ro"), StoreReadOnly, "cannot be written; check the permissions"),
        (apsw.NotADBError("x"), NotADatabase, "is not a SQLite database; name another file"),
        (apsw.CorruptError("malformed"), StoreCorrupt, r"is damaged \(malformed\)"),
        (apsw.CantOpenError("x"), StorageError, "cannot be opened; check the permissions"),
        (apsw.IOError("disk I/O error"), StorageError, "The disk failed while using /data/library.db: disk I/O error"),
        (apsw.SQLError("no such table: x"), StorageError, "no such table: x"),
        (apsw.LockedError("x"), StorageError, "/data/library.db: x"),
        (OSError(errno.ENOSPC, "No space left on device"), StoreFull, "No space is left"),
        (OSError(errno.EDQUOT, "Quota exceeded"), StoreFull, "No space is left"),
        (OSError(errno.EACCES, "Permission denied"), StorageError, "Permission denied"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_error_is_translated(error, translation, says):
    """An error of SQLite or the system becomes one of Backstay's, with its cause and the path of the database."""
    with pytest.raises(translation, match=says) as caught, translate_errors(_PATH):
        raise error

    assert type(caught.value) is translation
    assert caught.value.context == {"path": "/data/library.db"}
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [JobNotFound("none"), ValueError("no"), KeyboardInterrupt()], ids=repr)
def test_any_other_error_passes(error):
    """Errors of Backstay, and errors that SQLite did not raise, pass unchanged."""
    with pytest.raises(type(error)) as caught, translate_errors(_PATH):
        raise error

    assert caught.value is error


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("conversations.owner, conversations.id", "a conversation with this id exists already"),
        ("old_conversations.id", "UNIQUE constraint failed: old_conversations.id"),
        ("conversations.id_at_source", "UNIQUE constraint failed: conversations.id_at_source"),
    ],
)
def test_only_the_id_of_a_conversation_counts_as_one(columns, says):
    """A unique column of the user's own that is named alike is reported by its name."""
    with pytest.raises(OutcomeRefused) as caught, translate_errors(_PATH):
        raise apsw.ConstraintError(f"UNIQUE constraint failed: {columns}")

    assert caught.value.message == f"The database refused it: {says}"


def test_no_value_is_shown():
    """The message for a refused value does not quote the content of a conversation."""
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE x (y TEXT PRIMARY KEY)")
    connection.execute("INSERT INTO x VALUES (?)", ("secret words",))

    with pytest.raises(OutcomeRefused) as caught, translate_errors(_PATH):
        connection.execute("INSERT INTO x VALUES (?)", ("secret words",))
    connection.close()

    assert "secret" not in caught.value.message
