"""The position of a conversation in a list, in the address of its page.

The page does not count: at a million conversations, that would take longer than to find the next one. Its address has
the number of the conversation and the total, as they were when the list was opened.
"""

from typing import Any

from backstay.coordination.cursors import Cursors
from backstay.library.lists import ConversationLists, ConversationSummary, Position, Sort, Total
from backstay.library.selection import Selection

POSITION_TOTAL = r"^[0-9]{1,9}\+?$"
"""A total in an address: `504`, or `50000+` if it is not exact."""


def position_params(
    summary: ConversationSummary, sort: Sort, cursors: Cursors, number: int | None, total: Total | None
) -> dict[str, Any]:
    """Return the id of a conversation and its position in a list, as query parameters."""
    params = {
        "id": summary.id,
        "cursor": summary.position(sort).to_cursor(sort, cursors.encode),
        "number": number,
        "total": f"{total.count}{'' if total.is_exact else '+'}" if total is not None else None,
    }
    return {name: value for name, value in params.items() if value is not None}


def total_of(text: str | None) -> Total | None:
    """Return the total of an address; None if it has none."""
    return Total(int(text.rstrip("+")), is_exact=not text.endswith("+")) if text is not None else None


async def start_of_page(
    lists: ConversationLists, selection: Selection, position: Position, *, sort: Sort, number: int, size: int
) -> Position | None:
    """Return the position after which the page of a list begins that has the conversation with this number.

    None is the first page.
    """
    offset = (number - 1) % size
    rows = (await lists.page(selection, sort=sort, before=position, limit=offset + 1)).conversations
    return rows[0].position(sort) if len(rows) > offset else None
