"""Verification detects any change to a verified backup's file."""

import hashlib
import io
import json
import os
from dataclasses import replace

import pytest
import zstandard

from backstay import Backstay
from backstay.backup import verifier
from backstay.errors import BackupError
from backstay.library.archive import ArchiveReader, ArchiveWriter, decompress
from support.harness.sampling import sample
from support.stores.library import ALL, digests

pytestmark = pytest.mark.promise("K2")


@pytest.fixture
async def backstay(file_library):
    async with Backstay.open(file_library.database) as backstay:
        yield backstay


@pytest.fixture
async def backup(backstay):
    """The backup of a delete; its file is about 6 KB."""
    return await backstay.backups.show((await backstay.conversations.delete(ALL)).backup_id)


async def _is_noticed(backstay, file_library, backup, changed: bytes) -> bool:
    """Return whether verification detects a change; check that a restore refuses the file or restores it exactly."""
    path = await backstay.backups.path_for(backup)
    whole = path.read_bytes()
    assert changed != whole
    path.write_bytes(changed)
    try:
        await backstay.backups.restore(backup.id)
    except BackupError:
        assert await backstay.conversations.count(ALL) == 0
    else:
        assert await digests(backstay) == file_library.originals
        await backstay.conversations.delete(ALL, backup=False)
    try:
        await backstay.backups.verify(backup.id)
    except BackupError:
        return True
    finally:
        path.write_bytes(whole)
        assert (
            await backstay.backups.verify(backup.id)
        ).state == "verified"  # else the next restore would not read the file
    return False


@pytest.mark.sweep
async def test_every_flipped_byte_is_noticed(backstay, file_library, backup):
    """Verification detects a flipped bit in any byte of the file."""
    whole = (await backstay.backups.path_for(backup)).read_bytes()
    missed = []
    for at in sample(list(range(len(whole))), 60):
        changed = bytearray(whole)
        changed[at] ^= 1 << (at % 8)
        if not await _is_noticed(backstay, file_library, backup, bytes(changed)):
            missed.append(at)

    assert missed == []


@pytest.mark.sweep
async def test_every_length_is_noticed(backstay, file_library, backup):
    """Verification detects a file that is truncated at any length."""
    whole = (await backstay.backups.path_for(backup)).read_bytes()
    lengths = sample(list(range(len(whole))), 40)

    assert [length for length in lengths if not await _is_noticed(backstay, file_library, backup, whole[:length])] == []


@pytest.mark.parametrize(
    "more",
    [b"\0", b"x" * 100, zstandard.compress(b"\n"), zstandard.compress(b"{}\n"), zstandard.compress(b"")],
    ids=["byte", "text", "frame", "object", "empty frame"],
)
async def test_appended_bytes_are_noticed(backstay, file_library, backup, more):
    """Verification detects any data after the end of the file."""
    whole = (await backstay.backups.path_for(backup)).read_bytes()

    assert await _is_noticed(backstay, file_library, backup, whole + more)


async def test_another_valid_backup_in_its_place_is_noticed(backstay, file_library, backup):
    """Verification detects the file of another intact backup under this backup's name."""
    await backstay.backups.restore(backup.id)
    other = await backstay.backups.create(ALL)
    await backstay.conversations.delete(ALL, backup=False)

    swapped = (await backstay.backups.path_for(other)).read_bytes()

    assert await _is_noticed(backstay, file_library, backup, swapped)


def _edited(whole: bytes) -> bytes:
    """Return a valid file in which one conversation was changed."""
    reader = ArchiveReader(decompress(io.BytesIO(whole)))
    lines = [line for batch in reader.batches() for line, *_ in batch]
    turns = sum(len(json.loads(line)["conversation_turns"]) for line in lines)
    lines[7] = lines[7].replace(b"Some words", b"Same words")
    writer = ArchiveWriter()
    return writer.head(reader.manifest) + writer.lines(lines, turns)[0] + writer.tail()


async def test_a_file_edited_together_with_its_checksum_is_noticed(backstay, file_library, backup):
    """Verification compares with the database, and so detects a change in a file that is valid by itself."""
    whole = (await backstay.backups.path_for(backup)).read_bytes()
    edited = _edited(whole)

    assert list(ArchiveReader(decompress(io.BytesIO(edited))).batches())
    assert await _is_noticed(backstay, file_library, backup, edited)


async def test_an_edited_file_without_the_snapshots_digests(backstay, file_library, backup, monkeypatch):
    """The control: verification accepts the edited file if it compares neither the snapshot nor the file's hash."""
    edited = _edited((await backstay.backups.path_for(backup)).read_bytes())

    async def trusting(store, backup, reader, reporter):
        for _ in reader.batches():
            pass

    monkeypatch.setattr(verifier, "_compare", trusting)
    assert await _is_noticed(backstay, file_library, backup, edited)
    verify = verifier.verify

    async def whatever_its_hash(store, backup, file, reporter):
        data = file.read()
        file.seek(0)
        seen = replace(backup, file_bytes=len(data), file_sha256=hashlib.sha256(data).digest())
        await verify(store, seen, file, reporter)

    monkeypatch.setattr(verifier, "verify", whatever_its_hash)
    assert not await _is_noticed(backstay, file_library, backup, edited)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("link", "is a link"), ("folder", "is not a file"), ("pipe", "is not a file"), ("nothing", "cannot be opened")],
)
async def test_something_else_under_its_name_is_refused(backstay, backup, kind, message, tmp_path):
    """A link, folder or pipe under a backup's name is refused, and is neither followed nor waited for."""
    path = await backstay.backups.path_for(backup)
    path.rename(tmp_path / "elsewhere")
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)

    with pytest.raises(BackupError, match=message):
        await backstay.backups.restore(backup.id)
    with pytest.raises(BackupError, match=message):
        await backstay.backups.verify(backup.id)
    assert (await backstay.backups.show(backup.id)).state == ("verified" if kind == "nothing" else "damaged")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n" * 10,
        b"{}",
        b"[" * 1_000_000,
        b'{"version":"1.0"',
        b'{"version":"2.0","conversations":[\n',
        b"0" * 100_000_000,
    ],
    ids=["empty", "lines", "object", "deep", "truncated", "newer", "bomb"],
)
async def test_foreign_content_is_refused(backstay, file_library, backup, content):
    """Verification detects foreign content of any size under a backup's name."""
    assert await _is_noticed(backstay, file_library, backup, zstandard.compress(content))
    assert await _is_noticed(backstay, file_library, backup, content[:10_000])
