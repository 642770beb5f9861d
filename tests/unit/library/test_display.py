"""Tool calls, tools and parts as texts for people."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.library.display import format_part, format_value, indent_json, name_of_tool, shown_parts
from backstay.library.turn import ToolCall, Turn, part_type

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=8,
)


def test_json_is_indented() -> None:
    """Each entry of an object or a list is on its own line, and texts and numbers are as the model wrote them."""
    arguments = '{"city":"Paris, {x}","days":[1,2.50],"none":{ },"a":{}, "say": "\\u00e9 \\"q\\""}'

    assert indent_json(arguments).splitlines() == [
        "{",
        '  "city": "Paris, {x}",',
        '  "days": [',
        "    1,",
        "    2.50",
        "  ],",
        '  "none": {},',
        '  "a": {},',
        '  "say": "\\u00e9 \\"q\\""',
        "}",
    ]


@pytest.mark.parametrize(
    "text", ["", "Paris", '"a": 1', '{"city": "Par', "1", '"a  b"', "[" * 5_000, "{" + " " * 200_000 + "}"]
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    """A text that is no JSON object or list, or a long one, is returned as it is."""
    assert indent_json(text) == text


def test_deep_json_stays_small() -> None:
    """The indentation of deeply nested JSON is bounded."""
    text = "[" * 500 + ",".join("1" * 40_000) + "]" * 500

    assert len(indent_json(text)) < 50 * len(text)


@given(_JSON)
def test_only_white_space_changes(value: Any) -> None:
    """Indented JSON has the same value, and the same characters outside of white space."""
    text = json.dumps(value)

    assert json.loads(indent_json(text)) == value
    assert "".join(indent_json(text).split()) == "".join(text.split())


def test_a_duplicate_key_is_shown() -> None:
    """Both values of a duplicate key in the arguments of a call are shown."""
    assert indent_json('{"a":1,"a":2}') == '{\n  "a": 1,\n  "a": 2\n}'


@pytest.mark.parametrize(
    ("part", "kind", "text"),
    [
        ("Hello", "text", "Hello"),
        ({"type": "text", "text": "Hello"}, "text", "Hello"),
        ({"type": "input_text", "text": "Hello"}, "input_text", "Hello"),
        ({"type": "refusal", "refusal": "No."}, "refusal", "No."),
        ({"type": "audio", "audio": {"id": "a1", "data": "A" * 400, "transcript": "Yes."}}, "audio", "Yes."),
        ({"type": "audio", "audio": {"id": "a1"}}, "audio", "a1"),
        ({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}, "image_url", "https://a.example/b.png"),
        ({"type": "input_image", "image_url": "https://a.example/b"}, "input_image", "https://a.example/b"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file", "file-1"),
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 4000}", "detail": "low"}},
            "image_url",
            '{\n  "url": "data:image/png;base64,… (about 3,000 bytes)",\n  "detail": "low"\n}',
        ),
        ({"type": "image_url", "image_url": {"url": "DATA:,a%20b"}}, "image_url", "DATA:,… (5 characters)"),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "B" * 400}},
            "image",
            '{\n  "type": "base64",\n  "media_type": "image/png",\n  "data": "'
            'BBBBBBBBBBBBBBBBBBBB… (about 300 bytes)"\n}',
        ),
        ({"type": "text"}, "text", "{}"),
        (3, "unknown", "3"),
        ({"no": "type"}, "unknown", "type"),
    ],
)  # fmt: skip
def test_parts_are_texts(part: Any, kind: str, text: str) -> None:
    """A part is shown as its type, and as its text, its address or its fields, without embedded data."""
    assert (part_type(part), format_part(part)) == (kind, text)


@given(st.dictionaries(st.text() | st.just("type"), _JSON, max_size=3) | st.text())
def test_any_part_is_a_text(part: Any) -> None:
    """Every part has a type and a text."""
    assert isinstance(format_part(part), str)
    assert isinstance(part_type(part), str)


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ({"type": "function", "function": {"name": "get_weather"}}, "get_weather"),
        ({"name": "get_weather", "input_schema": {}}, "get_weather"),
        ({"type": "web_search"}, "web_search"),
        ({"function": "x"}, "unnamed"),
        ({}, "unnamed"),
    ],
)
def test_tools_have_names(tool: dict[str, Any], name: str) -> None:
    """A tool is named as its provider names it, or else by its type."""
    assert name_of_tool(tool) == name


def test_values_are_indented() -> None:
    """A value is formatted as indented JSON, with its letters as they are."""
    assert format_value({"é": [1]}) == '{\n  "é": [\n    1\n  ]\n}'


def test_parts_that_repeat_fields_are_not_shown_twice() -> None:
    """Blocks of reasoning and calls are shown as such only; without the fields that they repeat, they are parts."""
    text = {"type": "text", "text": "Yes."}
    parts = [{"type": "thinking", "thinking": "Hm."}, text, {"type": "tool_use", "id": "c1", "name": "w", "input": {}}]

    turn = Turn("assistant", "Yes.", reasoning="Hm.", tool_calls=[ToolCall("c1", "w", "{}")], parts=parts)

    assert shown_parts(turn) == [text]
    assert shown_parts(Turn("assistant", "Yes.", parts=parts)) == parts
    assert shown_parts(Turn("user", "x")) == []
