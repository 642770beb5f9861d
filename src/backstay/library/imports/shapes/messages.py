"""Messages of OpenAI's API, of its fine-tuning files and of Hugging Face's chat templates, and agents' trajectories."""

from typing import Any

from backstay.library.imports.shape import TurnListShape
from backstay.library.imports.shapes.anthropic import has_blocks


class MessagesShape(TurnListShape):
    """A list of messages with `role` and `content`, with tools, reasoning and parts."""

    speaker_key = "role"
    # Trajectories of SWE-agent have `text`, and `system_prompt` for the system.
    content_keys = ("content", "value", "text", "system_prompt")

    def fits(self, turns: Any) -> bool:
        return super().fits(turns) and not has_blocks(turns)
