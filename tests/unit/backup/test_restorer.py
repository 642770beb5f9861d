"""What a restore does between its stores, which answer from a script."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest

from backstay.backup.backup import BackupPhase
from backstay.backup.key_set import KeySet
from backstay.backup.restore_plan import RestoreResult
from backstay.backup.restorer import Restorer
from backstay.errors import ConversationNotFound, EmptySelection
from backstay.library.choices import RestoreConflictPolicy
from backstay.library.selection import Selection
from support.harness.async_waiting import until

_ALL = Selection(everything=True)
_RETENTION = timedelta(days=7)
_RESULT = RestoreResult("backup-1-a", 3, 0, 0, 0, 0, 0)
_DOCUMENTS = [{"id": f"c{number}", "persona": f"p{number % 2}"} for number in range(3)]


class _Opened:
    """An open backup of three conversations."""

    backup = SimpleNamespace(id="backup-1-a", conversations=3)

    def manifest(self):
        return SimpleNamespace(columns={})

    def conversations(self, recorded, to_rows, matches=lambda document: True):
        yield [document["id"] for document in _DOCUMENTS if matches(document)]

    def recipes(self):
        return []


class _Fakes:
    """All that a restore uses. It records what was done, and reads the conversations that it would restore."""

    def __init__(self):
        self.done, self.read = [], None
        self.keys_in_the_way = []

    @asynccontextmanager
    async def open(self, backup_id):
        yield _Opened()

    async def keys_to_replace(self, source):
        self.done.append("keys")
        keys = KeySet()
        for key in self.keys_in_the_way:
            keys.add(key)
        return keys

    async def write(self, keys, **options):
        self.done.append(("write", list(keys), options))
        return SimpleNamespace(id="backup-2-b", file_bytes=10)

    async def for_backup(self, backup):
        def has(backup_id, *, size):
            self.done.append(("has", backup_id, size))
            return False

        return SimpleNamespace(has=has)

    async def restore(self, source, *, on_conflict, replaced, is_file_complete, on_progress):
        self.is_whole, self.replaced, self.is_file_complete = source.is_whole, replaced, is_file_complete()
        self.read = [list(source.conversations(None, None)) for _ in range(2)]
        await asyncio.to_thread(on_progress, 2)
        return _RESULT


@pytest.fixture
def fakes():
    return _Fakes()


@pytest.fixture
def restorer(fakes):
    return Restorer(store=fakes, folders=fakes, reader=fakes, writer=fakes, owner="local", retention=_RETENTION)


def _restore(restorer, selection=None, *, on_conflict=RestoreConflictPolicy.FAIL, on_progress=None):
    return restorer.restore("backup-1-a", selection, on_conflict=on_conflict, on_progress=on_progress)


@pytest.mark.parametrize("selection", [None, _ALL], ids=["no selection", "everything"])
async def test_whole_backup_is_restored(restorer, fakes, selection):
    """Without a condition all conversations are restored, which undoes the delete of the backup."""
    await _restore(restorer, selection)

    assert fakes.is_whole
    assert fakes.read == [[["c0", "c1", "c2"]]] * 2


@pytest.mark.parametrize(
    ("selection", "ids"),
    [(Selection(ids=("c2", "c0")), ["c0", "c2"]), (Selection(persona="p1"), ["c1"])],
    ids=["ids", "persona"],
)
async def test_part_of_a_backup_is_restored(restorer, fakes, selection, ids):
    """Only the selected conversations are restored, each time that the store reads them."""
    await _restore(restorer, selection)

    assert not fakes.is_whole
    assert fakes.read == [[ids]] * 2


async def test_empty_selection_restores_nothing(restorer, fakes):
    """A selection without a condition, such as one of an empty list of ids, is refused instead of restoring all."""
    with pytest.raises(EmptySelection, match="Nothing is selected"):
        await _restore(restorer, Selection(ids=()))
    assert fakes.read is None


async def test_selected_id_that_the_backup_lacks_is_refused(restorer):
    """A selection by ids fails with the ids that the backup does not hold."""
    with pytest.raises(ConversationNotFound, match="holds no conversation 'c7', 'c8'; nothing was restored") as failed:
        await _restore(restorer, Selection(ids=("c1", "c7", "c8")))
    assert failed.value.context["conversation_ids"] == ["c7", "c8"]


async def test_selection_that_matches_nothing_is_refused(restorer):
    """A selection that matches no conversation of the backup restores nothing."""
    with pytest.raises(EmptySelection, match="No conversation of backup-1-a is selected"):
        await _restore(restorer, Selection(persona="nobody"))


@pytest.mark.parametrize("on_conflict", [RestoreConflictPolicy.FAIL, RestoreConflictPolicy.SKIP])
async def test_nothing_is_backed_up_that_is_not_replaced(restorer, fakes, on_conflict):
    """Only a restore that replaces conversations looks for them and backs them up first."""
    fakes.keys_in_the_way = [1]

    result = await _restore(restorer, on_conflict=on_conflict)

    assert fakes.done == []
    assert (fakes.replaced, fakes.is_file_complete, result.replaced_backup_id) == (None, True, None)


async def test_replace_without_a_conflict_makes_no_backup(restorer, fakes):
    """With `replace` nothing is backed up if nothing is in the way."""
    result = await _restore(restorer, on_conflict=RestoreConflictPolicy.REPLACE)

    assert fakes.done == ["keys"]
    assert (fakes.replaced, fakes.is_file_complete, result.replaced_backup_id) == (None, True, None)


async def test_replaced_conversations_are_backed_up_first(restorer, fakes):
    """With `replace` the conversations in the way are backed up, and the store is told whether that file exists."""
    fakes.keys_in_the_way = [2, 1]

    result = await _restore(restorer, on_conflict=RestoreConflictPolicy.REPLACE)

    options = {"reason": "before_restore", "retention": _RETENTION, "expected": 2}
    assert fakes.done == ["keys", ("write", [1, 2], options), ("has", "backup-2-b", 10)]
    assert (fakes.replaced.id, fakes.is_file_complete, result.replaced_backup_id) == ("backup-2-b", False, "backup-2-b")


async def test_progress_is_reported_from_the_thread_of_the_store(restorer):
    """A listener is called on the event loop while a thread restores."""
    loop, reports = asyncio.get_running_loop(), []

    def listen(progress):
        assert asyncio.get_running_loop() is loop
        reports.append((progress.phase, progress.conversations, progress.total))

    await _restore(restorer, on_progress=listen)
    await until(lambda: reports)

    assert reports == [(BackupPhase.RESTORING, 2, 3)]
