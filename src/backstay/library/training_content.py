"""Counts of a conversation's training data beyond roles and text, from which a format reports what it would lose."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

import orjson

from backstay.library.conversation import Conversation
from backstay.library.loss import MORE_THAN_TEXT, Loss
from backstay.library.turn import Turn, part_type
from backstay.readers.json_depth import is_too_deep, may_be_too_deep
from backstay.readers.json_object import loses_digits

_TEXT_TYPES = frozenset(("text", "input_text", "output_text", "refusal"))
_ARGUMENTS_OUTER_LEVELS = 6
"""The most levels of nesting around the arguments of a tool call: those in a row of `messages`."""


def count_features(conversation: Conversation) -> dict[Loss, int]:
    """Return what a conversation has beyond roles and text, with counts; usually nothing."""
    if not conversation.tools and all(turn.is_plain and not turn.metadata for turn in conversation.turns):
        return {}
    counts = Counter[Loss]()
    if conversation.tools:
        counts[Loss.TOOLS] = len(conversation.tools)
    for turn in conversation.turns:
        if not turn.is_plain:
            counts.update(_count_fields(turn))
        if turn.metadata and weight(turn) is not None:
            counts[Loss.WEIGHTS] += 1
    return {loss: count for loss, count in counts.items() if count}


def with_system_role(conversation: Conversation) -> tuple[Conversation, Mapping[Loss, int]]:
    """Return the conversation with the role system for a first turn of the role developer, and that as a loss.

    `developer` is OpenAI's newer name for `system`.
    """
    first, *others = conversation.turns
    if first.role != "developer":
        return conversation, {}
    return replace(conversation, turns=[replace(first, role="system"), *others]), {Loss.DEVELOPER: 1}


def to_text_only(conversation: Conversation) -> tuple[Conversation, Mapping[Loss, int]]:
    """Return the conversation with only roles and texts, without turns that have no text, and what is left out."""
    counts = count_features(conversation)
    if not counts:
        return conversation, counts
    turns = [
        turn if turn.is_plain else _with_text_only(turn)
        for turn in conversation.turns
        if turn.is_plain or turn.content.strip()
    ]
    left_out = {loss: count for loss, count in counts.items() if loss in MORE_THAN_TEXT}
    if without_text := len(conversation.turns) - len(turns):
        left_out[Loss.NO_TEXT] = without_text
    return replace(conversation, turns=turns, tools=()), left_out


def _with_text_only(turn: Turn) -> Turn:
    return Turn(turn.role, turn.content, id=turn.id, metadata=turn.metadata, parts=turn.outdated_parts)


def is_misplaced(turn: Turn) -> bool:
    """Return whether a turn has calls or reasoning without being the model's, or a call's id without being a result."""
    is_of_model = bool(turn.tool_calls or turn.reasoning)
    return (is_of_model and turn.role != "assistant") or (bool(turn.tool_call_id) and turn.role != "tool")


def weight_key(turn: Turn) -> str | None:
    """Return the key of the metadata that holds the weight of a message in training: `weight`, or ms-swift's `loss`."""
    metadata = turn.metadata or {}
    if isinstance(metadata.get("weight"), int | float):
        return "weight"
    return "loss" if isinstance(metadata.get("loss"), bool) else None


def weight(turn: Turn) -> int | float | None:
    """Return the weight of a message in training; for `loss`, true is 1 and false 0."""
    if turn.metadata is None or (key := weight_key(turn)) is None:
        return None
    value: int | float = turn.metadata[key]
    return int(value) if key == "loss" else value


def is_json_object(text: str) -> bool:
    """Return whether a text is a JSON object."""
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def is_embeddable(arguments: str) -> bool:
    """Return whether the arguments of a call are a JSON object that an import of the row would accept unchanged."""
    if not is_json_object(arguments) or loses_digits(arguments.encode()):
        return False
    return not may_be_too_deep(arguments, outer_levels=_ARGUMENTS_OUTER_LEVELS) or not is_too_deep(
        orjson.loads(arguments), outer_levels=_ARGUMENTS_OUTER_LEVELS
    )


def field_block_types(turn: Turn) -> Collection[str]:
    """Return the types of Anthropic's content blocks that repeat fields of this turn and so are not content."""
    types = {"thinking": turn.reasoning, "tool_use": turn.tool_calls}
    return [name for name, value in types.items() if value]


def _count_fields(turn: Turn) -> Mapping[Loss, int]:
    calls, field_types = turn.tool_calls, field_block_types(turn)
    types = [part_type(part) for part in turn.current_parts or ()]
    return {
        Loss.NAMES: bool(turn.name),
        Loss.TOOL_CALLS: len(calls),
        Loss.TOOL_CALL_IDS: sum(call.id is not None for call in calls) + bool(turn.tool_call_id),
        Loss.TOOL_CALL_KEYS: sum(bool(call.extra) for call in calls),
        Loss.ARGUMENTS: sum(not is_embeddable(call.arguments) for call in calls),
        Loss.CALL_TEXT: bool(calls and turn.content),
        Loss.REASONING: bool(turn.reasoning),
        Loss.PARTS: sum(name not in _TEXT_TYPES and name not in field_types for name in types),
        Loss.MISPLACED: is_misplaced(turn),
        Loss.PART_ORDER: any(name in field_types for name in types),
    }
