"""Reviews and earlier versions in backups, deletes, restores and imports."""

import asyncio
import io
import json

import pytest

from backstay import Backstay, Conversation, Selection, Turn
from backstay.backup import verifier
from backstay.errors import BackupDamaged, BackupError, InvalidRow, RestoreDiffers
from backstay.library.archive import ArchiveReader, ArchiveWriter, decompress
from backstay.library.curation import append_curation
from backstay.storage.sql import restores
from backstay.storage.sql.curation import Curations
from support.faults.batch_invariants import violations
from support.stores.kinds import DATABASES
from support.stores.library import ALL, digests, filled
from support.stores.sql import ask

pytestmark = pytest.mark.promise("K1", "K2")

_VERSION = json.dumps(
    {
        **Conversation([Turn("user", "a")]).to_dict(),
        "metadata": {"curation": {}},
        "created_at": "2025-06-02T09:30:00.000000Z",
        "updated_at": "2025-06-02T09:30:00.000000Z",
    }
)
_CURATED = """
    INSERT INTO conversation_reviews (conversation_key, owner, status, rating, note, reviewer, reviewed_at)
    SELECT key, owner, CASE WHEN key % 3 = 0 THEN 'rejected' END, 1 + key % 5, 'Bad <b>"note"</b> }}', 'ann', created_at
      FROM conversations WHERE key % 2 = 0;
    INSERT INTO conversation_tags (conversation_key, tag, owner)
    SELECT conversation_key, tag, owner
      FROM conversation_reviews, (SELECT 'schön' AS tag UNION SELECT '"curation":{') AS t
     WHERE conversation_key % 4 = 0;
    INSERT INTO conversation_versions (conversation_key, number, owner, line, editor, replaced_at)
    SELECT key, number, owner, '{_VERSION}', 'bob', created_at
      FROM conversations, (SELECT 1 AS number UNION SELECT 2) AS n WHERE key % 5 = 0""".replace("{_VERSION}", _VERSION)
_LATE_REVIEWS = """
    INSERT INTO conversation_reviews
    SELECT key, owner, 'kept', NULL, 'late', NULL, created_at FROM conversations WHERE key IN (1, 3)"""
_CHANGING_TRIGGER = """
    CREATE TRIGGER changing AFTER INSERT ON conversation_reviews
    BEGIN UPDATE conversation_reviews SET note = 'x' WHERE conversation_key = NEW.conversation_key; END"""
_TABLES = ("conversation_versions", "conversation_reviews", "conversation_tags")


async def _sql(path, statement, *values):
    return await asyncio.to_thread(ask, path, statement, *values)


async def _curation(path):
    return [await _sql(path, f"SELECT * FROM {table} ORDER BY 1, 2") for table in _TABLES]


@pytest.fixture
async def library(path):
    """Open a library of 15 conversations and 5 of a job, of which some have reviews, tags and earlier versions."""
    await filled(path, 15)
    for statement in _CURATED.split(";"):
        await _sql(path, statement)
    async with Backstay.open(path) as backstay:
        yield backstay
    assert violations(path, at_rest=False) == []


async def test_reviews_and_versions_are_restored(library, path):
    """A delete removes reviews and earlier versions, and a restore brings them back exactly as they were."""
    before = await _curation(path)

    deleted = await library.conversations.delete(ALL)
    gone = await _curation(path)
    await library.backups.verify(deleted.backup_id)
    await library.backups.restore(deleted.backup_id)

    assert all(before)
    assert gone == [[], [], []]
    assert await _curation(path) == before


async def test_a_review_is_no_edit(library, path):
    """A review changes neither the digest of its conversation nor its row version, so a backup is still identical."""
    before = await digests(library)
    backup = await library.backups.create(ALL)
    await _sql(path, "UPDATE conversation_reviews SET note = 'better', rating = 5")
    reviewed = await _curation(path)

    plan = await library.backups.plan_restore(backup.id)
    await library.backups.restore(backup.id, on_conflict="replace")

    assert await digests(library) == before
    assert (plan.identical, plan.conflicts) == (20, 0)
    assert await _curation(path) == reviewed  # what is in the library is never overwritten


async def _delete_with_late_changes(library, path):
    """Change reviews and versions between the backup of a delete and its first step; return how they were last."""
    step, last = library._store.backups.deletes.delete_step, []

    async def late(*arguments, **options):
        if not last:
            await _sql(path, "UPDATE conversation_reviews SET rating = 5, note = NULL WHERE conversation_key % 3 = 0")
            for table in reversed(_TABLES):
                await _sql(path, f"DELETE FROM {table} WHERE conversation_key = 4")
            await _sql(path, _LATE_REVIEWS)
            last.extend(await _curation(path))
        return await step(*arguments, **options)

    library._store.backups.deletes.delete_step = late
    deleted = await library.conversations.delete(ALL)
    assert (deleted.deleted, deleted.changed) == (20, 0)
    return deleted.backup_id, last


async def test_a_review_after_the_backup_is_restored(library, path):
    """A review that was changed after the backup does not stop the delete, and is restored as it was last."""
    backup_id, last = await _delete_with_late_changes(library, path)

    await library.backups.verify(backup_id)
    await library.backups.restore(backup_id)

    assert await _curation(path) == last


async def test_without_a_record_of_late_reviews(library, path, monkeypatch):
    """The control: if a delete did not record them, reviews after the backup would be lost."""
    monkeypatch.setattr(Curations, "record_late", lambda *_: None)
    backup_id, last = await _delete_with_late_changes(library, path)

    await library.backups.restore(backup_id)

    assert await _curation(path) != last


async def test_a_replaced_conversation_keeps_its_review(library, path):
    """What a restore replaces is backed up with its review and earlier versions, and restored with them."""
    backup = await library.backups.create(ALL)
    await _sql(path, "UPDATE conversations SET topic = 'edited' WHERE key = 10")
    await _sql(path, "UPDATE conversation_reviews SET note = 'of the edited one' WHERE conversation_key = 10")
    edited = await _curation(path)

    first = await library.backups.restore(backup.id, on_conflict="replace")
    replaced = await _curation(path)
    await library.backups.restore(first.replaced_backup_id, on_conflict="replace")

    assert first.replaced == 1
    assert replaced != edited
    assert await _curation(path) == edited


@pytest.mark.parametrize("path", DATABASES[1:2], indirect=True, ids=["postgres"])
async def test_the_first_review_of_all_is_not_lost_to_a_restore(path, monkeypatch):
    """A review that is made before a restore locks what it replaces is backed up, even if it is the first review."""
    await filled(path, 3)
    lock = restores.lock_by_ids

    def review_and_lock(session, owner, ids, columns):
        monkeypatch.setattr(restores, "lock_by_ids", lock)
        ask(path, _LATE_REVIEWS)
        return lock(session, owner, ids, columns)

    async with Backstay.open(path) as library:
        backup = await library.backups.create(ALL)
        await _sql(path, "UPDATE conversations SET topic = 'edited' WHERE key = 1")
        monkeypatch.setattr(restores, "lock_by_ids", review_and_lock)
        first = await library.backups.restore(backup.id, on_conflict="replace")
        await library.backups.restore(first.replaced_backup_id, on_conflict="replace")

    assert [row[4] for row in (await _curation(path))[1] if row[0] == 1] == ["late"]


def _edited(whole: bytes) -> bytes:
    """Return a valid file in which one review was changed."""
    reader = ArchiveReader(decompress(io.BytesIO(whole)))
    entries = [entry for batch in reader.batches() for entry in batch]
    lines = [append_curation(line, curation and curation.replace(b"ann", b"bob")) for line, _, curation in entries]
    turns = sum(len(json.loads(line)["conversation_turns"]) for line in lines)
    writer = ArchiveWriter()
    return writer.head(reader.manifest) + writer.lines(lines, turns)[0] + writer.tail()


async def _restore_edited(library):
    deleted = await library.conversations.delete(ALL)
    file = await library.backups.path_for(await library.backups.show(deleted.backup_id))
    file.write_bytes(_edited(file.read_bytes()))
    await library.backups.restore(deleted.backup_id)


async def test_a_changed_review_in_a_file_is_damage(library):
    """A file whose reviews were changed together with its checksum is refused, and nothing is restored."""
    with pytest.raises(BackupDamaged, match=r"Conversation 2 of .* is not what was backed up"):
        await _restore_edited(library)

    assert await library.conversations.count(ALL) == 0


async def test_without_the_digest_of_reviews(library, path, monkeypatch):
    """The control: without a digest of its own, a changed review in a file would be restored."""
    monkeypatch.setattr("backstay.backup.reader.curation_digest", lambda _: None)
    monkeypatch.setattr("backstay.storage.sql.backup_creation.curation_digest", lambda _: None)
    monkeypatch.setattr(verifier, "curation_digest", lambda _: None)
    monkeypatch.setattr(Curations, "record_late", lambda *_: None)

    await _restore_edited(library)

    assert "bob" in {row[5] for row in (await _curation(path))[1]}


async def test_a_selection_is_restored_with_its_reviews(library, path):
    """A restore of some conversations brings back their reviews and versions, and no others."""
    before = await _curation(path)
    ids = [row[0] for row in await _sql(path, "SELECT id FROM conversations WHERE key IN (4, 5, 10)")]
    deleted = await library.conversations.delete(ALL)

    await library.backups.restore(deleted.backup_id, Selection(ids=tuple(ids)))

    assert await _curation(path) == [[row for row in rows if row[0] in (4, 5, 10)] for rows in before]


@pytest.mark.parametrize("path", [DATABASES[0]], indirect=True, ids=["sqlite"])
async def test_a_restore_that_would_change_a_review_is_refused(library, path):
    """If a trigger changes a review while it is restored, nothing is restored."""
    deleted = await library.conversations.delete(ALL)
    await _sql(path, _CHANGING_TRIGGER)

    with pytest.raises(RestoreDiffers, match="review or earlier versions"):
        await library.backups.restore(deleted.backup_id)

    assert await library.conversations.count(ALL) == 0


async def _file_of(library, tmp_path):
    backup = await library.backups.create(ALL)
    path = await library.backups.path_for(backup)
    json_file = tmp_path / "backup.json"
    json_file.write_bytes(b"".join(decompress(io.BytesIO(path.read_bytes()))))
    return path, json_file


@pytest.mark.parametrize("is_reformatted", [False, True], ids=["as written", "reformatted"])
async def test_an_import_of_a_backup_has_reviews(library, path, tmp_path, is_reformatted):
    """The import of a backup into another library stores the reviews and earlier versions of its conversations."""
    file, json_file = await _file_of(library, tmp_path)
    if is_reformatted:
        json_file.write_text(json.dumps(json.loads(json_file.read_bytes()), indent=1))
        file = json_file
    other = tmp_path / "other.db"

    async with Backstay.open(other) as backstay:
        await backstay.conversations.import_file(file)

    expected, imported = await _curation(path), await _curation(other)
    # The keys differ, because the conversations are stored anew.
    assert [[row[2:] for row in rows] for rows in imported] == [[row[2:] for row in rows] for rows in expected]


async def test_an_unreadable_review_is_refused(library, tmp_path):
    """A backup whose review another program has changed to one that is none is not imported; its line is named."""
    _, json_file = await _file_of(library, tmp_path)
    json_file.write_text(json_file.read_text().replace('"rating":3', '"rating":9'))
    document = json.loads(json_file.read_text())
    json_file.write_text(json.dumps(document))
    other = tmp_path / "other.db"

    async with Backstay.open(other) as backstay:
        with pytest.raises(InvalidRow, match="its review or earlier versions are not as a backup has them"):
            await backstay.conversations.import_file(json_file)
        assert await backstay.conversations.count(ALL) == 0


@pytest.mark.parametrize("line", ["{}", '{"conversation_turns": [1]}', '{"conversation_turns": 1}'])
async def test_an_unreadable_version_is_refused(library, tmp_path, line):
    """A kept version that is no conversation, which could be neither compared nor brought back, is not imported."""
    _, json_file = await _file_of(library, tmp_path)
    document = json.loads(json_file.read_text())
    curation = next(each for each in document["conversations"] if "versions" in each.get("curation", {}))["curation"]
    curation["versions"][1]["line"] = line
    json_file.write_text(json.dumps(document))

    async with Backstay.open(tmp_path / "other.db") as backstay:
        with pytest.raises(InvalidRow, match="its review or earlier versions are not as a backup has them"):
            await backstay.conversations.import_file(json_file)
        assert await backstay.conversations.count(ALL) == 0


@pytest.mark.own_tables("the user's tables have no such column")
async def test_a_column_called_curation_is_refused(library, path):
    """A user's column with the name that backups reserve for reviews is named before anything is deleted."""
    await _sql(path, "ALTER TABLE conversations ADD COLUMN curation TEXT")

    with pytest.raises(BackupError, match="column 'curation' of conversations has a name that backups reserve"):
        await library.conversations.delete(ALL)

    assert await library.conversations.count(ALL) == 20
