"""Proof that a worker lives, with real processes where only they prove anything."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from backstay.batch import liveness
from backstay.batch.liveness import Liveness, LivenessLock, is_proven_dead, liveness_of, remove_lock_file
from backstay.batch.store import WorkerIdentity
from backstay.errors import StorageError, StoreFull
from support.harness.waiting import PATIENCE_SECONDS

_HOLD = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from backstay.batch.liveness import LivenessLock
life = LivenessLock.open(Path(sys.argv[1]))
print(json.dumps(asdict(life.identity)), flush=True)
sys.stdin.read()
"""

_HOLD_AND_FORK = """
import json, os, sys
from dataclasses import asdict
from pathlib import Path
from backstay.batch.liveness import LivenessLock
life = LivenessLock.open(Path(sys.argv[1]))
child = os.fork()
if child == 0:
    sys.stdin.read()
    os._exit(0)
print(json.dumps([child, asdict(life.identity)]), flush=True)
os.kill(os.getpid(), 9)
"""

_PROBE = """
import json, sys
from backstay.batch.liveness import liveness_of
from backstay.batch.store import WorkerIdentity
print(liveness_of(WorkerIdentity(**json.loads(sys.argv[1]))).value)
"""


@contextmanager
def _process(script, *arguments):
    """Run a process until its standard input is closed."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _seen_by_another_process(card):
    """Return what another process finds about a worker identity."""
    command = [sys.executable, "-c", _PROBE, json.dumps(asdict(card))]
    return Liveness(
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS).stdout.strip()
    )


@pytest.fixture
def abandoned(tmp_path):
    """Return the identity of a worker of this process that released its lock but left its file."""
    life = LivenessLock.open(tmp_path)
    life.close(remove=False)
    return life.identity


# -- lock files ------------------------------------------------------------------------------------


def test_lock_has_the_identity_of_its_worker(tmp_path):
    """The identity of a lock names host, boot, process and the exact file."""
    life = LivenessLock.open(tmp_path / "workers")
    try:
        card = life.identity
        status = Path(card.lock_path).stat()
        assert (card.pid, card.boot_id) == (os.getpid(), f"{liveness.boot_id()}/{liveness.machine_id()}")
        assert card.host
        assert (card.lock_device, card.lock_inode) == (status.st_dev, status.st_ino)
    finally:
        life.close()


def test_files_are_the_users_own(tmp_path):
    """Lock files and new folders above them are accessible to their user only."""
    folder = tmp_path / "deep" / "workers"

    life = LivenessLock.open(folder)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(life.identity.lock_path).stat().st_mode) == 0o600
    life.close()


def test_folder_of_others_keeps_its_rights(tmp_path):
    """An existing folder keeps its permissions."""
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)

    LivenessLock.open(folder).close()

    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_two_locks_have_a_file_each(tmp_path):
    """Two locks of one process have different files, since two runs are two workers."""
    first, second = LivenessLock.open(tmp_path), LivenessLock.open(tmp_path)

    assert first.identity.lock_path != second.identity.lock_path
    first.close()
    second.close()


def test_closing_removes_the_file(tmp_path):
    """Closing a lock removes its file, except with `remove=False`."""
    removed, left_behind = LivenessLock.open(tmp_path), LivenessLock.open(tmp_path)

    removed.close()
    left_behind.close(remove=False)

    assert [str(path) for path in tmp_path.iterdir()] == [left_behind.identity.lock_path]


def test_closing_a_file_that_is_gone_is_no_error(tmp_path):
    """Closing a lock whose file was removed raises nothing."""
    life = LivenessLock.open(tmp_path)
    Path(life.identity.lock_path).unlink()

    life.close()


def test_a_folder_without_locks_is_left_empty(tmp_path, monkeypatch):
    """Where the file system has no locks, no file and no descriptor is left behind."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(liveness.fcntl, "lockf", refuse)
    descriptors = set(Path("/dev/fd").iterdir())

    with pytest.raises(StorageError, match="No locks available"):
        LivenessLock.open(tmp_path)

    assert list(tmp_path.iterdir()) == []
    assert set(Path("/dev/fd").iterdir()) == descriptors


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, StoreFull), (errno.EACCES, StorageError)])
def test_a_lock_that_cannot_be_created_is_a_storage_error(tmp_path, monkeypatch, number, error):
    """A lock whose file cannot be created is refused with the folder, and a full disk has its own error."""

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(liveness.os, "open", fail)

    with pytest.raises(StorageError, match=os.strerror(number)) as caught:
        LivenessLock.open(tmp_path)

    assert type(caught.value) is error
    assert caught.value.context["path"] == str(tmp_path)


# -- proof of life and death -----------------------------------------------------------------------


def test_own_file_is_alive_and_stays_locked(tmp_path):
    """A process reports its own lock as alive without opening the file, which would release the lock."""
    life = LivenessLock.open(tmp_path)
    try:
        assert liveness_of(life.identity) is Liveness.ALIVE
        assert not is_proven_dead(life.identity)
        assert _seen_by_another_process(life.identity) is Liveness.ALIVE
    finally:
        life.close()


def test_file_left_unlocked_proves_death(abandoned):
    """An unlocked file proves that its worker is dead."""
    assert liveness_of(abandoned) is Liveness.DEAD
    assert is_proven_dead(abandoned)
    assert _seen_by_another_process(abandoned) is Liveness.DEAD


def test_killed_process_is_dead_at_once(tmp_path):
    """A killed process is found dead at once."""
    with _process(_HOLD, tmp_path) as worker:
        card = WorkerIdentity(**json.loads(worker.stdout.readline()))
        assert liveness_of(card) is Liveness.ALIVE

        worker.send_signal(signal.SIGKILL)
        worker.wait(PATIENCE_SECONDS)

        assert is_proven_dead(card)


def test_stopped_process_is_alive(tmp_path):
    """A suspended process is alive, as it may continue."""
    with _process(_HOLD, tmp_path) as worker:
        card = WorkerIdentity(**json.loads(worker.stdout.readline()))
        worker.send_signal(signal.SIGSTOP)

        assert liveness_of(card) is Liveness.ALIVE


def test_forked_child_does_not_keep_its_parent_alive(tmp_path):
    """A dead worker is found dead although a child that it forked still lives."""
    with _process(_HOLD_AND_FORK, tmp_path) as worker:
        child, card = json.loads(worker.stdout.readline())
        worker.wait(PATIENCE_SECONDS)
        try:
            os.kill(child, 0)
            assert is_proven_dead(WorkerIdentity(**card))
        finally:
            os.kill(child, signal.SIGKILL)


def test_missing_file_proves_nothing(abandoned):
    """A missing file proves nothing, as it may be the removed file of a living worker."""
    Path(abandoned.lock_path).unlink()

    assert liveness_of(abandoned) is Liveness.UNKNOWN
    assert not is_proven_dead(abandoned)


def test_file_of_another_proves_nothing(abandoned, tmp_path):
    """Another file under the same name proves nothing."""
    other = tmp_path / "other"
    other.write_bytes(b"")
    other.replace(abandoned.lock_path)

    assert liveness_of(abandoned) is Liveness.UNKNOWN


def test_link_proves_nothing(abandoned, tmp_path):
    """A symbolic link in place of the file proves nothing."""
    Path(abandoned.lock_path).rename(tmp_path / "moved")
    Path(abandoned.lock_path).symlink_to(tmp_path / "moved")

    assert liveness_of(abandoned) is Liveness.UNKNOWN


@pytest.mark.parametrize("boot", ["", "another-boot"])
def test_other_machine_proves_nothing(abandoned, boot):
    """The lock of another machine proves nothing, even if its file is visible here."""
    assert liveness_of(replace(abandoned, boot_id=boot, host="elsewhere")) is Liveness.UNKNOWN


def test_machines_without_a_boot_id_differ_by_name(abandoned, monkeypatch):
    """Two machines without a boot id and with different names are not taken for one."""
    monkeypatch.setattr(liveness, "boot_id", lambda: "")

    assert liveness_of(replace(abandoned, boot_id="", host="elsewhere")) is Liveness.UNKNOWN


@pytest.mark.parametrize("file", ["there", "gone"])
def test_restart_of_this_machine_is_death(abandoned, monkeypatch, file):
    """A worker of an earlier boot of this machine is dead, whether or not its file exists."""
    monkeypatch.setattr(liveness, "machine_id", lambda: "this-machine")
    if file == "gone":
        Path(abandoned.lock_path).unlink()

    assert liveness_of(replace(abandoned, boot_id="an-earlier-boot/this-machine")) is Liveness.DEAD


def test_another_machine_of_the_same_name_proves_nothing(abandoned, monkeypatch):
    """A worker of another machine with the same host name is not found dead."""
    monkeypatch.setattr(liveness, "machine_id", lambda: "this-machine")

    assert liveness_of(replace(abandoned, boot_id="another-boot/another-machine")) is Liveness.UNKNOWN


def test_a_machine_that_nothing_names_is_known_by_the_file(abandoned, monkeypatch):
    """Without a machine id, an unlocked file proves an earlier boot of this machine; without the file nothing is
    proven."""
    monkeypatch.setattr(liveness, "machine_id", lambda: "")
    unnamed = replace(abandoned, boot_id="another-boot/")
    there = liveness_of(unnamed)
    Path(abandoned.lock_path).unlink()

    assert (there, liveness_of(unnamed)) == (Liveness.DEAD, Liveness.UNKNOWN)


def test_a_machine_id_is_stored_as_a_hash(tmp_path, monkeypatch):
    """The stored machine id is a hash that does not reveal the original."""
    named = tmp_path / "machine-id"
    named.write_text("0123456789abcdef\n")
    monkeypatch.setattr(liveness.platform, "system", lambda: "Linux")
    monkeypatch.setattr(liveness, "_LINUX_MACHINE_ID", named)
    stored_id = liveness.machine_id()
    named.unlink()

    assert stored_id
    assert "0123456789abcdef" not in stored_id
    assert liveness.machine_id() == ""


@pytest.mark.parametrize(("output", "is_known"), [('  "IOPlatformUUID" = "0123-ABCD"\n', True), ("", False)])
def test_a_machine_id_of_macos_comes_from_its_registry(monkeypatch, output, is_known):
    """On macOS the machine id is a hash of the platform's UUID, and empty if the registry does not name one."""
    monkeypatch.setattr(liveness.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(
        liveness.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, stdout=output, stderr="")
    )

    assert bool(liveness.machine_id()) is is_known


# -- removal ---------------------------------------------------------------------------------------


def test_file_of_a_dead_worker_is_removed(abandoned):
    """The file of a dead worker can be removed, and removing it again raises nothing."""
    remove_lock_file(abandoned)
    remove_lock_file(abandoned)

    assert not Path(abandoned.lock_path).exists()


def test_file_of_another_is_not_removed(abandoned):
    """A file of another worker under the same name is not removed."""
    remove_lock_file(replace(abandoned, lock_inode=abandoned.lock_inode + 1))

    assert Path(abandoned.lock_path).exists()
