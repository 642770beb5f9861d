"""Warnings of an import: what trainers would refuse."""

import json

import pytest

from backstay.errors import RefusedByTrainers
from support.stores.library import ALL

_USER, _ANSWER = {"role": "user", "content": "secret"}, {"role": "assistant", "content": "a"}
_ROWS = (
    {"id": "good", "messages": [_USER, _ANSWER]},
    {"id": "x", "messages": [_USER, _ANSWER, _USER]},
    {"messages": [_USER, _ANSWER, {"role": "tool", "content": "r", "tool_call_id": "c"}, _USER]},
)


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in _ROWS))
    return path


async def test_what_trainers_would_refuse_is_imported_and_counted(backstay, rows):
    """Conversations that trainers would refuse are imported as they are; the result counts them by reason."""
    result = await backstay.conversations.import_file(rows)

    assert (result.imported, result.warned) == (3, 2)
    assert [(each.kind, each.count, each.first.line, each.first.turn) for each in result.warnings] == [
        ("ends_with_user", 2, 2, 3),
        ("result_without_call", 1, 3, 3),
    ]
    stored = [entry async for entry in backstay.conversations.export(ALL)]
    assert [[turn.role for turn in entry.turns] for entry in stored] == [
        ["user", "assistant"],
        ["user", "assistant", "user"],
        ["user", "assistant", "tool", "user"],
    ]


async def test_a_strict_import_imports_nothing(backstay, rows):
    """A strict import names the first conversation that trainers would refuse, counts all, and imports none."""
    with pytest.raises(RefusedByTrainers) as raised:
        await backstay.conversations.import_file(rows, strict=True)

    assert raised.value.message == (
        f"{rows} line 2, turn 3: trainers would refuse 2 conversations: 2 end with the user (first: line 2, turn 3), "
        "1 has the result of a tool without its call (first: line 3, turn 3); nothing was imported"
    )
    assert raised.value.context["warnings"] == {"ends_with_user": 2, "result_without_call": 1}
    assert await backstay.conversations.count(ALL) == 0


async def test_a_strict_import_takes_what_trainers_accept(backstay, tmp_path):
    """A strict import of conversations without warnings imports them."""
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps(_ROWS[0]))

    result = await backstay.conversations.import_file(path, strict=True)

    assert (result.imported, result.warned, list(result.warnings)) == (1, 0, [])


async def test_a_repeated_import_warns_again(backstay, rows):
    """Conversations that are already stored are counted too, since warnings are about the file."""
    await backstay.conversations.import_file(rows)

    again = await backstay.conversations.import_file(rows)

    assert (again.identical, again.warned) == (2, 2)
