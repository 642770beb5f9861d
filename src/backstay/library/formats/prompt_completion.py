"""Prompt and completion: `{"prompt": [messages], "completion": [the last answer]}` per line."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backstay.library.conversation import Conversation
from backstay.library.json_lines import JsonLines
from backstay.library.loss import Loss
from backstay.library.openai_messages import UNSUPPORTED, to_messages, to_tools
from backstay.library.trainer_checks import check_parts


class PromptCompletionFormat(JsonLines):
    """TRL's conversational prompt and completion: trainers learn the last answer only."""

    label = "Prompt and completion, as messages (JSONL)"
    unsupported = UNSUPPORTED
    trainer_checks = (check_parts,)
    writes_turn_metadata = True

    def remove_unsupported(self, conversation: Conversation) -> tuple[Conversation | None, Mapping[Loss, int]]:
        turns = conversation.turns
        length = max((number for number, turn in enumerate(turns, start=1) if turn.role == "assistant"), default=0)
        if length < 2:
            return None, {Loss.NO_ANSWER: 1}
        if length == len(turns):
            return conversation, {}
        return replace(conversation, turns=turns[:length]), {Loss.AFTER_ANSWER: len(turns) - length}

    def row(self, conversation: Conversation) -> dict[str, Any]:
        *prompt, answer = to_messages(conversation, self.options)
        return {"prompt": prompt, "completion": [answer], **to_tools(conversation)}
