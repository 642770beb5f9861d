"""A writer without a model, for demos and tests. Its conversations are marked in their metadata."""

import asyncio
import re

from backstay.batch.item import Item
from backstay.batch.processor import Processor
from backstay.errors import ProcessorNotFound
from backstay.library.conversation import Conversation
from backstay.library.turn import Turn

NAME = "scripted"
_MAX_SECONDS = 3600.0


def scripted_processor(name: str) -> Processor:
    """Return the scripted writer for `scripted`, or for `scripted:SECONDS`, which takes that long per conversation.

    Raises:
        ProcessorNotFound: the text after the colon is not a number of seconds, or too large.
    """
    _, _, text = name.partition(":")
    seconds = float(text) if re.fullmatch(r"\d*\.?\d+", text) else None
    if name != NAME and (seconds is None or seconds > _MAX_SECONDS):
        message = (
            f"{name!r} is not a processor; after the colon, set the seconds per conversation, "
            f"{_MAX_SECONDS:,.0f} at most, as in scripted:0.2"
        )
        raise ProcessorNotFound(message, processor=name)

    async def write(item: Item) -> Conversation:
        if seconds:
            await asyncio.sleep(seconds)
        return compose(item)

    return write


def compose(item: Item) -> Conversation:
    """Compose the conversation for an item, deterministically."""
    speaker = f"As {item.persona}, I" if item.persona else "I"
    details = ", ".join(f"{name}: {_shorten(value)}" for name, value in item.parameters.items())
    turns = (
        Turn("user", f"{speaker} would like to talk about this: {item.topic}"),
        Turn("assistant", f"Gladly. What matters most to you about it{f' ({details})' if details else ''}?"),
        Turn("user", "Where would you begin?"),
        Turn("assistant", f"With the first small step that can be checked, and then the next. So: {item.topic}"),
    )
    return Conversation(turns, metadata={"writer": NAME})


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
