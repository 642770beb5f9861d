"""pandas and pyarrow read what is exported. `make peers-read` tries the programs that train, too."""

import json

import pandas
import pytest
from pyarrow import parquet

from backstay import Conversation, ToolCall, Turn
from backstay.library.formats import FormatOptions, format_names, load_format
from support.data import exported

_TEXTS = ("naïve – 😀", "a\u2028b\u0085c", 'say "x",;\t', "line\nline", "0012", "null")
_TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
_CONVERSATIONS = [
    Conversation([Turn("user", text), Turn("assistant", text)], id=f"c{number}", metadata={"number": number})
    for number, text in enumerate(_TEXTS)
] + [
    Conversation(
        [
            Turn("user", "Rain?"),
            Turn("assistant", "", reasoning="hm", tool_calls=[ToolCall("c1", "weather", '{"place": "Oslo"}')]),
            Turn("tool", "rain", tool_call_id="c1", name="weather"),
            Turn("assistant", "Yes.", metadata={"weight": 1}),
        ],
        id="tools",
        tools=[_TOOL],
    )
]


@pytest.fixture
def export(tmp_path):
    """Return a function that writes a format and returns the file."""

    def export(name, conversations=_CONVERSATIONS, **options):
        form = load_format(name)(FormatOptions(**options))
        path = tmp_path / f"export.{form.suffix}"
        path.write_bytes(exported.export(form, *conversations))
        return path

    return export


@pytest.mark.parametrize("name", [name for name in format_names() if name not in {"csv", "parquet", "trl-preference"}])
def test_pandas_reads_json_lines(export, name):
    """Pandas reads the rows of every format with JSON lines as they are."""
    path = export(name, _CONVERSATIONS[:-1])

    frame = pandas.read_json(path, lines=True, dtype=False)

    written = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert json.loads(frame.to_json(orient="records")) == json.loads(
        pandas.DataFrame(written).to_json(orient="records")
    )
    assert len(frame) == len(_CONVERSATIONS) - 1


def test_pandas_reads_csv(export):
    """Pandas reads a row for each turn, with its text; a control character is an escape."""
    frame = pandas.read_csv(export("csv", excel=True), keep_default_na=False)

    texts = [turn.content for each in _CONVERSATIONS for turn in each.turns]
    assert list(frame["content"]) == [text.replace("\x85", "\\x85") for text in texts]
    assert list(frame["conversation_id"])[:2] == ["c0", "c0"]


@pytest.mark.parametrize("turn_fields", [True, False])
def test_pyarrow_and_pandas_read_parquet(export, turn_fields):
    """Pyarrow and pandas read the same messages from Parquet; tools and metadata are JSON text."""
    conversations = _CONVERSATIONS if turn_fields else _CONVERSATIONS[:-1]
    path = export("parquet", conversations, turn_fields=turn_fields)

    rows = parquet.read_table(path).to_pylist()
    frame = pandas.read_parquet(path)

    expected = [[(turn.role, turn.content) for turn in each.turns] for each in conversations]
    assert [[(each["role"], each["content"]) for each in row["messages"]] for row in rows] == expected
    assert [[(each["role"], each["content"]) for each in messages] for messages in frame["messages"]] == expected
    assert [json.loads(row["metadata"] or "{}") for row in rows] == [each.metadata for each in conversations]
    if turn_fields:
        message = rows[-1]["messages"][1]
        assert message["tool_calls"] == [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"place": "Oslo"}'}}
        ]
        assert (message["reasoning_content"], rows[-1]["messages"][3]["weight"]) == ("hm", 1)
        assert json.loads(rows[-1]["tools"]) == [_TOOL]
