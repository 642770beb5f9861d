"""Two at once: cleanup beside whoever reads, two deletes of one selection, two restores of one backup."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from backstay import Backstay
from backstay.backup.backup import BackupState
from backstay.errors import BackupError, BackupNotFound, RestoreConflict
from backstay.settings import Settings
from backstay.storage.sql import restore_session
from support.keeping import contents
from support.library import ALL, digests
from support.sql import ask
from support.torture import FULL

pytestmark = pytest.mark.promise("K1", "K4", "K5")

_ROUNDS = 1_000 if FULL else 12


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
    done = await backstay.backups.restore(backup.id)
    assert done.restored + done.identical == backup.conversations


@pytest.mark.sweep
@pytest.mark.parametrize("read", [_download, _verify, _restore], ids=lambda read: read.__name__)
async def test_cleanup_beside_a_reader(kept_anywhere, read):
    """Whoever came first has the whole file; whoever came too late is told so. Nobody reads a part."""
    kept = kept_anywhere
    late = 0
    async with Backstay.open(kept.database) as backstay, Backstay.open(kept.database) as other:
        for number in range(_ROUNDS):
            backup = await _expired(backstay)

            async def reading(pause: float, backup=backup) -> bool:
                await asyncio.sleep(pause)  # a few milliseconds that decide which comes first
                try:
                    await read(backstay, backup)
                except BackupError:
                    return True
                return False

            is_late, _ = await asyncio.gather(reading(number % 6 * 0.001), other.backups.cleanup(at_once=True))
            late += is_late

        assert await digests(backstay) == kept.originals
        assert not [one for one in await backstay.backups.list() if one.state == "verified"]
    assert kept.broken() == []
    assert late < _ROUNDS or not FULL


async def test_two_deletes_of_one_selection(kept_anywhere):
    """One effect: each conversation is deleted once, and both backups bring them back."""
    kept = kept_anywhere
    async with Backstay.open(kept.database) as one, Backstay.open(kept.database) as other:
        first, second = await asyncio.gather(one.conversations.delete(ALL), other.conversations.delete(ALL))

        assert first.deleted + second.deleted == len(kept.originals)
        assert first.deleted + first.gone == len(kept.originals)
        assert kept.broken() == []
        await one.backups.restore(second.backup_id)
        assert await digests(one) == kept.originals


async def test_two_restores_of_one_backup(kept_anywhere):
    """Each conversation comes back once."""
    kept = kept_anywhere
    async with Backstay.open(kept.database) as one, Backstay.open(kept.database) as other:
        backup = (await one.conversations.delete(ALL)).backup_id

        first, second = await asyncio.gather(one.backups.restore(backup), other.backups.restore(backup))

        assert sorted((first.restored, second.restored)) == [0, len(kept.originals)]
        assert await digests(one) == kept.originals


def _edited_before_it_is_replaced(backstay, kept, monkeypatch):
    """Edit a conversation between the backup of what is replaced and its replacement."""
    restore = backstay._store.backups.restore

    async def meddled(backup, entries, columns, **options):
        await asyncio.to_thread(ask, kept.database, "UPDATE conversations SET topic = 'newest' WHERE key = 40")
        return await restore(backup, entries, columns, **options)

    monkeypatch.setattr(backstay._store.backups, "restore", meddled)


async def test_what_is_edited_before_it_is_replaced_is_kept(kept_anywhere, monkeypatch):
    """A restore stops at such an edit; run again, it replaces the edit too, and backs up all that it replaces."""
    kept = kept_anywhere
    async with Backstay.open(kept.database) as backstay:
        backup = await backstay.backups.create(ALL)
        await asyncio.to_thread(ask, kept.database, "UPDATE conversations SET topic = 'newer'")
        with monkeypatch.context() as patched:
            _edited_before_it_is_replaced(backstay, kept, patched)
            with pytest.raises(RestoreConflict, match="was changed while it was being backed up; try again"):
                await backstay.backups.restore(backup.id, on_conflict="replace")
        before = await digests(backstay)
        monkeypatch.setattr(restore_session, "MAX_LISTED_CONFLICTS", 7)
        plan = await backstay.backups.plan_restore(backup.id)
        done = await backstay.backups.restore(backup.id, on_conflict="replace")
        after = await digests(backstay)
        await backstay.conversations.delete(ALL, backup=False)
        await backstay.backups.restore(done.replaced_backup_id)

        assert (plan.conflicts, len(plan.clashes), len(plan.in_the_way)) == (65, 7, 65)
        assert (done.restored, done.replaced) == (65, 65)
        assert after == kept.originals
        assert await digests(backstay) == before


async def test_replacing_without_the_row_version(kept_anywhere, monkeypatch):
    """The control: without the comparison the edit is replaced, and is in no backup."""
    kept = kept_anywhere
    async with Backstay.open(kept.database) as backstay:
        backup = await backstay.backups.create(ALL)
        await asyncio.to_thread(ask, kept.database, "UPDATE conversations SET topic = 'newer'")
        _edited_before_it_is_replaced(backstay, kept, monkeypatch)
        monkeypatch.setattr(restore_session, "lock_by_ids", lambda *_: {})

        done = await backstay.backups.restore(backup.id, on_conflict="replace")

        assert done.replaced == len(kept.originals)


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
async def test_what_is_changed_after_the_snapshot_is_kept(kept_anywhere, change, monkeypatch):
    """Between backup and delete: kept as it is now, and named."""
    kept = kept_anywhere
    async with Backstay.open(kept.database) as backstay:
        store = backstay._store.backups
        step, changed = store.delete_step, []

        async def meddled(backup, **options):
            if not changed:
                changed.append(await asyncio.to_thread(ask, kept.database, change))
            return await step(backup, **options)

        monkeypatch.setattr(store, "delete_step", meddled)
        done = await backstay.conversations.delete(ALL)

        assert (done.deleted, done.changed, done.changed_ids) == (len(kept.originals) - 1, 1, ["c00002"])
        assert list(await digests(backstay)) == ["c00002"]


async def test_without_the_row_version(kept_anywhere, monkeypatch):
    """The control: a delete by id alone loses what was changed meanwhile."""
    kept = kept_anywhere
    from backstay.storage.sql import delete_step

    real = delete_step.at_keys

    def trusting(session, owner, keys, columns):
        found = real(session, owner, keys, columns)
        table = "backup_items" if session.kind == "sqlite" else "backstay.backup_items"
        versions = dict(session.connection.execute(f"SELECT id, row_version FROM {table}").fetchall())
        return [SimpleNamespace(**record._asdict(), version=versions[record.id]) for record in found]

    monkeypatch.setattr(delete_step, "at_keys", trusting)
    async with Backstay.open(kept.database) as backstay:
        store = backstay._store.backups
        step = store.delete_step

        async def meddled(backup, **options):
            change = "UPDATE turns SET content = 'newer' WHERE conversation_key = 3"
            await asyncio.to_thread(ask, kept.database, change)
            return await step(backup, **options)

        monkeypatch.setattr(store, "delete_step", meddled)
        done = await backstay.conversations.delete(ALL)

        assert (done.deleted, done.changed) == (len(kept.originals), 0)


async def test_no_reader_is_kept_from_a_writer_of_another_owner(kept_anywhere):
    """K4: another owner's backups and conversations answer as missing ones do."""
    kept = kept_anywhere
    settings = Settings(
        database_url=str(kept.database), owner="somebody", backup_directory=str(kept.safe) if kept.safe else None
    )
    async with Backstay.open(kept.database) as backstay, Backstay(settings) as other:
        backup = await backstay.backups.create(ALL)

        assert await other.backups.list() == []
        for act in (other.backups.show, other.backups.verify, other.backups.restore, other.backups.pin):
            with pytest.raises(BackupNotFound, match=r"Backup .* not found"):
                await act(backup.id)
        cleaned = await other.backups.cleanup(at_once=True)
        assert (cleaned.decisions, cleaned.orphans) == ([], [])
        await backstay.backups.verify(backup.id)


async def test_a_sweep_that_looked_too_early(kept_anywhere, monkeypatch):
    """It saw a backup that was being written, and by the time it acts the backup is verified: its file stays."""
    kept = kept_anywhere
    async with Backstay.open(kept.database) as backstay, Backstay.open(kept.database) as other:
        backup = await backstay.backups.create(ALL)
        stale = replace(backup, state=BackupState.RUNNING)

        async def looked_too_early(owner):
            return [stale]

        monkeypatch.setattr(other._store.backups, "in_use", looked_too_early)
        await other.backups.cleanup(at_once=True)

        assert (await backstay.backups.verify(backup.id)).state == "verified"


async def test_an_interruption_at_the_last_commit(kept_anywhere, monkeypatch):
    """It is made although nobody waits for it any more: the file stays, and the delete can be gone on with."""
    kept = kept_anywhere
    async with Backstay.open(kept.database) as backstay:
        verified = backstay._store.backups.mark_verified

        async def interrupted(*given, **more):
            await verified(*given, **more)
            raise asyncio.CancelledError

        monkeypatch.setattr(backstay._store.backups, "mark_verified", interrupted)
        with pytest.raises(asyncio.CancelledError):
            await backstay.conversations.delete(ALL)

        (backup,) = await backstay.backups.unfinished()
        done = await backstay.conversations.resume_delete(backup.id)
        assert done.deleted == len(kept.originals)
    assert kept.broken() == []
