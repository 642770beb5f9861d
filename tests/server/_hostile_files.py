"""Handmade files of conversations: what is wrong with each, and its bytes."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import orjson

SECRET = "what-nobody-may-read-in-a-log"
"""Part of every text in them."""

_AT = "2025-06-01T12:00:00.000000Z"
_MOMENTS = (
    "yesterday", "2025-06-01", "0001-01-01T00:00:00+14:00", "0500-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00",
    "20250601T120000Z", "2025-06-01T12:00:00",
)  # fmt: skip


def _deep(levels: int) -> Any:
    value: Any = SECRET
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]
    return value


_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, 2**64 - 1, 2**64, 1e308, "", " ", f"{SECRET}\0", f"{SECRET}\ud800", SECRET, [], [SECRET],
    ["blob", "zz"], ["blob", "00ff"], ["real", "nan"], ["real", 1], ["real", SECRET], {}, {SECRET: [SECRET]},
    {"a": _deep(198)}, {"a": _deep(300)}, {"a": 2**63}, *_MOMENTS,
)  # fmt: skip


def _turn(**changed: Any) -> dict[str, Any]:
    return {"content": SECRET, "id": None, "metadata": {}, "role": "user", "sequence": 1, **changed}


def native(**changed: Any) -> dict[str, Any]:
    said = {"content": None, "conversation_turns": [_turn(), _turn(role="assistant", sequence=2)], "created_at": _AT}
    made = {"id": "c", "item_id": None, "job_id": None, "updated_at": _AT}
    return {**said, **made, "metadata": {}, "persona": SECRET, "topic": SECRET, **changed}


def _messages(**changed: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": SECRET}, {"role": "assistant", "content": SECRET}], **changed}


def _sharegpt(**changed: Any) -> dict[str, Any]:
    return {"conversations": [{"from": "human", "value": SECRET}, {"from": "gpt", "value": SECRET}], **changed}


_SHAPES = {
    "native": (native, "conversation_turns"),
    "messages": (_messages, "messages"),
    "sharegpt": (_sharegpt, "conversations"),
}
KINDS = ("backup", "original", *_SHAPES)


def rows(kind: str) -> Iterator[tuple[str, bytes]]:
    """Yield what is wrong with a conversation, and the conversation, a line each."""
    make, turns = _SHAPES.get(kind, _SHAPES["native"])
    first, second = make()[turns]
    for name in (*native(), "score", "note", "related", "conversation_turns", "turns"):
        for value in _VALUES:
            yield f"{name} {_shown(value)}", _written(make(**{name: value}))
    for name in (*first, "id", "sequence", "metadata", "mark"):
        for value in _VALUES:
            yield f"turn {name} {_shown(value)}", _written(make(**{turns: [{**first, name: value}, second]}))
    for name in make():
        yield f"no {name}", _written({key: value for key, value in make().items() if key != name})
    for name in first:
        bare = {key: value for key, value in first.items() if key != name}
        yield f"turn without {name}", _written(make(**{turns: [bare, second]}))
    for value in (None, SECRET, 5, [], {}, [first]):
        yield f"a turn is {_shown(value)}", _written(make(**{turns: [value]}))
    numbered = [{**first, "sequence": 2}, {**second, "sequence": 2}]
    yield "two of one sequence", _written(make(**{turns: numbered}))
    yield "a sequence is left out", _written(make(**{turns: [first, {**second, "sequence": 3}]}))
    yield "a key of its own", _written(make(**{SECRET: SECRET, "\0": 1}))
    whole = _written(make())
    yield "NaN", whole[:-1] + b',"x":NaN}'
    yield "Infinity", whole[:-1] + b',"x":-Infinity}'
    yield "a number without end", whole[:-1] + b',"x":' + b"9" * 5_000 + b"}"
    yield "a key twice", whole[:-1] + b',"id":"' + SECRET.encode() + b'","id":"d"}'
    yield "half of a pair", whole[:-1] + b',"x":"\\ud800' + SECRET.encode() + b'"}'
    yield "not UTF-8", whole[:-1] + b',"x":"\xff' + SECRET.encode() + b'"}'
    yield "deeper than any reader goes", whole[:-1] + b',"x":' + b"[" * 2_000 + b"]" * 2_000 + b"}"
    for other in (b"[]", b"null", b"5", b'"' + SECRET.encode() + b'"', b"{}", b"{", whole[:-5], b""):
        yield f"it is {other[-4:]!r}", other


def files(kind: str) -> Iterator[tuple[str, bytes]]:
    """Yield what is wrong with a file, and its bytes."""
    for wrong, row in rows(kind):
        if kind == "backup":
            yield wrong, archive(row)
        elif kind == "original":
            yield wrong, b'{"version": "1.0", "backupReason": "r",\n"conversations": [' + row + b"]}"
        else:
            yield wrong, row + b"\n"


def archive(*lines: bytes, head: dict[str, Any] | None = None) -> bytes:
    """Return a backup that holds these lines and says so itself, not compressed."""
    about = head or {
        "version": "1.0", "createdAt": _AT, "backupReason": "r", "backupId": "b", "owner": "o", "database": "sqlite",
        "columns": {},
    }  # fmt: skip
    first = orjson.dumps(about)[:-1] + b',"conversations":['
    before = (first, *lines, b"]", b'"related":{}')
    sha = hashlib.sha256(b"".join(hashlib.sha256(line).digest() for line in before)).hexdigest()
    last = orjson.dumps({"conversations": len(lines), "turns": 2 * len(lines), "sha256": sha})
    return first + b"\n" + b",\n".join(lines) + b'\n],\n"related":{},\n"integrity":' + last + b"}\n"


def _written(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode()  # which writes what JSON has no word for, too


def _shown(value: Any) -> str:
    return repr(value)[:30]
