"""Settings and their precedence."""

from pathlib import Path

import pytest

from backstay.errors import SettingsError
from backstay.library.adoption_settings import adoption_from_settings
from backstay.server import settings as server_settings
from backstay.settings import Settings, load


def _load(here, *, environ=None, **said):
    return load(here=here, environ=environ or {}, **said)


def _write(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "backstay.toml").write_text(text, encoding="utf-8")


# -- who has the last word -------------------------------------------------------------------------


def test_defaults(tmp_path):
    """Without any setting, the library is in a folder here and belongs to the local owner."""
    settings = _load(tmp_path)

    assert settings.database == tmp_path / ".backstay" / "backstay.db"
    assert settings.owner == "local"
    assert settings.lease_seconds == 15.0


@pytest.mark.parametrize(
    ("in_file", "in_environment", "argument", "owner"),
    [
        (None, None, None, "local"),
        ("file", None, None, "file"),
        ("file", "environment", None, "environment"),
        (None, "environment", None, "environment"),
        ("file", "environment", "said", "said"),
        ("file", None, "said", "said"),
        ("file", "", None, "file"),
    ],
)
def test_what_is_said_later_wins(tmp_path, in_file, in_environment, argument, owner):
    """An argument overrides the environment, which overrides the file; an empty variable is ignored."""
    if in_file:
        _write(tmp_path, f'owner = "{in_file}"')
    environ = {} if in_environment is None else {"BACKSTAY_OWNER": in_environment}

    assert _load(tmp_path, environ=environ, owner=argument).owner == owner


def test_database_is_said_in_the_same_ways(tmp_path):
    """The database follows the same precedence: argument, environment, file."""
    _write(tmp_path, 'database_url = "file.db"')
    environ = {"BACKSTAY_DATABASE_URL": "environment.db"}

    assert _load(tmp_path).database == tmp_path / "file.db"
    assert _load(tmp_path, environ=environ).database == tmp_path / "environment.db"
    assert _load(tmp_path, environ=environ, database_url="said.db").database == tmp_path / "said.db"


def test_address_of_the_apps_database_is_not_read(tmp_path):
    """`DATABASE_URL` is not read, since it belongs to the user's app."""
    settings = _load(tmp_path, environ={"DATABASE_URL": "sqlite:///theirs.db"})

    assert settings.database == tmp_path / ".backstay" / "backstay.db"


def test_process_and_folder_are_asked_by_default(tmp_path, monkeypatch):
    """By default the settings come from the process's environment and current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACKSTAY_OWNER", "me")
    monkeypatch.delenv("BACKSTAY_DATABASE_URL", raising=False)

    settings = load()

    assert settings.owner == "me"
    assert settings.database == Path.cwd() / ".backstay" / "backstay.db"


# -- folders ---------------------------------------------------------------------------------------


def test_nearest_folder_above_is_used(tmp_path):
    """A subfolder uses the library of the nearest parent folder."""
    (tmp_path / ".backstay").mkdir()
    (tmp_path / "a" / ".backstay").mkdir(parents=True)
    here = tmp_path / "a" / "b" / "c"
    here.mkdir(parents=True)

    assert _load(here).database == tmp_path / "a" / ".backstay" / "backstay.db"


def test_file_of_that_name_is_no_folder(tmp_path):
    """A file named `.backstay` is not taken for a library."""
    (tmp_path / ".backstay").write_text("")
    here = tmp_path / "a"
    here.mkdir()

    assert _load(here).database == here / ".backstay" / "backstay.db"


def test_nearest_settings_file_above_is_used(tmp_path):
    """Only the nearest settings file is read."""
    _write(tmp_path, 'owner = "far"\nlease_seconds = 3')
    _write(tmp_path / "a", 'owner = "near"')
    here = tmp_path / "a" / "b"
    here.mkdir()

    settings = _load(here)

    assert (settings.owner, settings.lease_seconds) == ("near", 15.0)


def test_path_in_a_settings_file_is_relative_to_it(tmp_path):
    """A path in a settings file is relative to that file, whatever the current folder."""
    _write(tmp_path, 'database_url = "data/library.db"')
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)

    assert _load(here).database == tmp_path / "data" / "library.db"


def test_path_that_is_said_is_relative_to_here(tmp_path):
    """A path in an argument or variable is relative to the current folder."""
    _write(tmp_path, 'database_url = "data/library.db"')
    here = tmp_path / "a"
    here.mkdir()

    assert _load(here, database_url="x.db").database == here / "x.db"
    assert _load(here, environ={"BACKSTAY_DATABASE_URL": "y.db"}).database == here / "y.db"


def test_settings_file_without_a_path_leaves_the_nearest_folder(tmp_path):
    """A settings file without a database does not change the library's folder."""
    _write(tmp_path, 'owner = "me"')
    here = tmp_path / "a" / "b"
    (tmp_path / "a" / ".backstay").mkdir(parents=True)
    here.mkdir()

    assert _load(here).database == tmp_path / "a" / ".backstay" / "backstay.db"


# -- addresses -------------------------------------------------------------------------------------


def test_ways_to_name_a_file(tmp_path, monkeypatch):
    """A database file is named by a path, a path in the home folder, or `sqlite:///` before a path."""
    monkeypatch.setenv("HOME", "/home/me")

    result = {
        url: str(_load(tmp_path, database_url=url).database)
        for url in ("a.db", "/data/a.db", "~/a.db", "sqlite:///a.db", "sqlite:////data/a.db")
    }

    assert result == {
        "a.db": f"{tmp_path}/a.db",
        "/data/a.db": "/data/a.db",
        "~/a.db": "/home/me/a.db",
        "sqlite:///a.db": f"{tmp_path}/a.db",
        "sqlite:////data/a.db": "/data/a.db",
    }


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@db.example.com/app",
        "mysql://me:hunter2@host/x",
        "sqlite://hunter2",
        "sqlite:///",
        "://x",
    ],
)
def test_other_addresses_are_refused_without_being_shown(tmp_path, url):
    """An unsupported address is refused without showing it, since it may contain a password."""
    with pytest.raises(SettingsError) as caught:
        _ = _load(tmp_path, database_url=url).database

    kind = url.partition("://")[0]
    assert caught.value.message.startswith(f"The database address starts with {kind}://; give the path")
    assert "hunter2" not in caught.value.message
    assert "hunter2" not in repr(caught.value.context)


# -- what is wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["owner = ", 'owner = "a"\nowner = "b"', "[[", "\x00"])
def test_broken_settings_file_is_refused(tmp_path, text):
    """An invalid settings file is refused with its path."""
    _write(tmp_path, text)

    with pytest.raises(SettingsError, match="cannot be read") as caught:
        _load(tmp_path)

    assert caught.value.message.startswith(str(tmp_path / "backstay.toml"))


def test_settings_file_that_is_not_utf8_is_refused(tmp_path):
    """A settings file that is not UTF-8 is refused as invalid."""
    (tmp_path / "backstay.toml").write_bytes(b'owner = "\xff"')

    with pytest.raises(SettingsError, match="cannot be read"):
        _load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('databse_url = "hunter2"', "Unknown setting 'databse_url'"),
        ('here = "/tmp"', "Unknown setting 'here'"),
        ('file_directory = "/tmp"', "Unknown setting 'file_directory'"),
        ("[keys.OPENAI_API_KEY]", "The setting 'keys.OPENAI_API_KEY'"),
        ('[keys.K]\ncommand = "hunter2"\nfile = "k"', "The setting 'keys.K'"),
        ('[keys.K]\nkommand = "hunter2"', "Unknown setting 'keys.K.kommand'"),
        ('[headers]\nX-App = "hunter2"', "The setting 'headers.X-App'"),
        ("owner = 5", "The setting 'owner'"),
        ('owner = ""', "The setting 'owner'"),
        ("lease_seconds = 0", "The setting 'lease_seconds'"),
        ('lease_seconds = "long"', "The setting 'lease_seconds'"),
        ('[owner]\nname = "x"', "The setting 'owner'"),
    ],
)
def test_wrong_setting_is_named(tmp_path, text, message):
    """A wrong setting is refused with its name and source, without its value."""
    _write(tmp_path, text)

    with pytest.raises(SettingsError) as caught:
        _load(tmp_path)

    assert caught.value.message.startswith(message)
    assert str(tmp_path / "backstay.toml") in caught.value.message
    assert "hunter2" not in caught.value.message


def test_unknown_setting_is_answered_with_those_there_are(tmp_path):
    """An unknown setting is refused with the nearest one and the list of known settings."""
    _write(tmp_path, 'ower = "me"')

    known = (
        "database_url, database_schema, owner, reviewer, lease_seconds, rpm, tpm, patience_seconds, allowed_keys, "
        "backup_directory, backup_retention_days, backup_keep_newest, keys, headers"
    )
    with pytest.raises(
        SettingsError, match=rf"'ower' in .*backstay\.toml; did you mean owner\? Known settings: {known}$"
    ):
        _load(tmp_path)
    _write(tmp_path, "rmp = 5")
    with pytest.raises(SettingsError, match=r"did you mean rpm\?"):
        _load(tmp_path)
    _write(tmp_path, "[serve]")
    with pytest.raises(SettingsError, match=r"did you mean server\?"):
        _load(tmp_path)
    _write(tmp_path, 'zzz = "me"')
    with pytest.raises(SettingsError, match=rf"backstay\.toml; known settings: {known}$"):
        _load(tmp_path)


def test_unknown_setting_of_a_table_is_named_with_its_file(tmp_path):
    """A misspelt name in `[server]` or `[adopt]` is refused with its file and the nearest name."""
    _write(tmp_path, "[server]\nprot = 1")
    with pytest.raises(
        SettingsError, match=r"^\[server\] in .*backstay\.toml has no setting 'prot'; did you mean port\?"
    ):
        server_settings.load(here=tmp_path, environ={})
    _write(tmp_path, '[adopt]\nturn = "x"')
    with pytest.raises(
        SettingsError, match=r"^\[adopt\] in .*backstay\.toml: unknown setting 'turn'; did you mean turn"
    ):
        adoption_from_settings(tmp_path)


@pytest.mark.parametrize("owner", ["", "x" * 513])
def test_owner_that_is_said_is_checked(tmp_path, owner):
    """A wrong owner in an argument is refused without naming a file."""
    with pytest.raises(SettingsError, match=r"^The setting 'owner' is wrong: "):
        _load(tmp_path, owner=owner)


def test_wrong_value_names_the_source_that_counts(tmp_path):
    """Of a file, a variable and an argument, the message names the one whose value is used."""
    _write(tmp_path, "rpm = 0\ntpm = 0")
    environ = {"BACKSTAY_RPM": "0"}

    for arguments, says in (
        ({"rpm": -1}, "^The setting 'rpm' is wrong: "),
        ({}, "^BACKSTAY_RPM is wrong: "),
        ({"rpm": 5}, rf"^The setting 'tpm' in {tmp_path}/backstay\.toml is wrong: "),
    ):
        with pytest.raises(SettingsError, match=says):
            load(here=tmp_path, environ=environ, **arguments)


def test_settings_do_not_change():
    """Settings cannot be changed after they are loaded."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().owner = "other"


def test_wrong_value_of_the_server_names_its_variable(tmp_path):
    """A wrong setting of the server names the variable if it comes from one, else the setting."""
    with pytest.raises(SettingsError, match=r"^BACKSTAY_PORT is wrong: it must be a whole number$"):
        server_settings.load(here=tmp_path, environ={"BACKSTAY_PORT": "x"})
    with pytest.raises(SettingsError, match=r"^The server's setting 'host' is wrong: "):
        server_settings.load(here=tmp_path, environ={"BACKSTAY_HOST": "127.0.0.1"}, host="")
    _write(tmp_path, "[server]\nport = 'x'")
    with pytest.raises(SettingsError, match=r"^The server's setting 'port' is wrong: it must be a whole number$"):
        server_settings.load(here=tmp_path, environ={})


def test_what_is_wrong_is_said_in_our_words(tmp_path):
    """A wrong value is explained without pydantic's wording."""
    for value, says in (
        (
            {"BACKSTAY_SCHEMA": "a b"},
            "^BACKSTAY_SCHEMA is wrong: it may have 40 lower-case letters, digits and underscores at most, "
            "and no digit first$",
        ),
        ({"BACKSTAY_SCHEMA": "pg_mine"}, "^BACKSTAY_SCHEMA is wrong: PostgreSQL reserves this name$"),
        ({"BACKSTAY_RPM": "0"}, "^BACKSTAY_RPM is wrong: it must be at least 1$"),
        ({"BACKUP_RETENTION_DAYS": "30d"}, "^BACKUP_RETENTION_DAYS is wrong: it must be a number$"),
        ({"BACKUP_KEEP_NEWEST": "-1"}, "^BACKUP_KEEP_NEWEST is wrong: it must be at least 0$"),
    ):
        with pytest.raises(SettingsError, match=says):
            load(here=tmp_path, environ=value)
    for text, says in (
        ('keys = "x"', "is wrong: it must be a table$"),
        ('[keys]\nOPENAI_API_KEY = "x"', "is wrong: it must be a table with `command` or `file`$"),
        ('[headers]\nhost = "x"', "is wrong: it must be a table$"),
        ('owner = ""', "is wrong: it must not be empty$"),
    ):
        _write(tmp_path, text)
        with pytest.raises(SettingsError, match=says):
            _load(tmp_path)


def test_allowed_keys_come_from_the_file_or_the_environment(tmp_path):
    """Each allowed key names a host and a variable; the environment separates entries by commas."""
    _write(tmp_path, 'allowed_keys = ["models.example OPENAI_API_KEY"]')

    assert _load(tmp_path).allowed_keys == ["models.example OPENAI_API_KEY"]
    environ = {"BACKSTAY_ALLOWED_KEYS": "a.example A_KEY, http://b.example:81 B_KEY"}
    assert _load(tmp_path, environ=environ).allowed_keys == ["a.example A_KEY", "http://b.example:81 B_KEY"]
    for wrong in ("models.example", "models.example/v1 OPENAI_API_KEY", "ftp://models.example OPENAI_API_KEY"):
        with pytest.raises(SettingsError, match="each entry is a host and a variable"):
            _load(tmp_path, environ={"BACKSTAY_ALLOWED_KEYS": wrong})


def test_the_id_of_a_user_is_one_owner_in_any_case(tmp_path):
    """A UUID is the same owner in upper and lower case; other owners are case-sensitive."""
    for value, stored in (
        ("00000000-0000-4000-8000-00000000000A", "00000000-0000-4000-8000-00000000000a"),
        ("Ann", "Ann"),
    ):
        assert _load(tmp_path, owner=value).owner == stored
