"""Validation of a user's items."""

import asyncio
import functools
import hashlib
import io
import math
import os
import threading
from collections import UserDict
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import orjson
import pytest

from backstay.batch.intake import MAX_CHUNK_ITEMS, read_items, read_until_stopped
from backstay.batch.item import Item, content_digest_source
from backstay.batch.item_columns import ColumnMapping
from backstay.batch.stop_signal import StopSignal
from backstay.errors import InputEmpty, InputNotFound, InvalidRow, Stopped, UnknownColumn
from backstay.library.id_text import check_id
from backstay.readers.json_depth import MAX_DEPTH
from support.data.conversations import drafts_of
from support.harness.async_waiting import until


async def _one(item, columns=None):
    (only,) = await drafts_of([item], columns)
    return only


async def _of_file(path, columns=None, **options):
    return [new_item async for chunk in read_items(path, columns or ColumnMapping(), **options) for new_item in chunk]


def _parameters(new_item):
    return orjson.loads(new_item.parameters_json)


# -- shapes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "item",
    [
        {"id": "a", "topic": "tea", "persona": "a monk", "depth": 3},
        UserDict({"id": "a", "topic": "tea", "persona": "a monk", "depth": 3}),
        MappingProxyType({"id": "a", "topic": "tea", "persona": "a monk", "depth": 3}),
        Item("tea", id="a", persona="a monk", parameters={"depth": 3}),
        Item("tea", id="a", persona="a monk", parameters=MappingProxyType({"depth": 3})),
    ],
    ids=lambda item: type(item).__name__,
)
async def test_every_shape_of_an_item_comes_to_the_same(item):
    """A dictionary, another mapping and an `Item` give the same new item."""
    new_item = await _one(item)

    assert (new_item.id, new_item.base_id, new_item.topic, new_item.persona) == ("a", "a", "tea", "a monk")
    assert _parameters(new_item) == {"depth": 3}
    assert new_item.digest == hashlib.sha256(content_digest_source("tea", "a monk", {"depth": 3})).digest()
    assert new_item.line == 1


async def test_missing_values_of_an_item_are_missing():
    """NaN, which pandas puts in place of a missing value, is no persona and no topic."""
    assert (await _one(Item("tea", persona=math.nan))).persona is None
    with pytest.raises(InvalidRow, match="topic"):
        await _one(Item(math.nan))


@pytest.mark.parametrize("item", ["tea", 5, None, ["tea"], ("id", "tea"), {"tea"}], ids=repr)
async def test_what_is_no_item_is_refused(item):
    """A value that is not an item is refused with its number and type."""
    with pytest.raises(
        InvalidRow, match=rf"^item 2 is an? {type(item).__name__}; give an Item or a dictionary"
    ) as caught:
        await drafts_of([{"topic": "x"}, item])

    assert caught.value.context == {"line": 2}


async def test_items_may_come_one_by_one():
    """Items are read from a generator and from an asynchronous generator."""

    async def asynchronous():
        for item in raw():
            await asyncio.sleep(0)
            yield item

    def raw():
        yield {"topic": "a"}
        yield Item("b")

    from_plain = await drafts_of(raw())
    from_async = await drafts_of(asynchronous())

    assert [new_item.topic for new_item in from_plain] == ["a", "b"]
    assert from_plain == from_async


@pytest.mark.parametrize("count", [1, MAX_CHUNK_ITEMS - 1, MAX_CHUNK_ITEMS, MAX_CHUNK_ITEMS + 1, 2 * MAX_CHUNK_ITEMS])
@pytest.mark.parametrize("is_async", [False, True])
async def test_chunks_are_bounded(count, is_async):
    """A chunk has a maximum number of items, and line numbers continue across chunks."""

    async def asynchronous():
        for n in range(count):
            yield {"topic": str(n)}

    raw = asynchronous() if is_async else ({"topic": str(n)} for n in range(count))

    chunks = [chunk async for chunk in read_items(raw, ColumnMapping())]

    assert max(map(len, chunks)) <= MAX_CHUNK_ITEMS
    assert [new_item.line for chunk in chunks for new_item in chunk] == list(range(1, count + 1))


@pytest.mark.parametrize("column", ["topic", "persona", "depth"])
@pytest.mark.parametrize("is_async", [False, True])
async def test_chunk_of_long_items_has_fewer(is_async, column):
    """A chunk of items with long values ends at a maximum number of characters."""
    item = {"topic": "tea", column: "x" * 1_000_000}

    async def asynchronous():
        for _ in range(10):
            yield item

    raw = asynchronous() if is_async else (item for _ in range(10))

    chunks = [chunk async for chunk in read_items(raw, ColumnMapping())]

    assert list(map(len, chunks)) == [4, 4, 2]


async def test_items_are_taken_only_as_they_are_needed():
    """A generator is not read ahead of the chunk that is processed."""
    read = []

    def raw():
        for n in range(10 * MAX_CHUNK_ITEMS):
            read.append(n)
            yield {"topic": str(n)}

    stream = read_items(raw(), ColumnMapping())
    await anext(stream)
    await stream.aclose()

    assert len(read) <= MAX_CHUNK_ITEMS + 1


@pytest.mark.parametrize("nothing", [[], (), iter([])], ids=["list", "tuple", "iterator"])
async def test_no_items_at_all_is_refused(nothing):
    """An input without items is refused, instead of giving a job that is completed at once."""
    with pytest.raises(InputEmpty):
        await drafts_of(nothing)


async def test_empty_asynchronous_stream_is_refused():
    """An empty asynchronous stream is refused like an empty list."""

    async def nothing():
        for item in ():
            yield item

    with pytest.raises(InputEmpty):
        await drafts_of(nothing())


# -- ids and digests -------------------------------------------------------------------------------


async def test_id_is_made_from_the_content():
    """An item without an id gets twenty digits of its content digest, the same every time."""
    new_item = await _one({"topic": "tea", "depth": 3})

    assert new_item.id is None
    assert new_item.base_id == new_item.digest.hex()[:20]
    assert await _one({"depth": 3, "topic": "tea"}) == new_item


@pytest.mark.parametrize(
    "other",
    [
        {"topic": "Tea"},
        {"topic": "tea", "persona": "a monk"},
        {"topic": "tea", "depth": 3},
        {"topic": "tea", "depth": "3"},
        {"topic": "tea", "depth": None},
    ],
    ids=repr,
)
async def test_other_content_has_another_digest(other):
    """The digest depends on topic, persona, and each parameter with its type."""
    assert (await _one(other)).digest != (await _one({"topic": "tea"})).digest


async def test_id_is_no_part_of_the_content():
    """Items that differ only in their ids have the same digest."""
    assert (await _one({"topic": "tea", "id": "a"})).digest == (await _one({"topic": "tea", "id": "b"})).digest


async def test_empty_persona_is_none():
    """An empty persona, as of a CSV cell, and a missing one give the same item."""
    empty, missing = await _one({"topic": "tea", "persona": ""}), await _one({"topic": "tea"})

    assert empty.persona is None
    assert empty == missing


async def test_equal_items_keep_their_places():
    """Repeated items are passed on, since only the store decides whether they are repetitions."""
    first, second = await drafts_of([{"topic": "tea"}, {"topic": "tea"}])

    assert (first.line, second.line) == (1, 2)
    assert first.base_id == second.base_id


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("a", "a"), (7, "7"), (-1, "-1"), (7.0, "7"), (-0.0, "0"), ("7.0", "7.0"), ("ü", "ü"), ("a" * 512, "a" * 512)],
)
async def test_id_may_be_text_or_a_whole_number(raw, expected):
    """A whole number as an id equals its text."""
    assert (await _one({"id": raw, "topic": "x"})).id == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "the id is empty; choose one"),
        ("  ", "the id is empty; choose one"),
        (None, "the id must be text or a whole number, not missing"),
        (True, "the id must be text or a whole number, not true or false"),
        (1.5, "the id must be text or a whole number, not a float"),
        (2.0**53, "the id must be text or a whole number, not a float"),
        ([1], "the id must be text or a whole number, not a list"),
        ({}, "the id must be text or a whole number, not an object"),
        ("a" * 513, "the id is longer than 512 characters; shorten it"),
        ("a\nb", "the id has a control character or a line break; remove it"),
        ("a\x00", "the id has a control character or a line break; remove it"),
        (" a", "the id begins or ends with a space; remove it"),
        ("a\u3000", "the id begins or ends with a space; remove it"),
        ("..", "the id is '..', which a URL cannot contain; choose another"),
        ("\ud800", "the id has half of a surrogate pair, which is not a character; remove it"),
    ],
)
async def test_bad_id_is_refused(raw, reason):
    """An id that does not fit in messages, file names and URLs is refused."""
    with pytest.raises(InvalidRow) as caught:
        await _one({"id": raw, "topic": "x"})

    assert caught.value.message == f"item 1: {reason}"


async def test_item_without_an_id_of_its_own_gets_one():
    """An empty id of an `Item` means that it has none."""
    assert (await _one(Item("tea"))).id is None


async def test_check_of_an_id_is_shared():
    """Job names are checked by the same rules as item ids."""
    with pytest.raises(InvalidRow, match=r"^the job's name is empty; choose one$") as caught:
        check_id(" ", "the job's name", job_id=" ")

    assert caught.value.context == {"job_id": " "}


# -- topic, persona, parameters --------------------------------------------------------------------


@pytest.mark.parametrize(
    "values", [{}, {"topic": None}, {"topic": ""}, {"topic": " \t\n"}, {"subject": "tea"}], ids=repr
)
async def test_topic_is_needed(values):
    """An item without a topic is refused."""
    with pytest.raises(InvalidRow, match=r"^item 1: the topic is missing or empty$"):
        await _one(values)


@pytest.mark.parametrize(("raw", "expected"), [(5, "5"), (1.5, "1.5"), ("  tea ", "  tea ")])
async def test_topic_may_be_a_number(raw, expected):
    """A number as a topic becomes text, and text keeps its spaces."""
    assert (await _one({"topic": raw})).topic == expected


@pytest.mark.parametrize("column", ["topic", "persona"])
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (True, "must be text, not true or false"),
        ([1], "must be text, not a list"),
        ({"a": 1}, "must be text, not an object"),
        ("a\x00b", "contains a NUL character"),
    ],
)
async def test_bad_text_is_refused(column, raw, reason):
    """A topic or persona that is not text is refused."""
    with pytest.raises(InvalidRow) as caught:
        await _one({"topic": "tea", column: raw})

    assert caught.value.message == f"item 1: the {column} {reason}"


@pytest.mark.parametrize("column", ["topic", "persona", "note"])
async def test_half_of_a_surrogate_pair_is_refused(column):
    """Text with half of a surrogate pair is refused, since no database could store it."""
    with pytest.raises(InvalidRow, match=r"^item 1: "):
        await _one({"topic": "tea", column: "a \udc80"})


async def test_parameters_keep_their_shape():
    """Parameters may have any JSON type and name, even `status`, and `parameters` if it is not an object."""
    raw = {"a": None, "b": [1, {"c": 2.5}], "parameters": "3", "status": "single", "": True, "ü": "\x00"}

    new_item = await _one({"topic": "tea", **raw})

    assert _parameters(new_item) == raw


async def test_parameters_of_an_item_are_its_own():
    """A parameter of an `Item` that is named like a field stays a parameter."""
    new_item = await _one(Item("tea", persona="a monk", parameters={"topic": "x", "persona": "y", "id": 5}))

    assert (new_item.id, new_item.topic, new_item.persona) == (None, "tea", "a monk")
    assert _parameters(new_item) == {"topic": "x", "persona": "y", "id": 5}


def _nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def _endless():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        float("inf"),
        [1, {"a": float("-inf")}],
        {1, 2},
        b"bytes",
        object(),
        2**64,
        {1: "a"},
        _nested(100_000),
        _endless(),
    ],
    ids=["inf", "nested inf", "set", "bytes", "object", "big int", "key", "deep", "endless"],
)
async def test_parameter_that_json_cannot_say_is_refused(value):
    """A parameter that JSON would lose or change is refused."""
    with pytest.raises(
        InvalidRow, match=r"^item 1: (the parameter )?'value' (is|\(an? \w+\) cannot be stored as JSON: )"
    ):
        await _one({"topic": "tea", "value": value})


# -- columns ---------------------------------------------------------------------------------------


async def test_columns_are_named():
    """With named columns, all other columns are parameters, even one called `id`."""
    raw = {"key": "a", "subject": "tea", "voice": "a monk", "id": 5, "depth": 3}

    new_item = await _one(raw, ColumnMapping(id="key", topic="subject", persona="voice"))

    assert (new_item.id, new_item.topic, new_item.persona) == ("a", "tea", "a monk")
    assert _parameters(new_item) == {"id": 5, "depth": 3}


async def test_columns_do_not_rename_the_fields_of_an_item():
    """Named columns apply to rows only, not to the fields of an `Item`."""
    new_item = await _one(Item("tea", parameters={"subject": "x"}), ColumnMapping(topic="subject"))

    assert new_item.topic == "tea"
    assert _parameters(new_item) == {"subject": "x"}


@pytest.mark.parametrize(
    "columns", [ColumnMapping(id="nr"), ColumnMapping(topic="nr"), ColumnMapping(persona="nr")], ids=repr
)
async def test_column_that_a_file_lacks_is_refused(columns, tmp_path):
    """A missing column is refused before any row is used, and the message lists the existing columns."""
    path = tmp_path / "topics.csv"
    path.write_text("topic,depth\ntea,3\n")

    with pytest.raises(UnknownColumn) as caught:
        await _of_file(path, columns)

    assert caught.value.message == f"{path} has no column 'nr'; it has: topic, depth"
    assert caught.value.context == {"column": "nr", "path": str(path)}


async def test_file_without_topics_is_refused(tmp_path):
    """A file without a topic column is refused, and the message says how to name the column."""
    path = tmp_path / "topics.csv"
    path.write_text("subject,depth\ntea,3\n")

    with pytest.raises(
        UnknownColumn, match="has no column 'topic', only subject, depth; name it with columns=ColumnMapping"
    ):
        await _of_file(path)


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_text", [False, True])
async def test_file_is_read(tmp_path, as_text):
    """Items of a file have its line numbers, and cells of a CSV file are text."""
    path = tmp_path / "topics.csv"
    path.write_text('id,topic,persona,depth\na,tea,,3\nb,"cof\nfee",a monk,4\nc,milk,,\n')

    new_items = await _of_file(str(path) if as_text else path)

    assert [(d.id, d.topic, d.persona, d.line) for d in new_items] == [
        ("a", "tea", None, 2),
        ("b", "cof\nfee", "a monk", 3),
        ("c", "milk", None, 5),
    ]
    assert [_parameters(new_item) for new_item in new_items] == [{"depth": "3"}, {"depth": "4"}, {"depth": ""}]


async def test_bad_row_of_a_file_is_named_by_its_line(tmp_path):
    """The message about an invalid row names its line in the file."""
    path = tmp_path / "topics.jsonl"
    path.write_text('{"topic":"a"}\n\n{"topic":""}\n')

    with pytest.raises(InvalidRow) as caught:
        await _of_file(path)

    assert caught.value.message == f"{path} line 3: the topic is missing or empty"
    assert caught.value.context["line"] == 3


async def test_standard_input_is_read():
    """The path `-` reads standard input."""
    new_items = await _of_file("-", stdin=io.BytesIO(b"topic\ntea\n"))

    assert [new_item.topic for new_item in new_items] == ["tea"]


async def test_missing_file_is_refused(tmp_path):
    """A missing file is refused before any item is read."""
    with pytest.raises(InputNotFound):
        await _of_file(tmp_path / "none.csv")


async def test_event_loop_runs_while_a_file_is_read(tmp_path):
    """A file is read in a thread, so that the event loop is not blocked."""
    main, threads = threading.get_ident(), set()
    path = tmp_path / "topics.jsonl"
    path.write_text('{"topic":"a"}\n')

    class Watched(io.BytesIO):
        def readline(self, size=-1, /):
            threads.add(threading.get_ident())
            return super().readline(size)

    await _of_file("-", stdin=Watched(path.read_bytes()))

    assert threads
    assert main not in threads


async def test_reading_may_be_cancelled():
    """A task that waits for a silent pipe ends with its cancellation, without another error."""
    reading, writing = os.pipe()
    begun = threading.Event()

    class Told(io.FileIO):
        def readinto(self, buffer, /):
            begun.set()
            return super().readinto(buffer)

    with io.BufferedReader(Told(reading)) as stdin, os.fdopen(writing, "wb") as feed:
        task = asyncio.create_task(_of_file("-", stdin=stdin))
        await until(begun.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        feed.write(b"topic\ntea\n")


@pytest.mark.parametrize("column", ["topic", "persona"])
async def test_half_of_a_surrogate_pair_is_named(column):
    """The message about half of a surrogate pair names its line and column."""
    with pytest.raises(InvalidRow, match=rf"the {column} contains half of a surrogate pair, which is not a character"):
        await drafts_of([{"topic": "fine"}, {"topic": "fine", column: "half \ud83d"}])


async def test_type_of_a_non_item_is_named():
    """The message names the type of a value that is not an item, with the right article."""
    with pytest.raises(InvalidRow, match=r"is an int; give an Item"):
        await drafts_of([7])


@pytest.mark.parametrize("status", ["pending", "failed", "completed", None])
async def test_an_item_of_the_original_has_its_parameters_at_the_top(status):
    """`parameters` of an original's item become the parameters, and its `status` is ignored."""
    new_item = await _one({"id": "1", "topic": "AI Ethics", "parameters": {"tone": "calm"}, "status": status})

    assert (new_item.id, _parameters(new_item)) == ("1", {"tone": "calm"})
    assert new_item.digest == (await _one({"id": "1", "topic": "AI Ethics", "tone": "calm"})).digest


@pytest.mark.parametrize("raw", [{}, None])
async def test_an_item_of_the_original_may_be_without_parameters(raw):
    """An original's item with `parameters` of None has no parameters."""
    assert _parameters(await _one({"topic": "tea", "parameters": raw, "status": "pending"})) == {}


async def test_a_parameter_stands_in_one_place():
    """A parameter both in `parameters` and next to it is refused with its line."""
    with pytest.raises(InvalidRow) as caught:
        await _one({"topic": "tea", "parameters": {"tone": "calm"}, "tone": "loud"})

    assert caught.value.message == "item 1: 'tone' is both in `parameters` and next to it; rename one of them"


async def test_one_column_may_be_id_and_topic():
    """One column may be named as both the id and the topic."""
    new_item = await _one({"question": "Why?"}, ColumnMapping("question", "question"))

    assert (new_item.base_id, new_item.topic, new_item.parameters_json) == ("Why?", "Why?", "{}")


async def test_a_data_frame_is_refused():
    """A data frame is refused with a hint to its rows, since iterating it would yield column names."""

    class Frame(list):
        def to_dict(self, orient):
            raise AssertionError(orient)

    with pytest.raises(InvalidRow, match=r"frame\.to_dict\('records'\)"):
        await drafts_of(Frame(["topic"]))


async def test_a_stop_ends_the_reading():
    """Once a stop is requested, no further chunk is passed on."""
    stop, passed = StopSignal(), []
    raw = ({"topic": str(number)} for number in range(3 * MAX_CHUNK_ITEMS))

    async def read():
        async for chunk in read_until_stopped(stop, read_items(raw, ColumnMapping())):
            passed.append(len(chunk))
            stop.request()

    with pytest.raises(Stopped):
        await read()

    assert passed == [MAX_CHUNK_ITEMS]


async def test_parameters_that_are_too_deep_are_refused():
    """Parameters as deep as JSON is read are accepted, and deeper ones are refused by the name of one of them."""

    def nested(depth):
        return functools.reduce(lambda value, _: [value], range(depth), "x")

    await _one({"topic": "tea", "tree": nested(MAX_DEPTH - 1)})
    with pytest.raises(InvalidRow, match="the parameter 'tree'"):
        await _one({"topic": "tea", "tree": nested(MAX_DEPTH)})


# -- recipes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "where"),
    [([{"topic": "a"}, {"topic": "b"}], ["item 1", "item 2"])]
    + [("-", ["standard input line 1", "standard input line 2"])]
    + [(source, ["a.jsonl line 1", "a.jsonl line 2"]) for source in ("a.jsonl", Path("a.jsonl"))],
    ids=["list", "stdin", "file", "path"],
)
async def test_each_item_is_checked_by_the_recipe(source, where, tmp_path, monkeypatch):
    """A recipe checks each item with its location in the input; without a recipe the items pass."""
    monkeypatch.chdir(tmp_path)
    content = b'{"topic": "a"}\n{"topic": "b"}\n'
    Path("a.jsonl").write_bytes(content)
    checked = []
    recipe = SimpleNamespace(check=lambda item, location: checked.append((item.topic, location)))

    passed = [
        [chunk async for chunk in read_items(source, ColumnMapping(), recipe=each, stdin=io.BytesIO(content))]
        for each in (recipe, None)
    ]

    assert checked == list(zip("ab", where, strict=True))
    assert [len(chunks[0]) for chunks in passed] == [2, 2]
