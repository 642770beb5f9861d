"""A backup whose file was changed is recorded as damaged, until a verification finds it intact again."""

import asyncio
import os
from contextlib import aclosing

import pytest

from backstay import Backstay
from backstay.backup.directory import BackupDirectory
from backstay.errors import BackupDamaged, BackupError, BackupUnreachable, BackupUnusable
from backstay.remedy import Remedy
from support.stores.library import ALL, digests
from support.stores.sql import ask

pytestmark = pytest.mark.promise("K1", "K2")


async def _download(backstay, backup_id):
    async with aclosing(backstay.backups.download(backup_id)) as blocks:
        async for _ in blocks:
            pass


async def _download_compressed(backstay, backup_id):
    async with aclosing(backstay.backups.download(backup_id, compressed=True)) as blocks:
        async for _ in blocks:
            pass


_READERS = {
    "verify": lambda backstay, backup_id: backstay.backups.verify(backup_id),
    "restore": lambda backstay, backup_id: backstay.backups.restore(backup_id),
    "plan": lambda backstay, backup_id: backstay.backups.plan_restore(backup_id),
    "download": _download,
    "download compressed": _download_compressed,
}


async def _truncated(backstay, backup_id):
    """Truncate the file of a backup; return its path and its former content."""
    path = await backstay.backups.path_for(await backstay.backups.show(backup_id))
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    return path, whole


@pytest.mark.parametrize("read", _READERS.values(), ids=_READERS)
async def test_each_read_records_damage(any_library, read):
    """Each read that finds a file damaged records it, and a verification of the whole file clears the record."""
    async with Backstay.open(any_library.database) as backstay:
        backup_id = (await backstay.conversations.delete(ALL)).backup_id
        path, whole = await _truncated(backstay, backup_id)

        with pytest.raises(BackupDamaged) as caught:
            await read(backstay, backup_id)
        assert caught.value.remedy is Remedy.REPLACE_BACKUP_FILE
        assert caught.value.context["backup_id"] == backup_id
        damaged = await backstay.backups.show(backup_id)
        with pytest.raises(BackupUnusable, match=r"is damaged since 20"):
            await backstay.backups.restore(backup_id)
        with pytest.raises(BackupDamaged):
            await backstay.backups.verify(backup_id)
        (again,) = await backstay.backups.list()
        exported = await asyncio.to_thread(ask, any_library.database, "SELECT count(*) FROM backup_exports")
        path.write_bytes(whole)
        intact = await backstay.backups.verify(backup_id)
        await backstay.backups.restore(backup_id)

        assert (damaged.state, again.damaged_at, exported) == ("damaged", damaged.damaged_at, [(0,)])
        assert (intact.state, intact.damaged_at) == ("verified", None)
        assert await digests(backstay) == any_library.originals


async def test_a_file_that_cannot_be_reached_is_not_damaged(file_library):
    """A backup whose disk is missing or whose file was moved away is not recorded as damaged."""
    async with Backstay.open(file_library.database) as backstay:
        backup = await backstay.backups.create(ALL)
        path = await backstay.backups.path_for(backup)
        for gone in (path, path.parent):
            gone.rename(file_library.database.with_name("unplugged"))
            with pytest.raises(BackupUnreachable):
                await backstay.backups.verify(backup.id)
            file_library.database.with_name("unplugged").rename(gone)

        assert (await backstay.backups.show(backup.id)).state == "verified"


def _damaging(backstay, monkeypatch):
    """Damage the backup of a delete between its first and second step; return the list that gets what undoes it."""
    step, undo = backstay._store.backups.deletes.delete_step, []

    async def damaged(backup, **options):
        if len(undo) < 2:
            undo.append(None)
            if len(undo) == 2:
                undo[1] = await _truncated(backstay, backup.id)
                with pytest.raises(BackupDamaged):
                    await backstay.backups.verify(backup.id)
        return await step(backup, **options)

    monkeypatch.setattr(backstay._store.backups.deletes, "delete_step", damaged)
    return undo


async def test_a_delete_stops_when_its_backup_file_is_emptied(any_library, monkeypatch):
    """Each step of a delete checks that the file exists and has its verified size, without a new verification."""
    library = any_library
    async with Backstay.open(library.database) as backstay:
        step, begun = backstay._store.backups.deletes.delete_step, []

        async def emptied(backup, **options):
            begun.append(backup.id)
            if len(begun) == 2:
                os.truncate(await backstay.backups.path_for(backup), 0)
            return await step(backup, **options)

        monkeypatch.setattr(backstay._store.backups.deletes, "delete_step", emptied)
        with pytest.raises(BackupUnusable, match="missing or incomplete; nothing further is deleted"):
            await backstay.conversations.delete(ALL)

        assert await backstay.conversations.count(ALL) > 0


@pytest.mark.parametrize("is_checked", [True, False], ids=["checked", "control"])
async def test_nothing_is_replaced_if_its_backup_is_gone(any_library, monkeypatch, is_checked):
    """A restore that replaces conversations is rolled back if the backup file of these is gone before it ends."""
    library = any_library
    async with Backstay.open(library.database) as backstay:
        backup = await backstay.backups.create(ALL)
        await asyncio.to_thread(ask, library.database, "UPDATE conversations SET topic = 'newer'")
        before = await digests(backstay)
        restore, lost = backstay._store.backups.restores.restore, []

        async def unlinking(source, *, replaced, is_file_complete, **options):
            lost.append(await backstay.backups.path_for(replaced))
            lost[0].unlink()
            check = is_file_complete if is_checked else lambda: True
            return await restore(source, replaced=replaced, is_file_complete=check, **options)

        monkeypatch.setattr(backstay._store.backups.restores, "restore", unlinking)
        if not is_checked:
            await backstay.backups.restore(backup.id, on_conflict="replace")
            assert await digests(backstay) != before
            return
        with pytest.raises(BackupUnusable, match="which holds what would be replaced"):
            await backstay.backups.restore(backup.id, on_conflict="replace")

        assert await digests(backstay) == before


async def test_a_delete_stops_when_its_backup_is_damaged(any_library, monkeypatch):
    """A delete stops when its backup is found damaged, and can be resumed once the file is restored and verified."""
    library = any_library
    async with Backstay.open(library.database) as backstay:
        undo = _damaging(backstay, monkeypatch)
        with pytest.raises(BackupUnusable, match="is damaged since"):
            await backstay.conversations.delete(ALL)
        remaining = await backstay.conversations.count(ALL)
        (backup,) = await backstay.backups.with_unfinished_delete()
        with pytest.raises(BackupDamaged):
            await backstay.conversations.resume_delete(backup.id)
        path, whole = undo[1]
        path.write_bytes(whole)
        resumed = await backstay.conversations.resume_delete(backup.id)

        assert 0 < remaining < len(library.originals)
        assert resumed.deleted == len(library.originals)
        await backstay.backups.restore(backup.id)
        assert await digests(backstay) == library.originals


async def test_without_the_record_of_damage(file_library, monkeypatch):
    """The control: if the damage is not recorded, the delete ends although its backup cannot be restored."""
    async with Backstay.open(file_library.database) as backstay:
        _damaging(backstay, monkeypatch)

        async def not_recorded(backup):
            return False

        monkeypatch.setattr(backstay._store.backups.records, "mark_damaged", not_recorded)
        has = BackupDirectory.has
        monkeypatch.setattr(
            BackupDirectory, "has", lambda folder, backup_id, **_: has(folder, backup_id)
        )  # of any size
        await backstay.conversations.delete(ALL)

        assert await backstay.conversations.count(ALL) == 0
        with pytest.raises(BackupError):
            await backstay.backups.restore((await backstay.backups.list())[0].id)


async def test_a_delete_with_a_damaged_backup_can_be_abandoned(file_library, monkeypatch):
    """A damaged backup whose file has no copy can be removed, which abandons its delete."""
    async with Backstay.open(file_library.database) as backstay:
        _damaging(backstay, monkeypatch)
        with pytest.raises(BackupUnusable):
            await backstay.conversations.delete(ALL)
        (backup,) = await backstay.backups.with_unfinished_delete()
        await backstay.backups.delete(backup.id)

        removed = await backstay.backups.show(backup.id)
        assert (removed.state, removed.deletion) == ("expired", "abandoned")
        assert await backstay.backups.with_unfinished_delete() == []


async def test_the_removal_of_a_damaged_backup_says_so(file_library):
    """A cleanup treats a damaged backup like any other, and reports that it was damaged."""
    async with Backstay.open(file_library.database) as backstay:
        backup_id = (await backstay.conversations.delete(ALL)).backup_id
        await _truncated(backstay, backup_id)
        with pytest.raises(BackupDamaged):
            await backstay.backups.verify(backup_id)
        early = await backstay.backups.cleanup()
        ask(file_library.database, "UPDATE backups SET expires_at = created_at")
        late = await backstay.backups.cleanup(at_once=True)

        assert [decision.action for decision in (*early.decisions, *late.decisions)] == ["keep", "remove"]
        assert "damaged since 20" in late.decisions[0].reason
