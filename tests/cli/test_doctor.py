"""`backstay doctor` checks everything, changes nothing, and never fails itself."""

import os
from pathlib import Path

import apsw
import pytest

from backstay.backup.service import Backups
from backstay.doctor import CheckLevel, examine, filesystem, sqlite
from backstay.doctor.filesystem import file_system_kind
from backstay.errors import StoreUnavailable
from support.harness.waiting import until
from support.stores.sql import ask


@pytest.fixture
def database(within, backstay) -> Path:
    """A database with one finished job."""
    within("run", backstay.write("topics.csv", *(f"Topic {number}" for number in range(50))), "--model", "scripted")
    return backstay.database


def _levels(ended) -> dict[str, str]:
    """Return the worst level of each check."""
    worst: dict[str, str] = {}
    for check in ended.json["checks"]:
        order = ("ok", "warning", "problem")
        worst[check["name"]] = max(worst.get(check["name"], "ok"), check["level"], key=order.index)
    return worst


def _messages(ended, name: str) -> str:
    return " | ".join(check["message"] for check in ended.json["checks"] if check["name"] == name)


def _remedy(ended, name: str) -> str:
    return " | ".join(check["remedy"] for check in ended.json["checks"] if check["name"] == name)


def _everything_in(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def test_without_a_database_nothing_is_wrong_and_nothing_made(within, backstay):
    """Doctor without a database reports no problem and creates nothing."""
    ended = within("doctor", "--json")

    assert ended.code == 0
    assert ended.json["ok"] is True
    assert "no database at" in _messages(ended, "database")
    assert not (backstay.folder / ".backstay").exists()
    assert {"backstay", "python", "platform", "sqlite", "environment", "folder", "disk", "space"} <= set(_levels(ended))


def test_a_sound_database_is_left_as_it_is(within, database):
    """Doctor checks an intact database without creating, removing or changing a file."""
    before = _everything_in(database.parent)

    text = within("doctor")
    ended = within("doctor", "--deep", "--json")

    assert (text.code, text.err) == (0, "")
    assert f"ok       database     {database}" in text.out
    assert ended.code == 0
    assert set(_levels(ended).values()) == {"ok"}
    assert _messages(ended, "integrity") == "no damage (full check)"
    assert _messages(ended, "counters") == "every job's counters equal its items"
    assert _messages(ended, "journal") == "wal"
    assert _everything_in(database.parent) == before


def test_damage_is_found(within, database):
    """Doctor reports damaged pages as a problem, and exits with 1."""
    content = bytearray(database.read_bytes())
    content[4096 * 2 : 4096 * 8] = b"\xaa" * 4096 * 6
    database.write_bytes(content)

    ended = within("doctor", "--json")

    assert ended.code == 1
    assert ended.json["ok"] is False
    assert "problem" in {_levels(ended).get("integrity"), _levels(ended).get("contents")}


@pytest.mark.parametrize("content", [b"x" * 5000, b"short"])
def test_a_file_that_is_no_database_is_found(within, backstay, content):
    """Doctor reports a file that is no database as a problem."""
    (backstay.folder / "a.db").write_bytes(content)

    ended = within("--database", "a.db", "doctor", "--json")

    assert ended.code == 1
    assert "is not a SQLite database" in _messages(ended, "contents")


def test_an_empty_file_is_a_database_to_be(within, backstay):
    """Doctor accepts an empty file as a new database."""
    (backstay.folder / "a.db").touch()

    ended = within("--database", "a.db", "doctor", "--json")

    assert ended.code == 0
    assert _levels(ended)["schema"] == "warning"
    assert (backstay.folder / "a.db").stat().st_size == 0


def test_a_folder_in_its_place_is_found(within, backstay):
    """Doctor reports a folder at the path of the database as a problem."""
    ended = within("--database", str(backstay.folder), "doctor", "--json")

    assert ended.code == 1
    assert "is not a file" in _messages(ended, "database")


def test_a_newer_schema_is_found(within, database):
    """Doctor reports a database of a newer Backstay with a remedy, and does not migrate it."""
    connection = apsw.Connection(str(database))
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    ended = within("doctor", "--json")

    assert ended.code == 1
    assert "written by a newer Backstay" in _messages(ended, "schema")
    assert within("doctor", "--json").code == 1


def test_wrong_counters_are_found(within, database):
    """The deep check compares every job's counters with its items."""
    connection = apsw.Connection(str(database))
    connection.execute("UPDATE jobs SET completed = completed - 1")
    connection.close()

    ended = within("doctor", "--deep", "--json")

    assert ended.code == 1
    assert _messages(ended, "counters") == "the counters of these jobs differ from their items: local/topics"


def test_a_large_database_is_searched_only_when_asked(within, database, monkeypatch):
    """Doctor checks a large database for damage only with --deep."""
    monkeypatch.setattr(sqlite, "MAX_QUICK_CHECK_BYTES", 1000)

    quick = within("doctor", "--json")
    deep = within("doctor", "--deep", "--json")

    assert "not checked" in _messages(quick, "integrity")
    assert _messages(deep, "integrity") == "no damage (full check)"


def test_unfinished_jobs_and_dead_workers_are_named(within, backstay):
    """Doctor warns of an unfinished job, and names the process of a dead worker."""
    backstay.write("topics.csv", "Gardens")
    process = backstay.start("run", "topics.csv", "--processor", "made:endless")
    until(lambda: backstay.count("topics", "running") == 1)
    alive = within("doctor", "--json")
    process.kill()
    process.wait()

    dead = within("doctor", "--json")

    assert alive.code == dead.code == 0
    assert _messages(alive, "jobs") == "unfinished: topics (running, 0 of 1)"
    assert _messages(alive, "workers") == "1 at work"
    assert _levels(dead)["jobs"] == "warning"
    assert _messages(dead, "jobs") == "unfinished: topics (interrupted, 0 of 1)"
    assert f"process {process.pid} on " in _messages(dead, "workers")
    assert _messages(dead, "workers").endswith("0 at work")


def test_a_worker_of_another_owner_hides_no_interrupted_job(within, backstay):
    """Doctor calls a job interrupted although another owner's job of the same name has a living worker."""
    backstay.write("topics.csv", "Gardens")
    own = backstay.start("run", "topics.csv", "--processor", "made:endless")
    until(lambda: backstay.count("topics", "running") == 1)
    own.kill()
    own.wait()
    backstay.start("--owner", "bob", "run", "topics.csv", "--processor", "made:endless")
    until(lambda: ask(backstay.database, "SELECT count(*) FROM items WHERE state = 'running'") == [(2,)])

    ended = within("doctor", "--json")

    assert _messages(ended, "jobs") == "unfinished: topics (interrupted, 0 of 1)"
    assert _messages(ended, "workers").endswith("1 at work")


def test_the_environment_is_listed_by_name_only(within, monkeypatch):
    """Doctor names set variables without their values, and those that are not used."""
    monkeypatch.setenv("BACKSTAY_DATABASE_URL", "postgresql://ann:secret@127.0.0.1:1/x")
    monkeypatch.setenv("BACKSTAY_OWNER", "ann")
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "very-secret")

    ended = within("doctor", "--json")

    assert ended.code == 1
    assert "BACKSTAY_DATABASE_URL and BACKSTAY_OWNER set" in _messages(ended, "environment")
    assert "SUPABASE_SERVICE_ROLE_KEY is set; it is not used" in _messages(ended, "environment")
    assert _levels(ended)["server"] == "problem"
    assert "secret" not in ended.out


def test_a_folder_open_to_all_is_a_warning(within, backstay):
    """Doctor warns of a folder in which every user could replace the database."""
    backstay.folder.chmod(0o777)

    ended = within("doctor", "--json")

    assert ended.code == 0
    assert _levels(ended)["folder"] == "warning"


def test_file_systems_are_found_by_the_nearest_mount(tmp_path):
    """The kind of file system comes from the innermost mount, the later of two on one point, spaces decoded."""
    mounts = tmp_path / "mounts"
    share = tmp_path / "my share"
    share.mkdir()
    escaped = str(share).replace(" ", "\\040")
    mounts.write_text(f"/dev/a / ext4 rw 0 0\n/dev/b {tmp_path} xfs rw 0 0\nserver:/x {escaped} nfs4 rw 0 0\nodd\n")

    assert file_system_kind(share, mounts=mounts) == "nfs4"
    assert file_system_kind(tmp_path, mounts=mounts) == "xfs"
    assert file_system_kind(Path("/"), mounts=mounts) == "ext4"
    assert file_system_kind(share, mounts=tmp_path / "none") is None


def test_a_network_share_is_a_warning(monkeypatch, tmp_path):
    """Doctor warns of a database on a network share."""
    monkeypatch.setattr(filesystem, "file_system_kind", lambda _: "nfs4")

    checks = {check.name: check for check in examine(database_url=str(tmp_path / "a.db"), owner=None, environ={})}

    assert checks["disk"].level is CheckLevel.WARNING
    assert "local disk" in checks["disk"].remedy


def test_a_file_in_the_place_of_backups_is_a_problem(within, backstay, database, monkeypatch):
    """Doctor reports an unusable backup folder with the setting's name, and both of its remedies work."""
    (backstay.folder / "taken").write_text("x")
    monkeypatch.setenv("BACKUP_DIRECTORY", "taken")
    inside = within("doctor", "--json")
    monkeypatch.setenv("BACKUP_DIRECTORY", "taken/deeper")
    below = within("doctor", "--json")
    (backstay.folder / "taken").unlink()
    removed = within("doctor", "--json")

    for ended in (inside, below):
        assert ended.code == 1
        assert _messages(ended, "backups") == f"{backstay.folder / 'taken'} is not a folder"
        assert _remedy(ended, "backups") == "remove what is there, or set BACKUP_DIRECTORY to a folder"
    assert removed.code == 0
    assert within("backups", "create", "--all").code == 0
    assert within("doctor", "--json").code == 0


def test_a_place_of_backups_whose_disk_may_not_be_mounted_is_a_warning(within, backstay, database, monkeypatch):
    """Doctor warns if the first backup would create more than the last folder of its path."""
    monkeypatch.setenv("BACKUP_DIRECTORY", str(backstay.folder / "mnt" / "disk" / "backups"))
    missing = within("doctor", "--json")
    (backstay.folder / "mnt" / "disk").mkdir(parents=True)
    made = within("doctor", "--json")

    assert (missing.code, _levels(missing)["backups"]) == (0, "warning")
    assert "mnt/disk does not exist" in _messages(missing, "backups")
    assert _remedy(missing, "backups") == "mount its disk, or create that folder"
    assert _levels(made)["backups"] == "ok"
    assert _messages(made, "backups").startswith(f"new ones go to {backstay.folder / 'mnt' / 'disk' / 'backups'}, ")


def test_what_settings_take_from_elsewhere_is_looked_for(within, backstay, monkeypatch):
    """Doctor reports each wrong key sqlite, header, adopted table and server setting as a problem."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GATEWAY"):
        monkeypatch.delenv(name, raising=False)
    wrong = """
        [keys.OPENAI_API_KEY]
        file = "key"
        [keys.ANTHROPIC_API_KEY]
        command = "touch ran"
        [headers."models.example"]
        X-Team = "GATEWAY"
        [adopt]
        conversation = "chats"
        [server]
        recipes = { talk = "talk.toml" }
    """
    (backstay.folder / "backstay.toml").write_text(wrong)
    ended = within("doctor", "--json")
    (backstay.folder / "key").write_text("sk-secret\n")
    (backstay.folder / "key").chmod(0o600)
    right = wrong.replace("conversation =", "conversations =").replace(
        'recipes = { talk = "talk.toml" }', "port = 8718"
    )
    (backstay.folder / "backstay.toml").write_text(right)
    monkeypatch.setenv("GATEWAY", "blue")
    corrected = within("doctor", "--json")

    assert ended.code == 1
    assert {item for item, level in _levels(ended).items() if level == "problem"} == {
        "keys",
        "headers",
        "adopt",
        "serve",
    }
    assert "cannot be read" in _messages(ended, "keys")
    assert "GATEWAY, which is not set" in _messages(ended, "headers")
    assert "talk.toml" in _messages(ended, "serve")
    assert {_levels(corrected)[name] for name in ("keys", "serve")} == {"ok"}
    assert corrected.code == 0, corrected.out
    assert not (backstay.folder / "ran").exists()
    assert "sk-secret" not in corrected.out


def test_a_broken_settings_file_is_a_problem(within, backstay):
    """Doctor reports an unreadable settings file as a problem."""
    (backstay.folder / "backstay.toml").write_text("owner = ")

    ended = within("doctor", "--json")

    assert ended.code == 1
    assert "backstay.toml cannot be read" in _messages(ended, "settings")


def test_the_settings_file_is_named(within, backstay):
    """Doctor names the settings file that it read, or reports that there is none."""
    without = within("doctor", "--json")
    (backstay.folder / "backstay.toml").write_text("rpm = 5\n")

    assert _messages(without, "settings") == f"no backstay.toml in {backstay.folder} or above it"
    assert _messages(within("doctor", "--json"), "settings") == f"from {backstay.folder / 'backstay.toml'}"


def _checks(ended, name: str) -> list[tuple[str, str]]:
    return [(check["level"], check["message"]) for check in ended.json["checks"] if check["name"] == name]


def test_keys_that_the_settings_name_are_looked_at_without_running_anything(within, backstay, monkeypatch):
    """Doctor checks that a key file is readable only by its owner and that a command's program exists, without running
    it."""
    folder = backstay.folder
    for name, text, mode in (("good", "sk-1", 0o600), ("open", "sk-2", 0o644), ("empty", "", 0o600)):
        (folder / name).write_text(text)
        (folder / name).chmod(mode)
    (folder / "tool").write_text("#!/bin/sh\necho sk-3\ntouch ran\n")
    (folder / "tool").chmod(0o755)
    (folder / "plain").write_text("sk-4")
    (folder / "plain").chmod(0o600)
    sources = {
        "GOOD": 'file = "good"',
        "OPEN": 'file = "open"',
        "EMPTY": 'file = "empty"',
        "GONE": 'file = "gone"',
        "FOLDER": 'file = "."',
        "TOOL": 'command = "TOKEN=1 ./tool --secret sk-5"',
        "PLAIN": 'command = "./plain"',
        "MISSING": 'command = "no-such-program show"',
        "LINE": 'command = "$(cat good) && touch ran"',
        "SET": 'command = "touch ran"',
    }
    (folder / "backstay.toml").write_text("".join(f"[keys.{name}]\n{text}\n" for name, text in sources.items()))
    monkeypatch.setenv("SET", "sk-6")

    ended = within("doctor", "--json")

    assert ended.code == 1
    assert _checks(ended, "keys") == [
        ("ok", "the key from the file for GOOD named in backstay.toml can be read"),
        ("warning", f"others can read {folder / 'open'}, the key of OPEN"),
        ("problem", "The content of the key file for EMPTY is empty ([keys.EMPTY] in backstay.toml)"),
        (
            "problem",
            f"The key file {folder / 'gone'} for GONE ([keys.GONE] in backstay.toml) cannot be read: "
            "No such file or directory",
        ),
        (
            "problem",
            f"The key file {folder} for FOLDER ([keys.FOLDER] in backstay.toml) cannot be read: it is not a regular "
            "file; a pipe can be read by a `command`, as in cat",
        ),
        ("ok", "the key from the command for TOOL in backstay.toml was not checked"),
        ("problem", "./plain, the command for PLAIN in [keys.PLAIN], is missing or cannot be run"),
        ("warning", "no-such-program, the command for MISSING in [keys.MISSING], is missing or cannot be run"),
        ("ok", "the key from the command for LINE in backstay.toml was not checked"),
        ("ok", "SET is set, so [keys.SET] in backstay.toml is not used"),
    ]
    remedies = [check["remedy"] for check in ended.json["checks"] if check["message"].endswith("was not checked")]
    assert remedies == ["`backstay probe --recipe FILE` runs the command"] * 2
    assert not (folder / "ran").exists()
    assert "sk-" not in ended.out


def test_recipes_of_the_server_are_looked_at(within, backstay, monkeypatch):
    """Doctor checks that each recipe in `[server.recipes]` is valid, and that its key exists and is allowed."""
    recipes = {
        "good": 'model = "openai:m"',
        "filed": 'model = "groq:m"',
        "local": 'model = "m"\nbase_url = "http://127.0.0.1:1/v1"',
        "keyless": 'model = "anthropic:m"',
        "elsewhere": 'model = "m"\nbase_url = "https://models.example/v1"',
        "wrong": 'model = "openai:m"\nturms = 2',
        "broken": "model = ",
    }
    for name, text in recipes.items():
        (backstay.folder / f"{name}.toml").write_text(text + "\n")
    (backstay.folder / "key").write_text("sk-1")
    (backstay.folder / "key").chmod(0o600)
    named = "".join(f'{name} = "{name}.toml"\n' for name in [*recipes, "gone"])
    (backstay.folder / "backstay.toml").write_text(f'[keys.GROQ_API_KEY]\nfile = "key"\n[server.recipes]\n{named}')
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef0123456789")
    for name in ("ANTHROPIC_API_KEY", "GROQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    ended = within("doctor", "--json")

    result = [check for check in _checks(ended, "serve") if check[1].startswith("recipe ")]
    assert ended.code == 1
    assert [level for level, _ in result] == ["ok", "ok", "ok", "warning", *["problem"] * 4]
    for (_, message), output in zip(
        result,
        [
            "good: openai:m at api.openai.com, the key in OPENAI_API_KEY",
            "filed: groq:m at api.groq.com, the key from the file for GROQ_API_KEY",
            "local: m at 127.0.0.1",
            "keyless: anthropic:m at api.anthropic.com: no API key: ANTHROPIC_API_KEY is not set here",
            "elsewhere: The recipe",
            "there is no field 'turms'",
            "broken.toml is not valid TOML",
            "not found",
        ],
        strict=True,
    ):
        assert output in message


def test_a_backup_from_the_future_is_named(within, backstay):
    """Doctor names a backup that is newer than the clock, with a remedy that works."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--model", "scripted")
    made = within("backups", "create", "--all", "--json").json["backupId"]
    ask(backstay.database, "UPDATE backups SET created_at = created_at + 2592000000000, verified_at = NULL")

    ended = within("doctor", "--json")
    within("backups", "delete", made, "--yes")
    corrected = within("doctor", "--json")

    assert ended.code == 1
    assert _levels(ended)["clock"] == "problem"
    assert f"`backstay backups delete {made}`" in ended.out
    assert "clock" not in _levels(corrected)


def test_backups_of_a_linked_database_are_found(within, backstay):
    """Doctor finds the backups of a database that is named through a link in another folder."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--model", "scripted")
    link = backstay.folder / "elsewhere" / "linked.db"
    link.parent.mkdir()
    link.symlink_to(backstay.database)
    within("--database", str(link), "backups", "create", "--all")

    ended = within("--database", str(link), "doctor", "--json")

    assert ended.code == 0
    assert "1 verified, their files are present" in _messages(ended, "backups")


def test_a_folder_of_backups_that_cannot_be_seen_is_not_called_empty(within, backstay, monkeypatch):
    """Doctor does not suggest deleting the record of a backup whose disk is not mounted."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--model", "scripted")
    monkeypatch.setenv("BACKUP_DIRECTORY", str(backstay.folder / "disk"))
    within("backups", "create", "--all")
    (backstay.folder / "disk").rename(backstay.folder / "unplugged")

    ended = within("doctor", "--json")

    assert ended.code == 1
    assert "a disk may not be mounted" in ended.out
    assert "missing" not in ended.out
    assert "cannot be found" not in ended.out  # it is the folder that is not mounted


@pytest.mark.parametrize("has_backup", [True, False], ids=["with a backup", "without its marker"])
def test_an_unmounted_former_folder_is_named_whatever_the_new_folder_has(within, backstay, monkeypatch, has_backup):
    """Doctor names a backup whose former folder is not mounted, if the new folder is usable and if it is not."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--model", "scripted")
    made = {}
    for folder in ("former", "new"):
        monkeypatch.setenv("BACKUP_DIRECTORY", str(backstay.folder / folder))
        made[folder] = within("backups", "create", "--all", "--json").json["backupId"]
    (backstay.folder / "former").rename(backstay.folder / "unplugged")
    if not has_backup:
        (backstay.folder / "new").rename(backstay.folder / "unplugged too")

    ended = within("doctor", "--json")

    assert ended.code == 1
    assert f"the folders of these backups cannot be found: {made['former']}" in _messages(ended, "backups").split(" | ")
    assert ("a disk may not be mounted" in _messages(ended, "backups")) is not has_backup
    assert "backups delete" not in ended.out


def test_damage_that_cannot_be_recorded_hides_no_other(within, backstay, monkeypatch):
    """Doctor records each damaged backup, also after one whose damage it cannot record."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--model", "scripted")
    made = [within("backups", "create", "--all", "--json").json["backupId"] for _ in range(2)]
    for path in backstay.folder.rglob("*.json.zst"):
        path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    verify, refused = Backups.verify, []

    async def refuse_first(self, backup_id):
        if not refused:
            refused.append(backup_id)
            raise StoreUnavailable("the database is locked")
        return await verify(self, backup_id)

    monkeypatch.setattr(Backups, "verify", refuse_first)
    ended = within("doctor", "--deep", "--json")
    recorded = ask(backstay.database, "SELECT id FROM backups WHERE damaged_at IS NOT NULL")

    assert [f"{backup} is damaged: " in ended.out for backup in made] == [True, True]
    assert len(recorded) == 1


def test_a_file_of_another_size_is_damaged(within, backstay):
    """Doctor names a backup whose file was cut off or emptied without reading it, and records nothing."""
    backstay.write("topics.csv", "Gardens")
    within("run", "topics.csv", "--model", "scripted")
    made = [within("backups", "create", "--all", "--json").json["backupId"] for _ in range(3)]
    for size, backup in zip((0, 100), made, strict=False):
        (path,) = backstay.folder.rglob(f"{backup}.json.zst")
        os.truncate(path, size)

    ended = within("doctor", "--json")
    recorded = ask(backstay.database, "SELECT id FROM backups WHERE damaged_at IS NOT NULL")

    assert ended.code == 1
    assert [f"{backup} is damaged: " in ended.out for backup in made] == [True, True, False]
    assert "1 verified, their files are present" in _messages(ended, "backups")
    assert recorded == []


def test_the_token_of_the_server_is_checked(within, database):
    """Doctor says where the server's token is kept, warns if others can read it, and never shows it."""
    file = database.with_suffix(".token")
    absent = within("doctor", "--json")
    file.touch(0o600)
    file.write_text("x" * 43 + "\n")
    private = within("doctor", "--json")
    file.chmod(0o644)
    shared = within("doctor", "--json")
    file.unlink()
    file.mkdir()
    folder = within("doctor", "--json")

    assert "token" not in _levels(absent)
    assert [_levels(ended)["token"] for ended in (private, shared, folder)] == ["ok", "warning", "problem"]
    assert "other users can read it" in _messages(shared, "token")
    assert "`backstay serve` replaces it" in _remedy(shared, "token")
    assert "remove it" in _messages(folder, "token")
    assert "x" * 43 not in f"{private.json}{shared.json}"
