"""`backstay conversations import` and what trainers would refuse."""

import json

_ROW = {"id": "x", "messages": [{"role": "user", "content": "q"}]}
_REASON = "trainers would refuse 1 conversation: 1 has no turn of the assistant (first: line 1, turn 1)"


def test_an_import_warns(within, backstay):
    """An import says on standard error what trainers would refuse; with --json the result has it."""
    (backstay.folder / "rows.jsonl").write_text(json.dumps(_ROW))

    ended = within("conversations", "import", "rows.jsonl")
    answer = within("conversations", "import", "rows.jsonl", "--json")

    assert (ended.code, ended.out) == (0, "rows.jsonl: 1 conversation imported.\n")
    assert ended.err.startswith("Select them with: --import import-")
    assert ended.err.endswith(f"\nWarning: {_REASON}.\n")
    assert answer.json["warned"] == 1
    assert answer.json["warnings"] == [
        {"kind": "no_assistant", "count": 1, "first": {"turn": 1, "line": 1, "conversationId": "x", "file": None}}
    ]


def test_a_strict_import_fails(within, backstay):
    """An import with --strict imports nothing, says why, and how to import it nevertheless."""
    (backstay.folder / "rows.jsonl").write_text(json.dumps(_ROW))

    ended = within("conversations", "import", "rows.jsonl", "--strict")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        f"Error: rows.jsonl line 1, turn 1: {_REASON}; nothing was imported. Without --strict these are warnings\n"
    )
    assert within("conversations", "list", "--json").json["conversations"] == []
