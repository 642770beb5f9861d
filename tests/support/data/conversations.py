"""Conversations and items with few arguments."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from backstay.batch.intake import read_items
from backstay.batch.item import ClaimedItem, Item, NewItem
from backstay.batch.item_columns import ColumnMapping
from backstay.library.conversation import Conversation
from backstay.library.turn import ToolCall, Turn


def conversation(text: str = "hello", **known: Any) -> Conversation:
    """Return a conversation of two turns about `text`; `known` are further fields of it."""
    return Conversation([Turn("user", text), Turn("assistant", f"About {text}: yes.")], **known)


def with_tools(**known: Any) -> Conversation:
    """Return a conversation with every field that a turn may have; `known` are further fields of it."""
    picture = {"type": "image_url", "image_url": {"url": "https://pictures.invalid/ü.png", "detail": "low"}}
    parts = [{"type": "text", "text": "Where is "}, picture, "this?"]
    function = {"name": "get_weather", "description": "…", "parameters": {"type": "object", "properties": {"city": {}}}}
    turns = [
        Turn("system", "You know \U0001f30d."),
        Turn("user", "Where is this?", name="Ann", parts=parts),
        Turn(
            "assistant",
            "",
            reasoning="A tower.\n\nParis?",
            tool_calls=(
                ToolCall("call_1", "get_weather", '{"city": "Paris", "days": 1.50}'),
                ToolCall(None, "look", '{"broken', extra={"index": 1}),
            ),
        ),
        Turn("tool", "", name="get_weather", tool_call_id="call_1", metadata={"is_error": True}),
        Turn("assistant", "Paris.", id="last", reasoning="Yes.", metadata={"weight": 0, "signature": "ErUB"}),
        Turn("user", "No, edited.", parts=["Before"]),
    ]
    fields = {
        "topic": "Paris",
        "metadata": {"source": {"a": [1, None]}},
        "tools": [{"type": "function", "function": function}],
    }
    return Conversation(turns, **{**fields, **known})


def items(count: int, *, start: int = 1) -> list[dict[str, str]]:
    """Return dictionaries with the ids `item-1`, `item-2`, … and a topic each."""
    return [{"id": f"item-{n}", "topic": f"topic {n}"} for n in range(start, start + count)]


async def drafts_of(source: Iterable[Item | dict[str, Any]], columns: ColumnMapping | None = None) -> list[NewItem]:
    """Return the drafts of all items in one list."""
    return [draft async for chunk in read_items(source, columns or ColumnMapping()) for draft in chunk]


def claimed(position: int = 0, *, tries: int = 0, attempt: int = 1, alone: bool = False) -> ClaimedItem:
    """Return a claimed item."""
    item = Item(f"topic {position}", id=f"item-{position}")
    return ClaimedItem(item, position, attempt, tries, alone, datetime(2024, 1, 1, tzinfo=UTC))
