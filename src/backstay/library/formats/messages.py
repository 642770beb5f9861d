"""OpenAI chat fine-tuning: one `{"messages": [{"role", "content"}]}` per line."""

from typing import Any

from backstay.library.conversation import Conversation
from backstay.library.json_lines import JsonLines
from backstay.library.openai_messages import UNSUPPORTED, to_messages, to_tools
from backstay.library.trainer_checks import check_parts


class MessagesFormat(JsonLines):
    """The shape of OpenAI chat fine-tuning, as JSON lines; `tools` are next to the messages."""

    label = "OpenAI messages (JSONL)"
    unsupported = UNSUPPORTED
    trainer_checks = (check_parts,)
    writes_turn_metadata = True

    def row(self, conversation: Conversation) -> dict[str, Any]:
        return {"messages": to_messages(conversation, self.options), **to_tools(conversation)}
