"""A real file system that is full: the run ends and says so, keeps what it reported, and is resumed with more space."""

import subprocess
import sys

import pytest

from backstay.errors import StoreFull
from support.faults.scene import last_words
from support.harness.waiting import until

pytestmark = pytest.mark.promise("B1", "B5", "B6")

_ITEMS = 600


@pytest.fixture
def disk(scene, mounts):
    """A file system of 2 MB for the database; the job needs more."""
    scene.items = _ITEMS
    mounts.bounded(scene.database.parent, "2m")
    return scene.database.parent


def test_a_full_disk_ends_the_run_until_there_is_more_space(scene, mounts, disk):
    """A run on a full disk ends with StoreFull and keeps what it reported; with more space none of it is repeated."""
    code = scene.run(seconds=0.03)
    scene.crashes += 1  # the calls in flight are repeated, as after a crash
    full = last_words(scene.errors())
    broken = scene.broken(at_rest=False)
    reported = scene.witness().reported
    mounts.resize(disk, "64m")
    resumed = scene.run(seconds=0.002)

    assert code == 1
    assert full is StoreFull
    assert broken == []
    assert 0 < reported < _ITEMS
    assert resumed == 0, scene.errors()
    assert scene.broken() == []


def test_a_run_on_a_full_disk_is_refused_until_something_is_removed(scene, mounts, disk):
    """Each run fails while another program's file fills the disk; once it is removed, the job completes."""
    mounts.resize(disk, "16m")
    first = scene.start(seconds=0.01)
    scene.until_called(first, 100)
    scene.kill(first)
    mounts.run("sh", "-c", f"cat /dev/zero > {disk}/ballast || true")

    codes = [scene.run() for _ in range(2)]
    scene.crashes += 2
    full = last_words(scene.errors())
    broken = scene.broken(at_rest=False)
    mounts.run("rm", f"{disk}/ballast")
    resumed = scene.run(seconds=0.002)

    assert codes == [1, 1]
    assert full is StoreFull
    assert broken == []
    assert resumed == 0, scene.errors()
    assert scene.broken() == []


def test_the_command_says_that_it_needs_the_user(scene, mounts, disk):
    """`backstay run` on a full disk ends with status 5 and the command to resume with, which completes the job."""
    topics = scene.folder / "topics.csv"
    topics.write_text("id,topic\n" + "".join(f"i{n},topic {n}\n" for n in range(_ITEMS * 5)))

    run = _backstay(scene, "run", str(topics), "--model", "scripted")
    mounts.resize(disk, "64m")
    resumed = _backstay(scene, "resume", "topics")

    assert run.returncode == 5, run.stderr
    assert "No space is left" in run.stderr
    assert "Traceback" not in run.stderr
    assert "backstay --database" in run.stderr
    assert resumed.returncode == 0, resumed.stderr


@pytest.mark.parametrize("kilobytes", [0, 16, 64])
def test_a_disk_that_is_full_from_the_start(scene, mounts, disk, kilobytes):
    """A run reports that no space is left whichever of its files does not fit, even the smallest."""
    topics = scene.folder / "topics.csv"
    topics.write_text("id,topic\ni0,topic 0\n")
    mounts.run("sh", "-c", f"cat /dev/zero > {disk}/ballast || truncate --size=-{kilobytes}K {disk}/ballast")

    run = _backstay(scene, "run", str(topics), "--model", "scripted")
    mounts.run("rm", f"{disk}/ballast")
    again = _backstay(scene, "run", str(topics), "--model", "scripted")

    assert run.returncode == 5, run.stderr
    assert "No space is left" in run.stderr
    assert again.returncode == 0, again.stderr


def test_a_full_disk_that_is_ignored(scene, disk):
    """The control: a worker that ignores failed commits breaks a promise."""
    scene.start(program="support.faults.early_ack_victim", seconds=0.02)
    until(lambda: "lease_lost" in scene.errors())
    scene.end()
    scene.crashes += 1

    broken = scene.broken(at_rest=False)

    assert any(line.startswith(("B1", "B5")) for line in broken), scene.errors()


def _backstay(scene, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*scene.inside, sys.executable, "-m", "backstay", "--database", str(scene.database), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=scene.folder, timeout=60)
