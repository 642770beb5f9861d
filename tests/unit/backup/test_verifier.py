"""A file is verified against each fact that was recorded, without relying on the others."""

import hashlib
import io
from dataclasses import asdict, replace
from types import SimpleNamespace

import orjson
import pytest

from backstay.backup import verifier
from backstay.backup.backup import SealedFile
from backstay.backup.progress import BackupProgressReporter
from backstay.errors import BackupDamaged, StoreBusy
from backstay.library.archive import ArchiveWriter, Manifest
from backstay.library.record import digest_of_document

_BACKUP = SimpleNamespace(id="backup-1-a")
_LINES = [orjson.dumps({"conversation_turns": [], "id": f"c{number}"}) for number in range(3)]


class _Records:
    """The one method of a RecordStore that a verifier calls."""

    def __init__(self, records):
        self.records = records

    async def digests(self, backup, *, first, limit):
        return self.records[first : first + limit]


@pytest.fixture
def store():
    return _Records([(f"c{number}", hashlib.sha256(line).digest(), None) for number, line in enumerate(_LINES)])


@pytest.fixture
def verify(store):
    writer = ArchiveWriter()
    content = writer.head(Manifest(_BACKUP.id, "now", "why", "local", "sqlite")) + writer.lines(_LINES, 0)[0]
    content += writer.tail()
    sealed = SealedFile(len(_LINES), 0, writer.content_bytes, len(content), hashlib.sha256(content).digest())

    async def verify(*, backup=_BACKUP, **changes):
        reporter = BackupProgressReporter(backup.id, None)
        record = SimpleNamespace(id=backup.id, **asdict(replace(sealed, **changes)))
        await verifier.verify(store, record, io.BytesIO(content), reporter)

    return verify


async def test_file_that_equals_its_record_is_intact(verify):
    """A file that agrees with its whole record is verified without an error."""
    await verify()


@pytest.mark.parametrize(
    "changes",
    [{"conversations": 2}, {"conversations": 4}, {"content_bytes": 1}, {"file_bytes": 1}, {"file_sha256": b"other"}],
    ids=lambda changes: "-".join(f"{name}" for name in changes),
)
async def test_one_wrong_fact_is_enough(verify, changes):
    """A file that differs from its record in a single fact is damaged."""
    with pytest.raises(BackupDamaged):
        await verify(**changes)


async def test_file_of_another_backup_is_refused(verify):
    """A file that names another backup is damaged, even if its content agrees with the record."""
    with pytest.raises(BackupDamaged, match="holds backup 'backup-1-a'"):
        await verify(backup=SimpleNamespace(id="backup-2-b"))


async def test_conversation_under_another_id_is_refused(verify, store):
    """A conversation whose id differs from the recorded one is damaged, even if its digest agrees."""
    store.records[1] = ("c9", *store.records[1][1:])

    with pytest.raises(BackupDamaged, match="Conversation 2 of the file is not what was backed up"):
        await verify()


async def test_conversation_with_another_digest_is_refused(verify, store):
    """A conversation whose digest differs from the recorded one is damaged, even if its id agrees."""
    store.records[1] = ("c1", b"other", None)

    with pytest.raises(BackupDamaged, match="Conversation 2 of the file is not what was backed up"):
        await verify()


@pytest.mark.parametrize("curation", [b"{}", None], ids=["added", "removed"])
async def test_conversation_with_another_curation_is_refused(curation):
    """A conversation whose review and versions differ from the recorded ones is damaged, even if the rest agrees."""
    line = b'{"conversation_turns":[],"id":"c0"}'
    digest, recorded = hashlib.sha256(line).digest(), None if curation else hashlib.sha256(b"{}").digest()

    with pytest.raises(BackupDamaged, match="Conversation 1 of the file is not what was backed up"):
        verifier._check([(line, digest, curation)], [("c0", digest, recorded)], 0)


async def test_conversation_without_a_record_is_refused(verify, store):
    """A file with more conversations than were recorded is damaged."""
    del store.records[2]

    with pytest.raises(BackupDamaged, match="more than the 2 conversations"):
        await verify()


@pytest.mark.parametrize("line", [b"no JSON", b"[]", b"{}"], ids=["no JSON", "no object", "no id"])
async def test_line_that_is_no_conversation_is_refused(line):
    """A line that cannot be read as a conversation is damaged, even if its digest agrees."""
    digest = hashlib.sha256(line).digest()

    with pytest.raises(BackupDamaged, match="Conversation 1 of the file cannot be read"):
        verifier._check([(line, digest, None)], [("c0", digest, None)], 0)


async def test_other_error_is_raised_with_the_backup(verify, store):
    """An error that says nothing about the file is raised as it is, and names the backup."""

    async def locked(*_, **__):
        raise StoreBusy("locked")

    store.digests = locked

    with pytest.raises(StoreBusy) as failed:
        await verify()
    assert failed.value.context["backup_id"] == "backup-1-a"


def test_line_that_says_the_same_in_another_way_is_intact():
    """A line that is not canonical JSON is compared by its document."""
    line = b'{ "id": "c0", "conversation_turns": [] }'
    recorded = [("c0", digest_of_document(orjson.loads(line)), None)]

    verifier._check([(line, hashlib.sha256(line).digest(), None)], recorded, 0)


def test_canonical_line_is_not_encoded_again(monkeypatch):
    """A line whose hash is the recorded digest is not encoded a second time, which would double the time."""
    line = b'{"conversation_turns":[],"id":"c0"}'
    digest = hashlib.sha256(line).digest()
    monkeypatch.setattr(verifier, "digest_of_document", None)

    verifier._check([(line, digest, None)], [("c0", digest, None)], 0)
