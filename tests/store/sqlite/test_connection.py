"""Connections whose commits are durable."""

import apsw
import pytest

from backstay.errors import NotADatabase, StorageError, StoreBusy, UnsafeSQLite
from backstay.storage.sqlite import connection
from backstay.storage.sqlite.connection import check_sqlite, connect


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "library.db"
    connect(path, create=True).close()
    return path


@pytest.mark.parametrize("version", ["3.51.3", "3.51.10", "3.52.0", "4.0.0", "3.44.6", "3.50.7"])
def test_safe_libraries_pass(version):
    """SQLite releases without the WAL-reset bug, two maintenance releases among them, are accepted."""
    check_sqlite(version)


@pytest.mark.parametrize("version", ["3.40.1", "3.44.5", "3.44.7", "3.46.0", "3.50.6", "3.50.8", "3.51.0", "3.51.2"])
def test_libraries_that_can_lose_commits_are_refused(version):
    """A SQLite release with the WAL-reset bug is refused, with its version and what to install."""
    with pytest.raises(
        UnsafeSQLite, match=rf"^SQLite {version} can lose commits; install a newer one with `pip"
    ) as caught:
        check_sqlite(version)

    assert caught.value.context == {"version": version}


def test_library_in_use_is_safe():
    """The SQLite library that comes with apsw is accepted."""
    check_sqlite()


@pytest.mark.parametrize("read_only", [False, True])
def test_commits_are_on_disk_when_they_return(path, read_only):
    """Writers and readers alike use WAL with full sync, since a reader may checkpoint the log too."""
    opened = connect(path, read_only=read_only)

    settings = {
        name: opened.execute(f"PRAGMA {name}").get
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")
    }
    opened.close()

    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
        "query_only": read_only,
    }


def test_statement_stays_prepared_whatever_values_are_bound(path):
    """The planner of a connection does not look at bound values, so that other values need no new plan."""
    opened = connect(path)

    assert opened.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, -1) == 1
    opened.close()


def test_reader_cannot_write(path):
    """A read-only connection refuses to create a table."""
    reader = connect(path, read_only=True)

    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("CREATE TABLE x (y)")

    reader.close()


def test_missing_file_is_made_only_when_asked(tmp_path):
    """Opening a missing file without `create` fails and creates nothing."""
    with pytest.raises(StorageError, match="cannot be opened"):
        connect(tmp_path / "none.db")

    assert list(tmp_path.iterdir()) == []


def test_file_that_is_no_database_is_refused(tmp_path):
    """Opening a text file raises NotADatabase and leaves no connection open."""
    path = tmp_path / "library.db"
    path.write_bytes(b"text" * 1_000)

    with pytest.raises(NotADatabase):
        connect(path)


def test_database_that_others_hold_is_waited_for(tmp_path, monkeypatch):
    """Switching a locked database to a write-ahead log waits for the lock up to a limit, then raises StoreBusy."""
    monkeypatch.setattr(connection, "BUSY_MS", 60)
    path = tmp_path / "library.db"
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE x (y); BEGIN IMMEDIATE; INSERT INTO x VALUES (1)")

    with pytest.raises(StoreBusy):
        connect(path)
    other.execute("COMMIT")
    other.close()

    connect(path).close()


def test_database_that_cannot_have_a_log_is_refused(tmp_path, monkeypatch):
    """A database that cannot use a write-ahead log is refused, since readers and writers would block each other."""
    with pytest.raises(StoreBusy, match=r"cannot use a write-ahead log \(mode memory\); put it on a local disk$"):
        connect(_InMemory(), create=True)


class _InMemory:
    """The path of a database without a file."""

    def __str__(self):
        return ":memory:"
