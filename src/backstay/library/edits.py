"""Correcting stored conversations: edits, the versions they replace, and what differs between two versions."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import EllipsisType
from typing import Protocol

from backstay.clock import from_text
from backstay.errors import SettingsError
from backstay.library.conversation import Conversation, text_fault
from backstay.library.difference import Difference, compare
from backstay.library.edit_plan import Edit
from backstay.library.turn import Turn
from backstay.limits import MAX_NAME


@dataclass(frozen=True, slots=True)
class ReplacedVersion:
    """A version that an edit replaced, as the database lists it."""

    number: int
    editor: str | None
    """Who replaced it."""
    replaced_at: str


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a conversation: 1 is the conversation as it was first stored."""

    number: int
    created_at: datetime | None
    """When an edit made it; the first version is as old as the conversation."""
    editor: str | None
    """Who made it, if the edit said so; None for the first version."""
    is_current: bool
    same_as: int | None = None
    """The first version with the same topic, persona and turns, if it was reverted to that."""


@dataclass(frozen=True, slots=True)
class VersionPair:
    """Two versions of a conversation."""

    before_number: int
    after_number: int
    before: Conversation
    after: Conversation


@dataclass(frozen=True, slots=True)
class VersionDifference:
    """The difference between two versions of a conversation, and their numbers."""

    before: int
    after: int
    difference: Difference


class EditStore(Protocol):
    """The edits of stored conversations. Each method sees only the given owner's."""

    async def edit(
        self, owner: str, conversation_id: str, edit: Edit, *, expected: str | None, editor: str | None
    ) -> Conversation:
        """Edit a conversation and keep the version before, in one transaction; see `Edits.edit`."""

    async def revert(
        self, owner: str, conversation_id: str, *, to: int | None, expected: str | None, editor: str | None
    ) -> Conversation:
        """Bring back the content of a version, like `edit`; by default of the one before the current one."""

    async def versions(self, owner: str, conversation_id: str) -> Sequence[ReplacedVersion]:
        """Return the versions that were replaced, the first one first. Raises ConversationNotFound."""

    async def repeated_versions(self, owner: str, conversation_id: str) -> Mapping[int, int]:
        """Return the versions that have the content of an earlier one, each with the number of the first such one.

        Raises ConversationNotFound.
        """

    async def version(self, owner: str, conversation_id: str, number: int) -> Conversation:
        """Return a version. Raises ConversationNotFound, VersionNotFound."""

    async def pair(self, owner: str, conversation_id: str, *, before: int | None, after: int | None) -> "VersionPair":
        """Return two versions: by default the current one, and the one before the later of the two.

        Raises ConversationNotFound, VersionNotFound.
        """

    async def first_versions(self, owner: str, ids: Sequence[str]) -> Mapping[str, Conversation]:
        """Return the first version of each of these conversations that was edited, by id."""


class Edits:
    """The corrections of one owner's conversations.

    An edit keeps the version before it, for as long as the conversation exists. Its number is the next one: the first
    version is 1, and the current one is one more than the versions that were replaced.
    """

    def __init__(self, *, store: EditStore, owner: str, editor: str | None) -> None:
        """Keep the store; `editor` is who edits unless an edit names someone."""
        self._store = store
        self._owner = owner
        self._editor = editor

    async def edit(
        self,
        conversation_id: str,
        *,
        turns: Sequence[Turn] | None = None,
        topic: str | EllipsisType | None = ...,
        persona: str | EllipsisType | None = ...,
        expected: str | None = None,
        editor: str | None = None,
    ) -> Conversation:
        """Edit a conversation, all or nothing, and return it. An edit that changes nothing keeps no version.

        Args:
            conversation_id: The conversation.
            turns: All turns, in order; by default those it has. A turn is recognized by its id, else by its content,
                else by its place, and then keeps its row in the database. Its reasoning, tool calls, parts and metadata
                are those that are given here: edit a turn with `dataclasses.replace`.
            topic: The topic; None for none.
            persona: The persona; None for none.
            expected: The `digest()` of the conversation as it was read; by default it is not compared.
            editor: Who edits it, for the list of versions; by default the reviewer of the settings.

        Raises:
            ConversationNotFound: this owner has no conversation with this id.
            ConversationChanged: it is no longer the expected one. Nothing was stored.
            InvalidConversation: it could not be stored, or a turn gets an unknown role. The message names the turn.
            EditBlocked: rows of other tables refer to a turn that would be removed or renumbered; or its versions
                would have more than 32 MB together.
            AdoptedTableNotWritable, OutcomeRefused: the tables do not take the edit. Nothing was stored.
        """
        edit = Edit(turns=turns, topic=topic, persona=persona)
        return await self._store.edit(
            self._owner, conversation_id, edit, expected=expected, editor=_checked_editor(editor or self._editor)
        )

    async def revert(
        self, conversation_id: str, *, to: int | None = None, expected: str | None = None, editor: str | None = None
    ) -> Conversation:
        """Bring back the topic, persona and turns of a version; by default of the one before the current one.

        This is an edit too: the version that it replaces is kept, so that it can be reverted as well. A turn that comes
        back has the user's own columns as they were, without links to rows of other tables.

        Raises VersionNotFound, and like `edit`.
        """
        return await self._store.revert(
            self._owner, conversation_id, to=to, expected=expected, editor=_checked_editor(editor or self._editor)
        )

    async def versions(self, conversation_id: str) -> Sequence[Version]:
        """Return all versions, the current one last. Raises ConversationNotFound."""
        replaced = await self._store.versions(self._owner, conversation_id)
        same = await self._store.repeated_versions(self._owner, conversation_id) if len(replaced) > 1 else {}
        made: list[tuple[str | None, str | None]] = [
            (None, None),
            *((each.editor, each.replaced_at) for each in replaced),
        ]
        return [
            Version(
                number,
                from_text(made_at) if made_at is not None else None,
                editor,
                number == len(made),
                same.get(number),
            )
            for number, (editor, made_at) in enumerate(made, start=1)
        ]

    async def version(self, conversation_id: str, number: int) -> Conversation:
        """Return a version. Raises ConversationNotFound, VersionNotFound."""
        return await self._store.version(self._owner, conversation_id, number)

    async def compare(
        self, conversation_id: str, *, before: int | None = None, after: int | None = None
    ) -> VersionDifference:
        """Return the difference between two versions; by default what the last edit changed.

        Raises ConversationNotFound; VersionNotFound, also if the conversation has never been edited.
        """
        pair = await self._store.pair(self._owner, conversation_id, before=before, after=after)
        # In a thread, since a difference of long texts takes a while.
        difference = await asyncio.to_thread(compare, pair.before, pair.after)
        return VersionDifference(pair.before_number, pair.after_number, difference)


def _checked_editor(editor: str | None) -> str | None:
    """Return the name of an editor; None for an empty one. Raises SettingsError."""
    if editor is not None and (fault := text_fault(editor)) is not None:
        raise SettingsError(f"The name of the editor {fault}", setting="editor")
    if editor is not None and len(editor) > MAX_NAME:
        raise SettingsError(f"The name of the editor has more than {MAX_NAME:,} characters", setting="editor")
    return editor or None
