"""Variables that begin as ours and mean nothing are found, and every one that is read is known."""

import re
from itertools import chain
from pathlib import Path

import backstay
from backstay import settings
from backstay.cli.logs import TRACEBACK
from backstay.environment import KNOWN, nearest_variable, unknown_variables
from backstay.ownership import VARIABLE
from backstay.server import settings as server_settings


def test_every_variable_that_is_read_is_known():
    """What settings are read from, and what a message or docstring of ours names, is known, and nothing else is."""
    read = {
        *settings._ENVIRONMENT.values(),
        *chain.from_iterable(server_settings._ENVIRONMENT.values()),
        TRACEBACK,
        VARIABLE,
    }
    source = "".join(path.read_text() for path in Path(backstay.__file__).parent.rglob("*.py"))
    named = set(re.findall(r"\bBACKSTAY_[A-Z][A-Z_]*[A-Z]", source))

    assert {name for name in read if name.startswith("BACKSTAY_")} == KNOWN
    assert named <= KNOWN


def test_unknown_variables_are_found():
    """Only those that are set, and begin as ours, and are none of ours."""
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
    """The prefix that all have in common makes no two of them near."""
    found = {name: nearest_variable(f"BACKSTAY_{name}") for name in ("OWNR", "DATABASEURL", "COLOUR", "")}

    assert found == {"OWNR": "BACKSTAY_OWNER", "DATABASEURL": "BACKSTAY_DATABASE_URL", "COLOUR": None, "": None}


def test_letters_that_changed_places_are_near():
    """Also in a name so short that they are most of it."""
    assert nearest_variable("BACKSTAY_RMP") == "BACKSTAY_RPM"
    assert nearest_variable("BACKSTAY_XYZ") is None
