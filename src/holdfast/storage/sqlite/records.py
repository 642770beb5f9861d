"""Conversations exactly as they are stored, columns that a user has added included."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import apsw

from holdfast.errors import BackupError
from holdfast.library.record import (
    TURNS,
    Document,
    Record,
    digest_of_document,
    line_of,
    metadata_from_line,
    metadata_to_line,
    value_from_line,
    value_to_line,
)
from holdfast.library.selection import Selection
from holdfast.storage.sqlite.queries import Row, execute_rows, query, quoted, select_rows
from holdfast.storage.sqlite.selecting import selecting, values_of

# Conversations read at once: enough to share the cost of a statement, and no more than memory has room for.
_MOST = 256
_FIRST = 16
_BYTES = 2_000_000

_OURS = {
    "conversations": {
        "key", "owner", "id", "topic", "persona", "content", "metadata", "job_id", "item_id", "created_at", "updated_at"
    },
    "turns": {"conversation_key", "sequence", "owner", "id", "role", "content", "metadata"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that users have added, with the types they declared."""

    conversations: Mapping[str, str] = field(default_factory=dict)
    turns: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, connection: apsw.Connection) -> "Columns":
        """Return those of a database."""
        found = cls(_added(connection, "conversations"), _added(connection, "turns"))
        if TURNS in found.conversations:
            raise BackupError(f"The column {TURNS!r} of conversations has the name that backups use; rename it")
        return found

    def as_mapping(self) -> dict[str, Mapping[str, str]]:
        return {
            table: added for table, added in (("conversations", self.conversations), ("turns", self.turns)) if added
        }


def _added(connection: apsw.Connection, table: str) -> dict[str, str]:
    rows = connection.execute(query("columns_of"), {"table": table})
    return {name: declared for name, declared in rows if name not in _OURS[table]}


def selected(connection: apsw.Connection, owner: str, selection: Selection, columns: Columns) -> Iterator[list[Record]]:
    """Yield the selected conversations in the order of storing, many at a time."""
    text = selecting(connection, "conversations_as_stored", selection)
    text = text.replace("{columns}", "".join(f", {quoted(name)}" for name in columns.conversations))
    cursor = connection.execute(text, values_of(owner, selection))
    limit = _FIRST
    while rows := list(islice(cursor, limit)):
        records = _records(connection, rows, columns)
        yield records
        size = sum(len(record.line) for record in records)
        limit = max(1, limit // 2) if size > _BYTES else min(_MOST, limit * 2)


def by_ids(connection: apsw.Connection, owner: str, ids: Sequence[str], columns: Columns) -> dict[str, Record]:
    """Return the conversations that have one of these ids."""
    added = tuple(columns.conversations)
    rows = select_rows(connection, "conversations_as_stored_by_id", [(i,) for i in ids], owner, columns=added)
    return {record.id: record for record in _records(connection, rows, columns)}


def put(
    connection: apsw.Connection,
    owner: str,
    keyed: Sequence[tuple[int, Document]],
    columns: Columns,
) -> None:
    """Store conversations under these keys, each with exactly the given added columns."""
    conversations: list[Row] = []
    turns: list[Row] = []
    added, turns_added = tuple(columns.conversations), tuple(columns.turns)
    for key, document in keyed:
        row: Row = (
            key, owner, document["id"], document["topic"], document["persona"], document["content"],
            metadata_from_line(document["metadata"]), document["job_id"], document["item_id"],
            document["created_at"], document["updated_at"],
        )  # fmt: skip
        conversations.append((*row, *(value_from_line(document[name]) for name in added)) if added else row)
        for turn in document[TURNS]:
            row = (
                key, turn["sequence"], owner, turn["id"], turn["role"], turn["content"],
                metadata_from_line(turn["metadata"]),
            )  # fmt: skip
            turns.append((*row, *(value_from_line(turn.get(name)) for name in turns_added)) if turns_added else row)
    execute_rows(connection, "put_conversations", conversations, columns=added)
    execute_rows(connection, "put_turns", turns, columns=turns_added)


def _records(connection: apsw.Connection, rows: Sequence[Row], columns: Columns) -> list[Record]:
    turns: dict[int, list[Document]] = {row[0]: [] for row in rows}
    added = tuple(columns.turns)
    nested = set()
    for row in select_rows(connection, "turns_as_stored", [(key,) for key in turns], columns=added):
        key, sequence, turn_id, role, content, metadata = row[:6]
        turn: Document = {"content": content, "id": turn_id, "metadata": {}, "role": role, "sequence": sequence}
        if metadata is not None:
            turn["metadata"] = metadata_to_line(metadata)
            nested.add(key)
        turns[key].append(_with_added(turn, added, row[6:]) if added else turn)
    return [_record(row, turns[row[0]], columns, is_nested=row[0] in nested) for row in rows]


def _record(row: Row, turns: list[Document], columns: Columns, *, is_nested: bool) -> Record:
    key, conversation_id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at = row[:10]
    document: Document = {
        "content": content,
        TURNS: turns,
        "created_at": created_at,
        "id": conversation_id,
        "item_id": item_id,
        "job_id": job_id,
        "metadata": {} if metadata is None else metadata_to_line(metadata),
        "persona": persona,
        "topic": topic,
        "updated_at": updated_at,
    }
    if columns.conversations:
        document = _with_added(document, tuple(columns.conversations), row[10:])
    line = line_of(document)
    version = hashlib.sha256(line).digest()
    # Without anything nested the keys of the line are in order already, so that it is canonical as it stands.
    is_nested = is_nested or metadata is not None
    digest = digest_of_document(document) if is_nested else version
    return Record(conversation_id, key, job_id, item_id, len(turns), line, digest, version)


def _with_added(document: Document, names: Sequence[str], values: Sequence[Any]) -> Document:
    added = {name: value_to_line(value) for name, value in zip(names, values, strict=True)}
    return dict(sorted({**document, **added}.items()))
