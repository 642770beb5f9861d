"""After a power cut the boot id differs: what dead workers left behind is cleaned up all the same."""

import shutil

import pytest

from backstay import Backstay
from backstay.batch import liveness
from backstay.batch.item import ItemState
from backstay.batch.job import JobSettings
from backstay.batch.outcome import Verdict
from backstay.batch.store import Claim
from backstay.settings import Settings
from backstay.storage.sqlite.schema_migration import migrations, prepare
from support.data.conversations import conversation, drafts_of, items
from support.fakes.workers import card
from support.faults.batch_invariants import violations

pytestmark = pytest.mark.promise("B6")


@pytest.fixture
def database(tmp_path):
    return tmp_path / "backstay.db"


@pytest.fixture(params=["there", "gone"])
def reboot(request, monkeypatch, database):
    """Simulate a reboot; the lock files of workers are still there, or were never synced and are gone."""
    monkeypatch.setattr(liveness, "machine_id", lambda: "this-machine")

    def restart():
        monkeypatch.setattr(liveness, "boot_id", lambda: "the-next-boot")
        if request.param == "gone":
            shutil.rmtree(database.parent / "backstay.workers")

    return restart


def library(database):
    return Backstay(Settings(database_url=str(database), lease_seconds=0.2))


async def answer(item):
    return conversation(item.topic)


async def test_an_interrupted_creation_is_dropped(database, reboot):
    """A job whose creator died before the reboot is dropped by the next run."""
    async with library(database) as backstay:
        life = liveness.LivenessLock.open(backstay._store.locks_folder)
        await backstay._store.batches.intake.stage("local", life.identity)
        life.close(remove=False)
    reboot()

    async with library(database) as backstay:
        await backstay.batches.run("job", items(3), answer)

    assert violations(database) == []


async def test_a_worker_that_died_right_after_the_last_item_leaves_no_lease(database, reboot):
    """The lease of a worker that died after the last item ends, although no worker resumes the completed job."""
    async with library(database) as backstay:
        staged = await backstay._store.batches.intake.stage("local", card("creator"))
        await backstay._store.batches.intake.stage_items(staged, await drafts_of(items(1)))
        await backstay._store.batches.intake.publish(staged, "job", "caller", JobSettings())
        work, life = backstay._store.batches.work, liveness.LivenessLock.open(backstay._store.locks_folder)
        lease = (await work.acquire_lease("local", "job", life.identity, after_lease_loss=False)).lease
        (claimed,) = (await work.commit(lease, [], Claim(free_slots=1))).claimed
        verdict = Verdict(claimed, ItemState.COMPLETED, "completed", conversation())
        await work.commit(lease, [verdict], Claim())
        life.close(remove=False)
    reboot()

    async with library(database) as backstay:
        await backstay.batches.run("job", items(1), answer)
        await backstay.batches.run("another", items(1), answer)

    assert violations(database) == []


async def test_a_worker_of_an_earlier_boot_prevents_no_migration(database, reboot):
    """A worker of an earlier boot does not prevent a migration, since nothing else could end it."""
    async with library(database) as backstay:
        life = liveness.LivenessLock.open(backstay._store.locks_folder)
        await backstay._store.batches.intake.stage("local", life.identity)
        life.close(remove=False)
    reboot()
    newest = migrations()[-1][0]

    prepare(database, create=False, known=[*migrations(), (newest + 1, "CREATE TABLE added (x)")])

    assert violations(database, at_rest=False) == []
