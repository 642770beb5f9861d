"""After a failed sync nobody knows what is on disk, and a second sync may succeed without having written anything:
the kernel takes the pages that it could not write for clean. So a sync that failed must never just be repeated.

What SQLite does: the failed transaction is rolled back, its pages leave the cache, and its frames in the log were never
entered in the log's index. Whatever commits next writes its frames anew, over those of the failed one, and syncs these.

What we rely on, and show from the calls of the process: no commit after a failed sync counts on bytes that were written
before it. The run reports nothing of the failed group, gives its items back by such a new transaction, and ends. A
checkpoint that fails is made again from the log as a whole, since the index says so until it has succeeded.
"""

from pathlib import Path

import pytest

from backstay.errors import StorageError
from backstay.storage.sqlite import migrate
from support import needs, strace
from support.scene import Scene, last_words
from support.torture import sample
from support.waiting import until

pytestmark = pytest.mark.promise("B1")

_SYNCS = list(range(1, 20))


@pytest.fixture(autouse=True)
def _small_job(scene: Scene) -> None:
    needs.injected_faults()
    scene.items, scene.concurrency = 12, 4
    migrate.prepare(scene.database, create=True)


@pytest.mark.sweep
@pytest.mark.parametrize("number", sample(_SYNCS, 4))
def test_a_failed_sync_is_not_repeated(scene, number):
    """Every commit after it writes anew what the failed one had written, and the run ends."""
    code = scene.run(under=_failing(scene, str(number)))
    calls = strace.read(scene.folder / "log")

    if _is_of_a_commit(calls):
        assert code == 1
        assert last_words(scene.errors()) is StorageError
    assert _repeated(calls) == []
    scene.crashes += code != 0
    assert scene.broken(at_rest=False, planned=None) == []
    assert scene.run() == 0, scene.errors()
    assert scene.broken() == []


def test_a_failed_sync_of_a_checkpoint_is_not_repeated(scene):
    """The closing checkpoint's sync of the database fails: the log stays, and the next to close does all of it anew."""
    log = scene.folder / "log"
    under = strace.injecting("error=EIO", "fdatasync", "1", scene.database, log, also=["pwrite64"])
    code = scene.run(under=under)
    written = {call.offset for call in strace.read(log) if call.name == "pwrite64"}
    stayed = Path(f"{scene.database}-wal").exists()

    again = scene.folder / "again"
    resumed = scene.run(
        under=strace.injecting("error=EIO", "fdatasync", "999", scene.database, again, also=["pwrite64"])
    )
    written_anew = {call.offset for call in strace.read(again) if call.name == "pwrite64"}

    assert code in (0, 1)
    assert stayed
    assert resumed == 0, scene.errors()
    assert written <= written_anew
    assert scene.broken() == []


def test_a_failed_commit_that_is_believed_in(scene):
    """The control: a worker that takes commits for done that were not is found out.

    Where an outcome is lost, an item was reported that is not there; where a claim is, an attempt is made twice.
    """
    scene.items = 60
    process = scene.start(under=_failing(scene, "12+"), program="support.careless", seconds=0.05)
    until(lambda: "lease_lost" in scene.errors())
    scene.end()

    broken = scene.broken(at_rest=False)

    assert any(line.startswith(("B1", "B5")) for line in broken), (broken, process.returncode)


def _failing(scene: Scene, number: str) -> list[str]:
    log_of_database = Path(f"{scene.database}-wal")
    return strace.injecting("error=EIO", "fdatasync", number, log_of_database, scene.folder / "log", also=["pwrite64"])


def _is_of_a_commit(calls: list[strace.SystemCall]) -> bool:
    """Whether the sync that failed first was to make a commit last; a checkpoint, too, begins by syncing the log."""
    first = next((index for index, call in enumerate(calls) if call.injected), 0)
    return first > 0 and calls[first - 1].name == "pwrite64"


def _repeated(calls: list[strace.SystemCall]) -> list[str]:
    """Return the commits that counted on what was written before a sync that failed."""
    found = []
    written: list[int] = []
    lost: int | None = None  # where the writes began whose sync failed
    for call in calls:
        if call.name == "pwrite64":
            written.append(call.offset or 0)
            continue
        if call.succeeded and written and lost is not None and min(written) > lost:
            found.append(f"synced from {min(written)}, but what was lost began at {lost}")
        if not call.succeeded and written:
            lost = min(written) if lost is None else min(lost, *written)
        elif written:
            lost = None
        written = []
    return found
