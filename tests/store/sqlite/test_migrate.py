"""A database file is migrated to the schema that this code knows, or left exactly as it is."""

import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple

import apsw
import pytest

from backstay import former_name
from backstay.batch.liveness import LivenessLock
from backstay.clock import SystemClock
from backstay.errors import NotADatabase, SchemaOutdated, SchemaTooNew, StorageError, StoreCorrupt, StoreNotFound
from backstay.remedy import Remedy
from backstay.storage.sqlite import SqliteStore, connection
from backstay.storage.sqlite.schema_migration import migrations, prepare
from backstay.storage.sqlite.schema_version import APPLICATION_ID
from support.fakes.workers import card
from support.faults.mounts import Mounts
from support.harness import requirements

_ADDED = (99, "ALTER TABLE jobs ADD COLUMN note TEXT; CREATE TABLE extras (name TEXT);")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "library.db"


def _sql(path, statement, *values):
    """Execute a statement as another program would."""
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def _names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def _columns(path, table):
    return [row[1] for row in _sql(path, f"PRAGMA table_info({table})")]


def _schema(path):
    return _sql(path, "PRAGMA user_version")[0][0]


def _put_worker(path, card):
    """Insert a job with a worker of this identity."""
    _sql(
        path,
        "INSERT INTO jobs (owner, id, state, processor, settings, created_at, updated_at)"
        " VALUES ('local', 'job', 'running', 'caller', '{}', 0, 0)",
    )
    _sql(
        path,
        "INSERT INTO workers (owner, job_key, host, boot_id, pid, lock_path, lock_device, lock_inode, started_at,"
        " committed_at) VALUES ('local', 1, ?, ?, ?, ?, ?, ?, 0, 0)",
        *astuple(card),
    )


# -- creation -------------------------------------------------------------------------------------


def test_database_is_made(path):
    """A new database has our application id, the latest schema and an id of its own."""
    prepare(path, create=True)

    assert _schema(path) == migrations()[-1][0]
    assert _sql(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    ((database_id,),) = _sql(path, "SELECT value FROM meta WHERE name = 'database_id'")
    assert len(database_id) == 16


def test_current_database_is_left_unchanged(path):
    """Preparing a database of the latest schema changes no byte, and makes no copy."""
    prepare(path, create=True)
    before = path.read_bytes()

    prepare(path, create=True)
    prepare(path, create=False)

    assert path.read_bytes() == before
    assert _names(path.parent) == [path.name]


def test_reading_makes_no_database(tmp_path):
    """Preparing a missing path without `create` raises StoreNotFound, and creates neither file nor folder."""
    path = tmp_path / ".backstay" / "backstay.db"

    with pytest.raises(StoreNotFound) as caught:
        prepare(path, create=False)

    assert caught.value.message == f"There is no database at {path}"
    assert caught.value.remedy is Remedy.CREATE_DATABASE
    assert _names(tmp_path) == []


def test_folder_of_our_own_is_made(tmp_path):
    """A new `.backstay` folder is accessible to its user only, and ignored by git."""
    path = tmp_path / "project" / ".backstay" / "backstay.db"

    prepare(path, create=True)

    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_folder_of_another_name_is_only_made(tmp_path):
    """A new folder of another name gets nothing but the database."""
    path = tmp_path / "data" / "library.db"

    prepare(path, create=True)

    assert _names(path.parent) == ["library.db"]


def test_empty_file_becomes_a_database(path):
    """An empty file, which an interrupted start leaves, becomes a database."""
    path.touch()

    prepare(path, create=True)

    assert _schema(path) == migrations()[-1][0]


_START = """
import sys, time
from pathlib import Path
from backstay.storage.sqlite import schema_migration
print("ready", flush=True)
sys.stdin.readline()
schema_migration.prepare(Path(sys.argv[1]), create=True)
print("done", flush=True)
"""


def test_eight_processes_make_one_database(tmp_path):
    """When eight processes prepare one path at the same moment, one creates the database and all succeed."""
    path = tmp_path / ".backstay" / "backstay.db"
    command = [sys.executable, "-c", _START, str(path)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        ended = [process.communicate(timeout=60) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()

    assert ended == [("done\n", "")] * 8
    assert len(_sql(path, "SELECT value FROM meta")) == 1
    assert _names(path.parent) == [".gitignore", "backstay.db"]


# -- refusals --------------------------------------------------------------------------------------


def test_folder_is_no_database(tmp_path):
    """A folder and a pipe are refused as databases, without waiting for the pipe."""
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(NotADatabase, match=r"is not a file; name another$"):
            prepare(path, create=True)


@pytest.mark.parametrize("content", [b"topic\ntea\n" * 100, b"\x00" * 5_000, b"SQ"], ids=["text", "zeros", "bytes"])
def test_other_file_is_no_database(path, content):
    """A file that is no SQLite database is refused and stays unchanged."""
    path.write_bytes(content)

    with pytest.raises(NotADatabase, match=r"is not a SQLite database; name another file$"):
        prepare(path, create=True)

    assert path.read_bytes() == content
    assert _names(path.parent) == [path.name]


def test_database_of_the_former_name_is_named(path):
    """A file with the former application id is refused with the former name in the message, and stays unchanged."""
    _sql(path, f"PRAGMA application_id = {former_name.APPLICATION_ID}")
    before = path.read_bytes()

    project = re.escape(former_name.FORMER_PROJECT)
    with pytest.raises(NotADatabase, match=f"was made by {project}, and cannot be read; name another file$"):
        prepare(path, create=True)

    assert path.read_bytes() == before


@pytest.mark.parametrize("marked", [False, True])
def test_database_of_another_program_is_not_touched(path, marked):
    """Another program's database is refused and stays unchanged, its journal mode included."""
    _sql(path, "CREATE TABLE other (name TEXT)")
    if marked:
        _sql(path, "PRAGMA application_id = 7")
        _sql(path, "PRAGMA user_version = 1")
    before = path.read_bytes()

    with pytest.raises(NotADatabase, match=r"is a database of another program; name another file$"):
        prepare(path, create=True)

    assert path.read_bytes() == before
    assert _names(path.parent) == [path.name]


def test_newer_schema_is_refused(path):
    """A database of a newer schema is refused and not changed, and the message says what to do."""
    prepare(path, create=True)
    _sql(path, "PRAGMA user_version = 1000")

    with pytest.raises(SchemaTooNew, match=r"install the newest version of Backstay$") as caught:
        prepare(path, create=True)

    assert caught.value.context["schema"] == 1000
    assert _schema(path) == 1000


def test_damaged_database_is_reported(path):
    """A damaged database raises StoreCorrupt, with the remedy to examine it."""
    prepare(path, create=True)
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * (4096 - 100)
    path.write_bytes(content)

    with pytest.raises(StoreCorrupt) as caught:
        prepare(path, create=True)
    assert caught.value.remedy is Remedy.EXAMINE


def test_folder_that_cannot_be_made_is_reported(tmp_path):
    """A folder that cannot be created, because a file has its name, raises StorageError."""
    (tmp_path / "file").touch()

    with pytest.raises(StorageError):
        prepare(tmp_path / "file" / "library.db", create=True)


def test_path_through_a_file_is_reported(tmp_path):
    """A path that leads through a file raises StorageError with the reason of the system."""
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match=r"cannot be opened: Not a directory$"):
        prepare(tmp_path / "file" / "library.db", create=False)


# -- migrations ------------------------------------------------------------------------------------


def _known(extra=_ADDED):
    return [*migrations(), extra]


def test_older_database_is_migrated(path):
    """An older database is migrated with its content, and a copy of it is kept next to it."""
    prepare(path, create=True)
    _sql(path, "INSERT INTO meta VALUES ('mark', 'before')")

    prepare(path, create=False, known=_known())

    assert _schema(path) == 99
    assert "note" in _columns(path, "jobs")
    assert _sql(path, "SELECT value FROM meta WHERE name = 'mark'") == [("before",)]
    (copy,) = [name for name in _names(path.parent) if name != path.name]
    assert copy.startswith(f"library.db.schema-{migrations()[-1][0]}-")
    assert copy.endswith(".bak")


def test_database_of_the_first_schema_keeps_what_it_has(path):
    """A database of the first schema keeps its rows; its items are not deleted, and it has no backups."""
    prepare(path, create=True, known=migrations()[:1])
    _put_worker(path, card(1))
    _sql(path, "DELETE FROM workers")
    _sql(path, "INSERT INTO items (job_key, position, owner, id, digest) VALUES (1, 0, 'local', 'i', x'00')")
    _sql(path, "INSERT INTO conversations VALUES (7, 'local', 'c', NULL, NULL, NULL, NULL, NULL, NULL, 'now', 'now')")

    prepare(path, create=False)

    assert _schema(path) == migrations()[-1][0]
    assert _sql(path, "SELECT id, deleted_at FROM items") == [("i", None)]
    assert _sql(path, "SELECT key, id FROM conversations") == [(7, "c")]
    assert _sql(path, "SELECT * FROM backup_exports") == []


def test_job_that_was_paused_before_evidence_was_kept_has_none(path):
    """A paused job of an older schema keeps its reason, and has no evidence."""
    prepare(path, create=True, known=migrations()[:4])
    _put_worker(path, card(1))
    _sql(path, "DELETE FROM workers")
    _sql(path, "UPDATE jobs SET state = 'paused', pause_code = 'bad_key', pause_message = 'no key'")

    prepare(path, create=False)

    paused = _sql(path, "SELECT state, pause_code, pause_message, pause_evidence FROM jobs")
    assert paused == [("paused", "bad_key", "no key", None)]


def test_backups_of_the_schema_before_keep_what_they_have(path):
    """Rebuilding the table of backups keeps its rows, keys and references, and no key is assigned again."""
    prepare(path, create=True, known=migrations()[:7])
    for number in (3, 8):
        _sql(
            path,
            "INSERT INTO backups (key, owner, id, state, reason, keep_micros, created_at, deletion, deleted)"
            " VALUES (?, 'local', ?, 'verified', 'why', 7, 5, 'deleting', 2)",
            number,
            f"backup-{number}-a",
        )
        _sql(path, "INSERT INTO backup_items VALUES (?, 0, 'local', 'c', 1, x'00', x'00', NULL)", number)

    prepare(path, create=False)
    _sql(path, "UPDATE backups SET state = 'damaged', damaged_at = 9, deletion = 'abandoned' WHERE key = 3")
    _sql(
        path,
        "INSERT INTO backups (owner, id, state, reason, keep_micros, created_at) VALUES ('o', 'b', 'failed', '', 1, 1)",
    )

    assert _sql(path, "SELECT key, id, deleted, damaged_at FROM backups") == [
        (3, "backup-3-a", 2, 9),
        (8, "backup-8-a", 2, None),
        (9, "b", 0, None),
    ]
    assert _sql(path, "SELECT backup_id FROM backup_exports") == [("backup-8-a",)]
    assert _sql(path, "SELECT backup_key FROM backup_items") == [(3,), (8,)]
    assert _sql(path, "PRAGMA foreign_key_check") == _sql(path, "PRAGMA integrity_check(1)")[1:] == []


def test_copy_is_the_database_as_it_was(path):
    """The copy kept by a migration is a complete database of the former schema, readable by its user only."""
    prepare(path, create=True)
    _sql(path, "INSERT INTO meta VALUES ('mark', 'before')")
    prepare(path, create=False, known=_known())
    (copy,) = path.parent.glob("*.bak")

    prepare(copy, create=False)

    assert _schema(copy) == migrations()[-1][0]
    assert "note" not in _columns(copy, "jobs")
    assert _sql(copy, "SELECT value FROM meta WHERE name = 'mark'") == [("before",)]
    assert copy.stat().st_mode & 0o777 == 0o600


def test_new_database_needs_no_copy(path):
    """A new database is migrated without a copy."""
    prepare(path, create=True, known=_known())

    assert _names(path.parent) == ["library.db"]
    assert _schema(path) == 99


def test_migration_that_fails_leaves_the_database(path):
    """A migration that fails at its last statement leaves the database unchanged, and no copy."""
    prepare(path, create=True)

    with pytest.raises(StorageError):
        prepare(path, create=False, known=_known((99, f"{_ADDED[1]} INSERT INTO no_such_table VALUES (1);")))

    assert _schema(path) == migrations()[-1][0]
    assert "note" not in _columns(path, "jobs")
    assert _names(path.parent) == [path.name]  # and no copy
    prepare(path, create=False)


@pytest.mark.parametrize("libraries", [1.5, 2.25], ids=["no space for the copy", "no space for the migration"])
def test_migration_on_a_full_disk_leaves_nothing_behind(tmp_path, libraries):
    """No copy is left on a full disk, whether the copy or the migration does not fit."""
    with Mounts(requirements.mounts_of_its_own()) as mounts:
        folder = tmp_path / "disk"
        folder.mkdir()
        mounts.bounded(folder, "8m")
        program = (
            "import sys\n"
            "from pathlib import Path\n"
            "from backstay.errors import StoreFull\n"
            "from backstay.storage.sqlite.schema_migration import migrations, prepare\n"
            "from backstay.storage.sqlite.connection import connect\n"
            "path, step = Path(sys.argv[1]), sys.argv[2]\n"
            "if step == 'make':\n"
            "    prepare(path, create=True)\n"
            "    with connect(path) as connection:\n"
            "        connection.execute(\"INSERT INTO meta VALUES ('mark', hex(zeroblob(100000)))\")\n"
            "else:\n"
            "    more = \"INSERT INTO meta VALUES ('more', hex(zeroblob(200000)))\"\n"
            "    try:\n"
            "        prepare(path, create=False, known=[*migrations(), (99, more)])\n"
            "    except StoreFull as error:\n"
            "        print(error.message)\n"
        )
        command = [*mounts.inside, sys.executable, "-c", program, str(folder / "library.db")]
        subprocess.run([*command, "make"], check=True)
        library = mounts.root / (folder / "library.db").relative_to("/")
        mounts.resize(folder, f"{round(library.stat().st_size * libraries / 1024)}k")
        message = subprocess.run([*command, "migrate"], check=True, capture_output=True, text=True).stdout
        names = [entry.name for entry in (mounts.root / folder.relative_to("/")).iterdir()]
        mounts.resize(folder, "8m")
        again = subprocess.run([*command, "migrate"], check=True, capture_output=True, text=True).stdout

    assert [name for name in names if "bak" in name or "part" in name] == []
    assert message != ""
    assert ("which keeps a copy of it. The copy takes" in message) == (libraries < 2)
    assert again == ""


def test_many_migrate_at_once(path):
    """When several threads prepare an older database at once, one migrates it and all succeed."""
    prepare(path, create=True)
    together = threading.Barrier(6)

    def migrate():
        together.wait()
        prepare(path, create=False, known=_known())

    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(migrate) for _ in range(6)]:
            future.result(timeout=60)

    assert _schema(path) == 99
    assert len(list(path.parent.glob("*.bak"))) == 1  # of the thread that migrated
    assert _columns(path, "jobs").count("note") == 1


def test_nothing_is_migrated_under_a_worker(path, tmp_path):
    """A database with a live worker is not migrated, and the message names the process."""
    prepare(path, create=True)
    life = LivenessLock.open(tmp_path / "workers")
    _put_worker(path, life.identity)

    with pytest.raises(SchemaOutdated, match=rf"a worker \(process {os.getpid()} on "):
        prepare(path, create=False, known=_known())
    assert _schema(path) == migrations()[-1][0]

    life.close(remove=False)
    prepare(path, create=False, known=_known())
    assert _schema(path) == 99


def test_file_of_two_names_is_refused(path):
    """A file with a hard link is refused, since each name would have its own log and one would be lost."""
    prepare(path, create=True)
    other = path.with_name("other.db")
    other.hardlink_to(path)

    for name in (path, other):
        with pytest.raises(StorageError, match="a second name"):
            prepare(name, create=False)

    other.unlink()
    prepare(path, create=False)


def test_worker_on_another_host_prevents_a_migration(path):
    """A worker on another host, which cannot be checked, prevents a migration."""
    prepare(path, create=True)
    _put_worker(path, card())

    with pytest.raises(SchemaOutdated, match="process 4711 on elsewhere"):
        prepare(path, create=False, known=_known())


def test_worker_prevents_no_start_without_a_migration(path):
    """A database of the latest schema can be opened while a worker uses it."""
    prepare(path, create=True)
    _put_worker(path, card())

    prepare(path, create=False)


def test_migrations_are_numbered_without_gaps():
    """Migrations are numbered from 1 without gaps."""
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


async def test_store_that_cannot_be_opened_is_not_started(path, monkeypatch):
    """An unsafe SQLite library is refused before the file is created."""
    monkeypatch.setattr(connection.apsw, "sqlite_lib_version", lambda: "3.40.1")

    with pytest.raises(StorageError, match="can lose commits"):
        await SqliteStore(path=path, clock=SystemClock()).start(create=True)

    assert not path.exists()
