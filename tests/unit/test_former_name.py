"""Variables and libraries of the former name are refused, and each suggested remedy works."""

import pytest

from backstay import settings
from backstay.errors import SettingsError
from backstay.former_name import NAME
from backstay.server import settings as server_settings

_PREFIX = f"{NAME.upper()}_"


def _library(folder):
    """Create a library as the former version did."""
    library = folder / f".{NAME}"
    library.mkdir(parents=True)
    (library / f"{NAME}.db").touch()
    return library


@pytest.mark.parametrize(
    ("load", "setting", "value"),
    [
        (settings.load, "OWNER", "team"),
        (settings.load, "DATABASE_URL", "postgresql://db.example/app"),
        (server_settings.load, "PORT", "9000"),
    ],
)
def test_a_variable_of_the_former_name_is_refused(tmp_path, load, setting, value):
    """A variable that is set under its former name is refused; the one named instead is accepted."""
    with pytest.raises(SettingsError, match=f"^{_PREFIX}{setting} is a variable of .* Set BACKSTAY_{setting} instead"):
        load(here=tmp_path, environ={f"{_PREFIX}{setting}": value})

    load(here=tmp_path, environ={f"BACKSTAY_{setting}": value})


def test_variables_of_other_programs_are_let_alone(tmp_path):
    """Unknown variables with the former prefix, and empty ones, are ignored."""
    environ = {f"{_PREFIX}COLOUR": "green", f"{_PREFIX}OWNER": ""}

    assert settings.load(here=tmp_path, environ=environ).owner == "local"


def test_a_library_of_the_former_name_is_refused(tmp_path):
    """A library of the former name is refused from its own folder and from folders below it."""
    library = _library(tmp_path)
    below = tmp_path / "below"

    for folder in (tmp_path, below):
        with pytest.raises(SettingsError, match=r"is a library of .*, which this version cannot read") as caught:
            _ = settings.load(here=folder, environ={}).database
        assert caught.value.context["path"] == str(library)


def test_moving_the_library_away_begins_a_new_one(tmp_path):
    """Once the library of the former name is moved away, a new one begins in its folder."""
    _library(tmp_path).rename(tmp_path / "old")

    assert settings.load(here=tmp_path, environ={}).database == tmp_path / ".backstay" / "backstay.db"


def test_naming_another_database_serves_as_well(tmp_path):
    """A database that is named, by argument or variable, is used in a folder with a library of the former name."""
    _library(tmp_path)

    assert settings.load(here=tmp_path, environ={}, database_url="new.db").database == tmp_path / "new.db"
    environ = {"BACKSTAY_DATABASE_URL": "new.db"}
    assert settings.load(here=tmp_path, environ=environ).database == tmp_path / "new.db"


def test_a_nearer_library_of_backstay_is_used(tmp_path):
    """A nearer library of ours is used, even if a folder above has one of the former name."""
    _library(tmp_path)
    own = tmp_path / "below" / ".backstay"
    own.mkdir(parents=True)

    assert settings.load(here=own.parent, environ={}).database == own / "backstay.db"


def test_a_folder_that_only_has_the_former_name_is_let_alone(tmp_path):
    """A folder of the former name without a library in it may be another program's, and is passed over."""
    (tmp_path / f".{NAME}").mkdir()

    assert settings.load(here=tmp_path, environ={}).database == tmp_path / ".backstay" / "backstay.db"


def test_a_settings_file_of_the_former_name_is_refused(tmp_path):
    """A settings file of the former name is refused from its folder and those below, and renaming it is enough."""
    file = tmp_path / f"{NAME}.toml"
    file.write_text('owner = "team"')

    for folder in (tmp_path, tmp_path / "below"):
        with pytest.raises(SettingsError, match=r"is not read\. Rename it to backstay\.toml$"):
            settings.load(here=folder, environ={})
    file.rename(tmp_path / "backstay.toml")

    assert settings.load(here=tmp_path / "below", environ={}).owner == "team"
