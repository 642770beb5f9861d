"""Items for the benchmarks, and conversations of eight turns and about 2.5 KB."""

from collections.abc import Iterator
from typing import Any

from backstay import Conversation, Item, Turn

_SENTENCE = "A keeper of a lighthouse writes down what the sea did, and what it did not do, hour after hour. "
_ROLES = ("user", "assistant") * 4


def items(count: int) -> Iterator[dict[str, Any]]:
    """Yield items as a program would: an id, a topic and one parameter."""
    return ({"id": f"item-{n:07}", "topic": f"a lighthouse, number {n}", "number": n} for n in range(count))


def _made(number: int) -> Conversation:
    texts = [f"{number}.{turn}: {_SENTENCE * 4}"[: 280 + 10 * turn] for turn in range(len(_ROLES))]
    return Conversation([Turn(role, text) for role, text in zip(_ROLES, texts, strict=True)])


# Made before any clock starts: what a model takes long over must cost neither the engine nor what it is compared with.
_MADE = [_made(number) for number in range(500)]


def conversation(number: int) -> Conversation:
    """Return the conversation of the item with this number."""
    return _MADE[number % len(_MADE)]


def converse(item: Item) -> Conversation:
    """Return a conversation at once, so that only the engine is measured."""
    return conversation(item.parameters["number"])


async def converse_async(item: Item) -> Conversation:
    """Return a conversation like `converse`, as a coroutine."""
    return conversation(item.parameters["number"])
