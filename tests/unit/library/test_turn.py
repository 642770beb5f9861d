"""The fields of a turn that are stored as metadata."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay import Conversation, ToolCall, Turn
from backstay.errors import InvalidConversation
from backstay.library.conversation import validate
from backstay.library.turn import bare_turn

_CALL = ToolCall("c1", "weather", '{"place": "Oslo"}')
_PICTURE = {"type": "image_url", "image_url": {"url": "https://pictures.invalid/a.png"}}
_TOOL = {"type": "function", "function": {"name": "weather"}}

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2),
    max_leaves=4,
)
_CALLS = (
    st.builds(ToolCall, st.none() | _TEXTS, _TEXTS, st.text(max_size=20))
    | st.just(ToolCall("c2", "search", "not JSON", extra={"index": 0}))
    | st.builds(
        ToolCall, st.none() | _TEXTS, _TEXTS, st.text(max_size=20), extra=st.just({"type": "custom", "index": 0})
    )
)
_PARTS = st.lists(st.builds(dict, type=st.just("text"), text=_TEXTS) | st.just(_PICTURE) | _TEXTS, min_size=1)
_TURNS = st.builds(
    Turn,
    st.sampled_from(["user", "assistant", "tool"]),
    _TEXTS.filter(str.strip),
    name=st.none() | _TEXTS,
    tool_calls=st.lists(_CALLS, max_size=3).map(tuple),
    tool_call_id=st.none() | _TEXTS,
    reasoning=st.none() | _TEXTS,
    parts=st.none() | _PARTS,
    metadata=st.none() | st.dictionaries(_TEXTS.filter(lambda key: key not in Turn.__slots__), _JSON, min_size=1),
)


@given(_TURNS)
def test_fields_come_back_from_the_stored_metadata(turn):
    """A turn that is made again from its stored metadata is equal, whatever its fields hold."""
    assert Turn(turn.role, turn.content, metadata=turn.stored_metadata() or None) == turn


@pytest.mark.parametrize(
    "metadata",
    [
        {"name": ""},
        {"name": 5},
        {"tool_calls": []},
        {"tool_calls": [{"name": "weather", "arguments": {}}]},
        {"tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": "{}", "strict": True}}]},
        {"tool_calls": [{"type": "custom", "custom": {"name": "python"}}]},
        {"tool_calls": [{"type": "mcp", "mcp": {"name": "python", "input": ""}}]},
        {"tool_calls": [{"id": 7, "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
        {"parts": ["text", 5]},
        {"parts": [{"kind": "leg"}]},
        {"reasoning": {"steps": 3}},
    ],
)
def test_metadata_of_another_type_stays_metadata(metadata):
    """Metadata that a program stored under the name of a field, with another type, is left as it is."""
    turn = Turn("user", "x", metadata=metadata)

    assert turn == Turn("user", "x", metadata=dict(metadata))
    assert (turn.metadata, turn.stored_metadata(), turn.is_plain) == (metadata, metadata, True)


def test_tools_come_back_from_the_stored_metadata():
    """The tools of a conversation are stored in its metadata and taken out of it again."""
    original = Conversation([Turn("user", "x")], metadata={"a": 1}, tools=[_TOOL])

    again = Conversation([Turn("user", "x")], metadata=original.stored_metadata())

    assert again == original
    assert again.to_dict()["metadata"] == {"a": 1, "tools": [_TOOL]}


@pytest.mark.parametrize(
    "turn",
    [
        Turn("assistant", "", tool_calls=[_CALL]),
        Turn("user", "", parts=[_PICTURE]),
        Turn("assistant", "", reasoning="Hm."),
        Turn("tool", "", tool_call_id="c1"),
        Turn("tool", ""),
    ],
)
def test_turn_may_be_empty_where_something_stands_in_place_of_the_text(turn):
    """Tool calls, parts and reasoning may stand in place of the text, and a tool may return nothing."""
    validate(Conversation([turn]))


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        (Turn("assistant", " "), "turn 1 is empty"),
        (Turn("user", "", name="Ann"), "turn 1 is empty"),
        (Turn("user", "x", name=5), "name of turn 1 must be text"),
        (Turn("user", "x", reasoning=["Hm."]), "reasoning of turn 1 must be text"),
        (Turn("user", "x", tool_calls={"a": 1}), "tool_calls and parts of turn 1 must be lists"),
        (Turn("user", "x", parts="x"), "tool_calls and parts of turn 1 must be lists"),
        (
            Turn("assistant", "x", tool_calls=[_CALL.to_dict()]),
            "a tool call of turn 1 must be a backstay.ToolCall with a name and arguments, both text",
        ),
        (
            Turn("assistant", "x", tool_calls=[ToolCall("c1", "weather", {"place": "Oslo"})]),
            "a tool call of turn 1 must be a backstay.ToolCall with a name and arguments, both text",
        ),
        (
            Turn("user", "x", name="Ann", metadata={"name": "Bob"}),
            "turn 1 has name both as a field and in its metadata",
        ),
        (
            Turn("user", "x", reasoning="\ud800"),
            "the metadata of turn 1 with its other fields cannot be stored as JSON: "
            "str is not valid UTF-8: surrogates not allowed",
        ),
    ],
)
def test_wrong_field_is_refused(turn, message):
    """A field with a value that cannot be stored is refused, with its turn and name."""
    with pytest.raises(InvalidConversation) as refused:
        validate(Conversation([turn]))

    assert refused.value.message == message


@pytest.mark.parametrize(
    ("tools", "metadata", "message"),
    [
        (["weather"], {}, "the tools of the conversation must be mappings"),
        ([_TOOL], {"tools": "none"}, "the conversation has tools both as a field and in its metadata"),
        (
            [{"a": float("nan")}],
            {},
            "the metadata with the tools cannot be stored as JSON: "
            "a number that is not finite (NaN or Infinity) cannot be stored as JSON",
        ),
    ],
)
def test_wrong_tools_are_refused(tools, metadata, message):
    """Tools that cannot be stored are refused."""
    with pytest.raises(InvalidConversation) as refused:
        validate(Conversation([Turn("user", "x")], metadata=metadata, tools=tools))

    assert refused.value.message == message


def test_parts_are_current_while_their_text_is_the_content():
    """Parts whose text differs from the content are out of date: the content was edited after they were stored."""
    parts = [{"type": "text", "text": "What is "}, _PICTURE, "this?"]

    assert Turn("user", "What is this?", parts=parts).current_parts == parts
    assert Turn("user", "What is that?", parts=parts).current_parts is None
    assert Turn("assistant", "No.", parts=[{"type": "refusal", "refusal": "No."}]).current_parts is not None


@pytest.mark.parametrize("turn_id", [None, "t1"])
def test_bare_turn_is_one_that_the_constructor_makes(turn_id):
    """A turn that is made without the constructor is equal to one that is made with it, and has each field."""
    assert bare_turn("user", "Hi", turn_id) == Turn("user", "Hi", id=turn_id)
