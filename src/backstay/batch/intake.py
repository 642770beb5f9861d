"""From whatever a user gives as items to checked drafts, a chunk at a time."""

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from backstay.batch.given_values import plain_values
from backstay.batch.item import Item, NewItem, content_digest_source
from backstay.errors import InputEmpty, InvalidRow, UnknownColumn, kind_of
from backstay.library.canonical import is_encodable
from backstay.library.id_text import check_id
from backstay.readers import InputRow, read_rows
from backstay.readers.ceiling import InputCeiling

ItemLike = Item | Mapping[str, Any]
Chunks = AsyncIterator[list[NewItem]]
Items = Iterable[ItemLike] | AsyncIterable[ItemLike] | str | Path

CHUNK = 4_000  # drafts that travel and are stored together, at most: they share a commit
_CHUNK_CHARACTERS = 4_000_000  # or so many, where the drafts are long
_HASH_ID_DIGITS = 20  # 80 bits: a clash among a billion items is less likely than one in a million


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which columns of an input are the item's id, topic and persona; every other one is a parameter."""

    id: str | None = None
    topic: str | None = None
    persona: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        return tuple(name for name in (self.id, self.topic, self.persona) if name is not None)


async def read_items(
    items: Items, columns: ColumnMapping, *, stdin: BinaryIO | None = None, ceiling: InputCeiling | None = None
) -> Chunks:
    """Yield the drafts of `items` in chunks, never holding more than one.

    A path is read in a thread, so that the event loop turns meanwhile; `-` means standard input.

    Raises:
        InputError: an item is unusable, there is none, or there are more than the ceiling; the message names the place.
    """
    found = text_bytes = 0
    async for chunk in _chunks(items, columns, stdin):
        found += len(chunk)
        text_bytes += sum(map(_size, chunk))
        if ceiling is not None:
            ceiling.check(str(items), rows=found, text_bytes=text_bytes, what="items")
        yield chunk
    if not found:
        raise InputEmpty("There are no items: give at least one")


async def _chunks(items: Items, columns: ColumnMapping, stdin: BinaryIO | None) -> Chunks:
    if hasattr(items, "to_dict"):
        raise InvalidRow("A data frame is no list of items; give its rows: frame.to_dict('records')")
    if isinstance(items, str | Path):
        source = None if str(items) == "-" else Path(items)
        rows = _read_file(source, columns, stdin)
        try:
            while chunk := await asyncio.to_thread(_chunk_of, rows):
                yield chunk
        finally:
            with suppress(ValueError):  # a thread is still reading, for nobody: the rows close when it is done
                rows.close()
    elif isinstance(items, AsyncIterable):
        chunk, size, line = [], 0, 0
        async for item in items:
            line += 1
            chunk.append(_new_item_from(item, columns, line))
            size += _size(chunk[-1])
            if len(chunk) == CHUNK or size >= _CHUNK_CHARACTERS:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk
    else:
        given = (_new_item_from(item, columns, line) for line, item in enumerate(items, start=1))
        while chunk := _chunk_of(given):
            yield chunk


def _chunk_of(given: Iterator[NewItem]) -> list[NewItem]:
    """Take the next chunk; it is empty when nothing is left."""
    chunk, size = [], 0
    for draft in given:
        chunk.append(draft)
        size += _size(draft)
        if len(chunk) == CHUNK or size >= _CHUNK_CHARACTERS:
            break
    return chunk


def _size(draft: NewItem) -> int:
    return len(draft.topic) + len(draft.parameters_json)


def _read_file(source: Path | None, columns: ColumnMapping, stdin: BinaryIO | None) -> Generator[NewItem, None, None]:
    where = str(source) if source else "standard input"
    first = True
    for row in read_rows(source, stdin=stdin):
        if first:
            _refuse_unknown_columns(row, columns, where)
            first = False
        yield _new_item(row.values, columns, f"{where} line {row.line}", row.line)


def _refuse_unknown_columns(row: InputRow, columns: ColumnMapping, where: str) -> None:
    for name in columns.named:
        if name not in row.values:
            there = ", ".join(list(row.values)[:20])
            raise UnknownColumn(f"{where} has no column {name!r}; it has: {there}", column=name, path=where)
    topic = columns.topic or "topic"
    if topic not in row.values:
        there = ", ".join(list(row.values)[:20])
        raise UnknownColumn(
            f"{where} has no column 'topic'; say which one it is with --topic-column (it has: {there})",
            column="topic",
            path=where,
        )


def _new_item_from(item: object, columns: ColumnMapping, line: int) -> NewItem:
    where = f"item {line}"
    try:
        if isinstance(item, Item):
            item_id = _identifier(item.id, where, line) if item.id else None
            return _checked(item_id, item.topic, item.persona, plain_values(item.parameters), where, line)
        if isinstance(item, Mapping):
            return _new_item(plain_values(item), columns, where, line)
    except ValueError as error:
        raise InvalidRow(f"{where}: {error}", line=line) from error
    raise InvalidRow(f"{where} is {kind_of(item)}; give an Item or a dictionary with a topic", line=line)


def _new_item(values: Mapping[str, Any], columns: ColumnMapping, where: str, line: int) -> NewItem:
    rest = dict(values)
    id_given = columns.id is not None or "id" in rest
    item_id = _identifier(rest.pop(columns.id or "id", None), where, line) if id_given else None
    topic_name, persona_name = columns.topic or "topic", columns.persona or "persona"
    # Of all values, not of the rest: one column may be the id and the topic.
    topic, persona = values.get(topic_name), values.get(persona_name)
    rest.pop(topic_name, None)
    rest.pop(persona_name, None)
    return _checked(item_id, topic, persona, _parameters(rest, where, line), where, line)


def _parameters(rest: dict[str, Any], where: str, line: int) -> dict[str, Any]:
    """Return the parameters of a row: all that is left of it.

    An item of the original has them under `parameters`, and next to it a `status`, which is no parameter: what is done
    stands in the checkpoint.
    """
    if not isinstance(rest.get("parameters", ""), Mapping | None):
        return rest
    given = rest["parameters"] or {}
    others = {name: value for name, value in rest.items() if name not in ("parameters", "status")}
    for name in given:
        if name in others:
            shown = repr(str(name)[:40])
            raise InvalidRow(f"{where}: {shown} stands in `parameters` and next to it; rename one of them", line=line)
    return {**given, **others}


def _checked(
    item_id: str | None, topic: object, persona: object, parameters: dict[str, Any], where: str, line: int
) -> NewItem:
    topic = _text(topic, "topic", where, line)
    persona = _text(persona, "persona", where, line) or None
    if topic is None or not topic.strip():
        raise InvalidRow(f"{where}: the topic is missing or empty", line=line)
    try:
        source = content_digest_source(topic, persona, parameters)
        parameters_json = orjson.dumps(parameters).decode() if parameters else "{}"
    except (ValueError, TypeError) as error:
        raise InvalidRow(f"{where}: {_unfit(parameters)} cannot be kept as JSON: {error}", line=line) from error
    digest = hashlib.sha256(source).digest()
    base_id = item_id or digest.hex()[:_HASH_ID_DIGITS]
    return NewItem(item_id, base_id, digest, topic, persona, parameters_json, line)


def _unfit(parameters: Mapping[str, Any]) -> str:
    """Name the parameter that cannot be stored as JSON."""
    for name, value in parameters.items():
        try:
            content_digest_source("", None, {name: value})
        except (ValueError, TypeError):
            return f"the parameter {name!r} ({_kind(value)})"
    return "a parameter"


def _identifier(value: object, where: str, line: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InvalidRow(f"{where}: the id must be text or a whole number, not {_kind(value)}", line=line)
    check_id(value, f"{where}: the id", line=line)
    return value


def _text(value: object, what: str, where: str, line: int) -> str | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise InvalidRow(f"{where}: the {what} must be text, not {_kind(value)}", line=line)
    if "\x00" in value:
        raise InvalidRow(f"{where}: the {what} contains a NUL character", line=line)
    if not is_encodable(value):
        raise InvalidRow(f"{where}: the {what} contains half of a surrogate pair, which is no character", line=line)
    return value


def _kind(value: object) -> str:
    match value:
        case None:
            return "missing"
        case bool():
            return "true or false"
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
        case _:
            return kind_of(value)
