"""The shapes in which conversations come: each row tells its own by the key that holds its turns."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from backstay.clock import from_text, to_text
from backstay.library.imports.incoming import KEYS, TURN_KEYS
from backstay.library.record import TURNS, Document
from backstay.readers.origin import InputErrors
from backstay.readers.row import InputRow

_ROLES = {"human": "user", "gpt": "assistant"}
_TEXTS = ("topic", "persona", "content", "job_id", "item_id")
_TIMES = ("created_at", "updated_at")
# Where the turns are, and what role and content are called there.
_SHAPES = (
    (TURNS, "role", "content"),
    ("turns", "role", "content"),
    ("messages", "role", "content"),
    ("conversations", "from", "value"),
)


def read(row: InputRow, origin: InputErrors) -> Document:
    """Return a row in the native shape, every key that it has included.

    Raises:
        InvalidRow: it has no turns, or one without role and content; the message names the line and the turn,
            never the text.
    """
    values = dict(row.values)
    for key, role, content in _SHAPES:
        if isinstance(values.get(key), list):
            given = values.pop(key)
            turns = [_turn(turn, number, role, content, row, origin) for number, turn in enumerate(given, start=1)]
            document = _conversation(values, row, origin)
            document[TURNS] = _numbered(turns)
            return document
    raise origin.invalid_row(
        row.line, "no list of turns; it is expected as messages, conversations (ShareGPT) or conversation_turns"
    )


def read_exact(row: InputRow, origin: InputErrors) -> Document:
    """Return a row of a backup, which has every key, and every value as it is to be stored. Raises InvalidRow."""
    document, turns = row.values, row.values.get(TURNS)
    is_whole = document.keys() >= KEYS and isinstance(turns, list)
    if not is_whole or not all(isinstance(turn, dict) and turn.keys() >= TURN_KEYS for turn in turns or ()):
        raise origin.invalid_row(row.line, "not a conversation of a backup: a key is missing or a turn is no object")
    for number, turn in enumerate(turns or (), start=1):
        if type(turn["sequence"]) is not int or turn["sequence"] != number:
            raise origin.invalid_row(row.line, f"the sequence of turn {number} is not {number}")
    for name in _TIMES:
        if not _is_moment(document[name]):
            raise origin.invalid_row(row.line, f"{name} is not a time such as 2026-01-31T00:00:00.000000Z")
    return document


def _is_moment(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(from_text(value)) and datetime.fromisoformat(value).tzinfo is not None
    except (ValueError, OverflowError):
        return False


def _conversation(values: dict[str, Any], row: InputRow, origin: InputErrors) -> Document:
    document: Document = {"id": _id(values.pop("id", None), row, origin), "metadata": _metadata(values)}
    for name in _TEXTS:
        document[name] = _taken(values, name, str)
    for name in _TIMES:
        document[name] = _time(values, name)
    return _with_others(document, values, KEYS)


def _turn(given: Any, number: int, role: str, content: str, row: InputRow, origin: InputErrors) -> Document:
    if not isinstance(given, Mapping):
        raise origin.invalid_row(row.line, f"turn {number} is not an object")
    values = dict(given)
    said_by, said = values.pop(role, None), values.pop(content, None)
    if not isinstance(said_by, str) or not isinstance(said, str):
        raise origin.invalid_row(row.line, f"turn {number} needs {role!r} and {content!r}, both text")
    turn: Document = {
        "id": _taken(values, "id", str),
        "sequence": _taken(values, "sequence", int),
        "role": _ROLES.get(said_by, said_by) if role == "from" else said_by,
        "content": said,
        "metadata": _metadata(values),
    }
    return _with_others(turn, values, TURN_KEYS)


def _id(value: Any, row: InputRow, origin: InputErrors) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise origin.invalid_row(row.line, "the id must be text or a whole number")
    return None if value is None else str(value)


def _taken(values: dict[str, Any], name: str, kind: type) -> Any:
    """Take a value of the kind that we keep under this name; another one stays where it is, and so in the metadata."""
    if name in values and (values[name] is None or type(values[name]) is kind):
        return values.pop(name)
    return None


def _time(values: dict[str, Any], name: str) -> str | None:
    text = _taken(values, name, str)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:  # the same moment wherever it is read
            moment = moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        values[name] = text
        return None
    return to_text(moment)


def _with_others(document: Document, values: dict[str, Any], keys: Collection[str]) -> Document:
    """Add what is not ours. What has a name of ours, but is not what we keep under it, becomes metadata at once."""
    strange = {name: value for name, value in values.items() if name in keys}
    others = {name: value for name, value in values.items() if name not in keys}
    return {**document, "metadata": {**strange, **document["metadata"]}, **others}


def _metadata(values: dict[str, Any]) -> dict[str, Any]:
    found = _taken(values, "metadata", dict)
    return found if found is not None else {}


def _numbered(turns: list[Document]) -> list[Document]:
    """Bring turns into the order of their numbers, if all have one, and number them from 1 without gaps."""
    numbers = [turn["sequence"] for turn in turns]
    if None not in numbers and len(set(numbers)) == len(numbers):
        turns = sorted(turns, key=lambda turn: int(turn["sequence"]))
    return [{**turn, "sequence": number} for number, turn in enumerate(turns, start=1)]
