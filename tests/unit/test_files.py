"""Atomic writes: a file is complete or absent."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backstay.errors import OutputUnwritable
from backstay.files import create_output, fill_folder_atomically, replace_atomically, write_atomically
from support.harness.waiting import PATIENCE_SECONDS


def _names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_file_appears_only_when_it_is_whole(tmp_path):
    """A new file appears under its name only when it is complete."""
    path = tmp_path / "out.jsonl"

    with write_atomically(path) as out:
        out.write(b"a" * 100_000)
        assert not path.exists()

    assert path.read_bytes() == b"a" * 100_000
    assert _names(tmp_path) == ["out.jsonl"]


def test_file_that_is_there_is_replaced(tmp_path):
    """An existing file is replaced atomically."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"old")

    with write_atomically(path) as out:
        out.write(b"new")
        assert path.read_bytes() == b"old"

    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_error_within_leaves_what_was_there(tmp_path, before, error):
    """An error while writing leaves the earlier file and no temporary one."""
    path = tmp_path / "out.jsonl"
    if before is not None:
        path.write_bytes(before)

    def write_half():
        with write_atomically(path) as out:
            out.write(b"half")
            raise error

    with pytest.raises(type(error)):
        write_half()

    assert _names(tmp_path) == ([] if before is None else ["out.jsonl"])
    assert before is None or path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_rights_are_kept(tmp_path, mode):
    """A replaced file keeps its permissions."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"old")
    path.chmod(mode)

    with write_atomically(path) as out:
        out.write(b"new")

    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_new_file_has_the_usual_rights(tmp_path):
    """A new file has the permissions of the user's umask."""
    before = os.umask(0o027)
    try:
        with write_atomically(tmp_path / "out.jsonl"):
            pass
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == 0o640


def test_link_stays_a_link(tmp_path):
    """A write through a link replaces its target and keeps the link."""
    target, link = tmp_path / "data" / "real.jsonl", tmp_path / "out.jsonl"
    target.parent.mkdir()
    target.write_bytes(b"old")
    link.symlink_to(target)

    with write_atomically(link) as out:
        out.write(b"new")

    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert _names(target.parent) == ["real.jsonl"]


def test_link_to_nothing_yet_makes_its_target(tmp_path):
    """A write through a dangling link creates its target."""
    link = tmp_path / "out.jsonl"
    link.symlink_to(tmp_path / "real.jsonl")

    with write_atomically(link) as out:
        out.write(b"new")

    assert (tmp_path / "real.jsonl").read_bytes() == b"new"


def test_link_to_itself_gives_way(tmp_path):
    """A link to itself is replaced by the file."""
    link = tmp_path / "out.jsonl"
    link.symlink_to(link)

    with write_atomically(link) as out:
        out.write(b"new")

    assert link.read_bytes() == b"new"


def test_pipe_is_written_directly(tmp_path):
    """A pipe is written directly, without a temporary file."""
    path, heard = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: heard.append(path.read_bytes()))
    reader.start()

    with write_atomically(path) as out:
        out.write(b"through")
    reader.join(PATIENCE_SECONDS)

    assert heard == [b"through"]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_device_is_written_directly():
    """A device such as /dev/null is written directly and not replaced."""
    with write_atomically(Path(os.devnull)) as out:
        out.write(b"away")

    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/fd/{}", "link"])
def test_an_open_file_is_continued(tmp_path, monkeypatch, name):
    """Writing to the path of an open file continues that file, instead of replacing it."""
    monkeypatch.chdir(tmp_path)
    with Path("log").open("wb", buffering=0) as log:
        os.set_inheritable(log.fileno(), True)
        Path("link").symlink_to(f"/dev/fd/{log.fileno()}")
        log.write(b"header ")
        with write_atomically(Path(name.format(log.fileno()))) as out:
            out.write(b"rows ")
        log.write(b"footer")

    assert Path("log").read_bytes() == b"header rows footer"


def test_an_open_pipe_is_written_directly():
    """A pipe without a name, as the shell makes for `>(…)`, is written directly."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        with write_atomically(Path(f"/dev/fd/{writer}")) as out:
            out.write(b"through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
        os.close(writer)


def test_a_file_that_this_process_opened_for_itself_is_no_target(tmp_path):
    """A descriptor that was not inherited, such as that of a database, is refused like one that is not open."""
    with (tmp_path / "own").open("wb") as own:
        path = Path(f"/dev/fd/{own.fileno()}")
        with pytest.raises(OutputUnwritable, match="Bad file descriptor"), write_atomically(path) as out:
            out.write(b"rows")
    with pytest.raises(OutputUnwritable, match="Bad file descriptor"), write_atomically(path):
        pytest.fail("there is nothing to write to")

    assert (tmp_path / "own").read_bytes() == b""


def test_missing_folder_is_refused(tmp_path):
    """A write into a missing folder is refused and creates no folder."""
    path = tmp_path / "none" / "out.jsonl"

    with pytest.raises(OutputUnwritable) as caught, write_atomically(path):
        pytest.fail("there is nothing to write into")

    assert caught.value.message == f"{path} cannot be written: No such file or directory"
    assert caught.value.context == {"path": str(path)}


def test_folder_is_no_file(tmp_path):
    """A write to the path of a folder is refused."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(OutputUnwritable, match="Is a directory"), write_atomically(tmp_path):
        pass
    with pytest.raises(OutputUnwritable, match="Not a directory"), write_atomically(tmp_path / "file" / "out.jsonl"):
        pass


def test_unwritable_folder_is_refused(tmp_path, monkeypatch):
    """A write into an unwritable folder is refused with the system's reason."""

    def forbidden(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", forbidden)

    with (
        pytest.raises(OutputUnwritable, match=r"/o cannot be written: Permission denied$"),
        write_atomically(tmp_path / "o"),
    ):
        pass


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_leaves_what_was_there(tmp_path, monkeypatch, call):
    """A full disk, even if reported only at the end, leaves the earlier file."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"old")

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full) if call == "fsync" else monkeypatch.setattr(type(path), "replace", full)

    with pytest.raises(OutputUnwritable, match="No space left on device"), write_atomically(path) as out:
        out.write(b"new")

    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == ["out.jsonl"]


@pytest.mark.parametrize("output", ["file", "pipe"])
def test_error_of_the_caller_is_not_called_one_of_the_file(tmp_path, output):
    """An OSError that the code within the context raises, such as one of a file that it reads, is raised as it is."""
    path = tmp_path / "out.jsonl" if output == "file" else Path(os.devnull)
    own = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    def write_half():
        with write_atomically(path) as out:
            out.write(b"half")
            raise own

    with pytest.raises(ConnectionResetError) as caught:
        write_half()

    assert caught.value is own
    assert _names(tmp_path) == []


def test_disk_that_is_full_during_a_write_is_named(tmp_path):
    """An error of a write within the context is one of the file."""
    full = Path("/dev/full")

    with (
        pytest.raises(OutputUnwritable, match=f"{full} cannot be written: No space left"),
        write_atomically(full) as out,
    ):
        out.write(b"a" * 1_000_000)


def test_file_and_folder_are_synced(tmp_path, monkeypatch):
    """The file is synced before the rename, and the folder before the write returns."""
    synced, fsync = [], os.fsync

    def noted(descriptor):
        synced.append((stat.S_IFMT(os.fstat(descriptor).st_mode), (tmp_path / "out.jsonl").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)

    with write_atomically(tmp_path / "out.jsonl") as out:
        out.write(b"new")

    assert synced == [(stat.S_IFREG, False), (stat.S_IFDIR, True)]


@pytest.mark.parametrize("call", ["open", "flock"])
def test_a_folder_removed_before_it_was_locked_is_created_again(tmp_path, monkeypatch, call):
    """If another process removes the temporary folder before it is opened or locked, a new one is created."""
    module = {"open": os, "flock": fcntl}[call]
    original, removed = getattr(module, call), []

    def too_late(*arguments, **options):
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].rmdir()
        return original(*arguments, **options)

    monkeypatch.setattr(module, call, too_late)
    before = len(list(Path("/dev/fd").iterdir()))

    _fill(tmp_path / "out", "a")

    assert len(removed) == 1
    assert (_names(tmp_path), _names(tmp_path / "out")) == (["out"], ["a"])
    assert len(list(Path("/dev/fd").iterdir())) == before


_WRITER = """
import sys
from pathlib import Path
from backstay.files import create_output, fill_folder_atomically, write_atomically

kind, path = sys.argv[1], Path(sys.argv[2])

def write(out):
    out.write(b"half")
    out.flush()
    print("writing", flush=True)
    sys.stdin.read()
    out.write(b", whole")

if kind == "file":
    with write_atomically(path) as out:
        write(out)
else:
    with fill_folder_atomically(path, check=lambda _: None) as staging, create_output(staging / "a") as out:
        write(out)
"""


@pytest.mark.parametrize("is_killed", [True, False])
@pytest.mark.parametrize("kind", ["file", "new folder", "old folder"])
def test_leftovers_of_dead_processes_are_removed(tmp_path, kind, is_killed):
    """A write removes temporary files of killed processes for the same name, but not those of living ones."""
    target, other = tmp_path / "out", tmp_path / ".output.01234567.part"
    other.touch()
    if kind == "old folder":
        target.mkdir()
    parent = target if kind == "old folder" else tmp_path

    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, kind, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout.readline() == "writing\n"
        (part,) = parent.glob(".out.*.part")
        if is_killed:
            writer.send_signal(signal.SIGKILL)
            writer.wait(PATIENCE_SECONDS)
        assert part.exists()
        _write_new(target, kind)
        was_spared = part.exists()
        writer.communicate(timeout=PATIENCE_SECONDS)

    result = target if kind == "file" else target / "a"
    is_completed = not is_killed and kind != "new folder"  # since the folder exists by then, that writer fails
    assert was_spared is not is_killed
    assert (writer.returncode == 0) is is_completed
    assert result.read_bytes() == (b"half, whole" if is_completed else b"new")
    assert _names(tmp_path) == [".output.01234567.part", "out"]
    assert kind == "file" or _names(target) == ["a"]


def test_leftovers_of_a_quarantine_stay(tmp_path):
    """Temporary files of a quarantine stay after a kill, because they may be the only copy of the bad rows."""
    (tmp_path / ".out.01234567.part").write_bytes(b"rows")

    with replace_atomically(tmp_path / "out"):
        pass

    assert _names(tmp_path) == [".out.01234567.part", "out"]


def test_a_complete_file_is_spared_until_it_is_renamed(tmp_path, monkeypatch):
    """A write does not remove the temporary file of another one that is about to rename it."""
    path, replace, names = tmp_path / "out", Path.replace, iter(["first"])

    def write_before(temporary, target):
        if next(names, None):
            _write_new(path, "file")
        return replace(temporary, target)

    monkeypatch.setattr(Path, "replace", write_before)

    with write_atomically(path) as out:
        out.write(b"last")

    assert path.read_bytes() == b"last"
    assert _names(tmp_path) == ["out"]


def _write_new(target, kind):
    if kind == "file":
        with write_atomically(target) as out:
            out.write(b"new")
        return
    with fill_folder_atomically(target, check=lambda _: None) as staging:
        (staging / "a").write_bytes(b"new")


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    """If one of the files to replace is a folder, no file is replaced."""
    (tmp_path / "out" / "b").mkdir(parents=True)

    def fill():
        with fill_folder_atomically(tmp_path / "out", check=lambda _: None) as staging:
            (staging / "a").touch()
            (staging / "b").touch()

    with pytest.raises(OutputUnwritable, match="out/b is a folder; nothing was written"):
        fill()

    assert _names(tmp_path / "out") == ["b"]


def test_a_file_removed_before_it_was_locked_is_created_again(tmp_path, monkeypatch):
    """If the temporary file is removed as a leftover just before it is locked, another one is written."""
    flock, removed = fcntl.flock, []

    def flock_too_late(descriptor, operation):
        if not removed:
            (temporary,) = tmp_path.iterdir()
            temporary.unlink()
            removed.append(temporary)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock_too_late)
    before = len(list(Path("/dev/fd").iterdir()))

    with write_atomically(tmp_path / "out.jsonl") as out:
        out.write(b"whole")

    assert removed
    assert _names(tmp_path) == ["out.jsonl"]
    assert (tmp_path / "out.jsonl").read_bytes() == b"whole"
    assert len(list(Path("/dev/fd").iterdir())) == before


def _fill(folder, *names, check=lambda _: None, excluded=()):
    with fill_folder_atomically(folder, check=check, excluded=excluded) as staging:
        for name in names:
            with create_output(staging / name) as out:
                out.write(name.encode())
        assert not folder.exists() or not set(_names(folder)) & set(names)


def test_a_folder_appears_with_all_its_files(tmp_path):
    """The files of a new folder, and of one that exists, appear only when all are complete."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "notes").write_bytes(b"mine")

    _fill(tmp_path / "new", "a", "b")
    _fill(tmp_path / "old", "a", "b")

    assert _names(tmp_path) == ["new", "old"]
    assert _names(tmp_path / "new") == ["a", "b"]
    assert _names(tmp_path / "old") == ["a", "b", "notes"]
    assert (tmp_path / "old" / "a").read_bytes() == b"a"


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError("the caller's")], ids=repr)
def test_an_error_while_a_folder_is_filled_leaves_what_was_there(tmp_path, exists, error):
    """An error within the context, or of the check of the names, leaves the folder as it was, and nothing temporary."""
    folder = tmp_path / "out"
    if exists:
        folder.mkdir()
        (folder / "a").write_bytes(b"old")

    def raise_error(_):
        raise error

    def fill_half():
        with fill_folder_atomically(folder, check=lambda _: None) as staging:
            (staging / "a").write_bytes(b"new")
            raise error

    for fail in (fill_half, lambda: _fill(folder, "b", check=raise_error)):
        with pytest.raises((type(error), OutputUnwritable)):
            fail()
        assert _names(tmp_path) == (["out"] if exists else [])
        assert not exists or (_names(folder), (folder / "a").read_bytes()) == (["a"], b"old")


def test_a_folder_never_gets_a_file_over_the_database(tmp_path):
    """A file of a folder that would replace a protected file is refused, even through a link."""
    (tmp_path / "library.db").write_bytes(b"data")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a").symlink_to(tmp_path / "library.db")

    for protected in (tmp_path / "library.db", folder / "a"):
        with pytest.raises(OutputUnwritable, match="belongs to the database"):
            _fill_over(folder, protected)

    assert (folder / "a").is_symlink()


def _fill_over(folder, protected):
    with fill_folder_atomically(folder, check=lambda _: None, excluded=[protected]) as staging:
        (staging / "a").write_bytes(b"new")


def test_a_folder_that_cannot_be_written_is_reported(tmp_path):
    """A parent that does not exist, or is a file, is reported with the folder's name."""
    (tmp_path / "file").touch()

    for folder in (tmp_path / "none" / "out", tmp_path / "file" / "out"):
        with pytest.raises(OutputUnwritable, match="out cannot be written"):
            _fill(folder, "a")
