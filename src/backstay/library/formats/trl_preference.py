"""Preference pairs: one `{"prompt", "chosen", "rejected"}` of messages per line."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import orjson

from backstay.library.conversation import Conversation
from backstay.library.formats import DESCRIPTIVE_FIELDS, Format, FormatOptions, PreparedConversation
from backstay.library.json_lines import descriptive_fields, write_line
from backstay.library.loss import Loss
from backstay.library.openai_messages import UNSUPPORTED, to_messages, to_tools, with_parsed_arguments
from backstay.library.trainer_checks import check_parts

SIDE, PAIR = "preference", "preference_pair"
"""The keys of a conversation's metadata that an import of pairs sets: `chosen` or `rejected`, and an id of the pair."""
CHOSEN, REJECTED = "chosen", "rejected"
NO_CORRECTION = "no correction"
"""Marks a conversation whose edit makes no pair; see `library.exports.correction_pairs`."""

# Messages are compared, and objects that are embedded as JSON are never equal.
_TEXT_ARGUMENTS = FormatOptions()


class TrlPreferenceFormat(Format):
    """TRL's preference pairs, each made of two conversations that are linked in their metadata.

    An import links them, or the exporter, which makes them of an edited conversation.

    A conversation waits in memory until its counterpart comes; an import stores the two next to each other.
    """

    label = "Preference pairs (JSONL)"
    row_conversations = 2
    unusable_options = ("excel", "with_fields")
    takes_correction_pairs = True
    unsupported = UNSUPPORTED
    trainer_checks = (check_parts,)

    def __init__(self, options: FormatOptions = FormatOptions()) -> None:
        super().__init__(options)
        if options.metadata:
            self.written_fields = DESCRIPTIVE_FIELDS
        self._unmatched: dict[_Pair, tuple[str, str]] = {}
        """The side and the id of each conversation whose counterpart was not prepared yet."""
        self._waiting: dict[_Pair, tuple[str, Conversation]] = {}

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def prepare(self, conversation: Conversation) -> PreparedConversation:
        if conversation.metadata.get(SIDE) == NO_CORRECTION:
            return PreparedConversation(None, {Loss.NO_CORRECTION: 1})
        side, pair = _side(conversation), _pair(conversation)
        first = self._unmatched.get(pair)
        if side is None or (first is not None and first[0] == side):
            return PreparedConversation(None, {Loss.COUNTERPART: 1})
        if self._unmatched.pop(pair, None) is None:
            self._unmatched[pair] = side, str(conversation.id)
        return super().prepare(conversation)

    def final_losses(self) -> Sequence[tuple[str, Loss]]:
        return [(conversation_id, Loss.COUNTERPART) for _, conversation_id in self._unmatched.values()]

    def omitted_fields(self, conversation: Conversation) -> Collection[str]:
        omitted = super().omitted_fields(conversation)
        has_only_link = conversation.metadata.keys() <= {SIDE, PAIR}
        return [name for name in omitted if name != "metadata"] if has_only_link else omitted

    def chunk(self, conversation: Conversation) -> bytes:
        side, pair = _side(conversation), _pair(conversation)
        if side is None:
            return b""
        waiting_side, counterpart = self._waiting.setdefault(pair, (side, conversation))
        if waiting_side == side:  # the first of the pair, or another one of the same side
            return b""
        del self._waiting[pair]
        sides = {side: conversation, waiting_side: counterpart}
        return write_line(self._row(sides[CHOSEN], sides[REJECTED]))

    def next_file(self) -> Format:
        return self  # the counterpart of a conversation may come after the end of a file

    def _row(self, chosen: Conversation, rejected: Conversation) -> dict[str, Any]:
        first, second = (to_messages(each, _TEXT_ARGUMENTS) for each in (chosen, rejected))
        sides: dict[str, Any] = dict(_split_prompt(first, second))
        if self.options.parsed_arguments:
            sides = {name: with_parsed_arguments(messages) for name, messages in sides.items()}
        row = {**sides, **to_tools(chosen)}
        if self.options.metadata:
            row |= {
                "chosen_conversation": descriptive_fields(chosen),
                "rejected_conversation": descriptive_fields(rejected),
            }
        return row


class _Pair(NamedTuple):
    id: object
    tools: bytes
    """The tools as JSON: conversations with different ones cannot share a row."""


def _pair(conversation: Conversation) -> _Pair:
    return _Pair(conversation.metadata.get(PAIR), orjson.dumps(conversation.tools) if conversation.tools else b"")


def _side(conversation: Conversation) -> str | None:
    metadata = conversation.metadata
    side = metadata.get(SIDE)
    return side if side in (CHOSEN, REJECTED) and isinstance(metadata.get(PAIR), str) else None


def _split_prompt(chosen: list[dict[str, Any]], rejected: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the messages that both begin with as the prompt, and the rest, at least one message each."""
    longest = min(len(chosen), len(rejected)) - 1
    length = next((number for number in range(longest) if chosen[number] != rejected[number]), longest)
    prompt, answers = chosen[:length], (chosen[length:], rejected[length:])
    # An answer that repeats the prompt would be read as one that includes it.
    if not prompt or any(answer[:length] == prompt for answer in answers):
        return {CHOSEN: chosen, REJECTED: rejected}
    return {"prompt": prompt, CHOSEN: answers[0], REJECTED: answers[1]}
