"""Anthropic: one `{"system", "messages", "tools"}` per line, with blocks where text alone is not enough."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from backstay.library.content_blocks import to_bare_image, to_block
from backstay.library.conversation import Conversation
from backstay.library.json_lines import JsonLines, embed
from backstay.library.loss import Loss
from backstay.library.tool_definitions import to_anthropic
from backstay.library.training_content import field_block_types, is_embeddable, with_system_role
from backstay.library.turn import ToolCall, Turn, text_of_parts

_ROLES = frozenset(("user", "assistant", "tool"))
_SIGNATURE, _IS_ERROR = "reasoning_signature", "is_error"
Block = Mapping[str, Any]


class AnthropicFormat(JsonLines):
    """The shape of Anthropic's API. Results of tools are part of the user message that follows the calls."""

    label = "Anthropic messages (JSONL)"
    unsupported = (Loss.TOOL_CALL_KEYS, Loss.ARGUMENTS, Loss.NAMES, Loss.WEIGHTS, Loss.MISPLACED)

    def remove_unsupported(self, conversation: Conversation) -> tuple[Conversation | None, Mapping[Loss, int]]:
        left_out = Counter[Loss]()
        turns: list[Turn] = []
        conversation, of_developer = with_system_role(conversation)
        left_out.update(of_developer)
        for number, turn in enumerate(conversation.turns):
            if turn.role not in _ROLES and (turn.role != "system" or number):
                left_out[Loss.SYSTEM if turn.role == "system" else Loss.ROLES] += 1
                continue
            supported, lost = _with_blocks_only(turn)
            turns.append(supported)
            left_out.update(lost)
        if all(turn.role == "system" for turn in turns):
            return None, {Loss.NO_ANSWER: 1}
        return replace(conversation, turns=turns), +left_out

    def training_keys(self, turn: Turn) -> Collection[str]:
        written = {_SIGNATURE: _signature(turn), _IS_ERROR: _is_error(turn)}
        return {*super().training_keys(turn), *(key for key, value in written.items() if value is not None)}

    def row(self, conversation: Conversation) -> dict[str, Any]:
        turns = conversation.turns
        row: dict[str, Any] = {}
        if turns[0].role == "system":
            row["system"], turns = _content(turns[0]), turns[1:]
        row["messages"] = list(_messages(turns))
        return row | ({"tools": [to_anthropic(tool) for tool in conversation.tools]} if conversation.tools else {})


def _with_blocks_only(turn: Turn) -> tuple[Turn, Counter[Loss]]:
    """Return the turn with only parts that can be blocks, and what is left out.

    An image keeps its URL. Any other part is replaced by its text, such as the transcript of audio.
    """
    lost = Counter[Loss]()
    parts: list[Any] = []
    for part in turn.current_parts or ():
        if to_block(part) is not None:
            parts.append(part)
        elif (image := to_bare_image(part)) is not None:
            parts.append(image)
            lost[Loss.PART_KEYS] += 1
        else:
            parts += filter(None, [text_of_parts([part])])
            lost[Loss.PARTS] += 1
    return replace(turn, parts=parts or None) if lost else turn, lost


def _messages(turns: Iterable[Turn]) -> Iterator[dict[str, Any]]:
    """Yield the messages. The API requires all results of a message's calls in the next one, before any text."""
    results: list[Block] = []
    for turn in turns:
        if turn.role == "tool":
            results.append(_result(turn))
            continue
        if results and turn.role == "user":
            yield {"role": "user", "content": [*results, *_content_blocks(turn)]}
        else:
            yield from _results(results)
            yield {"role": turn.role, "content": _model_blocks(turn) or _content(turn)}
        results = []
    yield from _results(results)


def _results(results: Sequence[Block]) -> Iterator[dict[str, Any]]:
    if results:
        yield {"role": "user", "content": results}


def _content(turn: Turn) -> str | list[Block]:
    return _content_blocks(turn) if turn.current_parts else turn.content


def _content_blocks(turn: Turn) -> list[Block]:
    if parts := turn.current_parts:
        return [block for part in parts if (block := to_block(part)) is not None]
    return [{"type": "text", "text": turn.content}] if turn.content else []


def _model_blocks(turn: Turn) -> list[Block]:
    """Return the blocks of an answer; none if it is only content."""
    thinking, calls = _thinking(turn), [_tool_use(call) for call in turn.tool_calls]
    if turn.role != "assistant" or not (thinking or calls):
        return []
    field_types = field_block_types(turn)
    content = _content_blocks(turn)
    if any(block["type"] in field_types for block in content):
        if _ids(content) == _ids(calls):  # as the answer came, with the order that the fields do not hold
            has_thinking = any(block["type"] == "thinking" for block in content)
            return content if has_thinking else [*thinking, *content]
        content = [block for block in content if block["type"] not in field_types]
    return [*thinking, *content, *calls]


def _ids(blocks: Iterable[Block]) -> list[tuple[Any, Any]]:
    return [(block.get("id"), block.get("name")) for block in blocks if block["type"] == "tool_use"]


def _thinking(turn: Turn) -> list[Block]:
    if not turn.reasoning:
        return []
    signature = _signature(turn)
    signed = {} if signature is None else {"signature": signature}
    return [{"type": "thinking", "thinking": turn.reasoning, **signed}]


def _signature(turn: Turn) -> str | None:
    value = turn.metadata.get(_SIGNATURE) if turn.metadata else None
    return value if isinstance(value, str) and turn.reasoning and turn.role == "assistant" else None


def _tool_use(call: ToolCall) -> Block:
    call_id = {} if call.id is None else {"id": call.id}
    arguments = embed(call.arguments) if is_embeddable(call.arguments) else {}
    return {"type": "tool_use", **call_id, "name": call.name, "input": arguments}


def _result(turn: Turn) -> Block:
    call_id = {"tool_use_id": turn.tool_call_id} if turn.tool_call_id else {}
    is_error = _is_error(turn)
    mark = {} if is_error is None else {_IS_ERROR: is_error}
    return {"type": "tool_result", **call_id, "content": _content(turn), **mark}


def _is_error(turn: Turn) -> bool | None:
    value = turn.metadata.get(_IS_ERROR) if turn.metadata else None
    return value if isinstance(value, bool) and turn.role == "tool" else None
