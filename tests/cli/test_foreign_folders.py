"""Settings and libraries in parent folders that belong to another user."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away and becomes another user")

_SOMEBODY, _READER = 12_345, 23_456
# Everything is imported before, since Python itself may be where only root looks.
_AS_READER = f"""
import os, sys, encodings.idna
from pathlib import Path
from backstay.errors import SettingsError
from backstay.settings import load

os.setgroups([]), os.setgid({_READER}), os.setuid({_READER})
try:
    settings = load(here=Path(sys.argv[1]))
    print(settings.owner, settings.database)
except SettingsError as error:
    print("refused:", error.message)
"""


def _as_reader(here: Path, **environment: str) -> str:
    """Load the settings of a folder in a process of a user who is neither root nor the owner of the files."""
    command = [sys.executable, "-c", _AS_READER, str(here)]
    environ = {"PATH": os.environ["PATH"], **environment}
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def _write(folder: Path, *, owner: int) -> Path:
    file = folder / "backstay.toml"
    file.write_text('owner = "from-the-file"\n')
    os.chown(file, owner, owner)
    return file


@pytest.fixture
def here():
    """Create a folder below one that others can write to, outside pytest's folder, which is private."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        folder = Path(above) / "project"
        folder.mkdir()
        yield folder


@pytest.mark.parametrize("owner", [0, _READER], ids=["root's", "one's own"])
def test_settings_of_root_and_of_ones_own_are_used(here, owner):
    """Settings and library come from the nearest parent folder that has them."""
    _write(here.parent, owner=owner)
    library = here.parent / ".backstay"
    library.mkdir()
    os.chown(library, owner, owner)

    assert _as_reader(here) == f"from-the-file {library / 'backstay.db'}"


def test_settings_of_another_user_are_refused_by_name(here):
    """The refusal of another user's settings names their owner, and each of its remedies works."""
    file = _write(here.parent, owner=_SOMEBODY)

    refused = _as_reader(here)
    trusted = _as_reader(here, BACKSTAY_SAFE_DIRECTORIES=f"/elsewhere:{here.parent}")
    os.chown(file, _READER, _READER)
    taken_over = _as_reader(here)
    os.chown(file, _SOMEBODY, _SOMEBODY)
    (here / "backstay.toml").touch()
    os.chown(here / "backstay.toml", _READER, _READER)
    sibling = _as_reader(here)

    assert refused == (
        f"refused: {file} belongs to another user (uid {_SOMEBODY}), and is not used: its content could run commands "
        f"as you. Make it yours with chown, put a backstay.toml of your own, which may be empty, into {here}, or trust "
        f"the folder with BACKSTAY_SAFE_DIRECTORIES={here.parent}"
    )
    assert trusted.split()[0] == taken_over.split()[0] == "from-the-file"
    assert sibling.split()[0] == "local"


def test_a_link_is_as_safe_as_what_is_behind_it(here):
    """A link is refused if either the link or its target belongs to another user."""
    own = _write(here, owner=_READER)
    link = here.parent / "backstay.toml"
    link.symlink_to(own)
    os.chown(link, _SOMEBODY, _SOMEBODY, follow_symlinks=False)
    below = here.parent / "below"
    below.mkdir()

    laid = _as_reader(below)
    os.chown(link, _READER, _READER, follow_symlinks=False)
    loaded = _as_reader(below)
    os.chown(own, _SOMEBODY, _SOMEBODY)
    others = _as_reader(below)

    assert laid.startswith(f"refused: {link} belongs to another user")
    assert loaded.startswith("from-the-file ")
    assert others.startswith(f"refused: {link} belongs to another user")


def test_a_library_of_another_user_has_to_be_named(here):
    """Another user's nearest `.backstay` is refused; a database that is named explicitly is used."""
    library = here.parent / ".backstay"
    library.mkdir()
    os.chown(library, _SOMEBODY, _SOMEBODY)

    refused = _as_reader(here)
    named = _as_reader(here, BACKSTAY_DATABASE_URL=f"{library}/backstay.db")

    assert refused.startswith(f"refused: {library} belongs to another user (uid {_SOMEBODY})")
    assert named == f"local {library}/backstay.db"


@pytest.mark.parametrize("owner, sudo, runs", [(0, "", True), (_SOMEBODY, "", False), (_SOMEBODY, _SOMEBODY, True)])
def test_a_key_command_of_another_user_is_not_run(backstay, owner, sudo, runs):
    """Root refuses another user's settings too, unless that user has called sudo."""
    marker = backstay.folder / "was-run"
    file = backstay.folder.parent / "backstay.toml"
    file.write_text(f"[keys.OPENAI_API_KEY]\ncommand = \"sh -c 'touch {marker}; echo 0123456789abcdef'\"\n")
    os.chown(file, owner, owner)
    backstay.write("t.csv", "Rain")
    command = ["run", "t.csv", "--model", "m", "--base-url", "http://127.0.0.1:9/v1", "--patience", "1s"]

    process = backstay.start(*command, **({"SUDO_UID": str(sudo)} if sudo else {}))
    _, err = process.communicate(timeout=120)

    assert marker.exists() == runs
    assert (process.returncode, f"{file} belongs to another user".encode() in err) == (
        (5, False) if runs else (2, True)
    )
