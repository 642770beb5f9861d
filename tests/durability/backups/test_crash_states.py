"""A power cut while a backup is written: in every possible state of the disk, a file under a final name is complete."""

import random

import pytest

from backstay import Backstay
from backstay.backup import directory as folders
from durability.backups._recorded_directory import FolderDisk, RecordedFolder
from support.faults.backup_invariants import contents
from support.faults.recorded_disk import Noted
from support.harness.sampling import FULL
from support.stores.library import ALL

pytestmark = pytest.mark.promise("K1", "K3")


async def _recorded(file_library, patch) -> RecordedFolder:
    """Make two backups and remove the first; return the file operations, and when each was reported as verified."""
    async with Backstay.open(file_library.database) as backstay:
        await backstay.backups.create(["c00001"])  # creates the folder
        recorded = RecordedFolder(file_library.database.with_name("backstay.backups"))
        with recorded.recording(patch):
            first = await backstay.backups.create(ALL)
            recorded.note((first.id, True))
            second = await backstay.backups.create(ALL)
            recorded.note((second.id, True))
            recorded.note((first.id, False))
            await backstay.backups.delete(first.id)
    return recorded


def _broken(recorded: RecordedFolder, rounds: int) -> list[str]:
    """Return the broken promises in all states that a power cut at any moment may leave."""
    chance, disk, verified, problems = random.Random(7), FolderDisk(), set(), set()
    for event in recorded.events:
        if isinstance(event, Noted):
            name, is_verified = event.fact
            (verified.add if is_verified else verified.discard)(name)
        else:
            disk.follow(event)
        for _ in range(rounds):
            for how, files in disk.possible(chance):
                problems |= {f"{problem} ({how})" for problem in _problems(files, verified)}
    return sorted(problems)


def _problems(files, verified):
    for name, data in files.items():
        if not name.startswith("."):
            try:
                contents(data)
            except (ValueError, KeyError, TypeError):
                yield "K3: a final name is not whole"
    for name in verified:
        if f"{name}.json.zst" not in files:
            yield "K1: a verified backup is gone"


@pytest.mark.sweep
async def test_no_final_name_is_ever_anything_but_whole(file_library, monkeypatch):
    """After a power cut at any moment, each file with a final name is complete and each verified backup exists."""
    recorded = await _recorded(file_library, monkeypatch)

    assert len(recorded.events) > 12
    assert _broken(recorded, 10 if FULL else 2) == []


@pytest.mark.parametrize(
    ("protection", "broken"),
    [("sync", "K3: a final name is not whole"), ("sync_folder", "K1: a verified backup is gone")],
)
async def test_without_a_sync(file_library, monkeypatch, protection, broken):
    """The controls: without either sync, a power cut can break a promise."""
    monkeypatch.setattr(folders, protection, lambda _: None)

    recorded = await _recorded(file_library, monkeypatch)

    assert any(line.startswith(broken) for line in _broken(recorded, 2))
