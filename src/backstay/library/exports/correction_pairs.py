"""Corrections as preference pairs: an edited conversation as it was first stored is rejected, as it is now chosen."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from backstay.library.conversation import Conversation
from backstay.library.formats import FormatOptions
from backstay.library.formats.trl_preference import CHOSEN, NO_CORRECTION, PAIR, REJECTED, SIDE
from backstay.library.openai_messages import to_messages

_AS_TEXT = FormatOptions()


FirstVersions = Callable[[Sequence[str]], Awaitable[Mapping[str, Conversation]]]
"""Returns the first version of each of these conversations that was edited, by id."""


async def correction_pairs(
    pages: AsyncIterator[Sequence[Conversation]], first_versions: FirstVersions, options: FormatOptions
) -> AsyncIterator[Sequence[Conversation]]:
    """Yield the conversations to write instead of those of `pages`; see `correction_pair`."""
    async for page in pages:
        originals = await first_versions([str(conversation.id) for conversation in page])
        pairs = (correction_pair(current, originals.get(str(current.id)), options) for current in page)
        yield [side for pair in pairs for side in pair]


def correction_pair(
    current: Conversation, original: Conversation | None, options: FormatOptions
) -> Sequence[Conversation]:
    """Return the two sides of a pair, linked like those of an import.

    Return one conversation that is no side if it was not edited, or if the first message that differs is not an answer
    to the same messages: a pair compares two answers to one prompt.
    """
    if original is None:
        return [_linked(current, {})]
    before, after = _messages(original, options), _messages(current, options)
    if not _corrects_an_answer(before, after):
        return [_linked(current, {SIDE: NO_CORRECTION})]
    # What follows the correction unchanged was no answer to it, and would be learned and unlearned at once.
    repeated = _repeated_at_end(before, after)
    sides = ((REJECTED, _without_last(original, before, repeated)), (CHOSEN, _without_last(current, after, repeated)))
    return [_linked(conversation, {SIDE: side, PAIR: str(current.id)}) for side, conversation in sides]


def _corrects_an_answer(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> bool:
    for at, (first, second) in enumerate(zip(before, after, strict=False)):
        if first != second:
            return at > 0 and first["role"] == second["role"] == "assistant"
    return False


def _repeated_at_end(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> int:
    """Return how many of the last messages are the same; without them, both sides still differ and end in an answer."""
    same = 0
    while min(len(before), len(after)) > same and before[-1 - same] == after[-1 - same]:
        same += 1
    while same and not all(len(side) > same and side[-1 - same]["role"] == "assistant" for side in (before, after)):
        same -= 1
    return same


def _without_last(conversation: Conversation, messages: Sequence[dict[str, Any]], count: int) -> Conversation:
    turns = conversation.turns
    # Where a format writes other messages than turns, their ends do not correspond.
    return replace(conversation, turns=turns[: len(turns) - count]) if len(messages) == len(turns) else conversation


def _messages(conversation: Conversation, options: FormatOptions) -> Sequence[dict[str, Any]]:
    return to_messages(options.apply(conversation), _AS_TEXT)


def _linked(conversation: Conversation, link: dict[str, str]) -> Conversation:
    others = {key: value for key, value in conversation.metadata.items() if key not in (SIDE, PAIR)}
    return replace(conversation, metadata={**others, **link})
