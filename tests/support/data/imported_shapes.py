"""Rows in the shapes of public data sets, written for the tests, with the conversations that they become."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backstay.library.conversation import Conversation
from backstay.library.turn import ToolCall, Turn

_ARGUMENTS = '{"city": "Oslo"}'
_CALL = ToolCall("call_1", "weather", _ARGUMENTS)
_CALL_WITHOUT_ID = ToolCall(None, "weather", _ARGUMENTS)
_CUSTOM_CALL = ToolCall("call_2", "python", "print(2 + 2)", extra={"type": "custom"})
_CUSTOM_TOOL = {"type": "custom", "custom": {"name": "python", "format": {"type": "text"}}}
_AUDIO = {"id": "audio_1", "data": "QUJD", "expires_at": 1729018505, "transcript": "Four degrees."}
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
_DESCRIBED = {"name": "weather", "description": "The weather of a city"}
_FUNCTION = {**_DESCRIBED, "parameters": _SCHEMA}
_TOOL = {"type": "function", "function": _FUNCTION}
_PICTURE = {"type": "image_url", "image_url": {"url": "https://pictures.invalid/oslo.png"}}

_BEDROCK_IMAGE = {"format": "png", "source": {"bytes": "QUJD"}}

_QUESTION = Turn("user", "How warm is Oslo?")
_ANSWER = Turn("assistant", "Four degrees.")
_WRONG = Turn("assistant", "It is hot.")
_SYSTEM = Turn("system", "Be brief.")
_MESSAGES = [{"role": "user", "content": "How warm is Oslo?"}, {"role": "assistant", "content": "Four degrees."}]
_FROM_VALUE = [{"from": "human", "value": "How warm is Oslo?"}, {"from": "gpt", "value": "Four degrees."}]


@dataclass(frozen=True)
class ShapeExample:
    """A row of a file, and the conversations that it becomes."""

    name: str
    row: Any
    conversations: Sequence[Conversation]


def _example(name: str, row: Any, *turns: Turn, **fields: Any) -> ShapeExample:
    return ShapeExample(name, row, [Conversation(turns, **fields)])


def _preference(
    name: str,
    row: Any,
    chosen: Sequence[Turn],
    rejected: Sequence[Turn],
    pair: str,
    metadata: dict[str, Any],
    **more: Any,
) -> ShapeExample:
    has_id = "id" in row
    return ShapeExample(
        name,
        row,
        [
            Conversation(
                turns,
                id=f"{pair}-{label}" if has_id else None,
                metadata={**metadata, "preference": label, "preference_pair": pair},
                **more,
            )
            for label, turns in (("chosen", chosen), ("rejected", rejected))
        ],
    )


EXAMPLES = (
    _example(
        "OpenAI: text",
        {"messages": [{"role": "system", "content": "Be brief."}, *_MESSAGES]},
        _SYSTEM,
        _QUESTION,
        _ANSWER,
    ),
    _example(
        "OpenAI: tools",
        {
            "messages": [
                _MESSAGES[0],
                {"role": "assistant", "content": None, "tool_calls": [_CALL.to_dict()]},
                {"role": "tool", "tool_call_id": "call_1", "content": '{"celsius": 4}'},
                _MESSAGES[1],
            ],
            "tools": [_TOOL],
            "parallel_tool_calls": False,
        },
        _QUESTION,
        Turn("assistant", "", tool_calls=(_CALL,)),
        Turn("tool", '{"celsius": 4}', tool_call_id="call_1"),
        _ANSWER,
        tools=[_TOOL],
        metadata={"parallel_tool_calls": False},
    ),
    _example(
        "OpenAI: custom tools",
        {
            "messages": [
                _MESSAGES[0],
                {"role": "assistant", "content": None, "tool_calls": [_CUSTOM_CALL.to_dict()]},
                {"role": "tool", "tool_call_id": "call_2", "content": "4"},
                _MESSAGES[1],
            ],
            "tools": [_CUSTOM_TOOL],
        },
        _QUESTION,
        Turn("assistant", "", tool_calls=(_CUSTOM_CALL,)),
        Turn("tool", "4", tool_call_id="call_2"),
        _ANSWER,
        tools=[_CUSTOM_TOOL],
    ),
    _example(
        "OpenAI: a refusal",
        {
            "messages": [
                _MESSAGES[0],
                {"role": "assistant", "content": None, "refusal": "I cannot say.", "audio": None, "annotations": []},
            ]
        },
        _QUESTION,
        Turn(
            "assistant",
            "I cannot say.",
            parts=[{"type": "refusal", "refusal": "I cannot say."}],
            metadata={"annotations": []},
        ),
    ),
    _example(
        "OpenAI: a refusal as a part",
        {
            "messages": [
                _MESSAGES[0],
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot say."}], "refusal": None},
            ]
        },
        _QUESTION,
        Turn("assistant", "I cannot say.", parts=[{"type": "refusal", "refusal": "I cannot say."}]),
    ),
    _example(
        "OpenAI: answers in audio",
        {
            "messages": [
                _MESSAGES[0],
                {"role": "assistant", "content": None, "refusal": None, "audio": _AUDIO},
                _MESSAGES[0],
                {"role": "assistant", "audio": {"id": "audio_2"}},
            ]
        },
        _QUESTION,
        Turn("assistant", "Four degrees.", parts=[{"type": "audio", "audio": _AUDIO}]),
        _QUESTION,
        Turn("assistant", "", parts=[{"type": "audio", "audio": {"id": "audio_2"}}]),
    ),
    _example(
        "OpenAI: weights and names",
        {
            "messages": [
                {**_MESSAGES[0], "name": "ann"},
                {"role": "assistant", "content": "It is hot.", "weight": 0},
                _MESSAGES[0],
                {**_MESSAGES[1], "weight": 1},
            ]
        },
        Turn("user", "How warm is Oslo?", name="ann"),
        Turn("assistant", "It is hot.", metadata={"weight": 0}),
        _QUESTION,
        Turn("assistant", "Four degrees.", metadata={"weight": 1}),
    ),
    _example(
        "OpenAI: functions of old",
        {
            "messages": [
                _MESSAGES[0],
                {"role": "assistant", "function_call": {"name": "weather", "arguments": _ARGUMENTS}},
                {"role": "function", "name": "weather", "content": "4 C"},
                _MESSAGES[1],
            ],
            "functions": [_FUNCTION],
        },
        _QUESTION,
        Turn("assistant", "", tool_calls=(_CALL_WITHOUT_ID,)),
        Turn("tool", "4 C", name="weather"),
        _ANSWER,
        tools=[_TOOL],
    ),
    _example(
        "OpenAI: pictures",
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Where is this?"}, _PICTURE]},
                _MESSAGES[1],
            ]
        },
        Turn("user", "Where is this?", parts=[{"type": "text", "text": "Where is this?"}, _PICTURE]),
        _ANSWER,
    ),
    _example(
        "a reasoning model's answers",
        {
            "uuid": "5c1",
            "messages": [_MESSAGES[0], {**_MESSAGES[1], "reasoning_content": "Norway in March."}],
            "reasoning_tokens": 12,
        },
        _QUESTION,
        Turn("assistant", "Four degrees.", reasoning="Norway in March."),
        metadata={"uuid": "5c1", "reasoning_tokens": 12},
    ),
    _example(
        "Parquet: a column for each key of any message",
        {
            "messages": [
                {**_MESSAGES[0], "name": None, "tool_calls": None, "tool_call_id": None},
                {
                    "role": "assistant",
                    "content": "",
                    "name": None,
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "weather", "arguments": {"city": "Oslo"}},
                        }
                    ],
                    "tool_call_id": None,
                },
                {"role": "tool", "content": "4 C", "name": "weather", "tool_calls": None, "tool_call_id": "call_1"},
            ],
            "tools": None,
            "conversations": None,
        },
        _QUESTION,
        Turn("assistant", "", tool_calls=(_CALL,)),
        Turn("tool", "4 C", name="weather", tool_call_id="call_1"),
    ),
    _example(
        "CSV: messages as JSON text",
        {"id": "7", "messages": json.dumps(_MESSAGES), "tools": json.dumps([_TOOL]), "split": "train"},
        _QUESTION,
        _ANSWER,
        id="7",
        tools=[_TOOL],
        metadata={"split": "train"},
    ),
    _example("a list of messages alone", _MESSAGES, _QUESTION, _ANSWER),
    _example(
        "logs of a chat service",
        {
            "conversation_hash": "8f2e",
            "model": "gpt-4",
            "conversation": [
                {**_MESSAGES[0], "language": "English", "toxic": False},
                {**_MESSAGES[1], "redacted": True},
            ],
            "turn": 1,
        },
        Turn("user", "How warm is Oslo?", metadata={"language": "English", "toxic": False}),
        Turn("assistant", "Four degrees.", metadata={"redacted": True}),
        metadata={"conversation_hash": "8f2e", "model": "gpt-4", "turn": 1},
    ),
    _example(
        "Anthropic: tools and thinking",
        {
            "system": "Be brief.",
            "messages": [
                _MESSAGES[0],
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "I must look.", "signature": "c2ln"},
                        {"type": "text", "text": "Let me look."},
                        {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "call_1", "content": "no answer", "is_error": True},
                        {"type": "text", "text": "Try again."},
                    ],
                },
                {"role": "assistant", "content": [{"type": "text", "text": "Four degrees."}]},
            ],
            "tools": [{"name": "weather", "description": "The weather of a city", "input_schema": _SCHEMA}],
        },
        _SYSTEM,
        _QUESTION,
        Turn(
            "assistant",
            "Let me look.",
            tool_calls=(_CALL,),
            reasoning="I must look.",
            metadata={"reasoning_signature": "c2ln"},
        ),
        Turn("tool", "no answer", tool_call_id="call_1", metadata={"is_error": True}),
        Turn("user", "Try again."),
        Turn("assistant", "Four degrees.", parts=[{"type": "text", "text": "Four degrees."}]),
        tools=[_TOOL],
    ),
    _example(
        "Bedrock: tools and reasoning",
        {
            "system": [{"text": "Be brief."}],
            "messages": [
                {"role": "user", "content": [{"text": "Where is this?"}, {"image": _BEDROCK_IMAGE}]},
                {
                    "role": "assistant",
                    "content": [
                        {"reasoningContent": {"reasoningText": {"text": "I must look.", "signature": "c2ln"}}},
                        {"text": "Let me look."},
                        {"toolUse": {"toolUseId": "call_1", "name": "weather", "input": {"city": "Oslo"}}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "toolResult": {
                                "toolUseId": "call_1",
                                "content": [{"json": {"celsius": 4}}],
                                "status": "success",
                            }
                        }
                    ],
                },
                {"role": "assistant", "content": [{"text": "Four degrees."}]},
            ],
            "toolConfig": {"tools": [{"toolSpec": {**_DESCRIBED, "inputSchema": {"json": _SCHEMA}}}]},
            "inferenceConfig": {"maxTokens": 512},
        },
        Turn("system", "Be brief.", parts=[{"type": "text", "text": "Be brief."}]),
        Turn(
            "user",
            "Where is this?",
            parts=[{"type": "text", "text": "Where is this?"}, {"type": "image", "image": _BEDROCK_IMAGE}],
        ),
        Turn(
            "assistant",
            "Let me look.",
            tool_calls=(_CALL,),
            reasoning="I must look.",
            metadata={"reasoning_signature": "c2ln"},
        ),
        Turn("tool", '{"celsius": 4}', tool_call_id="call_1", metadata={"status": "success"}),
        Turn("assistant", "Four degrees.", parts=[{"type": "text", "text": "Four degrees."}]),
        tools=[_TOOL],
        metadata={"inferenceConfig": {"maxTokens": 512}},
    ),
    _example(
        "Gemini: contents",
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "How warm is Oslo?"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"celsius": 4}}}]},
                {"role": "model", "parts": [{"text": "Four degrees."}]},
            ],
            "tools": [{"functionDeclarations": [_FUNCTION]}],
        },
        _SYSTEM,
        _QUESTION,
        Turn("assistant", "", tool_calls=(_CALL_WITHOUT_ID,)),
        Turn("tool", '{"celsius": 4}', name="weather"),
        _ANSWER,
        tools=[_TOOL],
    ),
    _example(
        "ShareGPT",
        {"id": "QWJhYvA_0", "items": _FROM_VALUE, "model": "gpt-4"},
        _QUESTION,
        _ANSWER,
        id="QWJhYvA_0",
        metadata={"model": "gpt-4"},
    ),
    _example(
        "ShareGPT: function calls",
        {
            "conversations": [
                _FROM_VALUE[0],
                {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Oslo"}}'},
                {"from": "observation", "value": "4 C"},
                {**_FROM_VALUE[1], "weight": 1.0},
            ],
            "system": "Be brief.",
            "tools": json.dumps([_FUNCTION]),
        },
        _SYSTEM,
        _QUESTION,
        Turn("assistant", "", tool_calls=(_CALL_WITHOUT_ID,)),
        Turn("tool", "4 C"),
        Turn("assistant", "Four degrees.", metadata={"weight": 1.0}),
        tools=[_TOOL],
    ),
    _example(
        "ShareGPT: tool calls in tags",
        {
            "conversations": [
                {"from": "Human", "value": "How warm is Oslo?"},
                {
                    "from": "tool_call",
                    "value": f'<tool_call>\n{{"name": "weather", "arguments": {_ARGUMENTS}}}\n</tool_call>',
                },
                {"from": "tool_response", "value": "4 C"},
                {"from": " ChatGPT", "value": "Four degrees."},
            ]
        },
        _QUESTION,
        Turn("assistant", "", tool_calls=(_CALL_WITHOUT_ID,)),
        Turn("tool", "4 C"),
        _ANSWER,
    ),
    _example(
        "Alpaca",
        {"instruction": "Name the capital.", "input": "Norway", "output": "Oslo", "text": "Below is an instruction."},
        Turn("user", "Name the capital.\nNorway"),
        Turn("assistant", "Oslo"),
        metadata={"text": "Below is an instruction."},
    ),
    _example(
        "Alpaca: history",
        {
            "system": "Be brief.",
            "history": [["How warm is Oslo?", "Four degrees."]],
            "instruction": "And Bergen?",
            "input": "",
            "output": "Seven.",
        },
        _SYSTEM,
        _QUESTION,
        _ANSWER,
        Turn("user", "And Bergen?"),
        Turn("assistant", "Seven."),
    ),
    _example(
        "ChatGLM: a history",
        {"query": "And Bergen?", "response": "Seven.", "history": [["How warm is Oslo?", "Four degrees."]]},
        _QUESTION,
        _ANSWER,
        Turn("user", "And Bergen?"),
        Turn("assistant", "Seven."),
    ),
    _example(
        "instructions with a context",
        {"instruction": "How warm?", "context": "Oslo has 4 C.", "response": "Four degrees.", "category": "closed_qa"},
        Turn("user", "How warm?\nOslo has 4 C."),
        _ANSWER,
        metadata={"category": "closed_qa"},
    ),
    ShapeExample(
        "Self-Instruct: instances",
        {
            "id": "seed_0",
            "instruction": "Name the capital.",
            "instances": [{"input": "Norway", "output": "Oslo"}, {"input": "", "output": "Of which country?"}],
            "is_classification": False,
        },
        [
            Conversation(
                [Turn("user", "Name the capital.\nNorway"), Turn("assistant", "Oslo")],
                id="seed_0-1",
                metadata={"is_classification": False},
            ),
            Conversation(
                [Turn("user", "Name the capital."), Turn("assistant", "Of which country?")],
                id="seed_0-2",
                metadata={"is_classification": False},
            ),
        ],
    ),
    _example(
        "TRL: prompt and completion",
        {"prompt": [_MESSAGES[0]], "completion": [_MESSAGES[1]]},
        _QUESTION,
        _ANSWER,
    ),
    _example(
        "KTO: a label",
        {"prompt": "How warm is Oslo?", "completion": "It is hot.", "label": False},
        _QUESTION,
        _WRONG,
        metadata={"label": False},
    ),
    _example(
        "a system prompt, a question and a response",
        {"id": "flan.1", "system_prompt": "Be brief.", "question": "How warm is Oslo?", "response": "Four degrees."},
        _SYSTEM,
        _QUESTION,
        _ANSWER,
        id="flan.1",
    ),
    _example(
        "a query and a response",
        {"query": "How warm is Oslo?", "response": "Four degrees.", "type": "GSM_Rephrased"},
        _QUESTION,
        _ANSWER,
        metadata={"type": "GSM_Rephrased"},
    ),
    _example(
        "messages as input and a text as output",
        {"input": [_MESSAGES[0]], "output": "Four degrees.", "system_prompt": "Be brief.", "reasoning": "off"},
        _SYSTEM,
        _QUESTION,
        _ANSWER,
        metadata={"reasoning": "off"},
    ),
    _example(
        "APIGen: a query and the calls that answer it",
        {
            "id": 3,
            "query": "How warm is Oslo?",
            "answers": json.dumps([{"name": "weather", "arguments": {"city": "Oslo"}}]),
            "tools": json.dumps([{"name": "weather", "description": "The weather of a city", "parameters": _SCHEMA}]),
        },
        _QUESTION,
        Turn("assistant", "", tool_calls=(_CALL_WITHOUT_ID,)),
        id="3",
        tools=[_TOOL],
    ),
    _example(
        "ChatML",
        {
            "text": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHow warm is Oslo?<|im_end|>\n"
            "<|im_start|>assistant\nFour degrees.<|im_end|>\n",
            "source": "logs",
        },
        _SYSTEM,
        _QUESTION,
        _ANSWER,
        metadata={"source": "logs"},
    ),
    _preference(
        "TRL: a preference with its prompt",
        {
            "id": "p1",
            "prompt": [_MESSAGES[0]],
            "chosen": [_MESSAGES[1]],
            "rejected": [{"role": "assistant", "content": "It is hot."}],
        },
        [_QUESTION, _ANSWER],
        [_QUESTION, _WRONG],
        "p1",
        {},
    ),
    _preference(
        "preferences with copies of the prompt and of the chosen messages",
        {
            "id": "p2",
            "prompt": "How warm is Oslo?",
            "chosen": _MESSAGES,
            "rejected": [_MESSAGES[0], {"role": "assistant", "content": "It is hot."}],
            "messages": _MESSAGES,
            "score_chosen": 8.5,
            "score_rejected": 2.0,
        },
        [_QUESTION, _ANSWER],
        [_QUESTION, _WRONG],
        "p2",
        {"score_chosen": 8.5, "score_rejected": 2.0},
    ),
    _preference(
        "preferences as dialogues in one text",
        {
            "id": "p3",
            "chosen": "\n\nHuman: How warm is Oslo?\n\nAssistant: Four degrees.",
            "rejected": "\n\nHuman: How warm is Oslo?\n\nAssistant: It is hot.",
        },
        [_QUESTION, _ANSWER],
        [_QUESTION, _WRONG],
        "p3",
        {},
    ),
    _preference(
        "ShareGPT: a preference",
        {
            "id": "p4",
            "conversations": [_FROM_VALUE[0]],
            "chosen": _FROM_VALUE[1],
            "rejected": {"from": "gpt", "value": "It is hot."},
        },
        [_QUESTION, _ANSWER],
        [_QUESTION, _WRONG],
        "p4",
        {},
    ),
    _preference(
        "preferences of texts",
        {
            "id": "p5",
            "system": "Be brief.",
            "question": "How warm is Oslo?",
            "chosen": "Four degrees.",
            "rejected": "It is hot.",
        },
        [_SYSTEM, _QUESTION, _ANSWER],
        [_SYSTEM, _QUESTION, _WRONG],
        "p5",
        {},
    ),
    _preference(
        "OpenAI: a preference",
        {
            "id": "p6",
            "input": {"messages": [_MESSAGES[0]], "tools": [_TOOL], "parallel_tool_calls": True},
            "preferred_output": [_MESSAGES[1]],
            "non_preferred_output": [{"role": "assistant", "content": "It is hot."}],
        },
        [_QUESTION, _ANSWER],
        [_QUESTION, _WRONG],
        "p6",
        {"parallel_tool_calls": True},
        tools=[_TOOL],
    ),
    _preference(
        "OpenAI: a preference for an answer over a refusal",
        {
            "id": "p7",
            "input": {"messages": [_MESSAGES[0]], "tools": [], "parallel_tool_calls": True},
            "preferred_output": [_MESSAGES[1]],
            "non_preferred_output": [{"role": "assistant", "content": None, "refusal": "I cannot say."}],
        },
        [_QUESTION, _ANSWER],
        [_QUESTION, Turn("assistant", "I cannot say.", parts=[{"type": "refusal", "refusal": "I cannot say."}])],
        "p7",
        {"parallel_tool_calls": True},
    ),
    _example(
        "ChatGPT's export",
        {
            "title": "Weather in Oslo",
            "create_time": 1700000000,
            "conversation_id": "c-1",
            "current_node": "d",
            "mapping": {
                "root": {"id": "root", "message": None, "parent": None, "children": ["a"]},
                "a": {
                    "parent": "root",
                    "children": ["b"],
                    "message": {
                        "author": {"role": "system", "name": None, "metadata": {}},
                        "content": {"content_type": "text", "parts": [""]},
                        "metadata": {"is_visually_hidden_from_conversation": True},
                    },
                },
                "b": {
                    "parent": "a",
                    "children": ["c", "d"],
                    "message": {
                        "id": "m-b",
                        "author": {"role": "user", "name": None, "metadata": {}},
                        "create_time": 1700000001.5,
                        "content": {"content_type": "text", "parts": ["How warm is Oslo?"]},
                        "recipient": "all",
                    },
                },
                "c": {
                    "parent": "b",
                    "children": [],
                    "message": {
                        "author": {"role": "assistant"},
                        "content": {"content_type": "text", "parts": ["An answer that was generated again."]},
                    },
                },
                "d": {
                    "parent": "b",
                    "children": [],
                    "message": {
                        "id": "m-d",
                        "author": {"role": "assistant", "name": None, "metadata": {}},
                        "content": {"content_type": "text", "parts": ["Four degrees."]},
                        "metadata": {"model_slug": "gpt-4o"},
                    },
                },
            },
        },
        Turn("user", "How warm is Oslo?", id="m-b", metadata={"create_time": 1700000001.5, "recipient": "all"}),
        Turn("assistant", "Four degrees.", id="m-d", metadata={"model_slug": "gpt-4o"}),
        id="c-1",
        topic="Weather in Oslo",
        created_at=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
    ),
    _example(
        "SWE-agent: a trajectory",
        {
            "instance_id": "repo__1",
            "target": True,
            "trajectory": [
                {"role": "system", "system_prompt": "Be brief.", "text": None, "mask": False},
                {"role": "user", "system_prompt": None, "text": "How warm is Oslo?", "mask": False},
                {"role": "ai", "system_prompt": None, "text": "Four degrees.", "mask": False},
            ],
        },
        Turn("system", "Be brief.", metadata={"mask": False}),
        Turn("user", "How warm is Oslo?", metadata={"mask": False}),
        Turn("assistant", "Four degrees.", metadata={"mask": False}),
        metadata={"instance_id": "repo__1", "target": True},
    ),
    _example(
        "OpenHands: a history",
        {
            "history": [
                {"role": "user", "content": [{"type": "text", "text": "How warm is Oslo?"}]},
                {"role": "assistant", "content": "Let me look.", "tool_calls": [_CALL.to_dict()]},
                {"role": "tool", "content": "4 C", "tool_call_id": "call_1", "name": "weather"},
            ],
            "resolved": 1,
        },
        Turn("user", "How warm is Oslo?", parts=[{"type": "text", "text": "How warm is Oslo?"}]),
        Turn("assistant", "Let me look.", tool_calls=(_CALL,)),
        Turn("tool", "4 C", name="weather", tool_call_id="call_1"),
        metadata={"resolved": 1},
    ),
    _example(
        "dialogues of a user and a system",
        {
            "dialogue_id": "1_00000",
            "turns": [
                {"speaker": "USER", "utterance": "How warm is Oslo?", "frames": [{"service": "Weather_1"}]},
                {"speaker": "SYSTEM", "utterance": "Four degrees.", "frames": []},
            ],
        },
        Turn("user", "How warm is Oslo?", metadata={"frames": [{"service": "Weather_1"}]}),
        Turn("assistant", "Four degrees.", metadata={"frames": []}),
        metadata={"dialogue_id": "1_00000"},
    ),
    _example(
        "an export with all fields",
        Conversation(
            [_QUESTION, Turn("observer", "Four degrees.", id="t2", reasoning="Norway.", metadata={"score": 1})],
            id="x",
            topic="weather",
            persona="Ann",
            content="About Oslo.",
            metadata={"source": "logs"},
            tools=[_TOOL],
        ).to_dict(),
        _QUESTION,
        Turn("observer", "Four degrees.", id="t2", reasoning="Norway.", metadata={"score": 1}),
        id="x",
        topic="weather",
        persona="Ann",
        content="About Oslo.",
        metadata={"source": "logs"},
        tools=[_TOOL],
    ),
)
