"""Warnings of an export: what trainers would refuse."""

import io
import json

import pytest

from backstay.errors import RefusedByTrainers

_USER, _ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
_SYSTEM = {"role": "system", "content": "s"}


@pytest.fixture
async def library(backstay, tmp_path):
    """A library with a good conversation, one that ends with the user, and one with a system turn in the middle."""
    rows = [
        {"id": "good", "messages": [_USER, _ANSWER]},
        {"id": "x", "messages": [_USER, _ANSWER, _USER]},
        {"id": "y", "messages": [_USER, _ANSWER, _SYSTEM, _USER, _ANSWER]},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    await backstay.conversations.import_file(tmp_path / "in.jsonl")
    return backstay


async def test_what_trainers_would_refuse_is_exported_and_counted(library, tmp_path):
    """Conversations that trainers would refuse are exported as they are; the result counts them by reason."""
    result = await library.conversations.write_export(tmp_path / "out.jsonl")

    assert (result.exported, result.warned) == (3, 2)
    assert [(each.kind, each.count, each.first.conversation_id, each.first.turn) for each in result.warnings] == [
        ("ends_with_user", 1, "x", 3),
        ("system_not_first", 1, "y", 3),
    ]


async def test_what_is_left_out_gives_no_warning(library, tmp_path):
    """Conversations are checked as they are written: without system messages none of these is out of place."""
    result = await library.conversations.write_export(tmp_path / "out.jsonl", system="drop")

    assert [each.kind for each in result.warnings] == ["ends_with_user"]


@pytest.mark.parametrize("format_", ["alpaca", "prompt-completion"])
async def test_turns_without_a_place_in_the_format_give_no_warning(library, tmp_path, format_):
    """Conversations are checked as they are written: without the question at the end, which the format cannot hold."""
    result = await library.conversations.write_export(tmp_path / "out.jsonl", format=format_, system="drop", lossy=True)
    stream = io.BytesIO()
    await library.conversations.write_export(stream, format=format_, system="drop", lossy=True, strict=True)

    assert (result.exported, result.warned) == (3, 0)
    assert stream.getvalue() == (tmp_path / "out.jsonl").read_bytes()


async def test_a_strict_export_writes_nothing(library, tmp_path):
    """A strict export leaves a file as it is, and writes nothing to a stream, if there is a warning."""
    path, stream = tmp_path / "out.jsonl", io.BytesIO()
    path.write_text("as it was")

    for target in (path, stream):
        with pytest.raises(RefusedByTrainers, match=r"^conversation 'x', turn 3: .*; nothing was written") as raised:
            await library.conversations.write_export(target, strict=True)
        assert raised.value.context["warnings"] == {"ends_with_user": 1, "system_not_first": 1}

    assert (path.read_text(), stream.getvalue()) == ("as it was", b"")
