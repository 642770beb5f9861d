"""Turns and tools in the shape of OpenAI's API, which most trainers read."""

from collections.abc import Sequence
from typing import Any

from backstay.library.conversation import Conversation
from backstay.library.format_options import FormatOptions
from backstay.library.json_lines import embed
from backstay.library.loss import Loss
from backstay.library.tool_definitions import to_openai
from backstay.library.training_content import field_block_types, is_embeddable, weight, weight_key
from backstay.library.turn import Turn, part_type

UNSUPPORTED = frozenset((Loss.PART_ORDER,))
"""What these messages cannot hold."""


def to_messages(conversation: Conversation, options: FormatOptions) -> list[dict[str, Any]]:
    """Return the messages of a conversation, with metadata of the turns and parsed arguments if the options say so."""
    messages = [_to_message(turn, metadata=options.metadata) for turn in conversation.turns]
    return with_parsed_arguments(messages) if options.parsed_arguments else messages


def with_parsed_arguments(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages with the arguments of tool calls parsed, where they are JSON objects."""
    return [
        message | {"tool_calls": list(map(_with_parsed_arguments, message["tool_calls"]))}
        if "tool_calls" in message
        else message
        for message in messages
    ]


def _with_parsed_arguments(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")  # a custom call has none
    if function is None or not is_embeddable(function["arguments"]):
        return call
    return call | {"function": function | {"arguments": embed(function["arguments"])}}


def to_tools(conversation: Conversation) -> dict[str, Any]:
    """Return the entry `tools` of a row, or nothing if the conversation has no tools."""
    return {"tools": [to_openai(tool) for tool in conversation.tools]} if conversation.tools else {}


def _to_message(turn: Turn, *, metadata: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": _content(turn)}
    if not turn.is_plain:
        fields = {
            "name": turn.name,
            "tool_calls": [call.to_dict() for call in turn.tool_calls],
            "tool_call_id": turn.tool_call_id,
            "reasoning_content": turn.reasoning,
        }
        message |= {name: value for name, value in fields.items() if value}
        if in_place := _in_place_of_content(turn):
            message |= {"content": None, **in_place}
    if turn.metadata and (number := weight(turn)) is not None:
        message["weight"] = number
    if metadata:
        message |= id_and_metadata(turn)
    return message


def id_and_metadata(turn: Turn) -> dict[str, Any]:
    """Return the id and the metadata of a turn, with outdated parts but without its weight, which the message has."""
    metadata = dict(turn.metadata or {})
    if (key := weight_key(turn)) is not None:
        del metadata[key]
    if outdated := turn.outdated_parts:
        metadata["parts"] = outdated
    return ({} if turn.id is None else {"id": turn.id}) | ({"metadata": metadata} if metadata else {})


def _content(turn: Turn) -> str | Sequence[Any]:
    """Return the parts or the text; never null, because the chat templates of DeepSeek-V3 and Qwen3 fail on that."""
    if parts := turn.current_parts:
        field_types = field_block_types(turn)
        content = [part for part in parts if part_type(part) not in field_types]
        if content:
            return content
    return turn.content


def _in_place_of_content(turn: Turn) -> dict[str, Any]:
    """Return the refusal and the audio of an answer that has no other content, as keys of its message.

    Its content is then null, so that a chat template that does not know these keys fails. With an empty text, it would
    train the model to answer nothing.
    """
    fields: dict[str, Any] = {}
    for part in turn.current_parts or ():
        match part:
            case {"type": "refusal", "refusal": str(refusal), **more} if refusal and not more and not fields:
                fields["refusal"] = refusal
            case {"type": "audio", "audio": {"id": str()} as audio, **more} if not more and "audio" not in fields:
                fields["audio"] = audio
            case _:
                return {}
    return fields if turn.role == "assistant" else {}
