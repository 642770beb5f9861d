"""Versions of conversations, and the difference between two of them."""

from collections.abc import Sequence
from typing import Self

from pydantic.alias_generators import to_camel

from backstay.library.difference import Segment, TurnDifference
from backstay.library.edits import Version, VersionDifference
from backstay.library.turn import STORED_FIELDS
from backstay.schemas.base import ApiObject, Moment


class VersionOut(ApiObject):
    """A version. `createdAt` and `editor` are of the edit that made it: null for the first version.

    `sameAs` is the first version with the same content, if the conversation was reverted to that.
    """

    number: int
    created_at: Moment | None
    editor: str | None
    is_current: bool
    same_as: int | None


class VersionsOut(ApiObject):
    """All versions of a conversation, the current one last. Version 1 is the conversation as it was first stored."""

    versions: list[VersionOut]

    @classmethod
    def from_versions(cls, versions: Sequence[Version]) -> Self:
        return cls(versions=[VersionOut.model_validate(version) for version in versions])


class SegmentOut(ApiObject):
    """A piece of a text, which is the `same` in both versions, or `removed` or `added`."""

    kind: str
    text: str


class TurnDifferenceOut(ApiObject):
    """A turn in both versions, or in one: `same`, `changed`, `moved` (and perhaps changed), `added` or `removed`.

    `before` and `after` are its numbers, and `roleBefore` and `roleAfter` its roles. `fields` names what changed apart
    from the text, such as `role` or `toolCalls`.
    """

    change: str
    before: int | None
    after: int | None
    role_before: str | None
    role_after: str | None
    fields: list[str]
    text: list[SegmentOut]

    @classmethod
    def from_turn(cls, turn: TurnDifference) -> Self:
        return cls(
            change=turn.change,
            before=turn.before_number,
            after=turn.after_number,
            role_before=turn.before.role if turn.before is not None else None,
            role_after=turn.after.role if turn.after is not None else None,
            fields=[to_camel(name) if name in STORED_FIELDS else name for name in turn.fields_changed],
            text=_segments(turn.text),
        )


class DifferenceOut(ApiObject):
    """The difference between the versions `before` and `after`.

    The pieces of a text without the added ones are the text before, and without the removed ones the text after.
    """

    before: int
    after: int
    topic: list[SegmentOut]
    persona: list[SegmentOut]
    turns: list[TurnDifferenceOut]

    @classmethod
    def from_versions(cls, versions: VersionDifference) -> Self:
        difference = versions.difference
        return cls(
            before=versions.before,
            after=versions.after,
            topic=_segments(difference.topic),
            persona=_segments(difference.persona),
            turns=[TurnDifferenceOut.from_turn(turn) for turn in difference.turns],
        )


def _segments(segments: Sequence[Segment]) -> list[SegmentOut]:
    return [SegmentOut(kind=segment.kind, text=segment.text) for segment in segments]
