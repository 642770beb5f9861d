"""Alpaca: one `{"instruction", "input", "output", "system", "history"}` per line."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backstay.library.conversation import Conversation
from backstay.library.json_lines import JsonLines
from backstay.library.loss import Loss
from backstay.library.training_content import to_text_only, with_system_role

if TYPE_CHECKING:
    from backstay.library.turn import Turn

_ORDER = ("user", "assistant")


class AlpacaFormat(JsonLines):
    """Questions and answers: the last pair is `instruction` and `output`, those before it are `history`."""

    label = "Alpaca (JSONL)"

    def remove_unsupported(self, conversation: Conversation) -> tuple[Conversation | None, Mapping[Loss, int]]:
        kept: list[Turn] = []
        pairs: list[Turn] = []
        conversation, of_developer = with_system_role(conversation)
        conversation, announcements = _without_call_text(conversation)
        conversation, without_fields = to_text_only(conversation)
        left_out = Counter({**of_developer, **announcements, **without_fields})
        for number, turn in enumerate(conversation.turns):
            if turn.role == "system" and number == 0:
                kept.append(turn)
            elif turn.role not in _ORDER:
                left_out[Loss.SYSTEM if turn.role == "system" else Loss.ROLES] += 1
            elif turn.role == _ORDER[len(pairs) % 2]:
                pairs.append(turn)
            else:
                left_out[Loss.ORDER] += 1
        if len(pairs) % 2:  # a question without an answer
            pairs.pop()
            left_out[Loss.ORDER] += 1
        if not pairs:
            return None, {Loss.NO_ANSWER: 1}
        return replace(conversation, turns=[*kept, *pairs]), left_out

    def row(self, conversation: Conversation) -> dict[str, Any]:
        *history, question, answer = [turn.content for turn in conversation.turns]
        row = {"instruction": question, "input": "", "output": answer}
        if conversation.turns[0].role == "system":
            row["system"] = history.pop(0)
        return row | ({"history": list(zip(history[::2], history[1::2], strict=True))} if history else {})


def _without_call_text(conversation: Conversation) -> tuple[Conversation, Mapping[Loss, int]]:
    """Return a conversation without text next to tool calls, which would be taken for the answer, and its count."""
    if not (count := sum(bool(turn.tool_calls and turn.content) for turn in conversation.turns)):
        return conversation, {}
    turns = [replace(turn, content="") if turn.tool_calls else turn for turn in conversation.turns]
    return replace(conversation, turns=turns), {Loss.CALL_TEXT: count}
