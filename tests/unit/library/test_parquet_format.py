"""Parquet exports: what pyarrow reads is what was exported, in row groups, and imports as it was."""

import io
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay import Conversation, ToolCall, Turn
from backstay.errors import SettingsError
from backstay.library.formats import FormatOptions, Loss, parquet
from backstay.library.formats.parquet import ParquetFormat
from support.data.conversation_strategies import ANY_TEXT, TEXT, Having, conversations, described, reviews
from support.data.exported import export
from support.data.imported import equal, import_rows

_PLAIN = Having(names=False, weights=False, reasoning=False, parts=(), calls=False)


def _rows(data):
    """Return the rows as the reader of Parquet yields them: members of a message that are null are absent."""
    for row in pq.read_table(io.BytesIO(data)).to_pylist():
        yield {name: _value(value) for name, value in row.items()}


def _value(value):
    match value:
        case datetime():
            return value.isoformat()
        case list():
            return [_value(inner) for inner in value]
        case dict():
            return {name: _value(inner) for name, inner in value.items() if inner is not None}
    return value


@given(exported=st.lists(conversations(Having(custom_calls=False), **described()), max_size=3))
def test_everything_comes_back(exported):
    """Conversations that are exported to Parquet are imported as they were, with all that describes them."""
    imported = import_rows(_rows(export(ParquetFormat(), *exported)))

    assert len(imported) == len(exported)
    assert all(map(equal, imported, exported))
    assert not any(ParquetFormat().prepare(each).losses or ParquetFormat().omitted_fields(each) for each in exported)


@given(exported=conversations(Having(custom_calls=False), **described()), review=reviews())
def test_a_review_comes_back(exported, review):
    """The review is a column, and is imported as it was."""
    (imported,) = import_rows(_rows(export(ParquetFormat(), replace(exported, review=review))))

    assert (imported.review, equal(imported, exported)) == (review, True)


@given(exported=st.lists(conversations(_PLAIN, **described()), max_size=3))
def test_plain_conversations_come_back_from_the_simple_schema(exported):
    """Without fields of turns, a message has a role and content only, and plain conversations come back."""
    form = ParquetFormat(FormatOptions(turn_fields=False))
    plain = [replace(each, tools=()) for each in exported]

    data = export(form, *plain)

    assert [field.name for field in pq.read_schema(io.BytesIO(data)).field("messages").type.value_type] == [
        "role",
        "content",
    ]
    assert all(map(equal, import_rows(_rows(data)), plain))
    assert not any(form.prepare(each).losses or form.omitted_fields(each) for each in plain)


@pytest.mark.parametrize("weight", [1.5, 2**63, True])
def test_weights_that_are_no_whole_numbers_come_back(weight):
    """A weight that the column cannot hold is in the metadata of its message."""
    exported = Conversation([Turn("user", "x", metadata={"weight": weight})])

    (imported,) = import_rows(_rows(export(ParquetFormat(), exported)))

    assert imported.turns[0].metadata == {"weight": weight}
    assert type(imported.turns[0].metadata["weight"]) is type(weight)


def test_simple_schema_loses_what_it_has_no_columns_for():
    """With the simple schema, fields of turns are losses, so that they cannot disappear unseen."""
    call = ToolCall("c1", "weather", "{}", extra={"index": 0})
    exported = Conversation([Turn("assistant", "", tool_calls=[call], id="t1", metadata={"m": 1})], tools=[{"a": 1}])
    form = ParquetFormat(FormatOptions(turn_fields=False))

    assert form.prepare(exported).losses == {Loss.TOOLS: 1, Loss.TOOL_CALLS: 1, Loss.TOOL_CALL_IDS: 1}
    assert form.omitted_fields(exported) == ["turn ids", "turn metadata"]


def test_extra_keys_of_calls_come_back():
    """Calls with keys that the column for calls cannot hold are complete in the metadata of their message."""
    calls = [
        ToolCall("c1", "weather", "{}", extra={"index": 0}),
        ToolCall(None, "weather", "{", extra={"function.strict": True}),
        ToolCall("c3", "weather", "", extra={"type": "custom"}),
        ToolCall("c4", "weather", ""),
    ]
    exported = Conversation([Turn("user", "?"), Turn("assistant", "", tool_calls=calls, metadata={"m": 1})])

    data = export(ParquetFormat(), exported)

    (imported,) = import_rows(_rows(data))
    (row,) = pq.read_table(io.BytesIO(data)).to_pylist()
    assert equal(imported, exported)
    assert [call["function"]["name"] for call in row["messages"][1]["tool_calls"]] == ["weather"] * 4
    assert not ParquetFormat().prepare(exported).losses


@pytest.mark.parametrize(("limit", "value"), [("_GROUP_ROWS", 2), ("_GROUP_CHARACTERS", 200)])
def test_rows_are_written_in_groups(monkeypatch, limit, value):
    """A full row group, by rows or by text, is written while the next is collected; the parts are one file together."""
    monkeypatch.setattr(parquet, limit, value)
    form = ParquetFormat()
    exported = [Conversation([Turn("user", f"{number}" * 100)], id=f"c{number}") for number in range(5)]

    head, chunks, tail = form.head(), [form.chunk(each) for each in exported], form.tail()

    read = pq.ParquetFile(io.BytesIO(head + b"".join(chunks) + tail))
    assert head == b"PAR1"
    assert [bool(chunk) for chunk in chunks] == [False, False, False, True, False]
    assert [read.metadata.row_group(number).num_rows for number in range(read.num_row_groups)] == [2, 2, 1]
    assert read.read(["id"]).column("id").to_pylist() == [f"c{number}" for number in range(5)]


def test_no_conversation_is_a_table_without_rows():
    """An export of nothing is a valid file with all columns."""
    table = pq.read_table(io.BytesIO(export(ParquetFormat())))

    assert table.num_rows == 0
    assert table.schema.field("created_at").type == pa.timestamp("us", "UTC")


@given(role=ANY_TEXT, content=ANY_TEXT, topic=TEXT)
def test_any_text_is_written(role, content, topic):
    """Any text that can be stored, in any role, comes back as it was."""
    data = export(
        ParquetFormat(), Conversation([Turn(role, content)], topic=topic, created_at=datetime(2024, 2, 29, tzinfo=UTC))
    )

    (row,) = pq.read_table(io.BytesIO(data)).to_pylist()

    assert (row["messages"][0]["role"], row["messages"][0]["content"], row["topic"]) == (role, content, topic)


def test_missing_packages_are_named(monkeypatch):
    """Without pyarrow, the format refuses with the command that installs it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(SettingsError) as refused:
        ParquetFormat()

    assert refused.value.message == (
        "Parquet needs packages that are not installed; "
        "add them with `pip install '.[parquet]'` in a checkout of Backstay"
    )
