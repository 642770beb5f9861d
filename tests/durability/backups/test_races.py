"""Two at once: cleanup beside whoever reads, two deletes of one selection, two restores of one backup."""

import asyncio
from dataclasses import replace

import pytest

from holdfast import Holdfast
from holdfast.backup.backup import BackupState
from holdfast.errors import BackupError, BackupNotFound
from holdfast.settings import Settings
from support.keeping import contents
from support.library import ALL, digests
from support.torture import FULL

_ROUNDS = 1_000 if FULL else 12


async def _expired(hold, kept):
    """Make a backup that has expired."""
    backup = await hold.backups.create(ALL)
    await hold._store._database.write(lambda c: c.execute("UPDATE backups SET expires_at = created_at"))
    return backup


async def _download(hold, backup):
    pieces = [block async for block in hold.backups.download(backup.id, compressed=True)]
    contents(b"".join(pieces))


async def _verify(hold, backup):
    await hold.backups.verify(backup.id)


async def _restore(hold, backup):
    done = await hold.backups.restore(backup.id)
    assert done.restored + done.identical == backup.conversations


@pytest.mark.sweep
@pytest.mark.parametrize("read", [_download, _verify, _restore], ids=lambda read: read.__name__)
async def test_cleanup_beside_a_reader(kept, read):
    """Whoever came first has the whole file; whoever came too late is told so. Nobody reads a part."""
    late = 0
    async with Holdfast.open(kept.database) as hold, Holdfast.open(kept.database) as other:
        for number in range(_ROUNDS):
            backup = await _expired(hold, kept)

            async def reading(pause: float, backup=backup) -> bool:
                await asyncio.sleep(pause)
                try:
                    await read(hold, backup)
                except BackupError:
                    return True
                return False

            is_late, _ = await asyncio.gather(reading(number % 6 * 0.001), other.backups.cleanup())
            late += is_late

        assert await digests(hold) == kept.originals
        assert not [one for one in await hold.backups.list() if one.state == "verified"]
    assert kept.broken() == []
    assert late < _ROUNDS or not FULL


async def test_two_deletes_of_one_selection(kept):
    """One effect: each conversation is deleted once, and both backups bring them back."""
    async with Holdfast.open(kept.database) as one, Holdfast.open(kept.database) as other:
        first, second = await asyncio.gather(one.conversations.delete(ALL), other.conversations.delete(ALL))

        assert first.deleted + second.deleted == len(kept.originals)
        assert first.deleted + first.gone == len(kept.originals)
        assert kept.broken() == []
        await one.backups.restore(second.backup_id)
        assert await digests(one) == kept.originals


async def test_two_restores_of_one_backup(kept):
    """Each conversation comes back once."""
    async with Holdfast.open(kept.database) as one, Holdfast.open(kept.database) as other:
        backup = (await one.conversations.delete(ALL)).backup_id

        first, second = await asyncio.gather(one.backups.restore(backup), other.backups.restore(backup))

        assert sorted((first.restored, second.restored)) == [0, len(kept.originals)]
        assert await digests(one) == kept.originals


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
async def test_what_is_changed_after_the_snapshot_is_kept(kept, change, monkeypatch):
    """Between backup and delete: kept as it is now, and named."""
    async with Holdfast.open(kept.database) as hold:
        store = hold._store.backups
        step, changed = store.delete_step, []

        async def meddled(backup, **options):
            if not changed:
                changed.append(await hold._store._database.write(lambda c: c.execute(change)))
            return await step(backup, **options)

        monkeypatch.setattr(store, "delete_step", meddled)
        done = await hold.conversations.delete(ALL)

        assert (done.deleted, done.changed, done.changed_ids) == (len(kept.originals) - 1, 1, ["c00002"])
        assert list(await digests(hold)) == ["c00002"]


async def test_without_the_row_version(kept, monkeypatch):
    """The control: a delete by id alone loses what was changed meanwhile."""
    from holdfast.storage.sqlite import deleting

    real = deleting.by_ids

    def trusting(connection, owner, ids, columns):
        found = real(connection, owner, ids, columns)
        rows = connection.execute("SELECT id, row_version FROM backup_items").fetchall()
        versions = dict(rows)
        return {
            name: type(record)(**{**{f: getattr(record, f) for f in record.__slots__}, "version": versions[name]})
            for name, record in found.items()
        }

    monkeypatch.setattr(deleting, "by_ids", trusting)
    async with Holdfast.open(kept.database) as hold:
        store = hold._store.backups
        step = store.delete_step

        async def meddled(backup, **options):
            change = "UPDATE turns SET content = 'newer' WHERE conversation_key = 3"
            await hold._store._database.write(lambda c: c.execute(change))
            return await step(backup, **options)

        monkeypatch.setattr(store, "delete_step", meddled)
        done = await hold.conversations.delete(ALL)

        assert (done.deleted, done.changed) == (len(kept.originals), 0)


async def test_no_reader_is_kept_from_a_writer_of_another_owner(kept):
    """K4: another owner's backups and conversations answer as missing ones do."""
    settings = Settings(database_url=str(kept.database), owner="somebody")
    async with Holdfast.open(kept.database) as hold, Holdfast(settings) as other:
        backup = await hold.backups.create(ALL)

        assert await other.backups.list() == []
        for act in (other.backups.show, other.backups.verify, other.backups.restore, other.backups.pin):
            with pytest.raises(BackupNotFound, match="There is no backup"):
                await act(backup.id)
        cleaned = await other.backups.cleanup()
        assert (cleaned.decisions, cleaned.orphans) == ([], [])
        await hold.backups.verify(backup.id)


async def test_a_sweep_that_looked_too_early(kept, monkeypatch):
    """It saw a backup that was being written, and by the time it acts the backup is verified: its file stays."""
    async with Holdfast.open(kept.database) as hold, Holdfast.open(kept.database) as other:
        backup = await hold.backups.create(ALL)
        stale = replace(backup, state=BackupState.RUNNING)

        async def looked_too_early(owner):
            return [stale]

        monkeypatch.setattr(other._store.backups, "in_use", looked_too_early)
        await other.backups.cleanup()

        assert (await hold.backups.verify(backup.id)).state == "verified"


async def test_an_interruption_at_the_last_commit(kept, monkeypatch):
    """It is made although nobody waits for it any more: the file stays, and the delete can be gone on with."""
    async with Holdfast.open(kept.database) as hold:
        verified = hold._store.backups.verified

        async def interrupted(*given, **more):
            await verified(*given, **more)
            raise asyncio.CancelledError

        monkeypatch.setattr(hold._store.backups, "verified", interrupted)
        with pytest.raises(asyncio.CancelledError):
            await hold.conversations.delete(ALL)

        (backup,) = await hold.backups.unfinished()
        done = await hold.conversations.resume_delete(backup.id)
        assert done.deleted == len(kept.originals)
    assert kept.broken() == []
