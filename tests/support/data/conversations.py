"""Conversations and items with few arguments."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from backstay.batch.intake import read_items
from backstay.batch.item import ClaimedItem, Item, NewItem
from backstay.batch.item_columns import ColumnMapping
from backstay.library.conversation import Conversation, Turn


def conversation(text: str = "hello", **known: Any) -> Conversation:
    """Return a conversation of two turns about `text`; `known` are further fields of it."""
    return Conversation([Turn("user", text), Turn("assistant", f"About {text}: yes.")], **known)


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
