"""What the formats for training write of tools, reasoning, parts and pairs, and what they refuse."""

import json
from dataclasses import replace

import pytest

from backstay import Conversation, ToolCall, Turn
from backstay.library.exports.trainer_observer import TrainerObserver
from backstay.library.formats import FormatOptions, Loss, ReasoningMode, SystemMode, load_format
from backstay.library.turn import text_of_parts
from support.data.exported import export_one

_TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
_PICTURE = {"type": "image_url", "image_url": {"url": "https://pictures.invalid/a.png"}}
_CALL = ToolCall("c1", "weather", '{"place": "Oslo"}')
_CONVERSATION = Conversation(
    [
        Turn("system", "Be brief."),
        Turn("user", "Rain?"),
        Turn("assistant", "", tool_calls=[_CALL], reasoning="Look.", metadata={"reasoning_signature": "s1"}),
        Turn("tool", "Yes.", tool_call_id="c1"),
        Turn("user", "Sure?"),
        Turn("assistant", "Yes."),
    ],
    tools=[_TOOL],
)


def _row(name, conversation=_CONVERSATION, **options):
    return json.loads(export_one(load_format(name)(FormatOptions(**options)), conversation))


def test_messages_have_all_that_trainers_read():
    """Messages have tool calls, reasoning, names and weights where OpenAI's API and trainers look for them."""
    named = Turn("user", "Rain?", name="ann", metadata={"weight": 0, "source": "web"})

    row = _row("messages", replace(_CONVERSATION, turns=[named, *_CONVERSATION.turns[2:4]]))

    assert row == {
        "messages": [
            {"role": "user", "content": "Rain?", "name": "ann", "weight": 0},
            {"role": "assistant", "content": "", "tool_calls": [_CALL.to_dict()], "reasoning_content": "Look."},
            {"role": "tool", "content": "Yes.", "tool_call_id": "c1"},
        ],
        "tools": [_TOOL],
    }


@pytest.mark.parametrize("name", ["messages", "prompt-completion", "trl-preference"])
def test_arguments_are_objects_on_request(name):
    """Arguments that are JSON objects can be written as such, number for number; other ones stay text."""
    calls = [ToolCall("c1", "plot", '{"from": 1.50,\n"to": 18446744073709551615}'), ToolCall("c2", "plot", "[1]")]
    sides = [
        Conversation(
            [Turn("user", "Plot."), Turn("assistant", text, tool_calls=calls)],
            metadata={"preference": side, "preference_pair": "p"},
        )
        for side, text in (("chosen", ""), ("rejected", "Well."))
    ]
    form = load_format(name)(FormatOptions(parsed_arguments=True))

    written = b"".join(export_one(form, each) for each in sides)

    assert written.count(b'"arguments":{"from": 1.50, "to": 18446744073709551615}') == 2
    assert written.count(b'"arguments":"[1]"') == 2


def test_parts_are_written_while_they_are_current():
    """The content is the list of parts until the text is edited; then it is the text."""
    turn = Turn("user", "What?", parts=[{"type": "text", "text": "What?"}, _PICTURE])

    current, edited = (_row("messages", Conversation([each])) for each in (turn, replace(turn, content="Which?")))

    assert current["messages"][0]["content"] == turn.parts
    assert edited["messages"][0]["content"] == "Which?"


_REFUSAL = {"type": "refusal", "refusal": "No."}
_AUDIO = {"type": "audio", "audio": {"id": "a1", "data": "QUJD", "expires_at": 1, "transcript": "Yes."}}


@pytest.mark.parametrize(
    ("parts", "content", "keys"),
    [
        ([_REFUSAL], None, {"refusal": "No."}),
        ([_AUDIO], None, {"audio": _AUDIO["audio"]}),
        ([_REFUSAL, _AUDIO], None, {"refusal": "No.", "audio": _AUDIO["audio"]}),
        ([_AUDIO, _REFUSAL], ..., {}),
        ([_REFUSAL, _REFUSAL], ..., {}),
        ([{"type": "text", "text": "No."}, _AUDIO], ..., {}),
        ([{**_REFUSAL, "more": 1}], ..., {}),
        ([{"type": "audio", "audio": {"path": "a.wav"}}], ..., {}),
    ],
)
def test_refusal_and_audio_are_written_in_place_of_content(parts, content, keys):
    """An answer with only a refusal or audio has these as keys, and null as its content, as in OpenAI's API."""
    turn = Turn("assistant", text_of_parts(parts), parts=parts)

    (message,) = _row("messages", Conversation([turn]))["messages"]
    (of_user,) = _row("messages", Conversation([replace(turn, role="user")]))["messages"]

    assert message == {"role": "assistant", "content": parts if content is ... else content, **keys}
    assert of_user == {"role": "user", "content": parts}


@pytest.mark.parametrize("name", ["chatml", "sharegpt", "alpaca", "csv", "anthropic"])
def test_refusal_and_transcript_are_written_as_text(name):
    """Other formats write the text of a refusal, and the transcript of audio, whose data is a loss."""
    answers = [Turn("assistant", text_of_parts(parts), parts=parts) for parts in ([_REFUSAL], [_AUDIO])]
    refusal, audio = (Conversation([Turn("user", "Q"), answer], id="c") for answer in answers)
    form = load_format(name)()

    assert (form.prepare(refusal).losses, form.prepare(audio).losses) == ({}, {Loss.PARTS: 1})
    assert b"No." in export_one(form, refusal)
    assert b"Yes." in export_one(form, audio)


def test_anthropic_keeps_the_other_parts_next_to_a_transcript():
    """An image next to audio is written, with the transcript as text."""
    image = {"type": "image", "source": {"type": "url", "url": "https://pictures.invalid/a.png"}}
    conversation = Conversation([Turn("user", "Yes.", parts=[image, _AUDIO])])

    assert load_format("anthropic")().prepare(conversation).losses == {Loss.PARTS: 1}
    assert _row("anthropic", conversation)["messages"][0]["content"] == [image, {"type": "text", "text": "Yes."}]


@pytest.mark.parametrize("parsed", [True, False])
def test_custom_calls_are_written_as_in_the_api(parsed):
    """The input of a custom tool is written as text, even if it is JSON and arguments are parsed."""
    call = ToolCall("c1", "python", "{}", extra={"type": "custom"})
    conversation = Conversation([Turn("user", "Q"), Turn("assistant", "", tool_calls=[call, _CALL])])

    written = _row("messages", conversation, parsed_arguments=parsed)["messages"][1]["tool_calls"]

    assert written[0] == {"id": "c1", "type": "custom", "custom": {"name": "python", "input": "{}"}}
    assert isinstance(written[1]["function"]["arguments"], dict) is parsed
    assert load_format("messages")().prepare(conversation).losses == {}
    for name in ("anthropic", "sharegpt"):
        assert load_format(name)().prepare(conversation).losses[Loss.TOOL_CALL_KEYS] == 1


def test_anthropic_keeps_the_image_of_a_part_with_more_keys():
    """An image with a level of detail, which Anthropic's API does not have, is written without it."""
    picture = {"type": "image_url", "image_url": {"url": "https://pictures.invalid/a.png", "detail": "high"}}
    conversation = Conversation([Turn("user", "", parts=[picture])])

    (message,) = _row("anthropic", conversation)["messages"]

    assert message["content"] == [{"type": "image", "source": {"type": "url", "url": "https://pictures.invalid/a.png"}}]
    assert load_format("anthropic")().prepare(conversation).losses == {Loss.PART_KEYS: 1}


@pytest.mark.parametrize("name", ["anthropic", "alpaca"])
def test_leading_developer_turn_becomes_a_system_turn(name):
    """Formats without the role developer write a leading developer turn as a system turn, and count that as a loss."""
    conversation = Conversation([Turn("developer", "Be brief."), Turn("user", "Hi"), Turn("assistant", "Hi.")])

    assert _row(name, conversation)["system"] == "Be brief."
    assert load_format(name)().prepare(conversation).losses == {Loss.DEVELOPER: 1}


def test_anthropic_has_blocks_where_text_is_not_enough():
    """Anthropic's shape has the results of tools in the user's message, and the arguments of calls as an object."""
    row = _row("anthropic")

    assert row["system"] == "Be brief."
    assert row["tools"] == [{"name": "weather", "input_schema": {"type": "object"}}]
    question, call, result, answer = row["messages"]
    assert (question, answer) == ({"role": "user", "content": "Rain?"}, {"role": "assistant", "content": "Yes."})
    assert call["content"] == [
        {"type": "thinking", "thinking": "Look.", "signature": "s1"},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {"place": "Oslo"}},
    ]
    assert result["role"] == "user"
    assert result["content"] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": "Yes."},
        {"type": "text", "text": "Sure?"},
    ]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (_PICTURE, {"type": "image", "source": {"type": "url", "url": "https://pictures.invalid/a.png"}}),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        ),
        ({"type": "image", "source": {"type": "file", "file_id": "f1"}}, ...),
        ({"type": "redacted_thinking", "data": "x"}, ...),
        ({"type": "input_audio", "input_audio": {"data": "x"}}, None),
        ({"type": "image"}, None),
    ],
)
def test_parts_become_blocks_or_a_loss(part, block):
    """Images become Anthropic's blocks, its own blocks stay as they are, and any other part is a loss."""
    conversation = Conversation([Turn("user", "Hi", parts=[{"type": "text", "text": "Hi"}, part])])

    losses = load_format("anthropic")().prepare(conversation).losses
    _, *others = _row("anthropic", conversation)["messages"][0]["content"]

    assert others == ([] if block is None else [part if block is ... else block])
    assert losses == ({Loss.PARTS: 1} if block is None else {})


def test_answer_keeps_the_order_of_its_blocks():
    """Blocks in an order that fields cannot hold go out as they came, unless the calls were changed since."""
    blocks = [
        {"type": "text", "text": "First"},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {"place": "Oslo"}},
        {"type": "text", "text": "then"},
    ]
    turn = Turn("assistant", "Firstthen", parts=blocks, tool_calls=[_CALL])
    other = replace(turn, tool_calls=[replace(_CALL, id="c2")])

    kept, changed = (_row("anthropic", Conversation([each]))["messages"][0]["content"] for each in (turn, other))

    assert kept == blocks
    assert [(block["type"], block.get("id")) for block in changed] == [
        ("text", None),
        ("text", None),
        ("tool_use", "c2"),
    ]
    thoughtful = _row("anthropic", Conversation([replace(turn, reasoning="Look.")]))["messages"][0]["content"]
    assert thoughtful == [{"type": "thinking", "thinking": "Look."}, *blocks]
    assert load_format("messages")().prepare(Conversation([turn])).losses == {Loss.PART_ORDER: 1}
    assert _row("messages", Conversation([turn]))["messages"][0]["content"] == [blocks[0], blocks[2]]


def test_numbers_in_arguments_stay_exact():
    """Arguments are written as the model wrote them, so that no digit of a number is lost, but on one line."""
    arguments = '{"id":\r\n 18446744073709551615, "id2": 1.10}'
    turn = Turn("assistant", "", tool_calls=[replace(_CALL, arguments=arguments)])

    line = export_one(load_format("anthropic")(), Conversation([turn]))

    assert b'{"id":   18446744073709551615, "id2": 1.10}' in line
    assert line.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments", ['{"id": 18446744073709551616}', '{"a":' * 95 + "1" + "}" * 95, '{"a": NaN}', "[1]", ""]
)
def test_arguments_that_an_import_refuses_as_objects_are_a_loss_or_text(arguments):
    """Arguments that an import refuses as an object are a loss in `anthropic`, and text in other formats."""
    call = replace(_CALL, arguments=arguments)
    conversation = Conversation([Turn("user", "Rain?"), Turn("assistant", "", tool_calls=[call])])

    messages = _row("messages", conversation, parsed_arguments=True)["messages"]
    (_, sharegpt_call) = _row("sharegpt", conversation)["conversations"]

    assert load_format("anthropic")().prepare(conversation).losses == {Loss.ARGUMENTS: 1}
    assert messages[1]["tool_calls"][0]["function"]["arguments"] == arguments
    assert json.loads(sharegpt_call["value"])["arguments"] == arguments


def test_sharegpt_calls_tools_as_llama_factory_reads_them():
    """Calls are JSON from function_call, several are a list, results come from observation, and tools are JSON text."""
    calls = [_CALL, ToolCall("c2", "time", "now")]
    turns = [
        _CONVERSATION.turns[0],
        Turn("user", "Rain?"),
        Turn("assistant", "", tool_calls=calls),
        Turn("tool", "Yes."),
    ]

    row = _row("sharegpt", replace(_CONVERSATION, turns=turns))

    assert (row["system"], json.loads(row["tools"])) == ("Be brief.", [_TOOL])
    human, call, result = row["conversations"]
    assert (human, result) == ({"from": "human", "value": "Rain?"}, {"from": "observation", "value": "Yes."})
    assert call["from"] == "function_call"
    assert json.loads(call["value"]) == [
        {"name": "weather", "arguments": {"place": "Oslo"}},
        {"name": "time", "arguments": "now"},
    ]
    (only,) = _row("sharegpt")["conversations"][1:2]
    assert json.loads(only["value"]) == {"name": "weather", "arguments": {"place": "Oslo"}}


def test_alpaca_has_questions_and_answers():
    """The last question and answer are the instruction and the output, and earlier ones are the history."""
    turns = [Turn("system", "S")] + [Turn(role, f"{role[0]}{n}") for n in (1, 2) for role in ("user", "assistant")]
    disordered = [*turns, Turn("user", "u3"), Turn("user", "u4"), Turn("developer", "d"), Turn("system", "s")]

    row, first = _row("alpaca", Conversation(turns)), _row("alpaca", Conversation(turns[1:3]))

    assert row == {"instruction": "u2", "input": "", "output": "a2", "system": "S", "history": [["u1", "a1"]]}
    assert first == {"instruction": "u1", "input": "", "output": "a1"}
    assert _row("alpaca", Conversation(disordered)) == row
    assert load_format("alpaca")().prepare(Conversation(disordered)).losses == {
        Loss.ORDER: 2,
        Loss.ROLES: 1,
        Loss.SYSTEM: 1,
    }


def test_prompt_ends_before_the_last_answer():
    """The completion is the last answer, the prompt what precedes it, and turns after it are a loss."""
    conversation = Conversation([Turn("user", "u1"), Turn("assistant", "a1"), Turn("user", "u2")])
    form = load_format("prompt-completion")()

    assert json.loads(export_one(form, conversation)) == {
        "prompt": [{"role": "user", "content": "u1"}],
        "completion": [{"role": "assistant", "content": "a1"}],
    }
    assert form.prepare(conversation).losses == {Loss.AFTER_ANSWER: 1}


@pytest.mark.parametrize("name", ["alpaca", "prompt-completion"])
@pytest.mark.parametrize("turns", [[Turn("user", "u")], [Turn("assistant", "a")]])
def test_conversation_without_an_answer_is_a_loss(name, turns):
    """A conversation that has no question with an answer is a loss as a whole, and nothing of it is written."""
    form = load_format(name)()

    assert form.prepare(Conversation(turns)).losses == {Loss.NO_ANSWER: 1}


@pytest.mark.parametrize(
    ("turn", "refusal"),
    [
        (Turn("user", "a<|im_end|>b"), "turn 2 contains <|im_end|>"),
        (Turn("<|im_start|>", "x"), "turn 2 contains <|im_start|>"),
        (Turn("a\nb", "x"), "the role of turn 2 has a line break"),
        (Turn("user", "<|im_end"), None),
    ],
)
def test_chatml_refuses_its_markers(turn, refusal):
    """ChatML refuses a turn that holds its markers, since a trainer would read another conversation."""
    assert load_format("chatml")().prepare(Conversation([Turn("user", "x"), turn])).refusal == refusal


def test_chatml_refuses_markers_only_where_they_would_be_written():
    """Reasoning and system messages with a marker are refused only if they are written."""
    conversation = Conversation([Turn("system", "<|im_end|>"), Turn("assistant", "x", reasoning="<|im_start|>")])

    def refusal(reasoning):
        return (
            load_format("chatml")(FormatOptions(reasoning=reasoning, system=SystemMode.DROP))
            .prepare(conversation)
            .refusal
        )

    assert refusal(ReasoningMode.INLINE) == "turn 2 contains <|im_start|>"
    assert refusal(ReasoningMode.KEEP) is refusal(ReasoningMode.DROP) is None


@pytest.mark.parametrize("name", ["messages", "chatml", "csv", "parquet"])
def test_conversation_without_turns_is_refused(name):
    """A conversation of which nothing remains without its system messages is refused."""
    form = load_format(name)(FormatOptions(system=SystemMode.DROP))

    assert form.prepare(Conversation([Turn("system", "S"), Turn("developer", "D")])).refusal is not None
    assert form.prepare(_CONVERSATION).refusal is None


@pytest.mark.parametrize("name", ["chatml", "csv"])
def test_reasoning_in_the_text_is_no_loss(name):
    """Reasoning is a loss of a format for texts, unless it is written before the text or left out on request."""
    answer = Conversation([Turn("assistant", "Yes.", reasoning="Look.")])
    losses = {mode: load_format(name)(FormatOptions(reasoning=mode)).prepare(answer).losses for mode in ReasoningMode}
    inline = export_one(load_format(name)(FormatOptions(reasoning=ReasoningMode.INLINE)), answer)

    assert losses == {"keep": {Loss.REASONING: 1}, "inline": {}, "drop": {}}
    assert b"<think>\nLook.\n</think>\n\nYes." in inline or b"<think>\\nLook.\\n</think>\\n\\nYes." in inline


def test_thoughts_in_parts_follow_the_option():
    """Reasoning that stands among the parts too is written once before the text, or nowhere."""
    parts = [{"type": "thinking", "thinking": "Look."}, {"type": "text", "text": "Yes."}]
    conversation = Conversation([Turn("assistant", "Yes.", reasoning="Look.", parts=parts)])

    inline = _row("anthropic", conversation, reasoning=ReasoningMode.INLINE)["messages"][0]["content"]
    dropped = export_one(load_format("anthropic")(FormatOptions(reasoning=ReasoningMode.DROP)), conversation)

    assert inline == [{"type": "text", "text": "<think>\nLook.\n</think>\n\n"}, parts[1]]
    assert b"Look." not in dropped


@pytest.mark.parametrize("name", ["anthropic", "messages", "native"])
def test_redacted_reasoning_and_signatures_are_dropped_with_reasoning(name):
    """Signatures and redacted parts are dropped with the reasoning; inline, redacted parts stay: they have no text."""
    parts = [{"type": "redacted_thinking", "data": "Hidden."}, {"type": "text", "text": "Yes."}]
    turns = [
        Turn("assistant", "Yes.", parts=parts),
        Turn("assistant", "Yes.", reasoning="Look.", metadata={"reasoning_signature": "Signed."}),
    ]
    form = {mode: load_format(name)(FormatOptions(reasoning=mode, metadata=True)) for mode in ReasoningMode}

    dropped, inline = (
        export_one(form[mode], Conversation(turns)) for mode in (ReasoningMode.DROP, ReasoningMode.INLINE)
    )

    assert not any(text in dropped for text in (b"Hidden.", b"Look.", b"Signed."))
    assert b"Hidden." in inline
    assert form[ReasoningMode.DROP].omitted_fields(Conversation(turns)) == []
    assert form[ReasoningMode.DROP].prepare(Conversation(turns)).losses == {}


def test_unpaired_conversations_are_a_loss():
    """A conversation without the other side of its pair, a second one on a side and one outside of pairs are losses."""

    def side(name, **more):
        return Conversation([Turn("user", "u"), Turn("assistant", name)], metadata={"preference": name, **more})

    form = load_format("trl-preference")()
    exported = [
        *(side("chosen", preference_pair="p1"), side("chosen", preference_pair="p1")),
        *(side("rejected", preference_pair="p1"), side("rejected", preference_pair="p2")),
        *(side("chosen"), side("better", preference_pair="p3"), _CONVERSATION),
    ]

    prepared = [form.prepare(each) for each in exported]
    lines = [form.chunk(each.conversation) if each.conversation else b"" for each in prepared]

    lost = {Loss.COUNTERPART: 1}
    assert [each.losses for each in prepared] == [{}, lost, {}, {}, lost, lost, lost]
    assert form.final_losses() == [("None", Loss.COUNTERPART)]
    assert [bool(line) for line in lines] == [False, False, True, False, False, False, False]
    assert json.loads(lines[2]) == {
        "prompt": [{"role": "user", "content": "u"}],
        "chosen": [{"role": "assistant", "content": "chosen"}],
        "rejected": [{"role": "assistant", "content": "rejected"}],
    }


_CALLING = Conversation(
    [
        *(Turn("user", "Rain?"), Turn("assistant", "", tool_calls=[_CALL]), Turn("tool", "No.", tool_call_id="c1")),
        Turn("assistant", "No rain."),
    ]
)


@pytest.mark.parametrize(
    ("name", "row", "losses"),
    [
        ("alpaca", {"instruction": "Rain?", "input": "", "output": "No rain."}, {Loss.ROLES: 1}),
        (
            "chatml",
            {
                "text": "<|im_start|>user\nRain?<|im_end|>\n<|im_start|>tool\nNo.<|im_end|>\n"
                "<|im_start|>assistant\nNo rain.<|im_end|>\n"
            },
            {},
        ),
    ],
)
def test_formats_of_text_leave_out_turns_with_only_calls(name, row, losses):
    """Formats of text leave out a turn that has only tool calls, so that no model is trained on an empty answer."""
    assert _row(name, _CALLING) == row
    assert load_format(name)().prepare(_CALLING).losses == {
        Loss.TOOL_CALLS: 1,
        Loss.TOOL_CALL_IDS: 2,
        Loss.NO_TEXT: 1,
        **losses,
    }


def test_text_before_a_call_is_no_answer():
    """Alpaca leaves out the text next to a call, since the result of the call and what follows have no place."""
    question, call, result, answer = _CALLING.turns
    conversation = replace(_CALLING, turns=[question, replace(call, content="Let me look."), result, answer])

    assert _row("alpaca", conversation)["output"] == "No rain."
    assert load_format("alpaca")().prepare(conversation).losses[Loss.CALL_TEXT] == 1


@pytest.mark.parametrize(("loss", "weight"), [(False, 0), (True, 1), ("no", None)])
def test_mask_of_a_turn_is_its_weight(loss, weight):
    """Whether a turn is trained on, which some tools call `loss`, is written as its weight, or is a loss."""
    answer = Turn("assistant", "A", metadata={"loss": loss})
    conversation = Conversation([Turn("user", "Q"), answer])
    expected = {} if weight is None else {"weight": weight}

    assert _row("messages", conversation)["messages"][1] == {"role": "assistant", "content": "A", **expected}
    assert _row("sharegpt", replace(conversation, id="c"))["conversations"][1] == {
        "from": "gpt",
        "value": "A",
        **expected,
    }
    chatml = load_format("chatml")().prepare(conversation)
    assert chatml.losses == ({} if weight is None else {Loss.WEIGHTS: 1})
    assert load_format("messages")().omitted_fields(conversation) == (["turn metadata"] if weight is None else [])


@pytest.mark.parametrize("name", ["alpaca", "chatml"])
def test_text_without_calls_has_no_warnings_about_calls(name):
    """Formats of text do not warn about tool calls, which they leave out; another format does."""
    turns = [replace(turn, tool_call_id=None) for turn in _CALLING.turns]
    reports = []
    for form in (load_format(name)(), load_format("messages")()):
        observer = TrainerObserver(form, strict=False)
        observer.observe(form.prepare(replace(_CALLING, turns=turns)).conversation)
        reports.append(observer.report.refused)

    assert reports == [0, 1]


def test_what_describes_a_conversation_is_named_if_it_is_left_out():
    """Formats name the descriptions that they leave out; with metadata, formats of JSON lines write them."""
    described = replace(
        _CONVERSATION, id="c1", topic="rain", metadata={"k": 1}, turns=[Turn("user", "x", id="t1", metadata={"m": 1})]
    )
    expected = {
        "messages": ["id", "topic", "metadata", "turn ids", "turn metadata"],
        "csv": ["metadata", "turn ids", "turn metadata"],
        "sharegpt": ["topic", "metadata", "turn ids", "turn metadata"],
        "anthropic": ["id", "topic", "metadata", "turn ids", "turn metadata"],
        "native": [],
        "parquet": [],
    }

    for name, left_out in expected.items():
        assert list(load_format(name)().omitted_fields(described)) == left_out
    assert not any(
        load_format(name)(FormatOptions(metadata=True)).omitted_fields(described) for name in ("messages", "sharegpt")
    )
    assert list(load_format("anthropic")().omitted_fields(_CONVERSATION)) == []
    row = _row("chatml", described, metadata=True)
    assert (row["id"], row["topic"], row["metadata"]) == ("c1", "rain", {"k": 1})


@pytest.mark.parametrize("name", ["messages", "sharegpt", "anthropic", "chatml", "alpaca", "csv"])
def test_outdated_parts_are_metadata_of_their_turn(name):
    """Parts that are not written since the text was edited are named, and metadata has them where it is written."""
    parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    edited = Conversation([Turn("user", "Look there", parts=parts), Turn("assistant", "I see.", reasoning="Hm.")])
    form = load_format(name)(FormatOptions(reasoning=ReasoningMode.INLINE))

    prepared = form.prepare(edited)

    assert (prepared.losses, list(form.omitted_fields(prepared.conversation))) == ({}, ["turn metadata"])
    if name == "messages":
        (written, _) = _row(name, edited, metadata=True)["messages"]
        assert written == {"role": "user", "content": "Look there", "metadata": {"parts": parts}}


def test_fields_on_a_turn_of_another_role_are_a_loss_of_formats_by_role():
    """Reasoning of a user has no place in Anthropic's shape; messages have it."""
    conversation = Conversation([Turn("user", "x", reasoning="Hm.")])

    assert load_format("anthropic")().prepare(conversation).losses == {Loss.MISPLACED: 1}
    assert load_format("messages")().prepare(conversation).losses == {}


@pytest.mark.parametrize("is_error", [True, False])
def test_anthropic_writes_whether_a_result_is_an_error(is_error):
    """The mark of a result is written as it is: a false one, which a file may have, is no absent one."""
    turns = [Turn("tool", "R", tool_call_id="c1", metadata={"is_error": is_error}), Turn("assistant", "A")]

    row = json.loads(export_one(load_format("anthropic")(), Conversation(turns)))

    assert row["messages"][0]["content"][0]["is_error"] is is_error
