"""An edit of a conversation: its check, and the changes of rows that carry it out.

A turn keeps its row if it can be recognized (`library.turn_matching`), because the row may have columns of the user's,
and rows of other tables may refer to it.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import EllipsisType
from typing import Any, NamedTuple

from backstay.clock import from_text
from backstay.errors import InvalidConversation
from backstay.library.conversation import Conversation, check_text, check_turn, validate_turns
from backstay.library.record import TURNS, Document, metadata_as_dict, metadata_from_line
from backstay.library.turn import Turn
from backstay.library.turn_matching import is_same_content, match_turns, turn_content

ROLES = ("system", "developer", "user", "assistant", "tool")
"""The roles that an edit may give a turn, and those that the conversation has already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What an edit sets; what it leaves out stays as it is."""

    turns: Sequence[Turn] | None = None
    """All turns, in order. One without an id may be any of the turns that are there."""
    topic: str | EllipsisType | None = ...
    persona: str | EllipsisType | None = ...
    rows: Sequence[Document] | None = None
    """The turns as a backup holds them, which have the user's own columns; only if the edit brings back a version."""

    def apply(self, conversation: Conversation) -> Conversation:
        """Return the edited conversation. Turns that are recognized keep their ids.

        Raises:
            InvalidConversation: it cannot be stored, or a turn gets a role that no format knows. The message names the
                turn, never its text.
        """
        topic = conversation.topic if isinstance(self.topic, EllipsisType) else self.topic
        persona = conversation.persona if isinstance(self.persona, EllipsisType) else self.persona
        turns = conversation.turns
        try:
            for name, text in (("topic", topic), ("persona", persona)):
                if text is not None and text != getattr(conversation, name):
                    check_text(text, f"the {name}")
            if self.turns is not None:
                if self.rows is None:  # a version that was stored may be brought back, even if it is invalid
                    _check_turns(conversation.turns, self.turns)
                turns = _with_ids(conversation.turns, self.turns)
        except InvalidConversation as error:
            raise error.with_message(f"The edit cannot be stored: {error.message}", **error.context) from error
        return replace(conversation, turns=turns, topic=topic, persona=persona)


def _check_turns(before: Sequence[Turn], after: Sequence[Turn]) -> None:
    """Check the turns that an edit changes. Raises InvalidConversation."""
    if not isinstance(after, Sequence) or not after:
        validate_turns(after)  # which raises
    # What another program stored may be invalid, and is no obstacle while it is not edited.
    stored: dict[tuple[str, str], list[Turn]] = defaultdict(list)
    for turn in before:
        stored[turn.role, turn.content].append(turn)
    for number, turn in enumerate(after, start=1):
        is_text = isinstance(turn, Turn) and isinstance(turn.role, str) and isinstance(turn.content, str)
        if not is_text or turn not in stored.get((turn.role, turn.content), ()):
            check_turn(turn, number)
    _check_roles(after, {*ROLES, *(turn.role for turn in before)})
    _check_ids(after)


def _with_ids(before: Sequence[Turn], after: Sequence[Turn]) -> Sequence[Turn]:
    """Return turns with the ids of those that they are recognized as."""
    return [
        turn if source is None or turn.id is not None else replace(turn, id=before[source].id)
        for turn, source in zip(after, match_turns(before, after), strict=True)
    ]


def _check_roles(turns: Sequence[Turn], allowed: Collection[str]) -> None:
    for number, turn in enumerate(turns, start=1):
        if turn.role not in allowed:
            raise InvalidConversation(
                f"turn {number} has the role {turn.role[:50]!r}, which no format knows; "
                f"use {', '.join(ROLES[:-1])} or {ROLES[-1]}",
                turn=number,
            )


def _check_ids(turns: Sequence[Turn]) -> None:
    numbers: dict[str, int] = {}
    for number, turn in enumerate(turns, start=1):
        if turn.id is not None and numbers.setdefault(turn.id, number) != number:
            raise InvalidConversation(f"turns {numbers[turn.id]} and {number} have the same id", turn=number)


class UpdatedTurn(NamedTuple):
    """New values of a turn's row."""

    sequence: int
    role: str
    content: str
    metadata: Any
    """As a line of a backup holds it."""


@dataclass(frozen=True, slots=True)
class EditPlan:
    """The changes of the rows of turns. Rows are named by their number before the edit."""

    updated: Sequence[UpdatedTurn] = ()
    removed: Sequence[int] = ()
    moved: Sequence[tuple[int, int]] = ()
    """Numbers before and after."""
    added: Sequence[Document] = ()
    """New rows; those that bring back a removed turn have the user's own columns as well."""
    sources: Sequence[int | None] = ()
    """For each turn after the edit, the number of its row before; None for a new one."""
    highest: int = 0
    """The highest number, before or after."""


def conversation_of(document: Mapping[str, Any]) -> Conversation:
    """Return the conversation of a line, without the user's own columns."""
    return Conversation(
        [turn_of(turn) for turn in document[TURNS]],
        id=document["id"],
        topic=document["topic"],
        persona=document["persona"],
        content=document["content"],
        metadata=_metadata(document),
        job_id=document["job_id"],
        item_id=document["item_id"],
        created_at=from_text(document["created_at"]),
        updated_at=from_text(document["updated_at"]),
    )


def turn_of(document: Mapping[str, Any]) -> Turn:
    """Return a turn of a line, without the user's own columns."""
    return Turn(document["role"], document["content"], id=document["id"], metadata=_metadata(document) or None)


def _metadata(document: Mapping[str, Any]) -> dict[str, Any]:
    return metadata_as_dict(metadata_from_line(document["metadata"]))


def plan_turns(before: Sequence[Document], turns: Sequence[Turn], rows: Sequence[Document] | None = None) -> EditPlan:
    """Return the changes that make `turns` of the turns `before`, which are as a line holds them.

    Numbers stay those that are there, and continue them: a user's table may begin with 0, or leave numbers out.
    """
    earlier = [turn_of(turn) for turn in before]
    matched = match_turns(earlier, turns)
    numbers = [turn["sequence"] for turn in before]
    last = numbers[-1] if numbers else 0
    places = [*numbers, *range(last + 1, last + 1 + len(turns))][: len(turns)]
    updated, moved, added = [], [], []
    for index, (turn, source, place) in enumerate(zip(turns, matched, places, strict=True)):
        row = rows[index] if rows is not None else None
        if source is None:
            added.append({**(row or {}), **_row(turn, row), "sequence": place})
            continue
        if numbers[source] != place:
            moved.append((numbers[source], place))
        if not is_same_content(earlier[source], turn):
            values = _row(turn, row if row is not None else before[source])
            updated.append(UpdatedTurn(numbers[source], turn.role, turn.content, values["metadata"]))
    kept = {source for source in matched if source is not None}
    removed = [number for source, number in enumerate(numbers) if source not in kept]
    sources = [None if source is None else numbers[source] for source in matched]
    return EditPlan(updated, removed, moved, added, sources, max([*numbers, *places], default=0))


def _row(turn: Turn, similar: Document | None) -> Document:
    """Return the row of a turn; its metadata are to the byte those of a similar row, if they are the same."""
    metadata: Any = turn.stored_metadata()
    if similar is not None and turn_of(similar).stored_metadata() == metadata:
        metadata = similar["metadata"]
    return {"id": turn.id, "role": turn.role, "content": turn.content, "metadata": metadata}


def is_same(conversation: Conversation, other: Conversation) -> bool:
    """Return whether two versions of a conversation have the same topic, persona and turns."""
    return content_key(conversation) == content_key(other)


def content_key(conversation: Conversation) -> Hashable:
    """Return a value that is equal for versions of a conversation with the same topic, persona and turns."""
    return conversation.topic, conversation.persona, tuple(map(turn_content, conversation.turns))
