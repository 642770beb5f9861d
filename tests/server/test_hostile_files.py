"""Handmade files of conversations: refused as a whole with the location, or stored so that they can be exported."""

import asyncio
import json
from contextlib import suppress
from urllib.parse import quote

import pytest
import zstandard
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from backstay import Backstay, Selection
from backstay.errors import BackupError, InputError
from backstay.library.choices import ExportFormat
from backstay.library.formats import load_format
from backstay.schemas import ConversationOut
from server._hostile_files import KINDS, SECRET, archive, files, native, rows
from support.data.exported import export
from support.harness.sampling import FULL, sample
from support.servers.api import serving
from support.stores.sql import ask

_COLUMNS = (
    "ALTER TABLE conversations ADD COLUMN score INTEGER CHECK (score > 0)",
    "ALTER TABLE conversations ADD COLUMN note TEXT",
    "ALTER TABLE turns ADD COLUMN mark TEXT NOT NULL DEFAULT 'none'",
)


_ALL = Selection(everything=True)


async def _comes_out(api):
    """Check that all stored data can be exported in each format, apart from announced losses, and backed up."""
    stored = []
    for form in ExportFormat:
        body = {"all": True, "format": form}
        whole = await api.ann.post("/api/conversations/export", json=body)
        assert whole.status_code == 200 or whole.json()["error"]["code"] in ("lossy_export", "conversation_unwritable")
        answer = await api.ann.post("/api/conversations/export", json={**body, "lossy": True})
        assert answer.status_code == 200 or (form, answer.json()["error"]["code"]) == (
            "chatml",
            "conversation_unwritable",
        )
        if form == "native":
            stored = [json.loads(line) for line in answer.text.splitlines()]
    for row in stored:
        assert (await api.ann.get(f"/api/conversations/{quote(row['id'], safe='')}")).status_code == 200, row[
            "metadata"
        ]
    made = await api.ann.post("/api/backup/create", json={"conversationIds": [row["id"] for row in stored]})
    assert made.status_code == 201
    return stored


@pytest.mark.parametrize("kind", KINDS)
async def test_each_is_refused_or_works(settings, kind, capfd):
    """Each file is refused as a whole with the location and without its text, or can be exported and backed up."""
    stored, without_place = 0, []
    async with serving(settings, async_above=10_000) as api:
        for column in _COLUMNS:
            ask(settings.database_url, column)
        for wrong, data in sample(list(files(kind)), 200):
            answer = await api.ann.post(
                "/api/conversations/import", files={"file": ("in.jsonl", data)}, data={"onConflict": "new"}
            )
            assert answer.status_code in (201, 422), (wrong, answer.text)
            if answer.status_code == 201:
                stored += answer.json()["imported"]
                continue
            error = answer.json()["error"]
            assert SECRET not in error["message"], wrong
            if "line" not in error["details"] and error["code"] not in ("input_empty", "input_unreadable"):
                without_place.append(wrong)
        assert without_place == []
        assert len(await _comes_out(api)) == stored > 10
    output = capfd.readouterr()
    assert "Traceback" not in output.err
    assert SECRET not in output.err + output.out


@pytest.mark.parametrize("kind", KINDS)
def test_commands_refuse_them_in_a_line(command, tmp_path, kind):
    """A command refuses such a file in one line with the location and without its text, and stores nothing."""
    database, refused = str(tmp_path / "backstay.db"), 0
    for wrong, data in sample(list(files(kind)), 25):
        (tmp_path / "in.jsonl").write_bytes(data)
        ended = command(
            "--database", database, "conversations", "import", str(tmp_path / "in.jsonl"), "--on-conflict=new"
        )
        assert SECRET not in ended.err + ended.out, wrong
        if ended.code:
            refused += 1
            assert "in.jsonl" in ended.one_line_error(), wrong
    listed = command("--database", database, "conversations", "export", "--all", "--format", "native")
    assert listed.code == 0
    assert refused
    assert len(listed.out.splitlines()) + refused <= 25


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
_NAMES = st.sampled_from([*native(), *native()["conversation_turns"][0], "score", "related", "from", "value"])
_TURN = st.dictionaries(_NAMES, _JSON, max_size=3).map(lambda fields: {**native()["conversation_turns"][0], **fields})
_ROW = st.builds(
    lambda fields, key, turns: {**native(), **fields, **({key: turns} if key else {})},
    st.dictionaries(_NAMES, _JSON, max_size=3),
    st.sampled_from([None, "conversation_turns", "turns", "messages"]),
    st.lists(_TURN | _JSON, max_size=3),
)


@hypothesis_settings(
    max_examples=2_000 if FULL else 15, deadline=None, database=None, derandomize=not FULL,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(content=st.lists(_ROW, min_size=1, max_size=3), is_backup=st.booleans())
def test_what_is_taken_comes_out(tmp_path, content, is_backup):
    """Everything that an import accepts can be exported in every format."""
    lines = [json.dumps(row).encode() for row in content]
    (tmp_path / "in.jsonl").write_bytes(archive(*lines) if is_backup else b"\n".join(lines))

    async def import_and_export():
        async with Backstay.open(tmp_path / "backstay.db") as backstay:
            with suppress(InputError, BackupError):
                await backstay.conversations.import_file(tmp_path / "in.jsonl", on_conflict="new")
            async for conversation in backstay.conversations.export(_ALL):
                for form in ExportFormat:
                    export(load_format(form)(), conversation)
                ConversationOut.from_conversation(conversation).to_json()

    asyncio.run(import_and_export())


async def test_a_file_in_the_place_of_a_backup_restores_nothing(tmp_path, caplog):
    """A file that replaces the file of a backup is refused, and nothing of it is stored."""
    (tmp_path / "in.jsonl").write_bytes(json.dumps(native()).encode())
    async with Backstay.open(tmp_path / "backstay.db") as backstay:
        await backstay.conversations.import_file(tmp_path / "in.jsonl")
        backup_id = (await backstay.conversations.delete(_ALL)).backup_id
        (path,) = tmp_path.rglob(f"{backup_id}*")
        before = path.read_bytes()
        head = json.loads(zstandard.ZstdDecompressor().decompressobj().decompress(before).splitlines()[0] + b"]}")
        del head["conversations"]
        for wrong, row in sample(list(rows("backup")), 40):
            if row == json.dumps(native()).encode():
                continue
            path.chmod(0o600)
            path.write_bytes(zstandard.compress(archive(row, head=head)))
            with pytest.raises(BackupError) as caught:
                await backstay.backups.restore(backup_id)
            assert SECRET not in caught.value.message, wrong
            assert await backstay.conversations.count(_ALL) == 0, wrong
            # Clear the recorded damage, so that the next file is read too.
            await asyncio.to_thread(
                ask, tmp_path / "backstay.db", "UPDATE backups SET state = 'verified', damaged_at = NULL"
            )
        path.write_bytes(before)
        assert (await backstay.backups.restore(backup_id)).restored == 1
    assert SECRET not in caplog.text
