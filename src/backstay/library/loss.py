"""What a format may be unable to hold."""

from enum import StrEnum


class Loss(StrEnum):
    """Training data that a format cannot hold; the value is its name for people."""

    TOOLS = "tool definitions"
    TOOL_CALLS = "tool calls"
    TOOL_CALL_IDS = "ids of tool calls"
    TOOL_CALL_KEYS = "extra keys of tool calls"
    ARGUMENTS = "arguments of tool calls that cannot be written as JSON objects"
    CALL_TEXT = "text next to tool calls"
    REASONING = "reasoning"
    PARTS = "content parts that are not text"
    PART_KEYS = "extra keys of content parts"
    PART_ORDER = "the order of text, reasoning and tool calls"
    NAMES = "names"
    WEIGHTS = "weights"
    MISPLACED = "fields on turns of the wrong role"
    NO_TEXT = "turns without text"
    ROLES = "turns with a role that the format does not have"
    DEVELOPER = "the role developer, which becomes system"
    SYSTEM = "system messages after the first turn"
    ORDER = "turns out of order"
    AFTER_ANSWER = "turns after the last answer"
    NO_ANSWER = "conversations without a question and an answer"
    NO_CORRECTION = "edits that do not correct an answer"
    COUNTERPART = "conversations without a counterpart"


MORE_THAN_TEXT = frozenset(
    (Loss.TOOLS, Loss.TOOL_CALLS, Loss.TOOL_CALL_IDS, Loss.REASONING, Loss.PARTS, Loss.NAMES, Loss.WEIGHTS)
)
"""What a format of roles and text alone cannot hold."""
