"""The power goes while a backup is written: whatever the disk may hold then, a file under a final name is whole."""

import random

import pytest

from backstay import Backstay
from backstay.backup import directory as folders
from support.keeping import contents
from support.library import ALL
from support.recorded_disk import Noted
from support.recorded_folder import FolderDisk, RecordedFolder
from support.torture import FULL

pytestmark = pytest.mark.promise("K1", "K3")


async def _recorded(kept, patch) -> RecordedFolder:
    """Make two backups and remove the first; return what was done to files, and when each was told to be verified."""
    async with Backstay.open(kept.database) as backstay:
        await backstay.backups.create(["c00001"])  # so that the folder is there
        recorded = RecordedFolder(kept.database.with_name("backstay.backups"))
        with recorded.recording(patch):
            first = await backstay.backups.create(ALL)
            recorded.note((first.id, True))
            second = await backstay.backups.create(ALL)
            recorded.note((second.id, True))
            recorded.note((first.id, False))
            await backstay.backups.delete(first.id)
    return recorded


def _broken(recorded: RecordedFolder, rounds: int) -> list[str]:
    """Return what breaks a promise in any state that a power cut may leave, at any moment."""
    chance, disk, told, found = random.Random(7), FolderDisk(), set(), set()
    for event in recorded.events:
        if isinstance(event, Noted):
            name, is_verified = event.fact
            (told.add if is_verified else told.discard)(name)
        else:
            disk.follow(event)
        for _ in range(rounds):
            for how, files in disk.possible(chance):
                found |= {f"{problem} ({how})" for problem in _problems(files, told)}
    return sorted(found)


def _problems(files, told):
    for name, data in files.items():
        if not name.startswith("."):
            try:
                contents(data)
            except (ValueError, KeyError, TypeError):
                yield "K3: a final name is not whole"
    for name in told:
        if f"{name}.json.zst" not in files:
            yield "K1: a verified backup is gone"


@pytest.mark.sweep
async def test_no_final_name_is_ever_anything_but_whole(kept, monkeypatch):
    """And what was told to be verified is there."""
    recorded = await _recorded(kept, monkeypatch)

    assert len(recorded.events) > 12
    assert _broken(recorded, 10 if FULL else 2) == []


@pytest.mark.parametrize(
    ("protection", "broken"),
    [("sync", "K3: a final name is not whole"), ("sync_folder", "K1: a verified backup is gone")],
)
async def test_without_a_sync(kept, monkeypatch, protection, broken):
    """The controls: without either sync some state breaks a promise."""
    monkeypatch.setattr(folders, protection, lambda _: None)

    recorded = await _recorded(kept, monkeypatch)

    assert any(line.startswith(broken) for line in _broken(recorded, 2))
