"""The export formats of conversations."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from backstay.errors import SettingsError
from backstay.library.choices import DEFAULT_FORMAT, ExportFormat
from backstay.library.conversation import Conversation
from backstay.library.exports.file_name import encoded
from backstay.library.exports.request import ExportRequest
from backstay.library.formats import FormatOptions, load_format
from backstay.library.formats.csv import CsvFormat
from backstay.library.formats.messages import MessagesFormat
from backstay.library.formats.native import NativeFormat
from backstay.library.formats.sharegpt import ShareGPTFormat
from backstay.library.turn import Turn
from support.data.exported import export

_CONVERSATION = Conversation(
    [
        Turn("system", "Be brief."),
        Turn("user", 'What is "tea",\r\nreally? é😀'),
        Turn("assistant", "A leaf\nin water.", id="t3", metadata={"model": "m"}),
        Turn("tool", "{}"),
    ],
    id="c1",
    topic="tea",
    persona=None,
    metadata={"k": [1, 2.5, None]},
    created_at=datetime(2024, 2, 29, tzinfo=UTC),
)
_PAIR = [
    replace(_CONVERSATION, metadata={"preference": side, "preference_pair": "p1"}) for side in ("chosen", "rejected")
]


def _lines(text):
    assert text.endswith(b"\n")
    return [orjson.loads(line) for line in text.splitlines()]


def test_messages_are_what_fine_tuning_takes():
    """The `messages` format has the role and content of each turn, nothing else, and one conversation per line."""
    first, second = _lines(export(MessagesFormat(), _CONVERSATION, _CONVERSATION))

    assert first == second
    assert first == {"messages": [{"role": turn.role, "content": turn.content} for turn in _CONVERSATION.turns]}


def test_sharegpt_names_the_speakers():
    """The ShareGPT format has the names of its speakers, and the system message next to the conversation."""
    (only,) = _lines(export(ShareGPTFormat(), _CONVERSATION))

    system, *turns = _CONVERSATION.turns
    assert (only["id"], only["system"]) == ("c1", system.content)
    assert [turn["from"] for turn in only["conversations"]] == ["human", "gpt", "observation"]
    assert [turn["value"] for turn in only["conversations"]] == [turn.content for turn in turns]


def test_native_loses_nothing():
    """A line of the native format, read back, is the whole conversation."""
    (only,) = _lines(export(NativeFormat(), _CONVERSATION))

    assert only == {**_CONVERSATION.to_dict(), "review": None}
    assert _restored(only) == _CONVERSATION


def _restored(native):
    turns = [
        Turn(turn["role"], turn["content"], id=turn["id"], metadata=turn["metadata"] or None)
        for turn in native["conversation_turns"]
    ]
    known = {name: native[name] for name in ("id", "topic", "persona", "content", "metadata", "job_id", "item_id")}
    return Conversation(turns, **known, created_at=datetime.fromisoformat(native["created_at"]))


def test_csv_has_a_row_a_turn():
    """A CSV reader gets a row per turn with every cell unchanged, including line breaks and quotes."""
    rows = list(csv.reader(io.StringIO(export(CsvFormat(), _CONVERSATION).decode(), newline="")))

    assert rows[0] == ["conversation_id", "topic", "persona", "sequence", "role", "content"]
    assert rows[1] == ["c1", "tea", "", "1", "system", "Be brief."]
    assert [row[5] for row in rows[1:]] == [turn.content for turn in _CONVERSATION.turns]
    assert [row[3] for row in rows[1:]] == ["1", "2", "3", "4"]


def test_csv_lines_end_as_the_standard_has_them():
    """The lines of CSV end with CRLF, as RFC 4180 requires."""
    text = export(CsvFormat(), Conversation([Turn("user", "a"), Turn("assistant", "b")], id="c"))

    assert text == b"conversation_id,topic,persona,sequence,role,content\r\nc,,,1,user,a\r\nc,,,2,assistant,b\r\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
@pytest.mark.parametrize("column", ["id", "topic", "persona", "role", "content"])
def test_formula_is_made_text(start, column):
    """A cell that a spreadsheet would run as a formula is prefixed with an apostrophe."""
    bad = f"{start}HYPERLINK(1)"
    turn = Turn("user", "x")
    if column in ("role", "content"):
        exported = Conversation([replace(turn, **{column: bad})])
    else:
        exported = Conversation([turn], **{column: bad})

    rows = list(csv.reader(io.StringIO(export(CsvFormat(), exported).decode(), newline="")))

    assert f"'{bad}" in rows[1]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in rows[1])


def test_control_characters_are_written_out():
    """Control characters are written as escapes; tabs and line breaks stay."""
    turns = [Turn("user", "a\x1b[2Jb\x00\x9b\x7f"), Turn("assistant", "one\ttwo\r\nthree")]

    written = CsvFormat().chunk(Conversation(turns=turns, id="c", topic="\x07=1")).decode()
    rows = list(csv.reader(io.StringIO(written, newline="")))

    assert [row[5] for row in rows] == ["a\\x1b[2Jb\\x00\\x9b\\x7f", "one\ttwo\r\nthree"]
    assert rows[0][1] == "\\x07=1"
    assert not set(written) & {
        *map(chr, range(9)),
        "\x0b",
        "\x0c",
        *map(chr, range(14, 32)),
        *map(chr, range(127, 160)),
    }


def test_csv_for_excel_begins_with_a_byte_order_mark():
    """CSV for Excel begins with the mark by which Excel recognizes UTF-8; other CSV has none."""
    plain, marked = (CsvFormat(FormatOptions(excel=excel)).head() for excel in (False, True))

    assert marked == b"\xef\xbb\xbf" + plain
    assert plain.startswith(b"conversation_id,")


def test_csv_notes_cells_that_excel_cuts():
    """Texts that are too long for a cell of Excel are written whole, and counted."""
    turns = [Turn("user", "x" * length) for length in (32_767, 32_768, 40_000)]
    form = CsvFormat()

    notes = [form.notes()]
    for turn in turns:
        written = form.chunk(Conversation([turn]))
        assert turn.content.encode() in written
        notes.append(form.notes())

    several = "2 cells are longer than 32,767 characters, the most that Excel shows."
    assert notes[:2] == [[], []]
    assert notes[2:] == [["1 cell is longer than 32,767 characters, the most that Excel shows."], [several]]


def test_csv_notes_cells_that_it_changes():
    """Cells that a spreadsheet would run as a formula are changed, and counted."""
    form = CsvFormat()

    form.chunk(Conversation([Turn("user", "- Milk"), Turn("assistant", "Yes.\x07"), Turn("user", "1 - 1")]))

    assert form.notes() == [
        "2 cells were changed: ' was put before text that a spreadsheet would run as a formula, and control "
        "characters were escaped."
    ]


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        (
            "messages",
            "excel",
            "The option for Excel has no effect in this format (OpenAI messages (JSONL)); leave it out",
        ),
        ("csv", "metadata", "The option for metadata has no effect in this format (CSV, a row per turn); leave it out"),
        (
            "parquet",
            "parsed_arguments",
            "The option for parsed arguments has no effect in this format (Parquet); leave it out",
        ),
    ],
)
def test_options_that_would_change_nothing_are_refused(name, option, message):
    """An option without effect on a format is refused instead of being ignored."""
    with pytest.raises(SettingsError) as raised:
        load_format(name)(FormatOptions(**{option: True}))

    assert raised.value.message == message


@pytest.mark.parametrize("name", ExportFormat)
def test_every_format_goes_by_its_name(name):
    """Each format is registered under the name of its module, which the export command uses."""
    assert load_format(name).__module__.rpartition(".")[2] == name.replace("-", "_")


def test_the_default_format_comes_first():
    """The default format is `messages`, and comes before all others."""
    assert next(iter(ExportFormat)) is DEFAULT_FORMAT is ExportFormat("messages")


@pytest.mark.parametrize("name", [name for name in ExportFormat if name != "parquet"])
@pytest.mark.parametrize("conversations", [[], _PAIR], ids=["none", "two"])
def test_an_export_consists_of_whole_lines(name, conversations):
    """An export of no conversation is empty or a head of whole lines, and each conversation ends its last line."""
    head, file = load_format(name)().head(), export(load_format(name)(), *conversations)

    assert file.endswith(b"\n") or file == head == b""
    assert len(file) > len(head) or not conversations


@pytest.mark.parametrize(("blocks", "array"), [([], []), ([b'{"a":1}\n', b"", b'{"a":2}\n{"a":3}\n'], [1, 2, 3])])
def test_lines_become_one_array(blocks, array):
    """Lines that are written in blocks, or none at all, are one valid array in a file named like JSON."""
    file = io.BytesIO()
    stream = encoded(file, Path("all.json"), "jsonl")

    for block in blocks:
        stream.write(block)
    stream.close()

    assert [row["a"] for row in orjson.loads(file.getvalue())] == array


# -- added fields ----------------------------------------------------------------------------------

_GENERATED = replace(
    _CONVERSATION,
    turns=[*_CONVERSATION.turns[1:2], Turn("assistant", "A leaf.")],
    item_id="i1",
    metadata={"parameters": {"level": 3}, "generation": {"model": "m", "attempt": 1, "tokens_in": 7, "tokens_out": 5}},
)
_WITH = FormatOptions(with_fields=("id", "parameters", "usage"))
_ADDED = {"id": "c1", "parameters": {"level": 3}, "usage": {"tokens_in": 7, "tokens_out": 5}}


@pytest.mark.parametrize("name", ["messages", "anthropic", "sharegpt", "chatml", "alpaca", "prompt-completion"])
def test_fields_are_added_to_lines(name):
    """Each JSON format adds the named fields to its lines; by default it has none of them, except ShareGPT its id."""
    (plain,) = _lines(export(load_format(name)(), _GENERATED))
    (line,) = _lines(export(load_format(name)(_WITH), _GENERATED))

    assert line == {**plain, **_ADDED}
    assert not plain.keys() & {"parameters", "generation", "usage", "metadata"}


def test_an_added_field_that_is_missing_is_null():
    """Every line has the named fields, so that readers find the same columns in each."""
    (line,) = _lines(export(MessagesFormat(FormatOptions(with_fields=("usage", "persona"))), _CONVERSATION))

    assert (line["usage"], line["persona"]) == (None, None)


def test_csv_and_parquet_add_columns():
    """CSV and Parquet add a column for each field that they do not have anyway, as JSON text."""
    rows = list(csv.DictReader(io.StringIO(export(CsvFormat(_WITH), _GENERATED).decode(), newline="")))
    table = pq.read_table(io.BytesIO(export(load_format("parquet")(_WITH), _GENERATED)))

    assert [(row["conversation_id"], row["parameters"]) for row in rows] == [("c1", '{"level":3}')] * 2
    assert orjson.loads(rows[0]["usage"]) == _ADDED["usage"]
    assert "id" not in rows[0]
    (row,) = table.to_pylist()
    assert (row["id"], orjson.loads(row["parameters"])) == ("c1", {"level": 3})
    assert orjson.loads(row["usage"]) == _ADDED["usage"]
    assert orjson.loads(row["metadata"]) == _GENERATED.metadata


@pytest.mark.parametrize("name", ["native", "trl-preference"])
def test_fields_are_not_added_where_there_is_no_room(name):
    """The native format has every field already, and a row of two conversations has no room for those of one."""
    with pytest.raises(SettingsError, match="The option for added fields has no effect in this format"):
        load_format(name)(_WITH)


def test_the_origin_alone_is_not_reported_as_left_out():
    """Exports do not report metadata that only says where a conversation comes from; other metadata they do."""
    scored = replace(_GENERATED, metadata={**_GENERATED.metadata, "score": 1})

    assert "metadata" not in MessagesFormat().omitted_fields(_GENERATED)
    assert "metadata" in MessagesFormat().omitted_fields(scored)
    assert "id" not in MessagesFormat(_WITH).omitted_fields(_GENERATED)


def test_unknown_fields_are_refused():
    """An unknown field is refused with the names of those that there are, however they are given."""
    for fields in ("id, cost", ["id", "cost"]):
        with pytest.raises(
            SettingsError, match="cannot add 'cost'; it can add id, topic, persona, job_id, item_id, param"
        ):
            ExportRequest.from_choices(with_fields=fields)
    assert ExportRequest.from_choices(with_fields="id, usage,id").options.with_fields == ("id", "usage")
