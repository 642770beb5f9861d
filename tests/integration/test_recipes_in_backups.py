"""Backups hold the revisions of the recipes that made their conversations."""

import asyncio
import io
import json

import orjson
import pytest
import zstandard

from backstay import Backstay, Conversation, Recipe, Selection, Turn
from backstay.errors import BackupDamaged
from backstay.library import archive, archived_recipe
from backstay.library.archive import ArchiveReader, ArchiveWriter, decompress
from backstay.library.canonical_json import digest_of
from support.data.conversations import items
from support.fakes.processors import Writer
from support.fakes.provider import ProviderServer
from support.stores.library import ALL
from support.stores.sql import ask

pytestmark = pytest.mark.promise("K1", "K2")


@pytest.fixture
def provider():
    with ProviderServer() as running:
        yield running


def _recipe(provider, model):
    return Recipe(model=model, base_url=provider.base_url, turns=2)


@pytest.fixture
async def library(path, provider):
    """Open a library with conversations of two revisions of a job, of a processor, and a job that made none yet."""
    async with Backstay.open(path) as backstay:
        await backstay.batches.create("job", items(4), _recipe(provider, "small"))
        await backstay.batches.resume("job", limit=2, concurrency=1)
        await backstay.batches.revise_recipe("job", _recipe(provider, "large"))
        await backstay.batches.resume("job")
        await backstay.batches.run("program", items(1), Writer())
        await backstay.batches.create("other", items(2), _recipe(provider, "unused"))
        yield backstay


async def _file(library, backup_id):
    return await library.backups.path_for(await library.backups.show(backup_id))


async def _recipes(library, backup_id):
    """Return the recipes in the file of a backup, as another program reads them."""
    file = (await _file(library, backup_id)).read_bytes()
    return json.loads(b"".join(decompress(io.BytesIO(file)))).get("recipes")


async def test_a_backup_holds_the_recipes_that_its_conversations_name(library):
    """Each revision of the job of a conversation is in the file, and those of jobs without conversations are not."""
    expected = await library.batches.revisions("job")

    deleted = await library.conversations.delete(ALL)
    await library.backups.verify(deleted.backup_id)

    recipes = await _recipes(library, deleted.backup_id)
    assert [(each["job_id"], each["revision"], each["recipe"]["model"]) for each in recipes] == [
        ("job", 1, "small"),
        ("job", 2, "large"),
    ]
    assert [(each["fingerprint"], each["recipe"]) for each in recipes] == [
        (each.fingerprint, dict(each.recipe)) for each in expected
    ]
    assert (await library.backups.restore(deleted.backup_id)).restored == 5


async def test_recipes_of_jobs_that_made_conversations_again(library, provider):
    """A conversation that was made again names the job that did, whose recipe is in the file as well."""
    plan = await library.regenerations.plan(Selection(job_id="job"), _recipe(provider, "again"))
    (job_id,) = (await library.regenerations.start(plan)).job_ids
    await library.batches.resume(job_id)

    backup = await library.backups.create(Selection(job_id="job"))

    models = {(each["job_id"], each["recipe"]["model"]) for each in await _recipes(library, backup.id)}
    assert models == {("job", "small"), ("job", "large"), (job_id, "again")}


async def test_without_recipes_a_file_is_as_before(library):
    """A backup of conversations that no recipe made has no recipes, so its file is as an earlier Backstay wrote it."""
    backup = await library.backups.create(Selection(job_id="program"))

    whole = b"".join(decompress(io.BytesIO((await _file(library, backup.id)).read_bytes())))

    assert whole.splitlines()[-2] == b'"related":{},'
    assert (await library.backups.verify(backup.id)).id == backup.id


def _with_model(whole: bytes, model: str, *, with_fingerprint: bool) -> bytes:
    """Return a valid file in which the model of a recipe was changed, and the fingerprint if it is to fit."""
    reader = ArchiveReader(decompress(io.BytesIO(whole)))
    entries = [entry for batch in reader.batches() for entry in batch]
    changed = []
    for each in reader.recipes:
        recipe = {**each.recipe, "model": model}
        fingerprint = digest_of(recipe) if with_fingerprint else each.fingerprint
        changed.append(archived_recipe.ArchivedRecipe(each.job_id, each.revision, fingerprint, each.created_at, recipe))
    turns = sum(len(orjson.loads(line)["conversation_turns"]) for line, *_ in entries)
    writer = ArchiveWriter()
    lines = [line for line, *_ in entries]
    return writer.head(reader.manifest) + writer.lines(lines, turns)[0] + writer.tail(changed)


@pytest.mark.parametrize("with_fingerprint", [False, True], ids=["recipe", "recipe and fingerprint"])
async def test_a_changed_recipe_is_damage(library, with_fingerprint):
    """Verification finds a recipe that was changed together with the file's checksum, and even with its fingerprint."""
    backup = await library.backups.create(ALL)
    file = await _file(library, backup.id)
    file.write_bytes(_with_model(file.read_bytes(), "tampered", with_fingerprint=with_fingerprint))

    with pytest.raises(BackupDamaged):
        await library.backups.verify(backup.id)

    assert (await library.backups.show(backup.id)).state == "damaged"


async def test_a_restore_refuses_a_changed_recipe(library):
    """A restore from a file whose recipe was changed together with its checksum changes nothing."""
    deleted = await library.conversations.delete(ALL)
    file = await _file(library, deleted.backup_id)
    file.write_bytes(_with_model(file.read_bytes(), "tampered", with_fingerprint=False))

    with pytest.raises(BackupDamaged, match="A recipe in the backup is not what was backed up"):
        await library.backups.restore(deleted.backup_id)

    assert await library.conversations.count(ALL) == 0


async def test_without_the_check_of_recipes(library, monkeypatch):
    """The control: if recipes were not checked, a restore would accept the changed file."""
    monkeypatch.setattr(archive, "_read_recipes", lambda _: ())
    deleted = await library.conversations.delete(ALL)
    file = await _file(library, deleted.backup_id)
    monkeypatch.undo()
    changed = _with_model(file.read_bytes(), "tampered", with_fingerprint=False)
    monkeypatch.setattr(archive, "_read_recipes", lambda _: ())
    file.write_bytes(changed)

    assert (await library.backups.restore(deleted.backup_id)).restored == 5


async def test_a_backup_without_recipes_is_read(library, monkeypatch):
    """A backup that an earlier Backstay wrote, without recipes, is verified and restored as before."""
    monkeypatch.setattr("backstay.library.archive.recipes_to_json", lambda _: pytest.fail("recipes were written"))
    monkeypatch.setattr("backstay.storage.sql.snapshot.SqlSnapshot._read_recipes", lambda *_: ())

    deleted = await library.conversations.delete(ALL)
    await library.backups.verify(deleted.backup_id)

    assert (await library.backups.restore(deleted.backup_id)).restored == 5


async def test_an_import_of_a_file_with_recipes(library, tmp_path):
    """The file is imported into another library, as written and reformatted."""
    backup = await library.backups.create(ALL)
    file = await _file(library, backup.id)
    text = zstandard.ZstdDecompressor().decompressobj().decompress(file.read_bytes())
    reformatted = tmp_path / "reformatted.json"
    reformatted.write_text(json.dumps(json.loads(text), indent=1))

    for number, source in enumerate((file, reformatted)):
        async with Backstay.open(tmp_path / f"{number}.db") as other:
            await other.conversations.import_file(source)
            assert await other.conversations.count(ALL) == 5


async def _origins(library):
    """Return the models of the recipes of each conversation, by its id."""
    found = {}
    async for stored in library.conversations.export(ALL):
        history = await library.regenerations.history(stored.id)
        found[stored.id] = [(each.job_id, each.revision, each.recipe["model"]) for each in history.recipes]
    return found


async def _kept(path):
    return await asyncio.to_thread(ask, path, "SELECT job_id, number FROM kept_recipes ORDER BY job_id, number")


async def test_a_restore_into_a_library_with_the_job_changes_no_recipe(library, path):
    """Where the job has the same revisions, a restore keeps nothing: each conversation's recipe is that of the job."""
    before = await _origins(library)
    deleted = await library.conversations.delete(ALL)

    await library.backups.restore(deleted.backup_id)

    assert sorted(map(tuple, before.values())) == [
        (),
        *[(("job", 1, "small"),)] * 2,
        *[(("job", 2, "large"),)] * 2,
    ]
    assert await _origins(library) == before
    assert await _kept(path) == []


async def test_a_restore_after_the_job_was_discarded_keeps_its_recipes(library, path):
    """After the job was discarded with its recipes, a restore brings them back next to its conversations."""
    before = await _origins(library)
    deleted = await library.conversations.delete(ALL)
    await library.batches.discard("job")

    await library.backups.restore(deleted.backup_id)
    await library.conversations.delete(ALL)
    await library.backups.restore(deleted.backup_id)

    assert await _origins(library) == before
    assert await _kept(path) == [("job", 1), ("job", 2)]


async def test_without_kept_recipes(library, monkeypatch):
    """The control: if a restore kept no recipes, conversations would name a revision that nobody knows."""
    monkeypatch.setattr("backstay.storage.sql.restores.keep_recipes", lambda *_: None)
    deleted = await library.conversations.delete(ALL)
    await library.batches.discard("job")

    await library.backups.restore(deleted.backup_id)

    assert set(map(tuple, (await _origins(library)).values())) == {()}


async def test_a_restore_refuses_a_recipe_that_fits_its_changed_fingerprint(library):
    """A restore compares the file with the recorded hash before it keeps a recipe, and otherwise restores nothing."""
    deleted = await library.conversations.delete(ALL)
    file = await _file(library, deleted.backup_id)
    file.write_bytes(_with_model(file.read_bytes(), "tampered", with_fingerprint=True))

    with pytest.raises(BackupDamaged, match="is not the one that was verified"):
        await library.backups.restore(deleted.backup_id)

    assert await library.conversations.count(ALL) == 0


@pytest.mark.parametrize("is_reformatted", [False, True], ids=["as written", "reformatted"])
async def test_recipes_travel_through_libraries(library, tmp_path, is_reformatted):
    """An import into another library keeps the recipes, and so does an import of that library's backup into a third."""
    before, source = await _origins(library), library
    for number in range(2):
        backup = await source.backups.create(ALL)
        file = await _file(source, backup.id)
        if is_reformatted:
            text = json.loads(b"".join(decompress(io.BytesIO(file.read_bytes()))))
            file = tmp_path / f"{number}.json"
            file.write_text(json.dumps(text, indent=1))
        other = await Backstay.open(tmp_path / f"{number}.db").__aenter__()
        await other.conversations.import_file(file)
        if source is not library:
            await source.__aexit__(None, None, None)
        source = other

        assert await _origins(source) == before
    await source.__aexit__(None, None, None)


async def test_another_recipe_under_the_same_number_is_kept_too(library, provider, tmp_path):
    """A library whose own job has another recipe under the number keeps it, and shows both: its own one first."""
    backup = await library.backups.create(Selection(job_id="job"))
    async with Backstay.open(tmp_path / "other.db") as other:
        await other.batches.create("job", [{"id": "x", "topic": "x"}], _recipe(provider, "their own"))
        await other.conversations.import_file(await _file(library, backup.id))

        assert [dict(each.recipe)["model"] for each in await other.batches.revisions("job")] == ["their own"]
        origins = set(map(tuple, (await _origins(other)).values()))
        assert origins == {(("job", 1, "their own"), ("job", 1, "small")), (("job", 2, "large"),)}


async def test_an_import_refuses_a_changed_recipe(library, tmp_path):
    """A reformatted backup whose recipe does not fit its fingerprint is refused, and nothing is imported."""
    backup = await library.backups.create(ALL)
    whole = json.loads(b"".join(decompress(io.BytesIO((await _file(library, backup.id)).read_bytes()))))
    whole["recipes"][0]["recipe"]["model"] = "tampered"
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(whole, indent=1))

    async with Backstay.open(tmp_path / "other.db") as other:
        with pytest.raises(BackupDamaged, match="A recipe in the backup is not what was backed up"):
            await other.conversations.import_file(changed)
        assert await other.conversations.count(ALL) == 0


@pytest.mark.parametrize(
    "generation",
    [
        *({"recipe_revision": number} for number in (True, 0, -1, "1", 2**63, None)),
        {"recipe_revision": 1, "job_id": "\0"},
        {"recipe_revision": 1, "job_id": ["job"]},
        "none",
    ],
)
async def test_metadata_that_names_no_revision(library, tmp_path, generation):
    """Metadata is the user's to write, so a name that no revision can have finds none and raises nothing."""
    metadata = {"generation": generation, "job_id": "job"}
    row = Conversation([Turn("user", "Hi")], id="mine", metadata=metadata).to_dict()
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    await library.conversations.import_file(tmp_path / "rows.jsonl")

    assert "generation" in (await library.conversations.show("mine")).metadata
    assert (await library.regenerations.history("mine")).recipes == ()
