"""Messages of Anthropic's API, whose content is text or a list of blocks, and of Bedrock's Converse API."""

from collections.abc import Iterator, Sequence
from typing import Any

from backstay.library.imports.bedrock import is_bedrock_block, to_typed_block
from backstay.library.imports.blocks import read_blocks
from backstay.library.imports.import_row import ImportRow
from backstay.library.imports.message import read_message, read_role, take_fields
from backstay.library.imports.shape import TurnListShape
from backstay.library.record import Document

_BLOCKS = frozenset(("thinking", "redacted_thinking", "tool_use", "tool_result", "document"))


class AnthropicShape(TurnListShape):
    """A list of messages with blocks such as `tool_use`, `tool_result` and `thinking`, and `system` next to it.

    Bedrock's blocks, such as `{"toolUse": {…}}`, are read as Anthropic's.
    """

    speaker_key = "role"

    def fits(self, turns: Any) -> bool:
        return super().fits(turns) and has_blocks(turns)

    def read_turns(self, messages: Sequence[Any], row: ImportRow, start: int = 1) -> Iterator[Document]:
        for number, message in enumerate(messages, start=start):
            if not isinstance(message, dict) or not isinstance(message.get("content"), list):
                yield read_message(message, number, row)
                continue
            values = {key: value for key, value in message.items() if value is not None}
            role = read_role(values.pop("role", None), number, row)
            blocks = [to_typed_block(block) for block in values.pop("content")]
            values |= take_fields(values)  # such as reasoning next to blocks, as the export of messages writes it
            yield from read_blocks(blocks, role, number, row, values)


def has_blocks(messages: Sequence[Any]) -> bool:
    """Return whether a message has a block that only Anthropic's or Bedrock's API has."""
    for message in messages:
        content = message.get("content") if type(message) is dict else None
        if type(content) is list and any(_is_own(block) for block in content if isinstance(block, dict)):
            return True
    return False


def _is_own(block: dict[str, Any]) -> bool:
    kind = block.get("type")
    if kind is None:
        return is_bedrock_block(block)
    return isinstance(kind, str) and (kind in _BLOCKS or (kind == "image" and isinstance(block.get("source"), dict)))
