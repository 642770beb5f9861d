"""Unknown variables with the prefix are found, and every variable that is read is known."""

import re
from itertools import chain
from pathlib import Path

import backstay
from backstay import settings
from backstay.cli.logs import TRACEBACK_VARIABLE
from backstay.file_trust import SAFE_FOLDERS_VARIABLE
from backstay.server import settings as server_settings
from backstay.unused_variables import KNOWN, UNPREFIXED, nearest_variable, unknown_variables


def test_every_variable_that_is_read_is_known():
    """The known variables are exactly those that settings read and that messages and docstrings name."""
    read = {
        *settings._ENVIRONMENT.values(),
        *chain.from_iterable(server_settings._ENVIRONMENT.values()),
        TRACEBACK_VARIABLE,
        SAFE_FOLDERS_VARIABLE,
    }
    source = "".join(path.read_text() for path in Path(backstay.__file__).parent.rglob("*.py"))
    named = set(re.findall(r"\bBACKSTAY_[A-Z][A-Z_]*[A-Z]", source))

    assert {name for name in read if name.startswith("BACKSTAY_")} == KNOWN
    assert {name for name in settings.VARIABLES if not name.startswith("BACKSTAY_")} == set(UNPREFIXED)
    assert named <= KNOWN


def test_unknown_variables_are_found():
    """A variable is unknown if it is set, has the prefix and is not in the list."""
    environ = {
        "BACKSTAY_OWNR": "me",
        "BACKSTAY_OWNER": "me",
        "BACKSTAY_EMPTY": "",
        "BACKSTAY_": "x",
        "MY_BACKSTAY_OWNR": "me",
        "DATABASE_URL": "x",
    }

    assert unknown_variables(environ) == ["BACKSTAY_", "BACKSTAY_OWNR"]


def test_nearest_variable_is_found_by_what_stands_behind_the_prefix():
    """The common prefix does not count when the nearest variable is sought."""
    result = {name: nearest_variable(f"BACKSTAY_{name}") for name in ("OWNR", "DATABASEURL", "COLOUR", "")}

    assert result == {"OWNR": "BACKSTAY_OWNER", "DATABASEURL": "BACKSTAY_DATABASE_URL", "COLOUR": None, "": None}


def test_setting_whose_variable_has_no_prefix_is_near():
    """With the prefix or a shorter name, the variables of backups are near, which have no prefix."""
    assert nearest_variable("BACKSTAY_BACKUP_DIRECTORY") == "BACKUP_DIRECTORY"
    assert nearest_variable("BACKSTAY_BACKUP_RETENTION_DAYS") == "BACKUP_RETENTION_DAYS"
    assert nearest_variable("BACKSTAY_RETENTION_DAYS") == "BACKUP_RETENTION_DAYS"


def test_letters_that_changed_places_are_near():
    """Two swapped letters are near, even in a short name."""
    assert nearest_variable("BACKSTAY_RMP") == "BACKSTAY_RPM"
    assert nearest_variable("BACKSTAY_XYZ") is None
