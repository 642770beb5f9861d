"""Kills at each commit of making conversations again: each item has one conversation at any moment, old or new."""

import asyncio
import signal
from contextlib import suppress

import pytest

from backstay import Backstay
from backstay.errors import EmptySelection
from support.faults import backup_invariants
from support.faults.ledger import Witness
from support.harness.sampling import sample
from support.harness.waiting import until
from support.stores.library import digests
from support.stores.sql import ask, is_server

pytestmark = pytest.mark.promise("B1", "B2", "B3", "B5", "B7", "K1")

_ITEMS = 40
_BOUNDARIES = [f"{when}:{number}" for number in range(1, 31) for when in ("before", "after")]
_AGAIN = "support.faults.regeneration_victim"


@pytest.fixture
def made(scene, tmp_path, monkeypatch):
    """Make the conversations of a job, keep its inputs, and return what there is now."""
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "safe"))
    scene.items = _ITEMS
    assert scene.run(without="cleaning", seconds=0.0) == 0, scene.errors()
    scene.again = tmp_path / "again.jsonl"
    scene.originals = asyncio.run(_digests(scene))
    return scene


async def _digests(scene):
    async with Backstay.open(scene.database) as backstay:
        return await digests(backstay)


def _again(scene, **options):
    return scene.start(program=_AGAIN, ledger=scene.again, **options)


def _until_called(scene, process, calls):
    """Wait until so many calls have begun, while this process runs."""
    until(lambda: process.poll() is not None or len(Witness.from_ledger(scene.again).calls) >= calls)
    assert process.poll() is None, scene.errors()


def _broken(scene, tmp_path, **expected):
    """Return the promises that are broken, about batches and about backups."""
    again = Witness.from_ledger(scene.again)
    (count,) = ask(scene.database, "SELECT count(*) FROM conversations")[0]
    return [
        *([] if count == _ITEMS else [f"B2: there are {count} conversations of {_ITEMS} items"]),
        *scene.broken(planned=None, again=again, **expected),
        *backup_invariants.violations(
            scene.database,
            {} if _is_adopted(scene) else scene.originals,  # a backup of adopted tables holds more columns
            safe=tmp_path / "safe",
            is_started=expected.get("at_rest", True),
        ),
    ]


def _is_adopted(scene):
    return is_server(scene.database) and ask(scene.database, "SELECT count(*) FROM adopted") != [(0,)]


async def _undo(scene):
    """Undo the replacements of each backup, and return the digests of all conversations afterwards."""
    async with Backstay.open(scene.database) as backstay:
        for backup in await backstay.backups.list():
            with suppress(EmptySelection):  # made by a process that was killed before it created the job
                await backstay.regenerations.undo(backup.id)
        return await digests(backstay)


@pytest.mark.sweep
@pytest.mark.parametrize("boundary", sample(_BOUNDARIES, 5))
def test_killed_at_a_commit(made, tmp_path, boundary):
    """A kill at any commit, from the plan to the last replacement, leaves each item its old or its new conversation."""
    died = made.finish(_again(made, die=boundary, seconds=0.002))
    held = _broken(made, tmp_path, at_rest=False)
    resumed = made.finish(_again(made))

    assert died in (0, -signal.SIGKILL)
    assert held == []
    assert resumed == 0, made.errors()
    assert _broken(made, tmp_path) == []
    assert set(asyncio.run(_digests(made))).isdisjoint(made.originals)
    assert asyncio.run(_undo(made)) == made.originals


def test_killed_during_calls(made, tmp_path):
    """A kill while calls are in flight, twice, repeats only those."""
    for calls in (5, 20):
        process = _again(made, seconds=0.05)
        _until_called(made, process, calls)
        made.kill(process)
        assert _broken(made, tmp_path, at_rest=False) == []

    assert made.finish(_again(made)) == 0, made.errors()

    assert _broken(made, tmp_path) == []
    assert made.crashes == 2


def test_without_the_shared_transaction_a_conversation_is_lost(made, tmp_path):
    """The control: if the replacement and the item's state were committed apart, a kill between them would show."""
    broken = []
    for number in range(8, 30):
        process = _again(made, die=f"before:{number}", without="shared-transaction", seconds=0.002)
        if made.finish(process) == 0:
            break
        broken = _broken(made, tmp_path, at_rest=False)
        if any(line.startswith("B2") for line in broken):
            return

    pytest.fail(f"nothing was lost: {broken}")


def test_two_processes_share_one_regeneration(made, tmp_path):
    """Two processes that resume the same regeneration replace each conversation once."""
    first = _again(made, seconds=0.02)
    _until_called(made, first, 1)
    second = _again(made, seconds=0.02)

    assert [made.finish(process) for process in (first, second)] == [0, 0], made.errors()
    assert _broken(made, tmp_path) == []
    assert set(asyncio.run(_digests(made))).isdisjoint(made.originals)
