"""Conversion of a user's items, in any supported shape, to checked `NewItem`s, one chunk at a time."""

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator, Mapping
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from backstay.batch.file_reading import FileReading, TextCounter
from backstay.batch.item import Item, NewItem, content_digest_source, to_item
from backstay.batch.item_columns import ColumnMapping, check_columns
from backstay.batch.job_recipe import JobRecipe
from backstay.batch.plain_values import plain_values
from backstay.batch.stop_signal import StopSignal
from backstay.errors import InputEmpty, InvalidRow, Stopped, kind_of
from backstay.library.canonical_json import is_encodable
from backstay.library.id_text import check_id
from backstay.readers.input_ceiling import InputCeiling
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_notes import InputNotes, NoteListener
from backstay.readers.read_options import AS_DETECTED, ReadOptions

ItemLike = Item | Mapping[str, Any]
Chunks = AsyncIterator[list[NewItem]]
Items = Iterable[ItemLike] | AsyncIterable[ItemLike] | str | Path

MAX_CHUNK_ITEMS = 4_000  # one commit stores a chunk
_MAX_CHUNK_CHARACTERS = 4_000_000  # a chunk also ends here, however few items it holds
_HASH_ID_DIGITS = 20  # 80 bits: a collision among a billion items is less likely than one in a million


async def read_items(
    items: Items,
    columns: ColumnMapping,
    *,
    stdin: BinaryIO | None = None,
    read: ReadOptions = AS_DETECTED,
    on_note: NoteListener | None = None,
    ceiling: InputCeiling | None = None,
) -> Chunks:
    """Yield `items` in chunks of checked `NewItem`s, holding one chunk at a time.

    A path is read in a thread, so that the event loop is not blocked. It may be that of a folder, or a pattern; `-`
    means standard input.

    Raises:
        InputError: an item is unusable, there is none, or there are too many for `ceiling`; the message says where.
    """
    rows = text_bytes = 0
    name = str(items) if isinstance(items, str | Path) else "the input"
    reading = FileReading(stdin, read, InputNotes(on_note), TextCounter(name, ceiling))
    async for chunk in _chunks(items, columns, reading):
        rows += len(chunk)
        if ceiling is not None:
            text_bytes += sum(map(_text_bytes, chunk))
            ceiling.check(name, rows=rows, text_bytes=text_bytes, row_noun="items")
        yield chunk
    if not rows:
        raise InputEmpty("The input has no items; give at least one")


def read_first_item(path: Path, columns: ColumnMapping, *, read: ReadOptions, on_note: NoteListener | None) -> None:
    """Read the first item of a file, or of the first of several files. Blocks. Raises InputError."""
    reading = FileReading(None, read, InputNotes(on_note), TextCounter(str(path), None))
    with closing(_read_files(path, columns, reading)) as items:
        next(items, None)


async def _chunks(items: Items, columns: ColumnMapping, reading: FileReading) -> Chunks:
    if hasattr(items, "to_dict"):
        raise InvalidRow("A data frame is not a list of items; give its rows: frame.to_dict('records')")
    if isinstance(items, str | Path):
        source = None if str(items) == "-" else Path(items)
        file_items = _read_files(source, columns, reading)
        try:
            while chunk := await asyncio.to_thread(_next_chunk, file_items):
                yield chunk
        finally:
            with suppress(ValueError):  # a thread is still reading: the rows are closed when it ends
                file_items.close()
    elif isinstance(items, AsyncIterable):
        chunk, size, line = [], 0, 0
        async for item in items:
            line += 1
            chunk.append(_item_from_object(item, columns, line))
            size += sum(map(len, _texts(chunk[-1])))
            if len(chunk) == MAX_CHUNK_ITEMS or size >= _MAX_CHUNK_CHARACTERS:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk
    else:
        new_items = (_item_from_object(item, columns, line) for line, item in enumerate(items, start=1))
        while chunk := _next_chunk(new_items):
            yield chunk


def _next_chunk(new_items: Iterator[NewItem]) -> list[NewItem]:
    """Return the next chunk, which is empty at the end of the items."""
    chunk, size = [], 0
    for new_item in new_items:
        chunk.append(new_item)
        size += sum(map(len, _texts(new_item)))
        if len(chunk) == MAX_CHUNK_ITEMS or size >= _MAX_CHUNK_CHARACTERS:
            break
    return chunk


def _texts(new_item: NewItem) -> tuple[str, str, str]:
    return new_item.topic, new_item.persona or "", new_item.parameters_json


def _text_bytes(new_item: NewItem) -> int:
    return sum(len(text.encode()) for text in _texts(new_item))


def _read_files(source: Path | None, columns: ColumnMapping, reading: FileReading) -> Generator[NewItem, None, None]:
    files = reading.find_files(source)
    for path in files:
        with suppress(InputEmpty) if len(files) > 1 else nullcontext():  # some programs write parts without rows
            yield from _read_file(path, columns, reading, is_part=len(files) > 1)


def _read_file(
    path: Path | None, columns: ColumnMapping, reading: FileReading, *, is_part: bool
) -> Generator[NewItem, None, None]:
    errors = InputErrors.for_path(path)
    lines, file = errors.lines, errors.path if is_part else None
    resolved, names = columns, None
    for row in reading.read_rows(path, columns):
        values = row.values
        row_names = tuple(values)
        if row_names != names:  # most rows have the columns of the row before
            resolved = columns.resolve(row_names)
            if names is None:
                check_columns(resolved, row_names, errors.path)
            names = row_names
        yield _item_from_mapping(values, resolved, f"{lines} {row.line}", row.line, file)


def _item_from_object(item: object, columns: ColumnMapping, line: int) -> NewItem:
    where = f"item {line}"
    try:
        if isinstance(item, Item):
            item_id = _identifier(item.id, where, line) if item.id else None
            topic, persona = plain_values({"topic": item.topic, "persona": item.persona}).values()
            return _build_item(item_id, topic, persona, plain_values(item.parameters), where, line)
        if isinstance(item, Mapping):
            return _item_from_mapping(plain_values(item), columns, where, line)
    except ValueError as error:
        raise InvalidRow(f"{where}: {error}", line=line) from error
    raise InvalidRow(f"{where} is {kind_of(item)}; give an Item or a dictionary with a topic", line=line)


def _item_from_mapping(
    values: Mapping[str, Any], columns: ColumnMapping, where: str, line: int, file: str | None = None
) -> NewItem:
    rest = dict(values)
    has_id = columns.id is not None or "id" in rest
    item_id = _identifier(rest.pop(columns.id or "id", None), where, line) if has_id else None
    topic_name, persona_name = columns.topic or "topic", columns.persona or "persona"
    # Taken from all values, not from the rest, since one column may be both the id and the topic.
    topic, persona = values.get(topic_name), values.get(persona_name)
    rest.pop(topic_name, None)
    rest.pop(persona_name, None)
    return _build_item(item_id, topic, persona, _parameters(rest, where, line), where, line, file)


def _parameters(rest: dict[str, Any], where: str, line: int) -> dict[str, Any]:
    """Return the parameters of a row: its remaining values.

    Some programs export them under `parameters`. A `status` next to that is the item's, not a parameter.
    """
    if not isinstance(rest.get("parameters", ""), Mapping | None):
        return rest
    parameters = rest["parameters"] or {}
    others = {name: value for name, value in rest.items() if name not in ("parameters", "status")}
    for name in parameters:
        if name in others:
            name_text = repr(str(name)[:40])
            raise InvalidRow(
                f"{where}: {name_text} is both in `parameters` and next to it; rename one of them", line=line
            )
    return {**parameters, **others}


def _build_item(
    item_id: str | None,
    topic: object,
    persona: object,
    parameters: dict[str, Any],
    where: str,
    line: int,
    file: str | None = None,
) -> NewItem:
    topic = _text(topic, "topic", where, line)
    persona = _text(persona, "persona", where, line) or None
    if topic is None or not topic.strip():
        raise InvalidRow(f"{where}: the topic is missing or empty", line=line)
    try:
        source = content_digest_source(topic, persona, parameters)
        parameters_json = orjson.dumps(parameters).decode() if parameters else "{}"
    except (ValueError, TypeError) as error:
        raise InvalidRow(
            f"{where}: {_unstorable_parameter(parameters)} cannot be stored as JSON: {error}", line=line
        ) from error
    digest = hashlib.sha256(source).digest()
    base_id = item_id or digest.hex()[:_HASH_ID_DIGITS]
    return NewItem(item_id, base_id, digest, topic, persona, parameters_json, line, file)


def _unstorable_parameter(parameters: Mapping[str, Any]) -> str:
    """Return the name and type of the parameter that cannot be stored as JSON."""
    for name, value in parameters.items():
        try:
            content_digest_source("", None, {name: value})
        except (ValueError, TypeError):
            return f"the parameter {name!r} ({_described_kind(value)})"
    return "a parameter"


def _identifier(value: object, where: str, line: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InvalidRow(f"{where}: the id must be text or a whole number, not {_described_kind(value)}", line=line)
    check_id(value, f"{where}: the id", line=line)
    return value


def _text(value: object, field: str, where: str, line: int) -> str | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise InvalidRow(f"{where}: the {field} must be text, not {_described_kind(value)}", line=line)
    if "\x00" in value:
        raise InvalidRow(f"{where}: the {field} contains a NUL character", line=line)
    if not is_encodable(value):
        raise InvalidRow(f"{where}: the {field} contains half of a surrogate pair, which is not a character", line=line)
    return value


def _described_kind(value: object) -> str:
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


async def check_by_recipe(recipe: JobRecipe | None, items: Items, chunks: Chunks) -> Chunks:
    """Yield the chunks, with each item checked against the recipe before any call is made."""
    where = "item"
    if isinstance(items, str | Path):
        where = "standard input line" if str(items) == "-" else f"{items} line"
    async for chunk in chunks:
        if recipe is not None:
            for item in chunk:
                recipe.check(to_item(item), f"{item.file} line {item.line}" if item.file else f"{where} {item.line}")
        yield chunk


async def read_until_stopped(stop: StopSignal, chunks: Chunks) -> Chunks:
    """Yield the chunks until a stop is requested. Raises Stopped."""
    async for chunk in chunks:
        if stop.requested:
            raise Stopped("Stopped while the items were being read; no call was made. Run the same command again")
        yield chunk
