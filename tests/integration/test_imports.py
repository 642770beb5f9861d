"""Imports of files, each as a whole or not at all."""

import asyncio
import errno
import gzip
import io
import json
import os
import shutil
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pandas
import pytest
import zstandard

from backstay import Backstay, ReadOptions, Selection, ToolCall, Turn
from backstay.errors import (
    BackupDamaged,
    BackupTooNew,
    ConversationExists,
    InputEmpty,
    InputNotFound,
    InputTooLarge,
    InputUnreadable,
    InvalidRow,
    NotABackup,
    SettingsError,
)
from backstay.library.imports.source import ImportSource
from backstay.readers.block_stream import BlockStream
from backstay.readers.input_ceiling import InputCeiling
from backstay.storage.sql.conversations import SqlConversations
from support.data.imported_shapes import EXAMPLES
from support.stores.library import ALL, digests, filled
from support.stores.sql import ask

_DATA = Path(__file__).parents[3] / "shared" / "data" / "sgd_dialogues.json"
_MESSAGES = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]


def _jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


async def _only(backstay):
    (entry,) = [entry async for entry in backstay.conversations.export(ALL)]
    return entry


@pytest.mark.parametrize(
    "row",
    [
        {"messages": _MESSAGES},
        {"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]},
        {"conversation_turns": _MESSAGES},
        {"turns": _MESSAGES},
        {"version": "1.0", "createdAt": "2025-11-04T10:00:00Z", "messages": _MESSAGES},
        {"conversation_turns": [{**_MESSAGES[1], "sequence": 7}, {**_MESSAGES[0], "sequence": 3}]},
    ],
    ids=["messages", "sharegpt", "native", "turns", "with a version", "out of order"],
)
async def test_shapes_are_recognised_by_their_turns(backstay, tmp_path, row):
    """Every supported shape of a file gives the same conversation."""
    result = await backstay.conversations.import_file(_jsonl(tmp_path / "in.jsonl", row))

    assert result.imported == 1
    assert [(turn.role, turn.content) for turn in (await _only(backstay)).turns] == [
        ("user", "Hello"),
        ("assistant", "Hi"),
    ]


async def test_unknown_keys_are_stored(backstay, tmp_path):
    """Unknown keys of conversations and turns are stored as metadata, at any depth."""
    row = {
        "id": 7,
        "topic": ["not", "text"],
        "source": {"deep": [{"er": None}]},
        "metadata": {"a": 1},
        "created_at": "some day",
        "messages": [{**_MESSAGES[0], "weight": 0.5, "tool_calls": [{"x": {}}], "id": 3}, _MESSAGES[1]],
    }

    await backstay.conversations.import_file(_jsonl(tmp_path / "in.jsonl", row))

    only = await _only(backstay)
    assert only.id == "7"
    assert only.topic is None
    assert only.metadata == {
        "a": 1,
        "topic": ["not", "text"],
        "source": {"deep": [{"er": None}]},
        "created_at": "some day",
    }
    assert (only.turns[0].id, only.turns[0].metadata) == ("3", {"weight": 0.5, "tool_calls": [{"x": {}}]})


async def test_a_native_export_is_imported_unchanged(backstay, tmp_path):
    """A native export gives the same digests in the same order in another library."""
    expected = await filled(tmp_path / "other" / "backstay.db", 20)
    async with Backstay.open(tmp_path / "other" / "backstay.db") as other:
        rows = [conversation.to_dict() async for conversation in other.conversations.export(ALL)]

    await backstay.conversations.import_file(_jsonl(tmp_path / "native.jsonl", *rows))
    (tmp_path / "native.json").write_text(json.dumps(rows))
    again = await backstay.conversations.import_file(tmp_path / "native.json")

    assert await digests(backstay) == expected
    assert (again.imported, again.identical) == (0, 25)


@pytest.mark.parametrize("compressed", [True, False])
async def test_a_backup_is_imported_into_another_library(backstay, tmp_path, compressed):
    """A backup file gives another library the same conversations, with values of missing user columns as metadata."""
    expected = await filled(tmp_path / "other" / "backstay.db", 20)
    async with Backstay.open(tmp_path / "other" / "backstay.db") as other:
        ask(other.settings.database, "ALTER TABLE turns ADD COLUMN score REAL; UPDATE turns SET score = 0.5")
        backup = await other.backups.create(ALL)
        pieces = [block async for block in other.backups.download(backup.id, compressed=compressed)]
    (tmp_path / "backup.any").write_bytes(b"".join(pieces))

    result = await backstay.conversations.import_file(tmp_path / "backup.any")

    assert result.imported == 25
    assert list(await digests(backstay)) == list(expected)
    assert {turn.metadata["score"] async for entry in backstay.conversations.export(ALL) for turn in entry.turns} == {
        0.5
    }


async def test_an_import_of_a_backup_is_a_restore(backstay, tmp_path):
    """Importing a backup into its own library gives the items their results again."""
    await backstay.batches.run("job", [{"id": "a", "topic": "A"}], "scripted")
    before = await digests(backstay)
    deleted = await backstay.conversations.delete(ALL)
    path = await backstay.backups.path_for(await backstay.backups.show(deleted.backup_id))
    shutil.copy(path, tmp_path / "kept.json.zst")

    result = await backstay.conversations.import_file(tmp_path / "kept.json.zst")

    assert (result.imported, result.relinked) == (1, 1)
    assert await digests(backstay) == before


async def test_results_that_no_item_here_has_are_no_results(backstay, tmp_path):
    """An imported conversation is not linked to a job here that only has the same name."""
    await backstay.batches.run("job", [{"id": "a", "topic": "A"}], "scripted")
    row = {"id": "x", "job_id": "job", "item_id": "a", "messages": _MESSAGES}

    await backstay.conversations.import_file(_jsonl(tmp_path / "in.jsonl", row))

    only = await backstay.conversations.show("x")
    assert (only.job_id, only.item_id, only.metadata) == (None, None, {"job_id": "job", "item_id": "a"})


@pytest.fixture
def conflicting(tmp_path):
    """Write a file with one id, three contents and one repetition."""
    other = [{"role": "user", "content": "Other"}]
    rows = [{"id": "x", "messages": _MESSAGES}, {"id": "y", "messages": _MESSAGES}]
    return _jsonl(tmp_path / "in.jsonl", *rows, rows[0], {"id": "x", "messages": other}, {"messages": other})


async def test_a_file_beyond_the_ceiling_locks_nothing(backstay, tmp_path, monkeypatch):
    """A file beyond the ceiling is refused before a transaction begins, and imported without a ceiling."""
    rows = _jsonl(tmp_path / "rows.jsonl", *({"messages": _MESSAGES} for _ in range(4)))
    with monkeypatch.context() as locked:
        locked.setattr(SqlConversations, "import_conversations", None)
        with pytest.raises(InputTooLarge, match="11 conversations and turns together"):
            await backstay.conversations.import_file(rows, ceiling=InputCeiling(rows=11, text_bytes=10_000))

    assert (
        await backstay.conversations.import_file(rows, ceiling=InputCeiling(rows=12, text_bytes=10_000))
    ).imported == 4
    assert (await backstay.conversations.import_file(rows)).imported == 4


async def test_a_conflict_imports_nothing(backstay, conflicting):
    """By default a conflict imports nothing and names the line, the id and the options."""
    with pytest.raises(ConversationExists, match="line 4: another conversation has the id 'x'; nothing was imported"):
        await backstay.conversations.import_file(conflicting)

    assert await backstay.conversations.count(ALL) == 0


@pytest.mark.parametrize(("policy", "stored", "counts"), [("skip", 3, (3, 1, 1, 0)), ("new", 4, (4, 1, 0, 1))])
async def test_conflicts_by_policy(backstay, conflicting, policy, stored, counts):
    """Conflicting conversations are skipped or renamed, and none is overwritten."""
    result = await backstay.conversations.import_file(conflicting, on_conflict=policy)

    assert (result.imported, result.identical, result.skipped, result.renamed) == counts
    assert await backstay.conversations.count(ALL) == stored
    assert len((await backstay.conversations.show("x")).turns) == 2


async def test_a_prefix_keeps_the_ids_of_two_data_sets_apart(backstay, tmp_path):
    """With a prefix before its ids and pairs, a file is stored next to another one with the same ids, and only once."""
    answers = {"prompt": "Q", "chosen": "A", "rejected": "B"}
    first = _jsonl(tmp_path / "a.jsonl", {"id": 0, "messages": _MESSAGES}, {"id": 1, **answers})
    other = [{"id": "t", "role": "user", "content": "Bye"}]
    second = _jsonl(tmp_path / "b.jsonl", {"id": 0, "messages": other}, {"id": 1, **answers}, {"messages": other})
    await backstay.conversations.import_file(first)

    with pytest.raises(ConversationExists, match=r"has the id '0'; nothing was imported.* or id_prefix=… to put"):
        await backstay.conversations.import_file(second)
    counts = [await backstay.conversations.import_file(second, id_prefix="b/") for _ in range(2)]

    assert [(result.imported, result.identical) for result in counts] == [(4, 0), (1, 3)]
    stored = {each.id: each async for each in backstay.conversations.export(ALL)}
    assert {"0", "1-chosen", "b/0", "b/1-chosen", "b/1-rejected"} < stored.keys()
    assert (len(stored), stored["b/0"].turns[0].id) == (8, "t")
    assert {stored[f"b/1-{each}"].metadata["preference_pair"] for each in ("chosen", "rejected")} == {"b/1"}
    assert stored["1-chosen"].metadata["preference_pair"] == "1"


async def test_a_backup_is_imported_with_a_prefix(backstay, tmp_path):
    """The conversations of a backup are stored a second time with a prefix before their ids."""
    await backstay.conversations.import_file(_jsonl(tmp_path / "a.jsonl", {"id": "x", "messages": _MESSAGES}))
    backup = await backstay.backups.create(ALL)
    data = b"".join([block async for block in backstay.backups.download(backup.id)])
    (tmp_path / "backup.json.zst").write_bytes(data)

    result = await backstay.conversations.import_file(tmp_path / "backup.json.zst", id_prefix="copy-")

    assert result.imported == 1
    assert [each.id async for each in backstay.conversations.export(ALL)] == ["x", "copy-x"]


@pytest.mark.parametrize("prefix", ["", " a", "a\n", "a" * 513])
async def test_a_prefix_has_to_be_allowed_in_an_id(backstay, tmp_path, prefix):
    """A prefix that cannot begin an id is refused before the file is opened."""
    with pytest.raises(SettingsError, match="The prefix of ids"):
        await backstay.conversations.import_file(tmp_path / "none.jsonl", id_prefix=prefix)


async def test_rows_without_an_id_are_noted(backstay, tmp_path):
    """An import notes once, for all files together, how many rows have no id and so would be stored again."""
    notes, folder = list[str](), tmp_path / "folder"
    folder.mkdir()
    _jsonl(folder / "a.jsonl", {"messages": _MESSAGES}, {"id": "x", "messages": _MESSAGES}, {"messages": []})
    _jsonl(folder / "b.jsonl", {"prompt": "Q", "chosen": "A", "rejected": "B"})
    options = {"on_note": notes.append, "on_bad_row": "skip", "ceiling": InputCeiling(rows=100, text_bytes=10_000)}

    await backstay.conversations.import_file(folder, **options)
    await backstay.conversations.import_file(folder / "b.jsonl", **options)

    assert notes == [
        f"{folder}: 2 files.",
        f"{folder}: 2 rows have no id, so importing them again stores them again.",
        f"{folder / 'b.jsonl'}: 1 row has no id, so importing it again stores it again.",
    ]


async def test_a_boolean_is_no_number(backstay, tmp_path):
    """A row with true where the stored conversation has 1 is another one; 1.0 is the same number."""
    files = {
        name: _jsonl(tmp_path / f"{name}.jsonl", {"id": "a", "x": {"y": [value]}, "messages": _MESSAGES})
        for name, value in {"number": 1, "fraction": 1.0, "boolean": True}.items()
    }
    await backstay.conversations.import_file(files["number"])

    assert (await backstay.conversations.import_file(files["fraction"])).identical == 1
    with pytest.raises(ConversationExists, match="another conversation has the id 'a'"):
        await backstay.conversations.import_file(files["boolean"])


@pytest.mark.parametrize(
    ("name", "content", "error", "location"),
    [
        ("in.jsonl", '{"messages": []}', InvalidRow, "line 1: the conversation has no turns"),
        ("in.jsonl", '{"text": "x"}', InvalidRow, "line 1: no conversation in the keys 'text'"),
        ("in.jsonl", '{"messages": ["x"]}', InvalidRow, "line 1: turn 1 is not an object"),
        ("in.jsonl", '{"messages": [{"role": "user"}]}', InvalidRow, "turn 1 needs 'role' and 'content'"),
        ("in.jsonl", '{"messages": [{"role": "user", "content": " "}]}', InvalidRow, "turn 1 is empty"),
        ("in.jsonl", '{"instruction": "", "input": "", "output": "x"}', InvalidRow, "turn 1 is empty"),
        ("in.jsonl", '{"id": true, "messages": []}', InvalidRow, "the id must be text or a whole number"),
        ("in.jsonl", '{"id": "", "messages": [{"role": "user", "content": "x"}]}', InvalidRow, "id is empty"),
        ("in.jsonl", '{"a":1,"metadata": {"a": 2},"messages":[{"role":"user","content":"x"}]}', InvalidRow, "'a' both"),
        ("in.jsonl", '{"messages": [{"role": "u", "content": "x"}]}', InvalidRow, "turn 1 has the unknown speaker 'u'"),
        ("in.jsonl", "[" * 1_000_000, InvalidRow, "line 1: not valid JSON"),
        ("in.jsonl", "", InputEmpty, "there are no rows"),
        ("in.docx", "x", InputUnreadable, "unknown kind of file"),
        ("in.txt", "x", InputUnreadable, "text alone is no conversation"),
        ("in.json", '["x", "y"]', InputUnreadable, "line 1: text alone is no conversation"),
        ("in.json", '{"a": 1}', InvalidRow, "line 1: no conversation in the keys 'a'"),
        ("in.json", '{"messages": []}\n{"messages": []}', InvalidRow, "line 1: the conversation has no turns"),
        ("in.json", '{\n "version": "1.0", "conversations": []}', InputEmpty, "there are no rows"),
        ("in.json", '{"version":"1.0",\n"conversations":[', InputUnreadable, "the file is truncated"),
        ("in.json", '{"version":"1.0","conversations":[5]}', InvalidRow, "line 1: not a conversation"),
        ("in.json", '{"version":"2.0",\n"conversations":[]}', BackupTooNew, "does not have version 1.0"),
        ("in.zst", "x", InputUnreadable, "not compressed by zstd, as its name says"),
        ("in.json", '{"version":"9.0","conversations":[\n', BackupTooNew, "has version '9.0'"),
        ("in.json", '{"version":"1.0","conversations":[\n', NotABackup, "not a backup"),
    ],
)  # fmt: skip
async def test_unusable_files_are_refused(backstay, tmp_path, name, content, error, location):
    """An unusable file is refused with the location of the error, and even its good rows are not stored."""
    good = json.dumps({"messages": _MESSAGES}) + "\n" if name.endswith("l") and error is InvalidRow else ""
    (tmp_path / name).write_text(good + content)

    with pytest.raises(error) as caught:
        await backstay.conversations.import_file(tmp_path / name)

    assert location.replace("line 1", "line 2" if good else "line 1") in caught.value.message
    assert str(tmp_path / name) in caught.value.message
    assert await backstay.conversations.count(ALL) == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.jsonl", json.dumps({"messages": _MESSAGES}) + "\n" + json.dumps({"messages": _MESSAGES})),
        ("in.jsonl", json.dumps({"conversations": [{"from": "human", "value": "Hello"}]})),
        ("in.json", json.dumps([{"messages": _MESSAGES}])),
        ("in.json", json.dumps({"data": [{"messages": _MESSAGES}]})),
        ("in.json", json.dumps({"conversations": [{"id": "a", "messages": _MESSAGES}], "total": 1})),
        ("in.json", json.dumps({"messages": _MESSAGES}, indent=1)),
    ],
)
@pytest.mark.parametrize("compress", [None, gzip.compress, zstandard.compress])
async def test_rows_are_read_in_every_layout_compressed_or_not(backstay, tmp_path, name, content, compress):
    """Rows are imported from each layout of JSON; compressed ones are recognised, whatever the file's name."""
    data = content.encode()
    (tmp_path / name).write_bytes(compress(data) if compress is not None else data)

    result = await backstay.conversations.import_file(tmp_path / name)

    assert result.imported == content.count("Hello")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("in.jsonl.gz", gzip.compress(b"x" * 1_000, mtime=0)[:-9], "the gzip data is truncated"),
        ("in.jsonl.zst", zstandard.compress(b"x" * 1_000)[:-1], "the zstd data is truncated"),
        ("in.jsonl.zst", b"\x28\xb5\x2f\xfd" + b"{}\n" * 50, "the zstd data is damaged"),
        ("in.gz", b"{}", "not compressed by gzip, as its name says"),
    ],
)
async def test_damaged_compressed_rows_are_refused(backstay, tmp_path, name, data, reason):
    """Compressed rows that are truncated or damaged are refused, and nothing is stored."""
    (tmp_path / name).write_bytes(data)

    with pytest.raises(InputUnreadable, match=reason):
        await backstay.conversations.import_file(tmp_path / name)


@pytest.mark.parametrize(("source", "others"), [("parts", "; left out: README.md"), ("parts/*.jsonl*", "")])
async def test_the_files_of_a_folder_or_pattern_are_imported_as_one(backstay, tmp_path, source, others):
    """The files of a folder or a pattern are one import, in natural order; an error names its file and line."""
    parts, notes = tmp_path / "parts", []
    parts.mkdir()
    for number in (10, 9):
        _jsonl(parts / f"p-{number}.jsonl", {"id": f"c{number}", "messages": _MESSAGES})
    (parts / "p-11.jsonl.gz").write_bytes(gzip.compress(json.dumps({"id": "c11", "messages": _MESSAGES}).encode()))
    (parts / "README.md").write_text("About")
    (parts / "p-12.jsonl").touch()

    result = await backstay.conversations.import_file(tmp_path / source, on_note=notes.append)

    assert (result.imported, notes) == (3, [f"{tmp_path / source}: 4 files{others}."])
    assert [entry.id async for entry in backstay.conversations.export(ALL)] == ["c9", "c10", "c11"]
    _jsonl(parts / "p-13.jsonl", {"id": "new", "messages": _MESSAGES}, {"messages": []})
    with pytest.raises(InvalidRow, match=r"p-13\.jsonl line 2: the conversation has no turns"):
        await backstay.conversations.import_file(tmp_path / source)
    assert await backstay.conversations.count(ALL) == 3


async def test_an_import_in_another_encoding(backstay, tmp_path):
    """Text in the encoding that the caller names is imported."""
    (tmp_path / "in.jsonl").write_bytes('{"messages": [{"role": "user", "content": "Größe"}]}'.encode("cp1252"))

    with pytest.raises(InputUnreadable, match=r"line 1: not UTF-8 text, but probably cp1252; name its encoding"):
        await backstay.conversations.import_file(tmp_path / "in.jsonl")
    await backstay.conversations.import_file(tmp_path / "in.jsonl", read=ReadOptions(encoding="cp1252"))

    assert (await _only(backstay)).turns[0].content == "Größe"


async def test_utf8_among_files_of_another_encoding_is_refused(backstay, tmp_path):
    """A UTF-8 file in a folder that is read in another encoding refuses the import, and the error names the file."""
    row = '{"messages": [{"role": "user", "content": "Größe"}]}\n'
    (tmp_path / "a.jsonl").write_bytes(row.encode("cp1252"))
    (tmp_path / "b.jsonl").write_bytes(row.encode())

    with pytest.raises(InputUnreadable, match=r"b\.jsonl: the text is UTF-8, which cp1252 would garble; leave"):
        await backstay.conversations.import_file(tmp_path, read=ReadOptions(encoding="cp1252"))
    with pytest.raises(InputUnreadable, match=r"a\.jsonl line 1: not UTF-8 text, but probably cp1252; name its"):
        await backstay.conversations.import_file(tmp_path)

    assert await backstay.conversations.count(ALL) == 0


async def test_a_truncated_backup_is_refused(backstay, tmp_path):
    """A truncated backup is refused and not stored, even if its compression does not show the truncation."""
    await filled(tmp_path / "other" / "backstay.db", 20)
    async with Backstay.open(tmp_path / "other" / "backstay.db") as other:
        backup = await other.backups.create(ALL)
        whole = b"".join([block async for block in other.backups.download(backup.id)])

    for length in (len(whole) - 1, len(whole) - 90, len(whole) // 2):
        (tmp_path / "cut.json").write_bytes(whole[:length])
        with pytest.raises((BackupDamaged, InvalidRow)):
            await backstay.conversations.import_file(tmp_path / "cut.json")
    assert await backstay.conversations.count(ALL) == 0


def _empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


async def test_missing_and_unreadable_files_are_refused(backstay, tmp_path):
    """Missing and unreadable files are refused like those of a job's input."""
    with pytest.raises(InputNotFound, match="there is no such file"):
        await backstay.conversations.import_file(tmp_path / "none.jsonl")
    with pytest.raises(InputUnreadable, match="no file in this folder ends in one of"):
        await backstay.conversations.import_file(_empty_folder(tmp_path))


async def test_a_pipe_that_does_not_wait_is_refused(backstay):
    """A non-blocking standard input is refused, since a pause in its data would look like the end of the rows."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb") as pipe:
        pipe.write(b'{"messages": [{"role": "user", "content": "Hi"}]}\n')
        pipe.flush()
        with pytest.raises(InputUnreadable, match="set to non-blocking"):
            await backstay.conversations.import_file("-", stdin=stream)


async def test_a_pipe_with_a_name_is_refused(backstay, tmp_path):
    """A named pipe is refused at once, without waiting for its writer, because an import reads its file twice."""
    pipe = tmp_path / "in.jsonl"
    os.mkfifo(pipe)
    importing = asyncio.create_task(backstay.conversations.import_file(pipe))

    done, _ = await asyncio.wait([importing], timeout=20)
    if not done:
        os.close(os.open(pipe, os.O_WRONLY))  # releases the import

    assert done
    with pytest.raises(InputUnreadable, match="a pipe cannot be read twice; send it to standard input"):
        importing.result()


async def test_a_failure_to_read_is_an_error_of_the_input(backstay):
    """A standard input that the operating system cannot read is refused like a file."""
    stdin = io.BytesIO()
    stdin.read = Mock(side_effect=OSError(errno.EIO, "Input/output error"))

    with pytest.raises(InputUnreadable, match=r"standard input: cannot be read \(Input/output error\)"):
        await backstay.conversations.import_file("-", stdin=stdin)


async def test_standard_input_is_read(backstay):
    """Standard input is recognised as rows or a backup by its first bytes."""
    piped = io.BytesIO(json.dumps({"messages": _MESSAGES}).encode())

    await backstay.conversations.import_file("-", stdin=piped)

    assert await backstay.conversations.count(ALL) == 1


@pytest.mark.skipif(not _DATA.exists(), reason="the dialogues of the Schema-Guided Dialogue data set are not here")
async def test_annotated_dialogues_are_restored_unchanged(backstay, tmp_path):
    """Deeply annotated conversations are unchanged after import, delete and restore."""
    dialogues = json.loads(_DATA.read_text())
    rows = [
        {
            "id": dialogue["dialogue_id"],
            "services": dialogue["services"],
            "messages": [
                {
                    "role": {"USER": "user", "SYSTEM": "assistant"}[turn["speaker"]],
                    "content": turn["utterance"],
                    "frames": turn["frames"],
                }
                for turn in dialogue["turns"]
            ],
        }
        for dialogue in dialogues
    ]
    await backstay.conversations.import_file(_jsonl(tmp_path / "dialogues.jsonl", *rows))
    before = await digests(backstay)

    deleted = await backstay.conversations.delete(ALL)
    await backstay.backups.restore(deleted.backup_id)

    assert await digests(backstay) == before
    restored = {entry.id: entry async for entry in backstay.conversations.export(Selection(everything=True))}
    for dialogue in dialogues:
        frames = [turn.metadata["frames"] for turn in restored[dialogue["dialogue_id"]].turns]
        assert frames == [turn["frames"] for turn in dialogue["turns"]]


def _originals(count=1):
    """Return a backup as the original library writes it."""
    conversations = [
        {
            "id": f"conv-{number}",
            "content": "Conversation content",
            "persona": "Expert",
            "title": "Of its own",
            "created_at": "2025-11-04T10:00:00",
            "conversation_turns": [
                {"id": "turn-2", "content": "Answer", "role": "assistant", "sequence": 2},
                {"id": "turn-1", "content": "Turn content", "role": "user", "sequence": 1},
            ],
        }
        for number in range(count)
    ]
    at = "2025-11-04T10:00:00.000Z"
    return {"version": "1.0", "createdAt": at, "backupReason": "bulk_delete", "conversations": conversations}


@pytest.mark.parametrize("name", ["in.json", "in.jsonl", "in.json.zst", "-"])
@pytest.mark.parametrize("indent", [None, 2])
async def test_a_backup_of_the_original_is_imported(backstay, tmp_path, name, indent):
    """A backup of the original library is imported in any layout, compressed or piped, with its app's additions."""
    data = json.dumps(_originals(), indent=indent).encode()
    stdin = io.BytesIO(data) if name == "-" else None
    if stdin is None:
        (tmp_path / name).write_bytes(zstandard.compress(data) if name.endswith("zst") else data)

    result = await backstay.conversations.import_file("-" if stdin else tmp_path / name, stdin=stdin)

    only = await _only(backstay)
    assert result.imported == 1
    assert (only.id, only.persona, only.content, only.metadata) == (
        "conv-0", "Expert", "Conversation content", {"title": "Of its own"}
    )  # fmt: skip
    assert [(turn.id, turn.role, turn.content) for turn in only.turns] == [
        ("turn-1", "user", "Turn content"),
        ("turn-2", "assistant", "Answer"),
    ]
    assert only.created_at == datetime(2025, 11, 4, 10, tzinfo=UTC)


@pytest.mark.parametrize("layout", [{"indent": 2}, {"indent": 1, "sort_keys": True}, {}])
async def test_a_reformatted_backup_is_imported(backstay, tmp_path, layout):
    """A backup reformatted by an editor or `jq` gives the same digests."""
    expected = await filled(tmp_path / "other" / "backstay.db", 20)
    async with Backstay.open(tmp_path / "other" / "backstay.db") as other:
        backup = await other.backups.create(ALL)
        data = b"".join([block async for block in other.backups.download(backup.id, compressed=False)])
    (tmp_path / "in.json").write_text(json.dumps(json.loads(data), **layout))

    await backstay.conversations.import_file(tmp_path / "in.json")

    assert await digests(backstay) == expected


def test_a_compressed_backup_on_one_line_is_read_in_blocks(tmp_path, monkeypatch):
    """The long first line of a compressed backup is read in blocks, not byte by byte."""
    reads = []
    readinto = BlockStream.readinto
    monkeypatch.setattr(BlockStream, "readinto", lambda self, buffer: reads.append(1) or readinto(self, buffer))
    (tmp_path / "in.json.zst").write_bytes(zstandard.compress(json.dumps(_originals(2_000)).encode()))

    assert sum(len(chunk) for chunk in ImportSource(tmp_path / "in.json.zst").chunks()) == 2_000
    assert len(reads) < 10


def test_a_backup_in_one_object_is_read_with_flat_memory(tmp_path):
    """Reading a backup of 20 MB takes a fraction of that memory in any layout."""
    whole = _originals(2_000)
    whole["conversations"] = [{**entry, "content": "x" * 10_000} for entry in whole["conversations"]]
    (tmp_path / "in.json").write_text(json.dumps(whole, indent=2))
    del whole
    tracemalloc.start()
    try:
        row_count = sum(len(chunk) for chunk in ImportSource(tmp_path / "in.json").chunks())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert row_count == 2_000
    assert most < 8_000_000
    assert (tmp_path / "in.json").stat().st_size > 20_000_000


async def test_shapes_of_public_data_sets_are_stored_whole(backstay, tmp_path):
    """Rows in all shapes of public data sets, in one file, become exactly the expected conversations."""
    expected = [conversation for example in EXAMPLES for conversation in example.conversations]
    path = _jsonl(tmp_path / "in.jsonl", *(example.row for example in EXAMPLES))

    result = await backstay.conversations.import_file(path, on_conflict="new")

    stored = [conversation async for conversation in backstay.conversations.export(ALL)]
    assert result.imported == len(expected)
    for read, conversation in zip(stored, expected, strict=True):
        assert tuple(read.turns) == tuple(conversation.turns)
        assert (list(read.tools), read.topic) == (list(conversation.tools), conversation.topic)
        assert read.metadata == conversation.metadata


async def test_ids_that_pandas_made_floats_are_whole_numbers(backstay, tmp_path):
    """An id that is a float in JSON or Parquet, as pandas writes it if others are missing, is its whole number."""
    frame = pandas.DataFrame({"id": [7, None], "prompt": ["Q", "P"], "completion": ["A", "B"]})
    frame.to_parquet(tmp_path / "in.parquet")
    frame.to_json(tmp_path / "in.jsonl", orient="records", lines=True)
    frame[:1].to_csv(tmp_path / "in.csv", index=False)

    for name in ("in.parquet", "in.jsonl", "in.csv"):
        await backstay.conversations.import_file(tmp_path / name, on_conflict="skip")
    ids = {entry.id async for entry in backstay.conversations.export(ALL)}

    assert {entry for entry in ids if len(entry) < 4} == {"7", "7.0"}  # a cell of CSV is text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.jsonl", json.dumps({"ID": "c1", "Topic": "tea", "messages": _MESSAGES})),
        ("in.tsv", "ID \tTopic\tMessages\nc1\ttea\t" + '"{}"'.format(json.dumps(_MESSAGES).replace('"', '""'))),
        ("in.csv", "ID;TOPIC;Question;Answer\nc1;tea;Hello;Hi\n"),
    ],
)
async def test_columns_are_found_in_any_case(backstay, tmp_path, name, content):
    """A file whose columns are written in another case has ids, so importing it again stores nothing twice."""
    (tmp_path / name).write_text(content)

    await backstay.conversations.import_file(tmp_path / name)
    again = await backstay.conversations.import_file(tmp_path / name)

    assert (again.imported, again.identical) == (0, 1)
    stored = await _only(backstay)
    assert (stored.id, stored.topic, [turn.content for turn in stored.turns]) == ("c1", "tea", ["Hello", "Hi"])


async def test_fields_of_turns_are_stored_in_the_metadata_of_any_table(tmp_path):
    """The name and the calls of a message are fields again, even where the user's table has columns of their names."""
    call = ToolCall("c1", "weather", "{}")
    messages = [{**_MESSAGES[0], "name": "ann"}, {"role": "assistant", "tool_calls": [call.to_dict()]}]
    async with Backstay.open(tmp_path / "backstay.db"):
        pass
    ask(
        tmp_path / "backstay.db", "ALTER TABLE turns ADD COLUMN name TEXT; ALTER TABLE turns ADD COLUMN tool_calls TEXT"
    )

    async with Backstay.open(tmp_path / "backstay.db") as backstay:
        await backstay.conversations.import_file(_jsonl(tmp_path / "in.jsonl", {"messages": messages}))
        only = await _only(backstay)

    assert tuple(only.turns) == (Turn("user", "Hello", name="ann"), Turn("assistant", "", tool_calls=(call,)))


async def test_thoughts_are_split_off_on_request(backstay, tmp_path):
    """`split_reasoning` makes a thought at the start of an answer its reasoning."""
    row = {"messages": [_MESSAGES[0], {"role": "assistant", "content": "<think>Hm.</think>Hi"}]}

    await backstay.conversations.import_file(_jsonl(tmp_path / "in.jsonl", row), split_reasoning=True)

    assert (await _only(backstay)).turns[1] == Turn("assistant", "Hi", reasoning="Hm.")


async def test_preference_is_imported_whole_or_not(backstay, tmp_path):
    """If one answer of a preference cannot be stored, neither of its two conversations is."""
    with pytest.raises(InvalidRow, match="line 1: turn 2 is empty"):
        await backstay.conversations.import_file(
            _jsonl(tmp_path / "in.jsonl", {"prompt": "Hello", "chosen": "Hi", "rejected": " "})
        )

    assert await backstay.conversations.count(ALL) == 0
