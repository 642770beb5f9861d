"""Opening and closing a library."""

import os

import pytest

from backstay import Backstay, Selection
from backstay.errors import EmptySelection, SettingsError, StoreClosed, StoreNotFound
from support.data.conversations import items
from support.fakes.processors import Writer
from support.stores.kinds import DATABASES

files = pytest.mark.parametrize("path", DATABASES[:1], indirect=True, ids=["sqlite"])


async def test_library_is_created_in_the_current_folder(tmp_path):
    """Without settings a library is created in its own folder under the current one."""
    async with Backstay.open() as backstay:
        await backstay.batches.run("batch", items(1), Writer())

    assert (tmp_path / ".backstay" / "backstay.db").is_file()


async def test_library_is_found_from_a_subfolder(tmp_path, monkeypatch):
    """From a subfolder the nearest library above is opened."""
    async with Backstay.open() as backstay:
        await backstay.batches.run("batch", items(1), Writer())
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")

    async with Backstay.open(create=False) as backstay:
        assert [job.id for job in await backstay.batches.list()] == ["batch"]


async def test_reading_does_not_create_a_library(tmp_path):
    """A command that only reads reports a missing library instead of creating one."""
    with pytest.raises(StoreNotFound):
        async with Backstay.open(create=False):
            pytest.fail("there is nothing to open")

    assert list(tmp_path.iterdir()) == []


async def test_a_new_database_is_for_its_owner_only(tmp_path):
    """The files of a new library have mode 0600, and an existing folder keeps its mode."""
    tmp_path.chmod(0o755)
    before = os.umask(0o022)
    try:
        async with Backstay.open(tmp_path / "mine.db") as backstay:
            await backstay.batches.run("batch", items(1), Writer())
            files = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if path.is_file()}
    finally:
        os.umask(before)

    assert files == {"mine.db": 0o600, "mine.db-wal": 0o600, "mine.db-shm": 0o600}
    assert tmp_path.stat().st_mode & 0o777 == 0o755


async def test_other_databases_are_refused(tmp_path):
    """An unsupported database is refused before it is opened, without showing its address."""
    with pytest.raises(SettingsError) as caught:
        Backstay.open("mysql://me:hunter2@db.example.com/app")

    assert "hunter2" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


async def test_library_is_used_within_async_with(path):
    """A library can be used only inside `async with`."""
    backstay = Backstay.open(path)
    with pytest.raises(StoreClosed):
        await backstay.batches.list()
    async with backstay:
        await backstay.batches.run("batch", items(1), Writer())
    with pytest.raises(StoreClosed):
        await backstay.batches.run("batch", items(1), Writer())
    with pytest.raises(StoreClosed):
        await backstay.conversations.list()


async def test_library_may_be_opened_again(path):
    """The same object can be opened again after it was closed."""
    backstay = Backstay.open(path)
    for _ in range(3):
        async with backstay:
            await backstay.batches.run("batch", items(1), Writer())

    async with backstay:
        assert len(await backstay.batches.list()) == 1


@files
async def test_library_may_be_opened_through_a_link(path):
    """A library opened through a link shares log and lock files with the one opened directly."""
    link = path.parent / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(path)
    async with Backstay.open(path) as backstay, Backstay.open(link) as linked:
        await backstay.batches.run("batch", items(3), Writer())
        await linked.batches.run("linked", items(2), Writer())

        assert {job.id for job in await backstay.batches.list()} == {"batch", "linked"}
    assert [entry.name for entry in link.parent.iterdir()] == ["link.db"]


@files
async def test_closed_library_is_one_file(path):
    """A closed library is one file next to the empty folder of its lock files."""
    async with Backstay.open(path) as backstay:
        await backstay.batches.run("batch", items(5), Writer())

    assert sorted(entry.name for entry in path.parent.iterdir()) == ["library.db", "library.workers"]


async def test_conversations_are_read(path):
    """Conversations are read singly, as a list, or by job, and an empty selection is never all."""
    async with Backstay.open(path) as backstay:
        await backstay.batches.run("batch", items(3), Writer())
        listed = await backstay.conversations.list()
        exported = [entry async for entry in backstay.conversations.export(Selection(job_id="batch"))]

        assert [stored.item_id for stored in listed] == [entry.item_id for entry in reversed(exported)]
        assert await backstay.conversations.show(exported[0].id) == exported[0]
        assert [stored.id for stored in await backstay.conversations.list(before=listed[0].cursor, limit=1)] == [
            listed[1].id
        ]
        with pytest.raises(EmptySelection):
            await backstay.conversations.count(Selection())
        with pytest.raises(EmptySelection):
            async for _ in backstay.conversations.export(Selection()):
                pass
