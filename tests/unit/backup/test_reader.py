"""What is read from the file of a backup is what was recorded, or an error."""

import hashlib
import io
from contextlib import ExitStack
from types import SimpleNamespace

import orjson
import pytest

from backstay.backup.backup import BackupItem
from backstay.backup.reader import OpenBackup
from backstay.errors import BackupDamaged, BackupUnreachable
from backstay.library.archive import ArchiveWriter, Manifest
from backstay.library.record import digest_of_document

_ID = "backup-1-a"
_DOCUMENTS = [{"created_at": "now", "id": f"c{number}", "item_id": None, "job_id": None} for number in range(3)]
_LINES = [orjson.dumps(document) for document in _DOCUMENTS]


def _items(digests=None):
    digests = digests or [hashlib.sha256(line).digest() for line in _LINES]
    return [BackupItem(number, f"c{number}", 100 + number, digest, b"") for number, digest in enumerate(digests)]


@pytest.fixture
def opened(tmp_path):
    """Return a function that opens a backup of lines; `record` are other facts of its record."""

    def make(lines=_LINES, *, backup_id=_ID, **record):
        writer = ArchiveWriter()
        content = writer.head(Manifest(backup_id, "now", "why", "local", "sqlite")) + writer.lines(lines, 0)[0]
        content += writer.tail()
        (tmp_path / "file").write_bytes(content)
        facts = {"conversations": len(lines), "content_bytes": writer.content_bytes, "file_bytes": len(content)}
        file = files.enter_context((tmp_path / "file").open("rb"))
        return OpenBackup(SimpleNamespace(id=_ID, **{**facts, **record}), file)

    with ExitStack() as files:
        yield make


def _read(opened, items, matches=None):
    def recorded(first, count):
        return items[first : first + count]

    return [each for batch in opened.conversations(recorded, lambda document: document, matches) for each in batch]


def test_conversations_get_the_keys_of_their_records(opened):
    """Each conversation that matches is read with the key and digest that the snapshot recorded."""
    backup, items = opened(), _items()

    everything = _read(backup, items)
    second = _read(backup, items, lambda document: document["id"] == "c1")
    nothing = _read(backup, items, lambda _: False)

    assert [(each.position, each.id) for each in everything] == [(0, "c0"), (1, "c1"), (2, "c2")]
    assert [(each[0], each.digest) for each in everything] == [(item.conversation_key, item.digest) for item in items]
    assert [each.id for each in second] == ["c1"]
    assert nothing == []


def test_a_line_that_is_not_canonical_is_the_same_conversation(opened):
    """A conversation whose line was written in another order is known by the digest of its content."""
    items = _items([digest_of_document(document) for document in _DOCUMENTS])
    reordered = [orjson.dumps(dict(reversed(document.items()))) for document in _DOCUMENTS]

    assert len(_read(opened(reordered), items)) == 3


@pytest.mark.parametrize(
    "items",
    [_items()[:2], [*_items()[:2], _items()[2]._replace(id="x")], [*_items()[:2], _items()[2]._replace(digest=b"x")]],
    ids=["missing", "id", "digest"],
)
def test_a_conversation_that_differs_from_its_record_is_damage(opened, items):
    """A conversation without a record, or with another id or digest than recorded, is damage."""
    with pytest.raises(BackupDamaged, match="Conversation 3 of backup-1-a is not what was backed up"):
        _read(opened(), items)


@pytest.mark.parametrize("line", [b'{"id":"c1"}', b"[]", b'"text"'], ids=["keys", "list", "text"])
def test_a_line_that_is_no_conversation_is_damage(opened, line):
    """A line that lacks what each conversation has is damage, with its number."""
    with pytest.raises(BackupDamaged, match=r"Conversation 2 of the backup cannot be read"):
        _read(opened([_LINES[0], line]), _items())


def test_another_number_of_conversations_is_damage(opened):
    """A file with fewer or more conversations than recorded is damage."""
    with pytest.raises(BackupDamaged, match="holds 3 conversations of 4"):
        _read(opened(conversations=4), _items())


def test_the_file_of_another_backup_is_damage(opened):
    """A file whose first line names another backup is damage."""
    with pytest.raises(BackupDamaged, match="The file of backup-1-a holds backup 'backup-2-b'"):
        opened(backup_id="backup-2-b").manifest()

    assert opened().manifest().backup_id == _ID


@pytest.mark.parametrize(("compressed", "fact"), [(True, "file_bytes"), (False, "content_bytes")])
def test_a_download_of_another_length_is_damage(opened, compressed, fact):
    """A download ends with an error if the file has another length than when it was verified."""
    whole = b"".join(opened().stream_file(compressed=compressed))
    size = opened().size if compressed else opened().backup.content_bytes

    assert len(whole) == size
    for other in (size - 1, size + 1):
        with pytest.raises(BackupDamaged, match="is longer or shorter"):
            list(opened(**{fact: other}).stream_file(compressed=compressed))


def test_a_file_that_was_truncated_after_it_was_opened_is_damage(opened):
    """A range that the file no longer has is damage, and a read that fails is an unreachable file."""
    backup = opened()

    class _Failing(io.BytesIO):
        def read(self, *_):
            raise OSError(5, "Input/output error")

    assert b"".join(backup.read_range(1, 3)) == (backup.file.seek(1), backup.file.read(3))[1]
    with pytest.raises(BackupDamaged, match="is shorter than it was"):
        list(backup.read_range(1, backup.size))
    with pytest.raises(BackupUnreachable, match="Input/output error"):
        list(OpenBackup(backup.backup, _Failing()).read_range(0, 1))
