"""Whether a refusal concerns one item or the whole account, found out by asking for other items. Pure."""

from collections.abc import Hashable
from enum import StrEnum

from backstay.generate.recent import Recent

_FEWEST = 3  # refusals in a row that are blamed on the account, once all that was under way has been answered
_MOST = 50  # in a row, whatever is still under way


class Blame(StrEnum):
    """What a refusal concerns: one item, or all."""

    NOT_KNOWN = "not known"
    ITEM = "item"
    ALL = "all"


class Suspicions:
    """The refusals of one account that may concern the item or the account.

    The item goes back, and others are asked. When they pass, and this one is refused again, it concerns the item. When
    several in a row are refused and nothing passes, it concerns the account: but not before the calls that were under
    way at the first of them have been answered, as good answers take longer than refusals.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._under_way: dict[int, None] = {}
        self._passed = 0
        self._suspects: Recent[Hashable, int] = Recent()
        self._in_a_row = 0
        self._faults = 0
        self._most_under_way = 0
        """Calls at once, since the first of these faults."""
        self._first = 0

    def begin(self) -> int:
        """Note that a call is made, and return its number for `end`."""
        self._calls += 1
        self._under_way[self._calls] = None
        return self._calls

    def end(self, call: int) -> None:
        """Note that a call is over, whatever its outcome."""
        del self._under_way[call]

    def clear(self) -> None:
        """Note a good answer."""
        self._passed += 1
        self._in_a_row = 0
        self._faults = self._most_under_way = 0

    def note_fault(self) -> int | None:
        """Note an answer in which the server reports a fault, whose call is still under way.

        Return how many came without a good one in between, once they no longer look like an outage: `_MOST`, and twice
        as many as were under way at once, since all of those are refused in its first moment. None until then.
        """
        self._faults += 1
        self._most_under_way = max(self._most_under_way, len(self._under_way))
        return self._faults if self._faults >= max(_MOST, 2 * self._most_under_way) else None

    def blame(self, item: Hashable) -> Blame:
        """Note that an item was refused, and return what that concerns. The refused call is still under way."""
        passed_before = self._suspects.get(item)
        if passed_before is not None and passed_before < self._passed:
            return Blame.ITEM
        self._suspects.put(item, self._passed)
        if not self._in_a_row:
            self._first = self._calls
        self._in_a_row += 1
        all_answered = next(iter(self._under_way)) > self._first
        is_all = self._in_a_row >= _MOST or (self._in_a_row >= _FEWEST and all_answered)
        return Blame.ALL if is_all else Blame.NOT_KNOWN
