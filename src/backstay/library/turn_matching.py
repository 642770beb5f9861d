"""Which turn of an edited conversation is which turn of the conversation before.

A turn is recognized by its id; else by equal content; else by its position between two recognized turns.
"""

from collections import defaultdict, deque
from collections.abc import Hashable, Sequence

from backstay.library.canonical_json import canonical_json
from backstay.library.turn import Turn


def match_turns(before: Sequence[Turn], after: Sequence[Turn]) -> list[int | None]:
    """Return, for each turn of `after`, the index of the turn of `before` that it is; None for a new turn.

    No turn of `before` is given twice.
    """
    match = _Match(before, after)
    match.by_id()
    match.by_content()
    match.by_position()
    return match.sources


def is_same_content(turn: Turn, other: Turn) -> bool:
    """Return whether two turns have the same role, text and metadata; the ids may differ."""
    return turn_content(turn) == turn_content(other)


def turn_content(turn: Turn) -> Hashable:
    """Return a value that is equal for turns with the same role, text and metadata."""
    metadata = turn.stored_metadata()
    return turn.role, turn.content, canonical_json(metadata) if metadata else b""


class _Match:
    def __init__(self, before: Sequence[Turn], after: Sequence[Turn]) -> None:
        self._before, self._after = before, after
        self.sources: list[int | None] = [None] * len(after)
        self._is_free = [True] * len(before)

    def _set(self, number: int, source: int) -> None:
        self.sources[number] = source
        self._is_free[source] = False

    def by_id(self) -> None:
        sources: dict[str, int] = {}
        for source, turn in enumerate(self._before):
            if turn.id is not None:
                sources.setdefault(turn.id, source)
        for number, turn in enumerate(self._after):
            recognized = sources.get(turn.id) if turn.id is not None else None
            if recognized is not None and self._is_free[recognized]:
                self._set(number, recognized)

    def by_content(self) -> None:
        contents = [turn_content(turn) for turn in self._before]
        wanted = [turn_content(turn) for turn in self._after]
        # What both begin or end with first: otherwise a removed "Yes" would move every other "Yes" by one.
        shorter = min(len(contents), len(wanted))
        for places in (range(shorter), range(-1, -shorter - 1, -1)):
            for place in places:
                source, number = place % len(contents), place % len(wanted)
                if self.sources[number] == source:
                    continue
                is_same = self.sources[number] is None and contents[source] == wanted[number]
                if not (is_same and self._may_match(number, source)):
                    break
                self._set(number, source)
        free: dict[Hashable, deque[int]] = defaultdict(deque)
        for source, content in enumerate(contents):
            if self._is_free[source]:
                free[content].append(source)
        for number, content in enumerate(wanted):
            if self.sources[number] is None and free[content] and self._may_match(number, free[content][0]):
                self._set(number, free[content].popleft())

    def by_position(self) -> None:
        number = 0
        while number < len(self._after):
            if self.sources[number] is not None:
                number += 1
                continue
            end = number
            while end < len(self._after) and self.sources[end] is None:
                end += 1
            self._match_run(range(number, end))
            number = end

    def _match_run(self, numbers: range) -> None:
        """Match new turns with the free ones at the same place: after the turn before them, else before the next."""
        start = self.sources[numbers.start - 1] if numbers.start else -1
        sources = self._free_run(-1 if start is None else start, +1)
        if not sources and numbers.stop < len(self._after):
            following = self.sources[numbers.stop]
            sources = self._free_run(len(self._before) if following is None else following, -1)[::-1]
        if len(sources) == len(numbers):
            pairs = list(zip(numbers, sources, strict=True))
        else:
            pairs = self._by_role(numbers, sources)
        for number, source in pairs:
            if self._may_match(number, source):
                self._set(number, source)

    def _free_run(self, neighbour: int, step: int) -> list[int]:
        run, source = [], neighbour + step
        while 0 <= source < len(self._before) and self._is_free[source]:
            run.append(source)
            source += step
        return run

    def _by_role(self, numbers: range, sources: Sequence[int]) -> list[tuple[int, int]]:
        """Pair turns of the same role, in order."""
        remaining, pairs = deque(sources), []
        for number in numbers:
            skipped = next(
                (i for i, source in enumerate(remaining) if self._before[source].role == self._after[number].role), None
            )
            if skipped is not None:
                for _ in range(skipped):
                    remaining.popleft()
                pairs.append((number, remaining.popleft()))
        return pairs

    def _may_match(self, number: int, source: int) -> bool:
        """Return whether the ids allow it: a turn with an id is no turn with another id, or without one."""
        return self._is_free[source] and self._after[number].id in (None, self._before[source].id)
