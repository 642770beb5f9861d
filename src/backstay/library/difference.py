"""The difference between two versions of a conversation, to read: by turn, and within a turn by words."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import NamedTuple

from backstay.library.conversation import Conversation
from backstay.library.turn import Turn
from backstay.library.turn_matching import is_same_content, match_turns

# A word with the white space after it. Scripts without spaces between words are compared by character.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORDS = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+\s*|[^\w\s]\s*|\s+")
_IN_WORD = re.compile(rf"[^\W{_UNSPACED}]")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_CONTEXT_LINES, _CONTEXT_CHARACTERS = 3, 400
"""How much of what is the same is shown before and after what differs."""
_MAX_WORD = 200
"""Characters of a word that is shown whole."""
_COMPARISONS = 4_000_000
"""Pairs of words, or of lines, that one difference compares at most. What is beyond is shown as replaced."""


class TurnChange(StrEnum):
    """What an edit did to a turn. One that was moved may also be changed: its texts then differ."""

    SAME = "same"
    CHANGED = "changed"
    MOVED = "moved"
    ADDED = "added"
    REMOVED = "removed"


class SegmentKind(StrEnum):
    SAME = "same"
    REMOVED = "removed"
    ADDED = "added"


class Segment(NamedTuple):
    """A piece of a text: in both versions, or only in the one before (removed) or after (added)."""

    kind: SegmentKind
    text: str


@dataclass(frozen=True, slots=True)
class TurnDifference:
    """One turn in both versions, or in one of them."""

    change: TurnChange
    before: Turn | None
    after: Turn | None
    before_number: int | None
    """Its number before, from 1."""
    after_number: int | None
    text: Sequence[Segment]
    """Its text in pieces. Without the removed pieces it is the text after, without the added ones that before."""

    @property
    def fields_changed(self) -> Sequence[str]:
        """The names of what differs other than the text: the role, or a field such as `tool_calls`."""
        if self.before is None or self.after is None:
            return ()
        before, after = self.before.stored_metadata(), self.after.stored_metadata()
        fields = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        return (["role"] if self.before.role != self.after.role else []) + fields


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between two versions of a conversation."""

    topic: Sequence[Segment]
    persona: Sequence[Segment]
    turns: Sequence[TurnDifference]
    """In the order of the version after; a removed turn follows the one that it followed before."""

    @property
    def is_empty(self) -> bool:
        """Whether the topic, the persona and all turns are the same."""
        return not is_changed([*self.topic, *self.persona]) and all(
            turn.change is TurnChange.SAME for turn in self.turns
        )


def compare(before: Conversation, after: Conversation) -> Difference:
    """Return the difference between two versions of a conversation. Takes bounded time for texts of any length."""
    words = _Comparison()
    sources = match_turns(before.turns, after.turns)
    kept = _longest_increasing([source for source in sources if source is not None])
    removed = set(range(len(before.turns))).difference(source for source in sources if source is not None)
    turns: list[TurnDifference] = []

    def add_removed(source: int) -> None:
        while source in removed:
            removed.discard(source)
            turn = before.turns[source]
            segments = _whole(SegmentKind.REMOVED, turn.content)
            turns.append(TurnDifference(TurnChange.REMOVED, turn, None, source + 1, None, segments))
            source += 1

    add_removed(0)
    for number, (turn, source) in enumerate(zip(after.turns, sources, strict=True), start=1):
        if source is None:
            segments = _whole(SegmentKind.ADDED, turn.content)
            turns.append(TurnDifference(TurnChange.ADDED, None, turn, None, number, segments))
            continue
        earlier = before.turns[source]
        change = TurnChange.SAME if is_same_content(earlier, turn) else TurnChange.CHANGED
        if source not in kept:
            change = TurnChange.MOVED
        segments = words.segments(earlier.content, turn.content)
        turns.append(TurnDifference(change, earlier, turn, source + 1, number, segments))
        add_removed(source + 1)
    return Difference(
        words.segments(before.topic or "", after.topic or ""),
        words.segments(before.persona or "", after.persona or ""),
        turns,
    )


def is_changed(segments: Sequence[Segment]) -> bool:
    """Return whether a text differs."""
    return any(segment.kind is not SegmentKind.SAME for segment in segments)


def abridge(segments: Sequence[Segment]) -> Sequence[Segment]:
    """Return the pieces of a text without what is the same and far from what differs; `…` stands for it."""
    last = len(segments) - 1
    return [
        segment
        if segment.kind is not SegmentKind.SAME
        else Segment(segment.kind, _shortened(segment.text, is_first=at == 0, is_last=at == last))
        for at, segment in enumerate(segments)
    ]


def _shortened(text: str, *, is_first: bool, is_last: bool) -> str:
    ends_at = 0 if is_first else _context_length(text)
    starts_at = len(text) - (0 if is_last else _context_length(text[::-1]))
    return text if starts_at - ends_at < _CONTEXT_CHARACTERS else f"{text[:ends_at]}…{text[starts_at:]}"


def _context_length(text: str) -> int:
    """Return the length of the first lines, or of a part of them."""
    context = text[:_CONTEXT_CHARACTERS]
    lines = context.split("\n")
    return len("\n".join(lines[:_CONTEXT_LINES])) + (len(lines) > _CONTEXT_LINES)


def _whole(kind: SegmentKind, text: str) -> Sequence[Segment]:
    return [Segment(kind, text)] if text else []


def _longest_increasing(sources: Sequence[int]) -> set[int]:
    """Return the longest increasing subsequence of `sources`: the turns that were not moved."""
    tails: list[int] = []
    positions: list[int] = []
    for source in sources:
        position = bisect_left(tails, source)
        positions.append(position)
        tails[position:] = [source] if position == len(tails) else [source, *tails[position + 1 :]]
    kept, position = set(), len(tails) - 1
    for source, its_position in zip(reversed(sources), reversed(positions), strict=True):
        if its_position == position:
            kept.add(source)
            position -= 1
    return kept


class _Comparison:
    """Compares texts by word while their number allows it, then by line, then as a whole."""

    def __init__(self) -> None:
        self._remaining = _COMPARISONS

    def segments(self, before: str, after: str) -> Sequence[Segment]:
        if before == after:
            return _whole(SegmentKind.SAME, before)
        start = _common_length(before, after)
        end = _common_length(before[start:][::-1], after[start:][::-1])
        # What differs is shown in whole words.
        shortest = max(0, start - _MAX_WORD)
        while start > shortest and _is_in_word(start, before, after):
            start -= 1
        end = min(end, len(before) - start, len(after) - start)
        shortest = max(0, end - _MAX_WORD)
        while end > shortest and _is_in_word_of_end(end, before, after):
            end -= 1
        first, second = before[start : len(before) - end], after[start : len(after) - end]
        return _merge(
            [
                Segment(SegmentKind.SAME, before[:start]),
                *self._between(first, second),
                Segment(SegmentKind.SAME, before[len(before) - end :] if end else ""),
            ]
        )

    def _between(self, before: str, after: str) -> Iterator[Segment]:
        for pattern in (_WORDS, _LINES):
            first, second = pattern.findall(before), pattern.findall(after)
            if len(first) * len(second) <= self._remaining:
                self._remaining -= len(first) * len(second)
                yield from _compare_pieces(first, second)
                return
        yield Segment(SegmentKind.REMOVED, before)
        yield Segment(SegmentKind.ADDED, after)


def _compare_pieces(before: Sequence[str], after: Sequence[str]) -> Iterator[Segment]:
    for tag, first, last, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield Segment(SegmentKind.SAME, "".join(before[first:last]))
        else:
            yield Segment(SegmentKind.REMOVED, "".join(before[first:last]))
            yield Segment(SegmentKind.ADDED, "".join(after[start:end]))


def _merge(segments: Sequence[Segment]) -> Sequence[Segment]:
    """Join what follows each other and is of one kind; what is removed comes before what is added."""
    merged: list[Segment] = []
    for kind, text in segments:
        if not text:
            continue
        if merged and merged[-1].kind is kind:
            merged[-1] = Segment(kind, merged[-1].text + text)
        else:
            merged.append(Segment(kind, text))
    return merged


def _common_length(first: str, second: str) -> int:
    """Return the length of the common prefix of both texts."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle - 1)
    return low


def _is_in_word(place: int, before: str, after: str) -> bool:
    """Return whether a place, up to which both texts are the same, is within a word of either."""
    return _IN_WORD.match(before, place - 1) is not None and any(
        _IN_WORD.match(text, place) for text in (before, after)
    )


def _is_in_word_of_end(length: int, before: str, after: str) -> bool:
    """Return whether the last `length` characters, which both texts share, begin within a word of either."""
    if _IN_WORD.match(before, len(before) - length) is None:
        return False
    places = ((text, len(text) - length - 1) for text in (before, after))
    return any(place >= 0 and _IN_WORD.match(text, place) for text, place in places)
