"""Files that are whole or not there, and what is left of dead writers."""

import subprocess
import sys

import pytest

from backstay.backup.directory import BackupDirectory
from backstay.errors import BackupError, BackupUnreachable

_ID = "backup-1-a"


@pytest.fixture
def folder(tmp_path):
    folder = BackupDirectory(tmp_path / "backups" / "one")
    folder.make_folder()
    return folder


def test_a_file_has_its_name_only_once_it_is_published(folder):
    """Before that it is of no use to anybody."""
    part = folder.create(_ID)
    part.write(b"text")

    assert folder.names() == []
    assert not folder.has(_ID)
    part.sync()
    part.publish()
    part.close(keep=True)
    assert folder.names() == [_ID]
    with folder.open(_ID) as file:
        assert file.read() == b"text"


def test_what_is_not_kept_is_gone(folder):
    """Published or not."""
    for publish in (False, True):
        part = folder.create(_ID)
        if publish:
            part.publish()
        part.close(keep=False)

    assert list(folder.path.iterdir()) == []


def test_a_living_writer_keeps_its_file(folder):
    """A sweep takes nothing from it, in whatever process it is."""
    part = folder.create(_ID)

    swept = folder.remove_leftovers()

    assert swept == 0
    assert folder.is_being_written(_ID)
    part.publish()
    assert folder.is_being_written(_ID)
    part.close(keep=True)
    assert not folder.is_being_written(_ID)


def test_what_a_dead_writer_left_is_swept(folder):
    """The kernel lets go of its lock, however it died."""
    program = (
        "import os, sys; from pathlib import Path; from backstay.backup.directory import BackupDirectory;"
        "part = BackupDirectory(Path(sys.argv[1])).create('backup-1-a'); part.write(b'half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(folder.path)], check=False)
    left = [path.name for path in folder.path.iterdir()]

    assert not folder.is_being_written(_ID)
    assert folder.remove_leftovers() == 1
    assert left == [".backup-1-a.json.zst.part"]
    assert list(folder.path.iterdir()) == []


def test_a_reader_keeps_what_it_has_opened(folder):
    """Whoever removes it meanwhile."""
    part = folder.create(_ID)
    part.write(b"text")
    part.publish()
    part.close(keep=True)

    with folder.open(_ID) as file:
        assert folder.remove(_ID)
        assert file.read() == b"text"
    assert not folder.remove(_ID)
    with pytest.raises(BackupUnreachable, match="cannot be opened"), folder.open(_ID):
        pass


@pytest.mark.parametrize("name", ["../backup-1-a", "backup-1-a/../..", "", "backup-1-A", "backup-1-a\0", "x" * 10_000])
def test_no_path_is_made_of_anything_else_than_an_id(folder, name):
    """Ids come out of our own records; this is the second lock on that door."""
    with pytest.raises(BackupError, match="cannot be the id of a backup"):
        folder.path_for(name)


def test_files_of_others_are_left_alone(folder):
    """Neither listed nor swept."""
    for name in ("notes.txt", "backup-x.json.zst", ".hidden.part"):
        (folder.path / name).write_text("mine")
    (folder.path / "backup-1-b.json.zst").mkdir()

    assert (folder.names(), folder.remove_leftovers()) == ([], 0)
    assert len(list(folder.path.iterdir())) == 4
