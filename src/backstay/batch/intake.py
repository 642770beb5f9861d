"""Conversion of a user's items, in any supported shape, to checked `NewItem`s, one chunk at a time."""

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator, Mapping
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from backstay.batch.file_reading import FileReading, TextCounter
from backstay.batch.item import Item, NewItem, content_digest_source, to_item
from backstay.batch.item_columns import ColumnMapping, check_columns
from backstay.batch.job_recipe import JobRecipe
from backstay.batch.plain_values import plain_values
from backstay.batch.stop_signal import StopSignal
from backstay.errors import (
    BackstayError,
    InputEmpty,
    InputNotFound,
    InputUnreadable,
    InvalidRow,
    RecipeError,
    SettingsError,
    Stopped,
    UnknownColumn,
    kind_of,
)
from backstay.library.canonical_json import is_encodable
from backstay.library.id_text import check_id, to_id
from backstay.readers.bad_rows import BadRow, BadRows, with_further_count
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
    columns: ColumnMapping | None,
    *,
    recipe: JobRecipe | None = None,
    bad_rows: BadRows | None = None,
    stdin: BinaryIO | None = None,
    read: ReadOptions = AS_DETECTED,
    on_note: NoteListener | None = None,
    ceiling: InputCeiling | None = None,
) -> Chunks:
    """Yield `items` in chunks of checked `NewItem`s, holding one chunk at a time.

    A path is read in a thread, so that the event loop is not blocked. It may be that of a folder, or a pattern; `-`
    means standard input. Bad rows are handed to `bad_rows`; by default, the first one raises its error.

    Raises:
        InputError: an item is unusable, there is none, or there are too many for `ceiling`; the message says where.
        RecipeError: an item lacks a value that the recipe uses.
    """
    bad_rows = bad_rows or BadRows()
    rows = text_bytes = 0
    name = str(items) if isinstance(items, str | Path) else "the input"
    reading = FileReading(stdin, read, InputNotes(on_note), TextCounter(name, ceiling))
    async for chunk in _chunks(items, _Rules(columns or ColumnMapping(), recipe, bad_rows), reading):
        rows += len(chunk)
        if ceiling is not None:
            text_bytes += sum(map(_text_bytes, chunk))
            ceiling.check(name, rows=rows, text_bytes=text_bytes, row_noun="items")
        yield chunk
    if not rows and not bad_rows.count:
        raise InputEmpty("The input has no items; give at least one")
    bad_rows.finish(used=rows)


def read_first_item(
    path: Path, columns: ColumnMapping, *, bad_rows: BadRows, read: ReadOptions, on_note: NoteListener | None
) -> None:
    """Read the first item of a file, or of the first of several files. Blocks. Raises InputError."""
    reading = FileReading(None, read, InputNotes(on_note), TextCounter(str(path), None))
    with closing(_read_files(path, _Rules(columns, None, bad_rows), reading)) as items:
        next(items, None)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What makes an item of a row, and takes the row if it is bad."""

    columns: ColumnMapping
    recipe: JobRecipe | None
    bad_rows: BadRows

    def check(self, item: NewItem, where: str) -> NewItem:
        """Return the item. Raises RecipeError if it lacks a value that the recipe uses."""
        if self.recipe is not None:
            self.recipe.check(to_item(item), where)
        return item

    def item_from_object(self, item: object, line: int) -> NewItem | None:
        """Return the checked item; None if it is left out."""
        try:
            return self.check(_item_from_object(item, self.columns, line), f"item {line}")
        except (InvalidRow, RecipeError) as error:
            self.bad_rows.reject(error, BadRow.from_error(error, f"item {line}", line), None)
            return None


async def _chunks(items: Items, rules: _Rules, reading: FileReading) -> Chunks:
    if hasattr(items, "to_dict"):
        raise InvalidRow("A data frame is not a list of items; give its rows: frame.to_dict('records')")
    if isinstance(items, str | Path):
        if items == "":  # which Path takes for the current folder
            raise InputNotFound("The name of the input is empty; name a file or a folder", path="")
        async for chunk in _chunks_of_files(None if str(items) == "-" else Path(items), rules, reading):
            yield chunk
    elif rules.bad_rows.keeps_raw:
        raise SettingsError("Only the rows of a file can be kept in a quarantine", setting="quarantine")
    elif isinstance(items, AsyncIterable):
        chunk, size, line = [], 0, 0
        async for item in items:
            line += 1
            if (new_item := rules.item_from_object(item, line)) is None:
                continue
            chunk.append(new_item)
            size += sum(map(len, _texts(new_item)))
            if len(chunk) == MAX_CHUNK_ITEMS or size >= _MAX_CHUNK_CHARACTERS:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk
    else:
        new_items = (rules.item_from_object(item, line) for line, item in enumerate(items, start=1))
        good_items = (new_item for new_item in new_items if new_item is not None)
        while chunk := _next_chunk(good_items):
            yield chunk


async def _chunks_of_files(source: Path | None, rules: _Rules, reading: FileReading) -> Chunks:
    file_items = _read_files(source, rules, reading)
    try:
        while chunk := await asyncio.to_thread(_next_chunk, file_items):
            yield chunk
    except (InvalidRow, InputUnreadable, RecipeError) as error:
        if not rules.bad_rows.has_refused:
            raise
        raise await asyncio.to_thread(_with_further_count, error, source, rules, reading) from error
    finally:
        with suppress(ValueError):  # a thread is still reading: the rows are closed when it ends
            file_items.close()


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


def _read_files(source: Path | None, rules: _Rules, reading: FileReading) -> Generator[NewItem, None, None]:
    files = reading.find_files(source)
    rules.bad_rows.has_several_files = len(files) > 1
    for path in files:
        with suppress(InputEmpty) if len(files) > 1 else nullcontext():  # some programs write parts without rows
            yield from _read_file(path, rules, reading, is_part=len(files) > 1)


def _read_file(
    path: Path | None, rules: _Rules, reading: FileReading, *, is_part: bool
) -> Generator[NewItem, None, None]:
    errors = InputErrors.for_path(path, rules.bad_rows)
    lines, file = errors.lines, errors.path if is_part else None
    resolved, names = rules.columns, None
    for row in reading.read_rows(path, rules.columns, rules.bad_rows):
        values, where = row.values, f"{lines} {row.line}"
        row_names = tuple(values)
        try:
            if row_names != names:  # most rows have the columns of the row before
                resolved = rules.columns.resolve(row_names)
                if names is None:
                    check_columns(resolved, row_names, errors.name)
                names = row_names
            item = rules.check(_item_from_mapping(values, resolved, where, row.line, file), where)
        except (InvalidRow, RecipeError, UnknownColumn) as error:
            errors.reject_row(error, row)
        else:
            yield item


def _with_further_count(
    error: BackstayError, source: Path | None, rules: _Rules, reading: FileReading
) -> BackstayError:
    def read_again(counted: BadRows) -> Iterable[tuple[str | None, object]]:
        if source is None or (source.exists() and not (source.is_file() or source.is_dir())):
            return ()  # a pipe has been read
        items = _read_files(source, replace(rules, bad_rows=counted), reading.without_ceiling())
        return ((item.file, _texts(item)) for item in items)

    return with_further_count(error, read_again)


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
    identifier = to_id(value)
    if identifier is None:
        raise InvalidRow(f"{where}: the id must be text or a whole number, not {_described_kind(value)}", line=line)
    check_id(identifier, f"{where}: the id", line=line)
    return identifier


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


async def read_until_stopped(stop: StopSignal, chunks: Chunks) -> Chunks:
    """Yield the chunks until a stop is requested. Raises Stopped."""
    async for chunk in chunks:
        if stop.requested:
            raise Stopped("Stopped while the items were being read; no call was made. Run the same command again")
        yield chunk
