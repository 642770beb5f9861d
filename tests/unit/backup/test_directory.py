"""Part files, published files, and the leftovers of dead writers."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.backup.directory import BackupDirectory
from backstay.errors import BackupDamaged, BackupDiskFull, BackupError, BackupFailed, BackupUnreachable

_ID = "backup-1-a"


def _open_descriptors():
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture
def folder(tmp_path):
    folder = BackupDirectory(tmp_path / "backups" / "one")
    folder.make_folder()
    return folder


def test_a_file_has_its_name_only_once_it_is_published(folder):
    """A file gets its final name, and can be opened, only once it is published."""
    part_file = folder.create(_ID)
    part_file.write(b"text")

    assert folder.backup_ids() == []
    assert not folder.has(_ID)
    part_file.sync()
    part_file.publish()
    part_file.close(keep=True)
    assert folder.backup_ids() == [_ID]
    with folder.open(_ID) as file:
        assert file.read() == b"text"


def test_a_file_closed_without_keep_is_removed(folder):
    """A file that is closed without `keep` is removed, published or not."""
    for publish in (False, True):
        part_file = folder.create(_ID)
        if publish:
            part_file.publish()
        part_file.close(keep=False)

    assert list(folder.path.iterdir()) == []


def test_a_living_writer_keeps_its_file(folder):
    """The removal of leftovers spares the file of a living writer, even one in the same process."""
    part_file = folder.create(_ID)

    removed = folder.remove_leftovers()

    assert removed == 0
    assert folder.is_being_written(_ID)
    part_file.publish()
    assert folder.is_being_written(_ID)
    part_file.close(keep=True)
    assert not folder.is_being_written(_ID)


def test_the_part_file_of_a_dead_writer_is_removed(folder):
    """The part file of a killed writer is removed, because the kernel has released its lock."""
    program = (
        "import os, sys; from pathlib import Path; from backstay.backup.directory import BackupDirectory;"
        "part = BackupDirectory(Path(sys.argv[1])).create('backup-1-a'); part.write(b'half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(folder.path)], check=False)
    leftovers = [path.name for path in folder.path.iterdir()]

    assert not folder.is_being_written(_ID)
    assert folder.remove_leftovers() == 1
    assert leftovers == [".backup-1-a.json.zst.part"]
    assert list(folder.path.iterdir()) == []


def test_a_pipe_does_not_block_the_removal_of_leftovers(folder):
    """A pipe under the name of a part file is removed like one, without waiting for a writer of the pipe."""
    os.mkfifo(folder.part_path(_ID))

    assert folder.remove_leftovers() == 1


def test_a_folder_without_locks_is_left_as_it_was(folder, monkeypatch):
    """If the file system has no locks, no backup is made, and neither a file nor an open descriptor is left."""

    def no_locks(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    before = _open_descriptors()

    with pytest.raises(BackupFailed, match="No locks available"):
        folder.create(_ID)

    assert list(folder.path.iterdir()) == []
    assert _open_descriptors() == before


def test_a_reader_keeps_what_it_has_opened(folder):
    """An open file stays readable after it was removed."""
    part_file = folder.create(_ID)
    part_file.write(b"text")
    part_file.publish()
    part_file.close(keep=True)

    with folder.open(_ID) as file:
        assert folder.remove(_ID)
        assert file.read() == b"text"
    assert not folder.remove(_ID)
    with pytest.raises(BackupUnreachable, match="cannot be opened"), folder.open(_ID):
        pass


def test_an_empty_file_is_damaged(folder):
    """A file without a byte, as a crash of the machine may leave one, is named as damaged."""
    path = folder.path_for(_ID)
    path.touch()

    with pytest.raises(BackupDamaged, match=f"^{path} is empty$"), folder.open(_ID):
        pass


@pytest.mark.parametrize("name", ["../backup-1-a", "backup-1-a/../..", "", "backup-1-A", "backup-1-a\0", "x" * 10_000])
def test_no_path_is_made_of_anything_else_than_an_id(folder, name):
    """A text that is not a backup's id is refused as part of a path."""
    with pytest.raises(BackupError, match="cannot be the id of a backup"):
        folder.path_for(name)


def test_files_of_others_are_left_alone(folder):
    """Files and folders that are not backups are neither listed nor removed."""
    for name in ("notes.txt", "backup-x.json.zst", ".hidden.part"):
        (folder.path / name).write_text("mine")
    (folder.path / "backup-1-b.json.zst").mkdir()

    assert (folder.backup_ids(), folder.remove_leftovers()) == ([], 0)
    assert len(list(folder.path.iterdir())) == 4


@pytest.mark.parametrize(("kind", "message"), [("link", "is a link"), ("pipe", "is not a file"), ("folder", "is not")])
def test_something_else_under_the_name_of_a_backup_is_damage(folder, kind, message):
    """A link, a pipe or a folder in place of a backup is neither read nor waited for."""
    path = folder.path_for(_ID)
    {"link": lambda: path.symlink_to(__file__), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()

    with pytest.raises(BackupDamaged, match=message), folder.open(_ID):
        pass

    assert not folder.has(_ID)


def test_a_folder_has_files_of_a_size(folder):
    """A folder has a backup if its file exists and, on request, if it has that many bytes."""
    folder.path_for(_ID).write_bytes(b"text")

    assert folder.has(_ID)
    assert [folder.has(_ID, size=size) for size in (3, 4, 5)] == [False, True, False]


def test_a_file_that_cannot_be_removed_is_reported(folder):
    """A file that the disk refuses to remove is reported with its path."""
    folder.path_for(_ID).mkdir()

    with pytest.raises(BackupUnreachable, match="cannot be removed"):
        folder.remove(_ID)


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, BackupDiskFull), (errno.EIO, BackupFailed)])
def test_a_full_disk_has_its_own_error(folder, number, error):
    """A full disk is reported as such, and any other failure with what the system says."""
    with pytest.raises(BackupError) as caught, folder.translate_errors("written"):
        raise OSError(number, os.strerror(number))

    assert type(caught.value) is error


@pytest.mark.parametrize("level", ["path", "parent"])
def test_a_folder_that_every_user_can_write_to_is_refused(folder, level):
    """A folder, or one above it, in which any user could replace a backup is refused."""
    (folder.path if level == "path" else folder.path.parent).chmod(0o777)

    with pytest.raises(BackupFailed, match="Every user of this machine can write"):
        folder.make_folder()
