"""The shapes of imported rows."""

import json
from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay import Conversation, ToolCall, Turn
from backstay.errors import InvalidRow
from backstay.library.imports.imported_conversation import ImportedConversation, to_document
from backstay.library.imports.shape import all_shapes
from backstay.library.imports.shapes import read_row
from backstay.library.imports.speaker import CALLERS, ROLES
from backstay.readers.input_errors import InputErrors
from backstay.readers.row import InputRow
from support.data.imported_shapes import EXAMPLES

_ERRORS = InputErrors("in.jsonl")
_CALL = ToolCall("c1", "weather", "{}")
_MESSAGES = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
_PLAIN = [Turn("user", "Q"), Turn("assistant", "A")]


def _documents(row, **options):
    values = row if isinstance(row, dict) else {"messages": row}
    documents = read_row(InputRow(1, values), _ERRORS, **options)
    return [to_document(ImportedConversation(1, document), (), (), _ERRORS) for document in documents]


def _conversations(row, **options):
    """Return the conversations of a row as they are read back from the library."""
    return [_stored(document) for document in _documents(row, **options)]


def _stored(document):
    turns = [
        Turn(turn["role"], turn["content"], id=turn["id"], metadata=turn["metadata"] or None)
        for turn in document["conversation_turns"]
    ]
    texts = {name: document[name] for name in ("id", "topic", "persona", "content", "job_id", "item_id", "metadata")}
    created_at = document["created_at"] and datetime.fromisoformat(document["created_at"])
    return Conversation(turns, created_at=created_at, **texts)


def _turns(row, **options):
    (only,) = _conversations(row, **options)
    return list(only.turns)


def _refusal(row):
    with pytest.raises(InvalidRow) as caught:
        _documents(row)
    assert caught.value.message.startswith("in.jsonl line 1: ")
    return caught.value.message.removeprefix("in.jsonl line 1: ")


def _comparable(conversation):
    return {**conversation.to_dict(), "turns": [turn.stored_metadata() for turn in conversation.turns]}


def test_a_uuid_is_the_id_of_a_row_without_an_id():
    """A `uuid` in the usual form is the id of a row without an `id`; any other `uuid` is metadata."""
    uuid = "0f9619ff-8b86-d011-b42d-00cf4fc964ff"

    (taken,) = _conversations({"uuid": uuid, "messages": _MESSAGES})
    (chosen, _) = _conversations({"uuid": uuid, "prompt": "Q", "chosen": "A", "rejected": "B"})
    (with_id,) = _conversations({"id": "x", "uuid": uuid, "messages": _MESSAGES})
    (other,) = _conversations({"uuid": "user 7", "messages": _MESSAGES})

    assert (taken.id, taken.metadata) == (uuid, {})
    assert (chosen.id, chosen.metadata["preference_pair"]) == (f"{uuid}-chosen", uuid)
    assert (with_id.id, with_id.metadata) == ("x", {"uuid": uuid})
    assert (other.id, other.metadata) == (None, {"uuid": "user 7"})


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_row_of_a_public_shape_is_read_whole(example):
    """A row in the shape of a public data set becomes exactly the expected conversations."""
    read = _conversations(json.loads(json.dumps(example.row)))

    assert [_comparable(entry) for entry in read] == [_comparable(entry) for entry in example.conversations]
    assert [tuple(entry.turns) for entry in read] == [tuple(entry.turns) for entry in example.conversations]


@pytest.mark.parametrize("shape", all_shapes(), ids=lambda shape: type(shape).__name__)
def test_each_shape_has_an_example(shape):
    """Each shape is found in at least one example."""
    rows = [example.row if isinstance(example.row, dict) else {"messages": example.row} for example in EXAMPLES]

    assert any(shape.find(row) for row in rows)


# -- nothing is lost -------------------------------------------------------------------------------

_LEAVES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
) | st.integers(-(2**53), 2**53)
_VALUES = st.recursive(
    _LEAVES | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
_EXTRAS = st.dictionaries(st.text("xyz_", min_size=2, max_size=6).map("extra_{}".format), _VALUES, max_size=3)
_TURN_LISTS = ("messages", "conversations", "conversation", "items", "turns", "trajectory", "history")


@given(st.sampled_from(EXAMPLES), _EXTRAS, st.lists(_EXTRAS, min_size=6, max_size=6))
def test_every_value_of_a_row_is_in_what_is_stored(example, extras, turn_extras):
    """Each text and number of a row, whatever else stands in it, is found again in the stored conversation."""
    row = json.loads(json.dumps(example.row if isinstance(example.row, dict) else {"messages": example.row}))
    row |= extras
    for key in _TURN_LISTS:
        turns = row.get(key)
        for turn, others in zip(turns if isinstance(turns, list) else (), turn_extras, strict=False):
            if isinstance(turn, dict):
                turn.update(others)

    stored = [leaf for document in _documents(row) for leaf in _leaves(document)]

    assert {name: _leaf_is_in(leaf, stored) for name, leaf in _own_leaves(row)} == {
        name: True for name, _ in _own_leaves(row)
    }


def _leaves(value):
    """Yield the texts, numbers and booleans in a value, and of JSON texts in it."""
    for entry in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _leaves(entry)
    if isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(ValueError):
            yield from _leaves(json.loads(value))
    if not isinstance(value, dict | list) and value is not None:
        yield value


def _own_leaves(row):
    """Yield the values of a row, each with a name; those that say how to read others are left out."""
    structural = {*ROLES, *CALLERS, "function", "text", "thinking", "tool_use", "tool_result"}
    for number, leaf in enumerate(
        _leaves({key: value for key, value in row.items() if key not in ("mapping", "current_node")})
    ):
        is_structural = isinstance(leaf, str) and (leaf.strip().lower() in structural or leaf[:1] in ("{", "["))
        if not is_structural and leaf != "" and not (isinstance(leaf, str) and ("<" in leaf or "\n\n" in leaf)):
            yield number, leaf


def _leaf_is_in(leaf, stored):
    if isinstance(leaf, str):
        return any(leaf in other for other in stored if isinstance(other, str))
    return (
        any(leaf == other and type(leaf) is type(other) for other in stored)
        or str(leaf) in stored
        or leaf == 1700000000
    )


def test_the_search_for_lost_values_finds_one():
    """The comparison of the test above fails for a row that lost a value."""
    (document,) = _documents({"messages": _MESSAGES, "extra": {"deep": ["lost"]}})
    del document["metadata"]["extra"]

    assert not _leaf_is_in("lost", list(_leaves(document)))


@pytest.mark.parametrize(
    "row",
    [
        {"topic": 5, "metadata": {"topic": 6}, "messages": _MESSAGES},
        {"messages": [{**_MESSAGES[0], "name": "ann", "metadata": {"name": "bob"}}]},
        {"messages": [{**_MESSAGES[0], "reasoning_content": "a", "metadata": {"reasoning": "b"}}]},
        {"tools": [{"type": "function"}], "metadata": {"tools": []}, "messages": _MESSAGES},
    ],
)
def test_two_values_for_one_key_are_refused(row):
    """A value that would replace another one of the metadata is refused by its key."""
    assert "both as a key and in its metadata, with different values; rename one" in _refusal(row)


def test_instance_that_replaces_a_value_of_its_task_is_refused():
    """A task of Self-Instruct and its instances share keys only with the same value."""
    task = {"id": "t", "topic": "tea", "metadata": {"x": 1}, "instruction": "Q"}
    instance = {"input": "", "output": "A", "topic": "tea"}

    assert _conversations({**task, "instances": [instance]})[0].topic == "tea"
    for key, value in {"topic": "salt", "id": "i", "metadata": {"x": True}}.items():
        assert _refusal({**task, "instances": [instance, {**instance, key: value}]}) == (
            f"the task and its instance 2 have different values for {key!r}; rename one"
        )


# -- which shape -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["messages", "conversations", "conversation", "turns", "items", "dialog", "dialogue", "chat"]
)
@pytest.mark.parametrize(
    "names", [("role", "content"), ("from", "value"), ("from", "content"), ("speaker", "utterance")], ids="/".join
)
def test_turns_are_read_under_any_key(key, names):
    """A list of turns is read under each usual key, with each pair of names in its turns."""
    turns = [dict(zip(names, pair, strict=True)) for pair in (("user", "Q"), ("assistant", "A"))]

    assert _turns({key: turns}) == _PLAIN


@pytest.mark.parametrize("absent", [None, [], ""])
def test_key_without_turns_counts_as_absent(absent):
    """A key for turns that holds null or nothing is no second list of turns."""
    (only,) = _conversations({"messages": absent, "conversations": _MESSAGES, "system": absent, "tools": absent})

    assert (list(only.turns), only.metadata) == (_PLAIN, {})


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ({"messages": _MESSAGES, "conversations": _MESSAGES[:1]}, "'messages' and 'conversations'"),
        ({"chat": _MESSAGES, "contents": [{"parts": [{"text": "Q"}]}]}, "'contents' and 'chat'"),
        ({"prompt": "Q", "completion": "A", "response": "B"}, "'prompt and completion' and 'prompt and response'"),
        (
            {"question": "Q", "answer": "A", "instruction": "Q", "output": "A"},
            "'instruction and output' and 'question and",
        ),
        ({"chosen": "A", "rejected": "B", "prompt": "Q", "question": "P"}, "'prompt' and 'question'"),
    ],
)
def test_two_conversations_in_a_row_are_refused(row, names):
    """A row with two lists of turns, or two questions with answers, is refused by the names of both."""
    refusal = _refusal(row)

    assert refusal.startswith(f"both {names}")
    assert refusal.endswith("keep one of them")


def test_copy_of_the_turns_is_no_second_conversation():
    """The same list under two keys is read once."""
    (only,) = _conversations({"messages": _MESSAGES, "conversations": _MESSAGES})

    assert (list(only.turns), only.metadata) == (_PLAIN, {})


@pytest.mark.parametrize(
    "others",
    [
        {"prompt": "Q"},
        {"prompt": "Q", "completion": "Other"},
        {"text": "<|im_start|>user\nQ<|im_end|>"},
        {"instruction": "Q", "output": "Other"},
        {"history": "text", "items": 3, "chat": "text"},
        {"items": [{"sku": 5}]},
        {"input": "Q", "output": "Other"},
    ],
)
def test_list_of_turns_precedes_texts(others):
    """Texts next to a list of turns are metadata."""
    (only,) = _conversations({"messages": _MESSAGES, **others})

    assert (list(only.turns), only.metadata) == (_PLAIN, others)


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"instruction": "Do", "input": "Q", "output": "A"}, "Do\nQ"),
        ({"question": "Q", "answer": "A", "input": "x", "output": "y"}, "Q"),
        ({"input": "Q", "output": "A", "instruction": None}, "Q"),
    ],
)
def test_input_is_the_question_where_there_is_no_other(row, question):
    """An `input` with an `output` is a question only without an instruction or another question."""
    assert _turns(row) == [Turn("user", question), Turn("assistant", "A")]


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "Q2", "output": "A2"},
        {"query": "Q2", "response": "A2"},
        {"prompt": [{"role": "user", "content": "Q2"}], "completion": "A2"},
        {"prompt": "Q2", "chosen": "A2", "rejected": "B2"},
        {"instruction": "Q2", "chosen": "A2", "rejected": "B2"},
    ],
)
@pytest.mark.parametrize(
    "history",
    [[["Q", "A"]], '[["Q", "A"]]', _MESSAGES],
    ids=["pairs", "JSON text", "messages"],
)
def test_history_precedes_the_question(row, history):
    """The pairs or messages under `history` are the turns before a question and its answer."""
    conversation = _conversations({**row, "history": history})[0]

    assert [turn.content for turn in conversation.turns] == ["Q", "A", "Q2", "A2"]
    assert "history" not in conversation.metadata


@pytest.mark.parametrize("row", [{"instruction": "Q", "output": "A"}, {"query": "Q", "response": "A"}])
def test_other_history_is_refused_or_metadata(row):
    """A list that is no history is refused by its key; a text describes the conversation."""
    expected = "'history' must be a list of messages, or of pairs of a question and its answer"
    assert _refusal({**row, "history": ["Q", "A"]}) == expected
    assert _refusal({**row, "history": [["Q", "A", "B"]]}) == expected
    assert _conversations({**row, "history": "asthma"})[0].metadata == {"history": "asthma"}


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"input": 5}, "input"),
        ({"input": True}, "input"),
        ({"input": ["a"]}, "input"),
        ({"context": {"a": 1}}, "context"),
    ],
)
def test_input_that_is_no_text_is_refused(values, key):
    """What is part of the question is never left out of it."""
    row = {"instruction": "Double it.", "output": "10", **values}

    assert _refusal(row) == f"{key!r} must be text, since it is part of the question"


@pytest.mark.parametrize("absent", [{}, {"input": None}, {"input": []}, {"context": None}, {"context": ""}])
def test_input_without_a_value_counts_as_absent(absent):
    """An instruction without an input is the question."""
    assert _turns({"instruction": "Q", "output": "A", **absent}) == _PLAIN


@pytest.mark.parametrize("system", ["Be brief.", {"parts": [{"text": "Be brief."}]}])
@pytest.mark.parametrize("key", ["systemInstruction", "system_instruction"])
def test_system_instruction_of_gemini_is_the_first_turn(key, system):
    """The system instruction may be text or have parts."""
    row = {key: system, "contents": [{"role": "user", "parts": [{"text": "Q"}]}]}

    assert [(turn.role, turn.content) for turn in _turns(row)] == [("system", "Be brief."), ("user", "Q")]


def test_row_without_a_shape_is_refused_by_its_keys():
    """The error names at most six keys of the row, in 40 characters each, and what is expected, never a value."""
    row = {"k" * 50: 1} | {f"key{number}": "secret" for number in range(12)}

    refusal = _refusal(row)

    assert refusal == (
        f"no conversation in the keys '{'k' * 40}', 'key0', 'key1', 'key2', 'key3', 'key4', …; "
        "expected a list of messages, or texts such as prompt and completion"
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": 1, "prompt": "Q"}, "prompt and completion (or question and answer)"),
        ({"instruction": "Q"}, "instruction and output (Alpaca)"),
        ({"text": "Q", "chosen": "A"}, "text with <|im_start|> (ChatML) or chosen and rejected (preferences)"),
        ({"messages": "Q"}, "a list of messages with role and content"),
    ],
)
def test_row_with_a_key_of_a_shape_is_refused_with_that_shape(row, expected):
    """The error about a row with only some keys of a shape names what that shape needs."""
    assert _refusal(row).endswith(f"; expected {expected}")


@pytest.mark.parametrize(
    ("row", "id_", "topic"),
    [
        ({"ID": "c1", " Topic ": "tea", "messages": _MESSAGES}, "c1", "tea"),
        ({"Id": 7, "TOPIC": "tea", "Question": "Q", "Answer": "A"}, "7", "tea"),
        ({"Instruction": "Q", "input": "", "Output": "A"}, None, None),
        ({"Messages": json.dumps(_MESSAGES)}, None, None),
    ],
)
def test_keys_are_found_without_regard_to_case(row, id_, topic):
    """The id, the topic and, in a row that has no shape otherwise, the keys of shapes may be written in any case."""
    (only,) = _conversations(row)

    assert (list(only.turns), only.id, only.topic, only.metadata) == (_PLAIN, id_, topic, {})


@pytest.mark.parametrize(
    ("others", "id_"),
    [({"id": "a", "ID": "b"}, "a"), ({"Id": "a", "ID": "b"}, None), ({"Output": "x", "Prompt": "y"}, None)],
)
def test_keys_in_another_case_stay_metadata(others, id_):
    """A key in another case is no name of a column if another one has it too, or if the row has its shape anyway."""
    (only,) = _conversations({"messages": _MESSAGES, **others})

    assert only.id == id_
    assert only.metadata == {key: value for key, value in others.items() if key != "id"}


def test_single_message_is_no_conversation():
    """A row that is one message is refused with what a row must be."""
    assert _refusal(_MESSAGES[0]) == "a single message; a row must be a whole conversation, with a list of its messages"


# -- speakers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("speaker", "role"),
    [
        ("human", "user"), ("Human", "user"), ("USER", "user"), ("prompter", "user"),
        ("gpt", "assistant"), ("GPT", "assistant"), (" chatgpt ", "assistant"), ("bing", "assistant"),
        ("bard", "assistant"), ("model", "assistant"), ("ai", "assistant"), ("bot", "assistant"),
        ("function_call", "assistant"), ("system", "system"), ("developer", "developer"),
        ("tool", "tool"), ("function", "tool"), ("observation", "tool"), ("function_response", "tool"),
    ],
)  # fmt: skip
def test_speakers_become_roles(speaker, role):
    """Each usual name of a speaker, in any case and with space around it, becomes a role."""
    assert _turns({"conversations": [{"from": speaker, "value": "Hello"}]})[0].role == role
    assert _turns({"messages": [{"role": speaker, "content": "Hello"}]})[0].role == role


@pytest.mark.parametrize("row", [{"messages": [{"role": "Narrator" * 9, "content": "secret"}]}])
def test_unknown_speaker_is_refused(row):
    """The error about an unknown speaker names the turn, the start of the name, and the roles to rename it to."""
    assert _refusal(row) == (
        f"turn 1 has the unknown speaker '{('Narrator' * 9)[:40]}'; "
        "rename it to user, assistant, system, developer or tool"
    )


@pytest.mark.parametrize("names", [("role", "content"), ("from", "value"), ("speaker", "utterance")], ids="/".join)
@pytest.mark.parametrize("speaker", ["user", "assistant", "system", "developer", "tool"])
def test_renamed_speaker_is_read(names, speaker):
    """Each role that the error about an unknown speaker offers is read, under all keys of a turn."""
    turns = _turns({"conversations": [dict(zip(names, (speaker, "Q"), strict=True)), {names[0]: "gpt", names[1]: "A"}]})

    assert turns[0] == Turn(speaker, "Q")


def test_native_rows_have_any_role():
    """In the native shape a role may be any text, and is kept as it is."""
    assert _turns({"conversation_turns": [{"role": "Narrator", "content": "Q"}]}) == [Turn("Narrator", "Q")]


# -- ids -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [7, 7.0, "7"])
def test_whole_number_is_an_id(value):
    """A whole number, also as the float that pandas makes of it, is an id wherever a row has one."""
    call = {"id": value, "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {**_MESSAGES[0], "id": value},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": value, "content": "4 C"},
    ]

    (only,) = _conversations({"id": value, "messages": messages})
    (chosen, _) = _conversations({"id": value, "chosen": "A", "rejected": "B"})
    blocks = [{"type": "tool_result", "tool_use_id": value, "content": "4 C"}]

    assert (only.id, only.turns[0].id) == ("7", "7")
    assert (only.turns[1].tool_calls, only.turns[2].tool_call_id) == ((ToolCall("7", "f", "{}"),), "7")
    assert (chosen.id, chosen.metadata["preference_pair"]) == ("7-chosen", "7")
    assert _turns({"messages": [{"role": "user", "content": blocks}]})[0].tool_call_id == "7"
    assert _conversations({"id": value, "conversation_turns": messages[:1]})[0].turns[0].id == "7"


@pytest.mark.parametrize("value", [7.5, True, 2.0**53, float("inf"), [], {"a": 1}])
def test_other_value_is_no_id(value):
    """A fraction, a truth value, or a float so large that digits may be lost is refused as the id of a conversation."""
    assert _refusal({"id": value, "messages": _MESSAGES}) == "the id must be text or a whole number"


def test_other_value_for_the_id_of_a_turn_or_call_stays_metadata():
    """A value that cannot be the id of a turn or of a tool's result stays metadata, unchanged."""
    results = [{"role": "tool", "content": "4 C", "tool_call_id": value} for value in (7.5, True)]

    assert _turns({"messages": results}) == [
        Turn("tool", "4 C", metadata={"tool_call_id": value}) for value in (7.5, True)
    ]
    assert _turns({"messages": [{**_MESSAGES[0], "id": 7.5}]}) == [Turn("user", "Q", metadata={"id": 7.5})]


# -- tool calls ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (_CALL.to_dict(), _CALL),
        (
            {"id": 1, "type": "function", "function": {"name": "f", "arguments": "not JSON"}},
            ToolCall("1", "f", "not JSON"),
        ),
        ({"function": {"name": "f", "arguments": {"å": [1, None]}}}, ToolCall(None, "f", '{"å": [1, null]}')),
        ({"function": {"name": "f"}}, ToolCall(None, "f", "{}")),
        ({"name": "f", "args": {}, "id": "c", "type": "tool_call"}, ToolCall("c", "f", "{}")),
        (
            {"id": "c", "index": 0, "function": {"name": "f", "arguments": "{}", "strict": True}},
            ToolCall("c", "f", "{}", extra={"index": 0, "function.strict": True}),
        ),
        (
            {"id": "c", "index": None, "function": {"name": "f", "arguments": "{}", "description": None}},
            ToolCall("c", "f", "{}"),
        ),
        (
            {"id": "c", "type": "custom", "custom": {"name": "f", "input": "print(1)"}},
            ToolCall("c", "f", "print(1)", extra={"type": "custom"}),
        ),
        (
            {"id": 3.0, "type": "custom", "custom": {"name": "f", "input": ""}, "function": None, "index": 0},
            ToolCall("3", "f", "", extra={"type": "custom", "index": 0}),
        ),
    ],
)
def test_tool_calls_of_any_form(call, expected):
    """Tool calls, nested or flat, with arguments as text or JSON, are read whole."""
    (turn,) = _turns({"messages": [{"role": "assistant", "tool_calls": [call]}]})

    assert turn == Turn("assistant", "", tool_calls=(expected,))


@pytest.mark.parametrize("calls", [[{"x": {}}], ["weather"], {"a": 1}, [{"type": "custom", "custom": {"name": "f"}}]])
def test_other_tool_calls_stay_metadata(calls):
    """What is under `tool_calls` without being tool calls stays metadata as it is."""
    (turn,) = _turns({"messages": [{"role": "assistant", "content": "A", "tool_calls": calls}]})

    assert (turn.tool_calls, turn.metadata) == ((), {"tool_calls": calls})


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400"])
@pytest.mark.parametrize(
    "row",
    [
        '{"turns": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"x": NUMBER}}]}]}',
        '{"turns": [{"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {"x": NUMBER}}]}]}',
        '{"query": "Q", "answers": [{"name": "f", "arguments": {"x": NUMBER}}]}',
    ],
)
def test_arguments_with_a_number_that_json_lacks_are_refused(row, number):
    """JSON text in a table, and Parquet, may have numbers that cannot be written into a call."""
    values = json.loads(row.replace("NUMBER", number))

    assert _refusal(values) == "a tool call, or its result, has NaN or Infinity, which JSON does not have"


@pytest.mark.parametrize(
    "value",
    [
        '[{"name": "f", "arguments": {}}, {"name": "g", "arguments": {}}]',
        '<tool_call>{"name": "f", "arguments": {}}</tool_call>\n<tool_call>{"name": "g"}</tool_call>',
    ],
)
def test_several_calls_in_one_turn(value):
    """Several calls in the text of one ShareGPT turn become calls of one turn."""
    (turn,) = _turns({"conversations": [{"from": "function_call", "value": value}]})

    assert turn.tool_calls == (ToolCall(None, "f", "{}"), ToolCall(None, "g", "{}"))


@pytest.mark.parametrize("value", ["weather(Oslo)", '{"city": "Oslo"}', 'Look: <tool_call>{"name": "f"}</tool_call>'])
def test_call_that_cannot_be_read_stays_text(value):
    """The text of a function call that is no JSON of a call is kept as the assistant's text."""
    assert _turns({"conversations": [{"from": "function_call", "value": value}]}) == [Turn("assistant", value)]


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "custom", "custom": {"name": "python"}},
        {"type": "custom", "name": "python", "format": {"type": "text"}},
        {"type": "web_search", "name": "web_search"},
    ],
)
def test_tools_that_are_no_functions_stay_as_they_are(tool):
    """A custom tool, whose input is any text, and a tool of the provider are no functions with arguments."""
    (only,) = _conversations({"messages": _MESSAGES, "tools": [tool]})

    assert list(only.tools) == [tool]


@pytest.mark.parametrize(
    "config",
    [
        {"tools": []},
        {"tools": [{"cachePoint": {"type": "default"}}]},
        {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}], "toolChoice": {"any": {}}},
    ],
)
def test_other_tools_of_bedrock_stay_metadata(config):
    """A `toolConfig` with more than definitions of tools stays metadata as it is."""
    (only,) = _conversations({"messages": _MESSAGES, "toolConfig": config})

    assert (only.tools, only.metadata) == ((), {"toolConfig": config})


@pytest.mark.parametrize("tools", ["[]", "none", "[1]", 5, {"a": 1}])
def test_other_tools_stay_metadata(tools):
    """What is under `tools` without being definitions stays metadata as it is."""
    (only,) = _conversations({"messages": _MESSAGES, "tools": tools})

    assert (only.tools, only.metadata) == ((), {"tools": tools})


# -- content, parts, reasoning ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "A"}, {"type": "text", "text": " B"}], "A B"),
        (["A", " B"], "A B"),
        ([{"type": "refusal", "refusal": "No."}], "No."),
        ([{"type": "file", "file": {"file_id": "f"}}], ""),
    ],
)
def test_parts_are_kept_exactly(content, text):
    """A list of parts is kept as it is, and the content is its text."""
    assert _turns({"messages": [{"role": "user", "content": content}]}) == [Turn("user", text, parts=content)]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"role": "user"}, "turn 1 needs 'role' and 'content'"),
        ({"content": "Q"}, "turn 1 needs 'role' and 'content'"),
        ({"role": "user", "content": None}, "turn 1 needs 'role' and 'content'"),
        ({"role": "user", "content": ""}, "turn 1 is empty"),
        ({"role": "user", "content": []}, "turn 1 is empty"),
        ({"role": "user", "content": 5}, "the content of turn 1 must be text or a list of parts"),
        (
            {"role": "user", "content": [{"kind": "leg"}]},
            "the content of turn 1 has a part that is neither text nor an",
        ),
        (
            {"role": "user", "content": ["Q"], "parts": ["P"]},
            "turn 1 has two lists of parts; keep one of 'content' and 'parts'",
        ),
        ({"role": 5, "content": "Q"}, "turn 1 needs 'role' and 'content'"),
    ],
)
def test_message_without_content_is_refused(message, reason):
    """A message without a role or content is refused by its number."""
    assert _refusal({"messages": [message]}).startswith(reason)


@pytest.mark.parametrize("absent", [{}, {"content": None}, {"content": ""}, {"content": []}])
@pytest.mark.parametrize(
    ("message", "text", "kinds"),
    [
        ({"refusal": "No."}, "No.", ["refusal"]),
        ({"audio": {"id": "a", "transcript": "Yes."}, "refusal": None}, "Yes.", ["audio"]),
        ({"audio": {"id": "a"}}, "", ["audio"]),
        ({"audio": {"id": "a", "transcript": "Or."}, "refusal": "No."}, "No.Or.", ["refusal", "audio"]),
    ],
)
def test_refusal_and_audio_in_place_of_content_become_parts(absent, message, text, kinds):
    """Refusal and audio of an answer without content become its parts; their text and transcript become its content."""
    (turn,) = _turns({"messages": [{"role": "assistant", **absent, **message}]})

    assert turn == Turn("assistant", text, parts=[{"type": kind, kind: message[kind]} for kind in kinds])


@pytest.mark.parametrize("more", [{"refusal": "No."}, {"audio": {"id": "a", "transcript": "A"}}])
def test_refusal_next_to_content_stays_metadata(more):
    """A refusal or audio next to text is metadata, so that no text is repeated."""
    assert _turns({"messages": [{"role": "assistant", "content": "A", **more}]}) == [
        Turn("assistant", "A", metadata=more)
    ]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "refusal": "No."},
        {"role": "assistant", "refusal": ""},
        {"role": "assistant", "audio": "a.wav"},
        {"role": "assistant", "audio": {}},
    ],
)
def test_message_with_nothing_in_place_of_content_is_refused(message):
    """A refusal by a user, and one without a value, is no content."""
    assert _refusal({"messages": [message]}) == "turn 1 needs 'role' and 'content'"


def test_parts_without_content_are_the_content():
    """The parts of a message that has no content are its content."""
    parts = [{"type": "text", "text": "Q"}]

    assert _turns({"messages": [{"role": "user", "parts": parts}]}) == [Turn("user", "Q", parts=parts)]


_PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


@pytest.mark.parametrize(
    ("content", "parts", "expected"),
    [
        ("Look", [_PICTURE], [{"type": "text", "text": "Look"}, _PICTURE]),
        ("Look", [_PICTURE, "Look"], [_PICTURE, "Look"]),
        ("", ["Look", _PICTURE], ["Look", _PICTURE]),
        ([], ["Look", _PICTURE], ["Look", _PICTURE]),
        (["Look", _PICTURE], ["Look", _PICTURE], ["Look", _PICTURE]),
    ],
)
def test_parts_next_to_content_are_one_content(content, parts, expected):
    """Parts without text follow the text of the message, so that exports write both."""
    (turn,) = _turns({"messages": [{"role": "user", "content": content, "parts": parts}]})

    assert (turn.content, turn.current_parts) == ("Look", expected)


def test_parts_with_another_text_than_the_content_are_refused():
    """A message with two texts is refused, since an export would write one."""
    message = {"role": "user", "content": "Look", "parts": ["See", _PICTURE]}

    assert _refusal([message]) == "the content of turn 1 is not the text of its 'parts'; keep one of them"


def test_json_text_that_is_too_deep_stays_text():
    """JSON text of messages that is nested too deeply to be stored is not parsed, in a row with other turns."""
    text = '[{"role": "user", "content": ' + "[" * 500 + "]" * 500 + "}]"

    (only,) = _conversations({"conversations": text, "messages": _MESSAGES})

    assert (list(only.turns), only.metadata) == (_PLAIN, {"conversations": text})


def test_empty_result_of_a_tool_is_read():
    """A tool may return nothing."""
    assert _turns({"messages": [{"role": "tool", "tool_call_id": "c1", "content": ""}]}) == [
        Turn("tool", "", tool_call_id="c1")
    ]


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content", "thinking"])
def test_reasoning_is_read_under_each_name(key):
    """Reasoning is read under each name that providers use, and other keys of it stay metadata."""
    details = [{"type": "reasoning.text", "text": "Hm."}]

    (turn,) = _turns({"messages": [{"role": "assistant", "content": "A", key: "Hm.", "reasoning_details": details}]})

    assert turn == Turn("assistant", "A", reasoning="Hm.", metadata={"reasoning_details": details})


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": "A", "reasoning": "", "reasoning_content": "Hm."}, Turn("assistant", "A", reasoning="Hm.")),
        ({"content": ["A"], "parts": []}, Turn("assistant", "A", parts=["A"])),
    ],
)
def test_empty_field_next_to_another_key_for_it_counts_as_absent(message, expected):
    """A field of a turn that is empty does not contradict the other key under which a row holds it."""
    assert _turns({"messages": [{"role": "assistant", **message}]}) == [expected]


@pytest.mark.parametrize("row", [{"messages": [{"role": "assistant", "content": "<think>\nHm.\n</think>\n\nA"}]},
                                 {"conversations": [{"from": "gpt", "value": "<think>Hm.</think>A"}]},
                                 {"text": "<|im_start|>assistant\n<think>Hm.</think>A<|im_end|>"}])  # fmt: skip
def test_thought_in_the_text_is_split_off_on_request(row):
    """A thought at the start of an assistant's text becomes reasoning on request, and otherwise stays text."""
    assert _turns(row, split_reasoning=True) == [Turn("assistant", "A", reasoning="Hm.")]
    assert _turns(row)[0].reasoning is None
    assert "<think>" in _turns(row)[0].content


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "<think>Hm.</think>Q"},
        {"role": "assistant", "content": "A <think>Hm.</think>"},
        {"role": "assistant", "content": "<think>Hm."},
        {"role": "assistant", "content": "<think>Hm.</think>A", "reasoning": "Other."},
    ],
)
def test_other_thoughts_stay_text(message):
    """A thought of a user, later in a text, without an end, or next to other reasoning stays text."""
    assert _turns({"messages": [message]}, split_reasoning=True)[0].content == message["content"]


# -- Bedrock ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"document": {"name": "a"}}, {"type": "document", "document": {"name": "a"}}),
        ({"toolUse": {"name": "f"}}, {"type": "toolUse", "toolUse": {"name": "f"}}),
        ({"reasoningContent": {"redactedContent": "QUJD"}}, None),
    ],
)
def test_other_blocks_of_bedrock_become_parts(block, part):
    """A block of Bedrock that no field of a turn holds is a part whose type is its key."""
    (turn,) = _turns({"messages": [{"role": "assistant", "content": [{"text": "A"}, block]}]})

    assert turn == Turn(
        "assistant", "A", parts=[{"type": "text", "text": "A"}, part or {"type": "reasoningContent", **block}]
    )


def test_result_of_several_blocks_of_bedrock_keeps_them():
    """The result of a tool with several blocks has them as parts, with their texts and JSON as its content."""
    image = {"format": "png", "source": {"bytes": "QUJD"}}
    result = {"toolUseId": "c1", "content": [{"text": "A"}, {"json": {"b": 1}}, {"image": image}]}

    (turn,) = _turns({"messages": [{"role": "user", "content": [{"toolResult": result}]}]})

    texts = [{"type": "text", "text": text} for text in ("A", '{"b": 1}')]
    parts = [*texts, {"type": "image", "image": image}]
    assert turn == Turn("tool", 'A{"b": 1}', tool_call_id="c1", parts=parts)


# -- Anthropic -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}, {"type": "text", "text": "A"}],
        [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}, {"type": "tool_use", "name": "f", "input": {}}],
        [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "A"}],
        [
            {"type": "thinking", "thinking": "a", "signature": "s"},
            {"type": "thinking", "thinking": "b", "signature": "t"},
        ],
        [{"type": "document", "source": {"type": "text", "data": "x"}}, {"type": "text", "text": "A"}],
    ],
)
def test_blocks_that_fields_cannot_hold_are_parts(blocks):
    """Blocks in an order or of a kind that content, reasoning and tool calls cannot express are kept exactly."""
    (turn,) = _turns({"messages": [{"role": "assistant", "content": blocks}]})

    assert turn.current_parts == blocks


def test_null_in_a_block_counts_as_absent():
    """Blocks with keys that Parquet or an SDK filled with null are read like blocks without these."""
    nulls = dict.fromkeys(("text", "thinking", "signature", "citations", "id", "name", "input", "tool_use_id"))
    blocks = [
        nulls | {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        nulls | {"type": "text", "text": "A"},
        nulls | {"type": "tool_use", "id": "c1", "name": "f"},
    ]

    assert _turns({"messages": [{"role": "assistant", "content": blocks}]}) == [
        Turn(
            "assistant",
            "A",
            tool_calls=(ToolCall("c1", "f", "{}"),),
            reasoning="Hm.",
            metadata={"reasoning_signature": "s"},
        )
    ]


def test_ids_of_calls_may_be_numbers():
    """A result whose call has a number as its id is linked to it."""
    call = {"type": "tool_use", "id": 5, "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": 5, "content": "R"}

    turns = _turns({"messages": [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]})

    assert [turns[0].tool_calls[0].id, turns[1].tool_call_id] == ["5", "5"]


def test_fields_next_to_blocks_are_read():
    """Fields of a message next to a list of blocks, as the format `messages` writes them, are fields of the turn."""
    blocks = [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "A"}]
    fields = {"reasoning_content": "Hm.", "tool_calls": [{"name": "f", "arguments": {}}], "name": "Ann"}

    assert _turns({"messages": [{"role": "assistant", "content": blocks, **fields}]}) == [
        Turn("assistant", "A", parts=blocks, reasoning="Hm.", tool_calls=(ToolCall(None, "f", "{}"),), name="Ann")
    ]


def test_system_blocks_are_the_parts_of_the_first_turn():
    """A list of blocks under `system` becomes the first turn, with the blocks as its parts."""
    blocks = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]

    turns = _turns({"system": blocks, "messages": _MESSAGES})

    assert turns == [Turn("system", "Be brief.", parts=blocks), *_PLAIN]


def test_system_next_to_a_system_turn_stays_metadata():
    """A `system` next to turns that begin with a system message is metadata."""
    row = {"system": "Other.", "messages": [{"role": "system", "content": "Be brief."}, *_MESSAGES]}

    (only,) = _conversations(row)

    assert (list(only.turns), only.metadata) == ([Turn("system", "Be brief."), *_PLAIN], {"system": "Other."})


# -- others ----------------------------------------------------------------------------------------


def test_pair_without_an_id_is_linked_by_a_digest():
    """The two conversations of a preference without an id share one, which depends on the row alone."""
    row = {"prompt": "Q", "chosen": "A", "rejected": "B"}

    pairs = [
        [entry.metadata["preference_pair"] for entry in _conversations(each)] for each in (row, row, {**row, "x": 1})
    ]

    assert pairs[0] == pairs[1] != pairs[2]
    assert len(set(pairs[0])) == 1


def test_preference_without_a_prompt_is_read():
    """A preference of texts without a prompt becomes two conversations with an assistant turn."""
    chosen, rejected = _conversations({"chosen": "The sky is blue.", "rejected": "The sky is green."})

    assert [*chosen.turns, *rejected.turns] == [
        Turn("assistant", "The sky is blue."),
        Turn("assistant", "The sky is green."),
    ]


@pytest.mark.parametrize(
    "text", ["<|im_start|>user\nQ", "<|im_start|>user\nQ<|im_end|>and", "<|im_start|>user\nQ<|im_start|>x\ny<|im_end|>"]
)
def test_incomplete_chatml_is_refused(text):
    """ChatML without an end, or with text outside of its turns, is refused by turn."""
    assert "of the ChatML text" in _refusal({"text": text})


def test_circle_in_chatgpts_export_is_refused():
    """A tree of messages that is a circle is refused."""
    node = {"message": {"author": {"role": "user"}, "content": {"parts": ["Q"]}}, "children": []}
    row = {"mapping": {"a": {**node, "parent": "b"}, "b": {**node, "parent": "a"}}, "current_node": "a"}

    assert _refusal(row) == "the messages under 'mapping' form a cycle"


# -- anything at all -------------------------------------------------------------------------------

_WORDS = st.sampled_from(
    [
        *{key for shape in all_shapes() for key in shape.keys},
        *(
            "role",
            "from",
            "speaker",
            "content",
            "value",
            "text",
            "utterance",
            "parts",
            "type",
            "metadata",
            "id",
            "name",
        ),
        *("tools", "system", "tool_calls", "function", "function_call", "arguments", "author", "message", "parent"),
        *("completion", "response", "answer", "answers", "output", "input", "current_node", "thinking", "source"),
        *("functionCall", "functionResponse", "systemInstruction", "content_type", "thoughts", "recipient", "children"),
    ]
)
_TEXTS = st.sampled_from(
    [
        "user",
        "assistant",
        "tool_call",
        "tool_use",
        "tool_result",
        "thinking",
        "text",
        "image",
        "function",
        "a",
        "",
        "[]",
    ]
) | st.text(max_size=3)
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(_WORDS, _ANY, max_size=6), st.booleans())
def test_any_row_is_read_or_refused(row, split_reasoning):
    """A row with the keys of shapes and any values is read or refused, and is itself left as it was."""
    before = repr(row)

    with suppress(InvalidRow):
        _documents(row, split_reasoning=split_reasoning)

    assert repr(row) == before


@given(st.sampled_from(EXAMPLES), st.data())
def test_any_change_of_an_example_is_read_or_refused(example, data):
    """A row with one value replaced by another, anywhere in it, is read or refused."""
    row = json.loads(json.dumps(example.row if isinstance(example.row, dict) else {"messages": example.row}))
    holder = row
    while True:
        key = data.draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
        if not (isinstance(holder[key], dict | list) and holder[key] and data.draw(st.booleans())):
            break
        holder = holder[key]
    holder[key] = data.draw(_ANY)

    with suppress(InvalidRow):
        _documents(row)


@pytest.mark.parametrize("text", ["{'src': 'web'}", "{not JSON", '{"a": ' + "[" * 101 + "]" * 101 + "}"])
def test_metadata_that_is_no_json_object_is_kept(text):
    """Text that looks like an object but cannot be parsed, such as pandas writes into CSV, stays as it is."""
    (conversation,) = _conversations({"messages": [{**_MESSAGES[0], "metadata": text}], "metadata": text})

    assert conversation.metadata == {"metadata": text}
    assert conversation.turns[0].metadata == {"metadata": text}


_IMAGE = {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]}


def test_an_empty_list_of_blocks_keeps_what_is_next_to_it():
    """A message without blocks, in a conversation with blocks, is a turn with its calls and reasoning."""
    answer = {"role": "assistant", "content": [], "reasoning_content": "Hm.", "tool_calls": [_CALL.to_dict()]}
    (conversation,) = _conversations([_IMAGE, answer])

    assert conversation.turns[1] == Turn("assistant", "", reasoning="Hm.", tool_calls=(_CALL,))


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [_IMAGE, {"role": "assistant", "content": []}, *_MESSAGES]},
        {"contents": [{"role": "user", "parts": [{"text": "Q"}]}, {"role": "model", "parts": []}]},
    ],
)
def test_a_message_without_blocks_is_not_skipped(row):
    """An empty answer makes a row unusable in every shape, instead of being skipped."""
    with pytest.raises(InvalidRow, match="turn 2 is empty"):
        _conversations(row)
