"""Concurrent operations: a cleanup during reads, two deletes of one selection, two restores of one backup."""

import asyncio
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from backstay import Backstay
from backstay.backup import reader
from backstay.backup.backup import BackupState
from backstay.backup.reader import OpenBackup
from backstay.errors import BackupError, BackupNotFound, RestoreConflict
from backstay.settings import Settings
from backstay.storage.sql import restores
from support.faults.backup_invariants import contents
from support.harness.sampling import FULL
from support.harness.waiting import PATIENCE_SECONDS
from support.stores.library import ALL, digests
from support.stores.sql import ask

pytestmark = pytest.mark.promise("K1", "K4", "K5")

_ROUNDS = 1_000 if FULL else 12
_EARLY, _LATE = 0, 1  # the rounds in which the read has begun before the cleanup, and begins after it


async def _expired(backstay):
    """Make a backup that has expired."""
    backup = await backstay.backups.create(ALL)
    await asyncio.to_thread(ask, backstay.settings.database_url, "UPDATE backups SET expires_at = created_at")
    return backup


async def _download(backstay, backup):
    pieces = [block async for block in backstay.backups.download(backup.id, compressed=True)]
    contents(b"".join(pieces))


async def _verify(backstay, backup):
    await backstay.backups.verify(backup.id)


async def _restore(backstay, backup):
    restored = await backstay.backups.restore(backup.id)
    assert restored.restored + restored.identical == backup.conversations


@pytest.mark.sweep
@pytest.mark.parametrize("read", [_download, _verify, _restore], ids=lambda read: read.__name__)
async def test_cleanup_during_a_read(any_library, read, monkeypatch):
    """A read that begins before the cleanup gets the whole file, a later one an error; none gets only a part."""
    library = any_library
    late = []
    opened = _note_when_a_file_is_opened(monkeypatch)
    async with Backstay.open(library.database) as backstay, Backstay.open(library.database) as other:
        for number in range(_ROUNDS):
            backup = await _expired(backstay)
            opened.clear()
            cleaned = asyncio.Event()

            async def is_late(number=number, backup=backup, cleaned=cleaned) -> bool:
                if number == _LATE:
                    await cleaned.wait()
                else:
                    await asyncio.sleep(number % 6 * 0.001)  # a few milliseconds that decide which comes first
                try:
                    await read(backstay, backup)
                except BackupError:
                    return True
                return False

            async def clean(number=number, cleaned=cleaned) -> None:
                if number == _EARLY:
                    await asyncio.to_thread(opened.wait, PATIENCE_SECONDS)
                await other.backups.cleanup(at_once=True)
                cleaned.set()

            late.append((await asyncio.gather(is_late(), clean()))[0])

        assert await digests(backstay) == library.originals
        assert not [backup for backup in await backstay.backups.list() if backup.state == "verified"]
    assert library.broken() == []
    assert (late[_EARLY], late[_LATE]) == (False, True)


def _note_when_a_file_is_opened(monkeypatch):
    """Return an event that is set whenever a read has opened a backup, and has found it usable after that."""
    opened = threading.Event()

    def noting(backup, file):
        opened.set()
        return OpenBackup(backup, file)

    monkeypatch.setattr(reader, "OpenBackup", noting)
    return opened


def _wait_before_the_first_step(backstay, barrier, monkeypatch):
    """Let the first step of a delete wait until the other delete has its backup too."""
    delete_step, has_waited = backstay._store.backups.deletes.delete_step, False

    async def waiting(backup, **options):
        nonlocal has_waited
        if not has_waited:
            has_waited = True
            await barrier.wait()
        return await delete_step(backup, **options)

    monkeypatch.setattr(backstay._store.backups.deletes, "delete_step", waiting)


async def test_two_deletes_of_one_selection(any_library, monkeypatch):
    """Two concurrent deletes of one selection delete each conversation once, and either backup restores all."""
    library = any_library
    async with Backstay.open(library.database) as first_program, Backstay.open(library.database) as other:
        both_backed_up = asyncio.Barrier(2)
        for backstay in (first_program, other):
            _wait_before_the_first_step(backstay, both_backed_up, monkeypatch)
        first, second = await asyncio.gather(first_program.conversations.delete(ALL), other.conversations.delete(ALL))

        assert first.deleted + second.deleted == len(library.originals)
        assert first.deleted + first.gone == len(library.originals)
        assert library.broken() == []
        await first_program.backups.restore(second.backup_id)
        assert await digests(first_program) == library.originals


async def test_two_restores_of_one_backup(any_library):
    """Two concurrent restores of one backup restore each conversation once."""
    library = any_library
    async with Backstay.open(library.database) as first_program, Backstay.open(library.database) as other:
        backup = (await first_program.conversations.delete(ALL)).backup_id

        first, second = await asyncio.gather(first_program.backups.restore(backup), other.backups.restore(backup))

        assert sorted((first.restored, second.restored)) == [0, len(library.originals)]
        assert await digests(first_program) == library.originals


async def _check_that_an_edit_stops_a_restore(backstay, library, backup, monkeypatch):
    """Edit a conversation between the backup of what is replaced and its replacement."""
    await asyncio.to_thread(ask, library.database, "UPDATE conversations SET topic = 'newer'")
    restore = backstay._store.backups.restores.restore

    async def meddled(source, **options):
        await asyncio.to_thread(ask, library.database, "UPDATE conversations SET topic = 'newest' WHERE key = 40")
        return await restore(source, **options)

    with monkeypatch.context() as patched:
        patched.setattr(backstay._store.backups.restores, "restore", meddled)
        with pytest.raises(RestoreConflict, match="was changed while it was being backed up; try again"):
            await backstay.backups.restore(backup.id, on_conflict="replace")


async def test_what_is_edited_before_it_is_replaced_is_kept(any_library, monkeypatch):
    """A restore stops at an edit made after its backup; run again, it backs up and replaces the edit too."""
    library = any_library
    async with Backstay.open(library.database) as backstay:
        backup = await backstay.backups.create(ALL)
        await _check_that_an_edit_stops_a_restore(backstay, library, backup, monkeypatch)
        before = await digests(backstay)
        monkeypatch.setattr(restores, "MAX_LISTED_CONFLICTS", 7)
        plan = await backstay.backups.plan_restore(backup.id)
        restored = await backstay.backups.restore(backup.id, on_conflict="replace")
        after = await digests(backstay)
        await backstay.conversations.delete(ALL, backup=False)
        await backstay.backups.restore(restored.replaced_backup_id)

        assert (plan.conflicts, len(plan.listed_conflicts)) == (65, 7)
        assert (restored.restored, restored.replaced) == (65, 65)
        assert after == library.originals
        assert await digests(backstay) == before


async def test_replacing_without_the_row_version(any_library, monkeypatch):
    """The control: without the comparison the edit is replaced, although no backup holds it."""
    library = any_library
    async with Backstay.open(library.database) as backstay:
        backup = await backstay.backups.create(ALL)
        monkeypatch.setattr(restores, "lock_by_ids", lambda *_: {})

        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            await _check_that_an_edit_stops_a_restore(backstay, library, backup, monkeypatch)

        assert await digests(backstay) == library.originals


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE turns SET content = content || '!' WHERE conversation_key = 3 AND sequence = 1",
        "INSERT INTO turns VALUES (3, 9, 'local', NULL, 'user', 'more', NULL)",
        "DELETE FROM turns WHERE conversation_key = 3 AND sequence = 2",
        "UPDATE conversations SET topic = 'other' WHERE key = 3",
        'UPDATE turns SET metadata = \'{"frames":[{"s":2}]}\' WHERE conversation_key = 3 AND sequence = 1',
    ],
    ids=["edited", "added", "removed", "conversation", "metadata"],
)
async def test_what_is_changed_after_the_snapshot_is_kept(any_library, change, monkeypatch):
    """A conversation that was changed between backup and delete is kept with the change, and reported."""
    await _check_that_a_change_is_kept(any_library, change, monkeypatch)


async def _check_that_a_change_is_kept(library, change, monkeypatch):
    async with Backstay.open(library.database) as backstay:
        store = backstay._store.backups.deletes
        step, changed = store.delete_step, []

        async def meddled(backup, **options):
            if not changed:
                changed.append(await asyncio.to_thread(ask, library.database, change))
            return await step(backup, **options)

        monkeypatch.setattr(store, "delete_step", meddled)
        deleted = await backstay.conversations.delete(ALL)

        assert deleted.changed == 1, f"{deleted.changed} conversations were kept"
        assert (deleted.deleted, deleted.changed_ids) == (len(library.originals) - 1, ["c00002"])
        assert list(await digests(backstay)) == ["c00002"]


async def test_without_the_row_version(any_library, monkeypatch):
    """The control: a delete by id alone loses what was changed after the snapshot."""
    from backstay.storage.sql import deletes

    real = deletes.find_by_keys

    def trusting(session, owner, keys, columns):
        records = real(session, owner, keys, columns)
        table = "backup_items" if session.kind == "sqlite" else "backstay.backup_items"
        versions = dict(session.connection.execute(f"SELECT id, row_version FROM {table}").fetchall())
        return [SimpleNamespace(**record._asdict(), version=versions[record.id]) for record in records]

    monkeypatch.setattr(deletes, "find_by_keys", trusting)

    with pytest.raises(AssertionError, match=r"^0 conversations were kept"):
        await _check_that_a_change_is_kept(
            any_library, "UPDATE turns SET content = 'newer' WHERE conversation_key = 3", monkeypatch
        )


async def test_backups_of_another_owner_are_not_found(any_library):
    """K4: the backups of another owner look like missing ones."""
    library = any_library
    settings = Settings(
        database_url=str(library.database),
        owner="other",
        backup_directory=str(library.safe) if library.safe else None,
    )
    async with Backstay.open(library.database) as backstay, Backstay(settings) as other:
        backup = await backstay.backups.create(ALL)

        assert await other.backups.list() == []
        for act in (other.backups.show, other.backups.verify, other.backups.restore, other.backups.pin):
            with pytest.raises(BackupNotFound, match=r"Backup .* not found"):
                await act(backup.id)
        cleaned = await other.backups.cleanup(at_once=True)
        assert (cleaned.decisions, cleaned.orphans) == ([], [])
        await backstay.backups.verify(backup.id)


async def test_a_cleanup_with_an_outdated_record_keeps_the_file(any_library, monkeypatch):
    """A cleanup keeps the file of a backup that was running when its record was read, but is verified now."""
    library = any_library
    async with Backstay.open(library.database) as backstay, Backstay.open(library.database) as other:
        backup = await backstay.backups.create(ALL)
        stale = replace(backup, state=BackupState.RUNNING)

        async def outdated(owner):
            return [stale]

        monkeypatch.setattr(other._store.backups.records, "in_use", outdated)
        await other.backups.cleanup(at_once=True)

        assert (await backstay.backups.verify(backup.id)).state == "verified"


async def test_an_interruption_at_the_last_commit(any_library, monkeypatch):
    """If a delete is interrupted while the last commit of its backup is made, the file stays and it can be resumed."""
    library = any_library
    async with Backstay.open(library.database) as backstay:
        verified = backstay._store.backups.creation.mark_verified

        async def interrupted(*args, **options):
            await verified(*args, **options)
            raise asyncio.CancelledError

        monkeypatch.setattr(backstay._store.backups.creation, "mark_verified", interrupted)
        with pytest.raises(asyncio.CancelledError):
            await backstay.conversations.delete(ALL)

        (backup,) = await backstay.backups.with_unfinished_delete()
        resumed = await backstay.conversations.resume_delete(backup.id)
        assert resumed.deleted == len(library.originals)
    assert library.broken() == []
