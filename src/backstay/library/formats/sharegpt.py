"""ShareGPT: one `{"id", "system", "tools", "conversations": [{"from", "value"}]}` per line.

Tools are written as LLaMA-Factory reads them: the definitions as JSON text, a turn's calls as a JSON object, or
a list of several, under `function_call`, and results under `observation`.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from backstay.library.conversation import Conversation
from backstay.library.json_lines import JsonLines, embed
from backstay.library.loss import Loss
from backstay.library.openai_messages import id_and_metadata, to_tools
from backstay.library.trainer_checks import check_alternation
from backstay.library.training_content import is_embeddable, weight
from backstay.library.turn import ToolCall, Turn

_SPEAKER = {"user": "human", "assistant": "gpt", "tool": "observation"}


class ShareGPTFormat(JsonLines):
    """The shape of ShareGPT; roles other than user, assistant and tool keep their names."""

    label = "ShareGPT (JSONL)"
    unsupported = (
        *(Loss.TOOL_CALL_IDS, Loss.TOOL_CALL_KEYS, Loss.CALL_TEXT, Loss.REASONING),
        *(Loss.PARTS, Loss.PART_ORDER, Loss.NAMES, Loss.MISPLACED),
    )
    trainer_checks = (check_alternation,)
    written_fields = ("id",)
    writes_turn_metadata = True

    def row(self, conversation: Conversation) -> dict[str, Any]:
        row: dict[str, Any] = {"id": conversation.id}
        turns = conversation.turns
        if _is_apart(turns):
            row["system"], turns = turns[0].content, turns[1:]
        if conversation.tools:
            row["tools"] = orjson.dumps(to_tools(conversation)["tools"]).decode()
        return {**row, "conversations": [self._to_dict(turn) for turn in turns]}

    def _to_dict(self, turn: Turn) -> dict[str, Any]:
        entry: dict[str, Any] = {"from": _SPEAKER.get(turn.role, turn.role), "value": turn.content}
        if turn.tool_calls and turn.role == "assistant":
            entry = {"from": "function_call", "value": _calls(turn)}
        if turn.metadata and (number := weight(turn)) is not None:
            entry["weight"] = number
        return entry | (id_and_metadata(turn) if self.options.metadata else {})


def _is_apart(turns: Sequence[Turn]) -> bool:
    """Return whether the first turn is written as `system`: a system message of text only, and the only leading one."""
    first, *others = turns[:2]
    is_text = bool(first.content.strip()) and not first.metadata and first.id is None
    return first.role == "system" and is_text and bool(others) and others[0].role != "system"


def _calls(turn: Turn) -> str:
    calls = [_call(call) for call in turn.tool_calls]
    return orjson.dumps(calls[0] if len(calls) == 1 else calls).decode()


def _call(call: ToolCall) -> dict[str, Any]:
    is_object = is_embeddable(call.arguments)
    return {"name": call.name, "arguments": embed(call.arguments) if is_object else call.arguments}
