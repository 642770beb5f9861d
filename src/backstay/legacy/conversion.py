"""Conversion of the original library's conversations, without losing a value.

A column that Backstay lacks, and a value that does not fit its column's type, is kept in the metadata under the name of
the column, in turns as well. Turns are numbered from 1 without gaps; an original number that differs becomes metadata.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from backstay.clock import to_text
from backstay.errors import InvalidRow
from backstay.legacy.value_rules import with_offset
from backstay.library.id_text import check_id
from backstay.library.imports.imported_conversation import ImportedConversation, to_document
from backstay.library.imports.shapes import read_row
from backstay.library.record import TURNS, Document, Record, digest_of_document, document_to_line
from backstay.readers.input_errors import InputErrors
from backstay.readers.row import InputRow

_TIMES = ("created_at", "updated_at")
_SEQUENCE = "sequence"


def convert_row(row: InputRow, origin: InputErrors, fallback_time: datetime) -> Document:
    """Return the converted document; `fallback_time` is its creation time if it has none itself.

    Raises:
        InvalidRow: it has no id or no turns, or cannot be stored; the message names the line but quotes no content.
    """
    values = {name: with_offset(value) if name in _TIMES else value for name, value in row.values.items()}
    numbers = _sequence_numbers(values.get(TURNS))
    (incoming,) = read_row(InputRow(row.line, values), origin)
    document = to_document(ImportedConversation(row.line, incoming), (), (), origin)
    if document["id"] is None:
        raise origin.invalid_row(row.line, "a conversation without an id")
    for name in ("id", "job_id", "item_id"):
        if document[name] is not None:
            try:
                check_id(document[name], f"the {name}")
            except InvalidRow as error:
                raise origin.invalid_row(row.line, error.message) from error
    created_at = document["created_at"] or to_text(fallback_time)
    turns = [_copy_turn(turn) for turn in document[TURNS]]
    for turn, number in zip(turns, numbers, strict=False):  # there are none if the turns are under another key
        if number is None or number == turn[_SEQUENCE]:
            continue
        if turn["metadata"].setdefault(_SEQUENCE, number) != number:
            raise origin.invalid_row(row.line, f"turn {turn[_SEQUENCE]} has another sequence in its metadata")
    complete = {**document, TURNS: turns, "created_at": created_at, "updated_at": document["updated_at"] or created_at}
    return dict(sorted(complete.items()))


def to_record(document: Document, key: int) -> Record:
    """Return the record of a document for a backup."""
    return Record(
        document["id"],
        key,
        document["job_id"],
        document["item_id"],
        len(document[TURNS]),
        document_to_line(document),
        digest_of_document(document),
    )


def _sequence_numbers(turns: Any) -> Sequence[int | None]:
    """Return the turns' own numbers, None for a turn without one, in the order in which `read_row` puts the turns.

    That is the order of the numbers if every turn has one and no two are equal.
    """
    if not isinstance(turns, list):
        return []
    values = [turn.get(_SEQUENCE) if isinstance(turn, dict) else None for turn in turns]
    numbers = [value if type(value) is int else None for value in values]
    distinct = {number for number in numbers if number is not None}
    return sorted(distinct) if len(distinct) == len(numbers) else numbers


def _copy_turn(turn: Document) -> Document:
    return dict(sorted({**turn, "metadata": dict(turn["metadata"])}.items()))
