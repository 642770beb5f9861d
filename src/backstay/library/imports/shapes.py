"""The shapes of imported rows, recognized by the key that holds the turns."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from backstay.clock import from_text, to_text
from backstay.library.imports.imported_conversation import KEYS, TURN_KEYS
from backstay.library.record import TURNS, Document
from backstay.readers.input_errors import InputErrors
from backstay.readers.row import InputRow

_ROLES = {"human": "user", "gpt": "assistant"}
_TEXT_KEYS = ("topic", "persona", "content", "job_id", "item_id")
_TIME_KEYS = ("created_at", "updated_at")
# The keys of the turns, of the role and of the content.
_SHAPES = (
    (TURNS, "role", "content"),
    ("turns", "role", "content"),
    ("messages", "role", "content"),
    ("conversations", "from", "value"),
)


def read_row(row: InputRow, origin: InputErrors) -> Document:
    """Return a row as a dict in the native shape, with all its keys.

    Raises:
        InvalidRow: it has no turns, or one without role and content; the message names the line and the turn,
            never the text.
    """
    values = dict(row.values)
    for key, role, content in _SHAPES:
        if isinstance(values.get(key), list):
            rows = values.pop(key)
            turns = [_turn(turn, number, role, content, row, origin) for number, turn in enumerate(rows, start=1)]
            document = _conversation(values, row, origin)
            document[TURNS] = _renumber(turns)
            return document
    raise origin.invalid_row(
        row.line, "no list of turns; it is expected as messages, conversations (ShareGPT) or conversation_turns"
    )


def read_backup_row(row: InputRow, origin: InputErrors) -> Document:
    """Return a row of a backup, which must have all keys of the native shape. Raises InvalidRow."""
    document, turns = row.values, row.values.get(TURNS)
    is_whole = document.keys() >= KEYS and isinstance(turns, list)
    if not is_whole or not all(isinstance(turn, dict) and turn.keys() >= TURN_KEYS for turn in turns or ()):
        raise origin.invalid_row(
            row.line, "not a conversation of a backup: a key is missing or a turn is not an object"
        )
    for number, turn in enumerate(turns or (), start=1):
        if type(turn["sequence"]) is not int or turn["sequence"] != number:
            raise origin.invalid_row(row.line, f"the sequence of turn {number} is not {number}")
    for name in _TIME_KEYS:
        if not _is_time(document[name]):
            raise origin.invalid_row(row.line, f"{name} is not a time such as 2026-01-31T00:00:00.000000Z")
    return document


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(from_text(value)) and datetime.fromisoformat(value).tzinfo is not None
    except (ValueError, OverflowError):
        return False


def _conversation(values: dict[str, Any], row: InputRow, origin: InputErrors) -> Document:
    document: Document = {"id": _id(values.pop("id", None), row, origin), "metadata": _metadata(values)}
    for name in _TEXT_KEYS:
        document[name] = _pop(values, name, str)
    for name in _TIME_KEYS:
        document[name] = _time(values, name)
    return _with_others(document, values, KEYS)


def _turn(turn: Any, number: int, role_key: str, content_key: str, row: InputRow, origin: InputErrors) -> Document:
    if not isinstance(turn, Mapping):
        raise origin.invalid_row(row.line, f"turn {number} is not an object")
    values = dict(turn)
    role, content = values.pop(role_key, None), values.pop(content_key, None)
    if not isinstance(role, str) or not isinstance(content, str):
        raise origin.invalid_row(row.line, f"turn {number} needs {role_key!r} and {content_key!r}, both text")
    document: Document = {
        "id": _pop(values, "id", str),
        "sequence": _pop(values, "sequence", int),
        "role": _ROLES.get(role, role) if role_key == "from" else role,
        "content": content,
        "metadata": _metadata(values),
    }
    return _with_others(document, values, TURN_KEYS)


def _id(value: Any, row: InputRow, origin: InputErrors) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise origin.invalid_row(row.line, "the id must be text or a whole number")
    return None if value is None else str(value)


def _pop(values: dict[str, Any], name: str, kind: type) -> Any:
    """Remove and return a value if it has the type of its column; otherwise leave it, so that it becomes metadata."""
    if name in values and (values[name] is None or type(values[name]) is kind):
        return values.pop(name)
    return None


def _time(values: dict[str, Any], name: str) -> str | None:
    text = _pop(values, name, str)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:  # the result must not depend on the machine's time zone
            moment = moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        values[name] = text
        return None
    return to_text(moment)


def _with_others(document: Document, values: dict[str, Any], keys: Collection[str]) -> Document:
    """Add the remaining values: those with a built-in name but a wrong type to the metadata, the others as keys."""
    mistyped = {name: value for name, value in values.items() if name in keys}
    others = {name: value for name, value in values.items() if name not in keys}
    return {**document, "metadata": {**mistyped, **document["metadata"]}, **others}


def _metadata(values: dict[str, Any]) -> dict[str, Any]:
    return _pop(values, "metadata", dict) or {}


def _renumber(turns: list[Document]) -> list[Document]:
    """Sort turns by their numbers, if all have different ones, and number them from 1 without gaps."""
    numbers = [turn["sequence"] for turn in turns]
    if None not in numbers and len(set(numbers)) == len(numbers):
        turns = sorted(turns, key=lambda turn: int(turn["sequence"]))
    return [{**turn, "sequence": number} for number, turn in enumerate(turns, start=1)]
