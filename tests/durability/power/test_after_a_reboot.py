"""After a power cut the machine is another boot: what dead workers left behind must still come to an end."""

import shutil

import pytest

from backstay import Backstay
from backstay.batch import liveness
from backstay.batch.item import ItemState
from backstay.batch.job import JobSettings
from backstay.batch.outcome import Verdict
from backstay.batch.store import Claim
from backstay.settings import Settings
from backstay.storage.sqlite.migrate import migrations, prepare
from support.conversations import conversation, drafts_of, items
from support.invariants import violations
from support.workers import card

pytestmark = pytest.mark.promise("B6")


@pytest.fixture
def database(tmp_path):
    return tmp_path / "backstay.db"


@pytest.fixture(params=["there", "gone"])
def reboot(request, monkeypatch, database):
    """Have this machine be started anew; the files that workers had locked are there still, or, never synced, gone."""
    monkeypatch.setattr(liveness, "machine_id", lambda: "this-machine")

    def start_anew():
        monkeypatch.setattr(liveness, "boot_id", lambda: "the-next-boot")
        if request.param == "gone":
            shutil.rmtree(database.parent / "backstay.workers")

    return start_anew


def library(database):
    return Backstay(Settings(database_url=str(database), lease_seconds=0.2))


async def answer(item):
    return conversation(item.topic)


async def test_a_creation_that_was_cut_off_is_dropped(database, reboot):
    """Its creator is dead for certain: the next run removes what it staged."""
    async with library(database) as backstay:
        life = liveness.LivenessLock.open(backstay._store.locks)
        await backstay._store.batches.intake.stage("local", life.card)
        life.close(remove=False)
    reboot()

    async with library(database) as backstay:
        await backstay.batches.run("job", items(3), answer)

    assert violations(database) == []


async def test_a_worker_that_died_right_after_the_last_item_leaves_no_lease(database, reboot):
    """The job is completed, so nobody works on it again; its lease ends all the same."""
    async with library(database) as backstay:
        staged = await backstay._store.batches.intake.stage("local", card("creator"))
        await backstay._store.batches.intake.stage_items(staged, await drafts_of(items(1)))
        await backstay._store.batches.intake.publish(staged, "job", "caller", JobSettings())
        work, life = backstay._store.batches.work, liveness.LivenessLock.open(backstay._store.locks)
        lease = (await work.acquire_lease("local", "job", life.card, again=False)).lease
        (claimed,) = (await work.commit(lease, [], Claim(room=1))).claimed
        done = Verdict(claimed, ItemState.COMPLETED, "completed", conversation())
        await work.commit(lease, [done], Claim())
        life.close(remove=False)
    reboot()

    async with library(database) as backstay:
        await backstay.batches.run("job", items(1), answer)
        await backstay.batches.run("another", items(1), answer)

    assert violations(database) == []


async def test_a_newer_schema_is_not_kept_away_for_ever(database, reboot):
    """A worker of an earlier boot is no reason to refuse a migration: nothing could ever end it."""
    async with library(database) as backstay:
        life = liveness.LivenessLock.open(backstay._store.locks)
        await backstay._store.batches.intake.stage("local", life.card)
        life.close(remove=False)
    reboot()
    newest = migrations()[-1][0]

    prepare(database, create=False, known=[*migrations(), (newest + 1, "CREATE TABLE added (x)")])

    assert violations(database, at_rest=False) == []
