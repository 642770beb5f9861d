"""Commands on databases that are missing, foreign, too new, damaged or read-only."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from backstay.cli.invocation import Invocation

_READING = [
    ("resume",),
    ("jobs",),
    ("status", "topics"),
    ("failed", "topics"),
    ("retry", "topics"),
    ("skip", "topics", "i1"),
    ("pause", "topics"),
    ("cancel", "topics", "--yes"),
    ("discard", "topics", "--yes"),
    ("conversations", "list"),
    ("conversations", "show", "x"),
    ("conversations", "export", "--all"),
]


@pytest.fixture
def database(within, backstay) -> Path:
    """A database with one finished job."""
    within("run", backstay.write("topics.csv", "Gardens"), "--model", "scripted")
    return backstay.database


@pytest.mark.parametrize("words", _READING, ids=" ".join)
def test_only_run_makes_a_database(within, backstay, words):
    """Every command but `run` refuses a missing database and creates none."""
    ended = within(*words)

    assert ended.code == 1
    assert ended.one_line_error().startswith(f"There is no database at {backstay.database}; `backstay run` creates one")
    assert not backstay.database.parent.exists()


def test_a_database_of_a_newer_backstay_is_refused(within, database):
    """A database written by a newer Backstay is refused with a message that a newer version is needed."""
    connection = apsw.Connection(str(database))
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    ended = within("jobs", "--json")

    assert ended.code == 1
    assert ended.error["code"] == "schema_too_new"
    assert ended.error["details"]["schema"] == 99


@pytest.mark.parametrize("content", [b"not a database, but long enough to be looked at\n" * 100, b"short"])
def test_another_file_is_refused(within, backstay, content):
    """A file that is no database is named and not changed."""
    path = backstay.folder / "notes.txt"
    path.write_bytes(content)

    ended = within("--database", "notes.txt", "jobs")

    assert ended.code == 1
    assert ended.one_line_error() == f"{path} is not a SQLite database; name another file"
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(within, backstay):
    """A SQLite database of another program is refused by name."""
    path = backstay.folder / "theirs.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()

    ended = within("--database", "theirs.db", "jobs")

    assert ended.code == 1
    assert "is a database of another program" in ended.one_line_error()


def test_a_folder_is_no_database(within, backstay):
    """A folder at the path of the database is reported as a folder."""
    ended = within("--database", str(backstay.folder), "jobs")

    assert ended.code == 1
    assert ended.one_line_error() == f"{backstay.folder} is not a file; name another"


def test_a_foreign_address_is_wrong_usage(within):
    """An address of an unsupported database is refused without printing a password in it."""
    ended = within("--database", "mysql://ann:secret@db/x", "jobs")

    assert ended.code == 2
    assert "starts with mysql://" in ended.one_line_error()
    assert "secret" not in ended.err


def test_a_wrong_setting_is_reported(within, backstay):
    """A wrong name in a settings file is refused by name."""
    (backstay.folder / "backstay.toml").write_text("ownr = 'ann'\n")

    ended = within("jobs")

    assert ended.code == 2
    assert "Unknown setting 'ownr'" in ended.one_line_error()


# -- not to be written -------------------------------------------------------------------------------------------------


@pytest.fixture
def read_only(database: Path) -> Iterator[Path]:
    """A readable database in a folder that may not be written."""
    database.chmod(0o444)
    database.parent.chmod(0o555)
    yield database
    database.parent.chmod(0o755)


def test_a_read_only_database_is_reported(bound, read_only):
    """A command that cannot write its database names the permissions in one line."""
    ended = bound("--database", str(read_only), "jobs")

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"Error: {read_only} can")
    assert "permissions" in ended.stderr


def test_doctor_looks_at_a_read_only_database(bound, read_only):
    """Doctor reports a read-only database, and still checks its contents."""
    before = sorted(read_only.parent.iterdir())

    ended = bound("--database", str(read_only), "doctor")

    assert ended.returncode == 1
    assert f"problem  folder       {read_only.parent} cannot be written" in ended.stdout
    assert "cannot be written" in ended.stdout.split("database     ")[1].splitlines()[0]
    assert "ok       integrity    no damage (quick check)" in ended.stdout
    assert sorted(read_only.parent.iterdir()) == before


def test_address_of_a_file_with_parameters_of_another_driver(within, backstay):
    """`run` uses the file and warns once about ignored parameters; the parameter `mode` is refused."""
    backstay.write("topics.csv", "Gardens")

    ended = within("--database", "sqlite:///new.db?timeout=5", "run", "topics.csv", "--model", "scripted")
    refused = within("--database", "sqlite:///new.db?mode=ro", "jobs")
    checked = within("--database", "sqlite:///new.db?timeout=5", "doctor")

    assert ended.code == 0
    assert (backstay.folder / "new.db").is_file()
    assert ended.err.count("Warning: address parameters ignored parameters=timeout") == 1
    assert refused.code == 2
    assert "ignored in the address, because they are for other drivers: timeout" in checked.out
    assert refused.one_line_error().startswith("The parameter mode in the database address cannot be honoured")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_command_to_be_pasted_has_no_password(scheme):
    """A printed command that names a server contains no password, whatever form its address has."""
    invocation = Invocation(database=f"{scheme}://ann:sesame@db.test/app?pgbouncer=true&password=sesame")

    ended = invocation.command("jobs")

    assert "sesame" not in ended
    assert f"{scheme}://ann@db.test/app" in ended
