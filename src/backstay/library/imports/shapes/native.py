"""The native shape, and that of backups."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from backstay.clock import from_text
from backstay.errors import SettingsError
from backstay.library.curation import CURATION, checked_curation
from backstay.library.edit_plan import conversation_of
from backstay.library.imports.import_row import ImportRow
from backstay.library.imports.imported_conversation import KEYS, TURN_KEYS
from backstay.library.imports.shape import Shape
from backstay.library.record import TURNS, Document
from backstay.readers.input_errors import InputErrors
from backstay.readers.row import InputRow


class NativeShape(Shape):
    """The native shape (`Conversation.to_dict`). Its roles may be any text, and other lists in it are metadata."""

    label = f"{TURNS} (native)"
    keys = (TURNS,)
    rank = 0

    def find(self, values: Mapping[str, Any]) -> Sequence[str]:
        return [TURNS] if values.get(TURNS) and isinstance(values[TURNS], list) else []

    def read(self, row: ImportRow, name: str) -> list[Document]:
        turns = [_read_turn(turn, number, row) for number, turn in enumerate(row.values.pop(name), start=1)]
        return [row.to_document(turns)]


def _read_turn(turn: Any, number: int, row: ImportRow) -> Document:
    if not isinstance(turn, Mapping):
        raise row.error(f"turn {number} is not an object")
    values = dict(turn)
    role, content = values.pop("role", None), values.pop("content", None)
    if not isinstance(role, str) or not isinstance(content, str):
        raise row.error(f"turn {number} needs 'role' and 'content', both text")
    return row.to_turn(number, role, content, values)


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
    for name in ("created_at", "updated_at"):
        if not _is_time(document[name]):
            raise origin.invalid_row(row.line, f"{name} is not a time such as 2026-01-31T00:00:00.000000Z")
    return document


def take_curation(document: Document, origin: InputErrors, line: int) -> bytes | None:
    """Take the review and earlier versions out of a conversation of a backup, and return them. Raises InvalidRow."""
    curation = document.pop(CURATION, None)
    if curation is None:
        return None
    try:
        checked = checked_curation(curation)
        for version in curation.get("versions", ()):
            conversation_of(orjson.loads(version["line"]))
        return checked
    except (AttributeError, KeyError, TypeError, ValueError, SettingsError) as error:
        raise origin.invalid_row(line, "its review or earlier versions are not as a backup has them") from error


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(from_text(value)) and datetime.fromisoformat(value).tzinfo is not None
    except (ValueError, OverflowError):
        return False
