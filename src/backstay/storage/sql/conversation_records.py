"""Reads and writes conversations exactly as they are stored, with the columns that a user has added."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from backstay.errors import BackupError
from backstay.library.batches import BatchLimit, split_by_size
from backstay.library.curation import CURATION
from backstay.library.record import (
    RELATED,
    TURNS,
    Document,
    Record,
    count_related,
    digest_of_document,
    document_to_line,
    embed_metadata,
    metadata_from_line,
    metadata_to_line,
    value_from_line,
    value_to_line,
)
from backstay.library.selection import Selection
from backstay.storage.sql.adoption_guard import columns_changed_error
from backstay.storage.sql.cascade.foreign_key_rows import related_rows
from backstay.storage.sql.cascade.related_rows import RelatedRows, RowsByTable
from backstay.storage.sql.database import Row, Session
from backstay.storage.sql.selection_conditions import selection_values

_BUILT_IN_COLUMNS = {
    "conversations": {
        "key", "owner", "id", "topic", "persona", "content", "metadata", "job_id", "item_id", "created_at", "updated_at"
    },
    "turns": {"conversation_key", "sequence", "owner", "id", "role", "content", "metadata"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredColumns:
    """The columns that a user has added, with their declared types, and the related rows."""

    conversations: Mapping[str, str] = field(default_factory=dict)
    turns: Mapping[str, str] = field(default_factory=dict)
    related: RelatedRows = field(default_factory=RelatedRows)

    @classmethod
    def from_session(cls, session: Session, *, related: bool = True) -> "StoredColumns":
        """Read the catalogue of a database; without `related`, leave out the related rows."""
        added: dict[str, dict[str, str]] = {table: {} for table in _BUILT_IN_COLUMNS}
        for table, name, declared in session.rows("columns"):
            if name is None:
                raise columns_changed_error(declared)
            if name not in _BUILT_IN_COLUMNS[table]:
                added[table][name] = declared
        columns = cls(**added, related=related_rows(session) if related else RelatedRows())
        for name in (TURNS, RELATED, CURATION):
            if name in columns.conversations:
                raise BackupError(f"The column {name!r} of conversations has a name that backups reserve; rename it")
        return columns

    @property
    def are_built_in(self) -> bool:
        """Whether there are neither columns nor related tables of a user."""
        return not (self.conversations or self.turns or self.related.may_exist)

    def as_mapping(self) -> dict[str, Mapping[str, str]]:
        """Return the added columns, and those of related tables, with their types, by table."""
        built_in = {
            table: added for table, added in (("conversations", self.conversations), ("turns", self.turns)) if added
        }
        return {**built_in, **self.related.columns}


def read_selected(
    session: Session, owner: str, selection: Selection, columns: StoredColumns, *, at_once: bool
) -> Iterator[list[Record]]:
    """Yield the selected conversations in batches, in the order in which they were stored.

    With `at_once`, the caller executes no other statement in between, so that a server may stream all in one.
    """
    values = selection_values(owner, selection)
    lines = session.selected_lines(values, selection) if at_once and columns.are_built_in else None
    if lines is not None:
        yield from split_by_size(map(_from_line, lines), _size_of)
        return
    selected_keys = session.stream("selected_conversation_keys", values, selection=selection)
    yield from read_by_keys(session, owner, (key for (key,) in selected_keys), columns)


def read_by_keys(session: Session, owner: str, keys: Iterable[int], columns: StoredColumns) -> Iterator[list[Record]]:
    """Yield the conversations with these keys that exist, in batches."""
    remaining, limit = iter(keys), BatchLimit()
    while keys := list(islice(remaining, limit.conversations)):
        records = find_by_keys(session, owner, keys, columns)
        yield records
        limit.adapt(len(records), sum(map(_size_of, records)))


def _size_of(record: Record) -> int:
    return len(record.line)


def find_by_ids(session: Session, owner: str, ids: Sequence[str], columns: StoredColumns) -> dict[str, Record]:
    """Return those conversations with these ids that exist, by id."""
    return {record.id: record for record in find_by_keys(session, owner, find_keys(session, owner, ids), columns)}


def find_keys(session: Session, owner: str, ids: Sequence[str]) -> list[int]:
    """Return the keys of those conversations with these ids that exist."""
    rows: list[Row] = [(conversation_id,) for conversation_id in ids]
    return [key for (key,) in session.select_many("conversation_keys_by_id", rows, owner)]


def lock_by_ids(session: Session, owner: str, ids: Sequence[str], columns: StoredColumns) -> dict[str, Record]:
    """Return conversations like `find_by_ids`, and lock them like `lock`."""
    keys = lock(session, owner, ids, columns).keys
    return {record.id: record for record in find_by_keys(session, owner, keys, columns)}


class LockedConversations(NamedTuple):
    """Conversations that no other transaction changes until this one ends."""

    keys: Sequence[int]
    have_shared_rows: bool
    """Whether their related rows may be related to other conversations too, which a delete would then change."""


def lock(session: Session, owner: str, ids: Sequence[str], columns: StoredColumns) -> LockedConversations:
    """Lock the conversations with these ids, their turns and their related rows until the transaction ends."""
    rows: list[Row] = [(conversation_id,) for conversation_id in ids]
    keys = [key for (key,) in session.select_many("locked_conversation_keys", rows, owner)]
    session.lock_many("lock_turns", rows, owner)
    return LockedConversations(keys, columns.related.lock(keys))


def delete(session: Session, owner: str, keys: Sequence[int]) -> set[int]:
    """Delete conversations by key; return the keys of those that were deleted: a trigger may have kept others."""
    session.tables.defer()  # since a SQLite file takes several statements, and a later one may delete what blocks
    return {key for (key,) in session.select_many("delete_conversations", [(key,) for key in keys], owner)}


class ConversationRows(NamedTuple):
    """The rows of a conversation, each without its first column, the conversation's key."""

    conversation: Row
    turns: tuple[Row, ...]


def rows_maker(owner: str, columns: StoredColumns) -> Callable[[Document], ConversationRows]:
    """Return the function that converts a conversation to its rows, with exactly these added columns."""
    late = columns.related.late_columns("conversations")
    late_turns = columns.related.late_columns("turns")

    def rows(document: Document) -> ConversationRows:
        conversation: Row = (
            owner, document["id"], document["topic"], document["persona"], document["content"],
            metadata_from_line(document["metadata"]), document["job_id"], document["item_id"],
            document["created_at"], document["updated_at"],
        )  # fmt: skip
        if columns.conversations:
            conversation = (*conversation, *_values(document, columns.conversations, late))
        return ConversationRows(conversation, tuple([turn_row(turn) for turn in document[TURNS]]))

    def turn_row(turn: Document) -> Row:
        row: Row = (
            turn["sequence"], owner, turn["id"], turn["role"], turn["content"],
            metadata_from_line(turn["metadata"]),
        )  # fmt: skip
        return (*row, *_values(turn, columns.turns, late_turns)) if columns.turns else row

    return rows


def _values(document: Document, names: Iterable[str], late: Container[str]) -> list[Any]:
    """Return the values of added columns: null for those that a restore sets last."""
    return [None if name in late else value_from_line(document.get(name)) for name in names]


def put(session: Session, keyed: Sequence[tuple[int, ConversationRows]], columns: StoredColumns) -> None:
    """Insert conversations under these keys. Their rows must have been made by `rows_maker` with the same columns."""
    conversations: list[Row] = [(key, *rows.conversation) for key, rows in keyed]
    turns: list[Row] = [(key, *turn) for key, rows in keyed for turn in rows.turns]
    session.execute_many("put_conversations", conversations, columns=columns.conversations)
    session.execute_many("put_turns", turns, columns=columns.turns)


def find_by_keys(session: Session, owner: str, keys: Sequence[int], columns: StoredColumns) -> list[Record]:
    """Return the conversations with these keys that exist, in the order in which they were stored."""
    # The database serialises the lines in half the time, and without holding the interpreter lock.
    rows = session.lines(owner, keys) if columns.are_built_in else None
    if rows is None:
        return _from_values(session, owner, keys, columns)
    return [_from_line(row) for row in rows]


def _from_line(row: Row) -> Record:
    key, conversation_id, job_id, item_id, turns, metadata_count, text = row
    line = text if isinstance(text, bytes) else text.encode()
    if not line.isascii():
        line.decode()  # raises if the database holds text that is not UTF-8
    digest = None
    if metadata_count:
        line, digest = embed_metadata(line)
    return Record(conversation_id, key, job_id, item_id, turns, line, digest)


def _from_values(session: Session, owner: str, keys: Sequence[int], columns: StoredColumns) -> list[Record]:
    key_rows: list[Row] = [(key,) for key in keys]
    rows = session.select_many("conversations_as_stored", key_rows, owner, columns=columns.conversations)
    turns: dict[int, list[Document]] = {row[0]: [] for row in rows}
    added = tuple(columns.turns)
    nested = set()
    for row in session.select_many("turns_as_stored", [(key,) for key in turns], columns=columns.turns):
        key, sequence, turn_id, role, content, metadata = row[:6]
        turn: Document = {"content": content, "id": turn_id, "metadata": {}, "role": role, "sequence": sequence}
        if metadata is not None:
            turn["metadata"] = metadata_to_line(metadata)
            nested.add(key)
        turns[key].append(_with_added(turn, added, row[6:]) if added else turn)
    related = columns.related.snapshot(list(turns))
    return [
        _record(row, turns[row[0]], columns, related.get(row[0], {}), is_nested=row[0] in nested or row[0] in related)
        for row in rows
    ]


def _record(
    row: Row, turns: list[Document], columns: StoredColumns, related: Mapping[str, RowsByTable], *, is_nested: bool
) -> Record:
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
        **({RELATED: related} if related else {}),
        "topic": topic,
        "updated_at": updated_at,
    }
    if columns.conversations:
        document = _with_added(document, tuple(columns.conversations), row[10:])
    line = document_to_line(document)
    # Without nested objects the keys of the line are in order already: it is canonical as it is.
    is_nested = is_nested or metadata is not None
    digest = digest_of_document(document) if is_nested else None
    return Record(conversation_id, key, job_id, item_id, len(turns), line, digest, count_related(document))


def _with_added(document: Document, names: Sequence[str], values: Sequence[Any]) -> Document:
    added = {name: value_to_line(value) for name, value in zip(names, values, strict=True)}
    return dict(sorted({**document, **added}.items()))
