"""After a failed sync it is unknown what is on disk, and a second sync may succeed without writing anything: the kernel
marks the pages that it could not write as clean. So a failed sync must never just be repeated.

What SQLite does: it rolls the failed transaction back and drops its pages from the cache, and the frames of this
transaction were never entered in the log's index. The next commit writes its frames over those of the failed one, and
syncs them.

What Backstay relies on, shown here from the system calls of the process: no commit after a failed sync relies on bytes
that were written before it. The run reports nothing of the failed group, returns its items to pending in such a new
transaction, and ends. A failed checkpoint is repeated from the log as a whole, since the index requires it until it has
succeeded.
"""

from pathlib import Path

import pytest

from backstay.errors import StorageError
from backstay.storage.sqlite import schema_migration
from support.faults import strace
from support.faults.scene import Scene, last_words
from support.harness import requirements
from support.harness.sampling import sample
from support.harness.waiting import until

pytestmark = pytest.mark.promise("B1")

_SYNCS = list(range(1, 20))


@pytest.fixture(autouse=True)
def _small_job(scene: Scene) -> None:
    requirements.injected_faults()
    scene.items, scene.concurrency = 12, 4
    schema_migration.prepare(scene.database, create=True)


@pytest.mark.sweep
@pytest.mark.parametrize("number", sample(_SYNCS, 4))
def test_a_failed_sync_is_not_repeated(scene, number):
    """Every commit after a failed sync writes its frames again, and the run ends with StorageError."""
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
    """The log stays if the closing checkpoint cannot sync the database, and the next close repeats all of it."""
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


def test_a_failed_commit_that_is_ignored(scene):
    """Control: a worker that ignores failed commits breaks a promise."""
    scene.items = 60
    process = scene.start(under=_failing(scene, "12+"), program="support.faults.early_ack_victim", seconds=0.05)
    until(lambda: "lease_lost" in scene.errors())
    scene.end()

    broken = scene.broken(at_rest=False)

    # B1: a lost result, an item was reported that is not stored. B5: a lost claim, an attempt is made twice.
    assert any(line.startswith(("B1", "B5")) for line in broken), (broken, process.returncode)


def _failing(scene: Scene, number: str) -> list[str]:
    log_of_database = Path(f"{scene.database}-wal")
    return strace.injecting("error=EIO", "fdatasync", number, log_of_database, scene.folder / "log", also=["pwrite64"])


def _is_of_a_commit(calls: list[strace.SystemCall]) -> bool:
    """Return whether the first failed sync belongs to a commit; a checkpoint begins by syncing the log as well."""
    first = next((index for index, call in enumerate(calls) if call.injected), 0)
    return first > 0 and calls[first - 1].name == "pwrite64"


def _repeated(calls: list[strace.SystemCall]) -> list[str]:
    """Return the commits that relied on bytes written before a failed sync."""
    relying = []
    written: list[int] = []
    lost: int | None = None  # where the writes of the failed sync began
    for call in calls:
        if call.name == "pwrite64":
            written.append(call.offset or 0)
            continue
        if call.succeeded and written and lost is not None and min(written) > lost:
            relying.append(f"synced from {min(written)}, but the lost writes began at {lost}")
        if not call.succeeded and written:
            lost = min(written) if lost is None else min(lost, *written)
        elif written:
            lost = None
        written = []
    return relying
