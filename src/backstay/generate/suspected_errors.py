"""Whether a refusal concerns one item or all of them, found out by asking for other items. Pure: given the time."""

from collections.abc import Hashable
from enum import StrEnum

_FEWEST = 3  # refusals in a row that are blamed on the account, once all that was under way has been answered
_MAX = 50  # in a row, whatever is still under way
_OUTAGE_SECONDS = 90.0  # faults in a row for so long are no outage of a minute, with its last calls


class ErrorScope(StrEnum):
    """What a refusal concerns: one item, or all."""

    NOT_KNOWN = "not known"
    ITEM = "item"
    ALL = "all"


class SuspectedErrors:
    """The refusals of one model of an account that may concern the item or all.

    The item goes back, and others are asked. When one of those calls passes, and this item is refused again, it
    concerns the item; a call that was under way before says nothing about the account as it is now. When several in a
    row are refused and nothing passes, it concerns the account or the model: but not before the calls that were under
    way at the first of them have been answered, as good answers take longer than refusals. Only when nobody but this
    item was refused, and those calls were taken, is it the item's after all: there is none left who could be asked.
    """

    def __init__(self) -> None:
        self.latest_call = 0
        """The number of the call that was made last."""
        self.accepted_count = 0
        """Answers so far that show that the model took the call."""
        self._under_way: dict[int, None] = {}
        self._suspects: dict[Hashable, tuple[int, int]] = {}
        """Items that were refused and after which no call was made that passed. For each, as of its first refusal: the
        latest call, and `accepted_count`.
        """
        self._latest_passed = 0
        self._in_a_row = 0
        self._faults = 0
        self._faults_since = 0.0
        self._latest_fault = 0.0
        self._most_under_way = 0
        """Calls at once, since the first of these faults."""
        self._first = 0

    def begin(self) -> int:
        """Note that a call is made, and return its number for `end`."""
        self.latest_call += 1
        self._under_way[self.latest_call] = None
        return self.latest_call

    def end(self, call: int) -> None:
        """Note that a call is over, whatever its outcome."""
        del self._under_way[call]

    def record_accepted(self) -> None:
        """Note an answer, good or not, that shows that the model took the call."""
        self.accepted_count += 1

    def clear(self, call: int) -> None:
        """Note a good answer to a call."""
        self.record_accepted()
        self._latest_passed = max(self._latest_passed, call)
        self._in_a_row = 0
        if self._suspects:
            self._suspects = {item: first for item, first in self._suspects.items() if first[0] >= call}
        self._faults = self._most_under_way = 0

    def record_server_error(self, now: float) -> int | None:
        """Note an answer in which the server reports a fault, whose call is still under way.

        Return how many came without a good one in between, once they no longer look like an outage: over
        `_OUTAGE_SECONDS`, `_MAX`, and twice as many as were under way at once, since all of those are refused in its
        first moment. None until then. Those of a job that was paused or stopped are not counted for the next.
        """
        if now - self._latest_fault > _OUTAGE_SECONDS:
            self._faults = self._most_under_way = 0
        if not self._faults:
            self._faults_since = now
        self._latest_fault = now
        self._faults += 1
        self._most_under_way = max(self._most_under_way, len(self._under_way))
        is_outage = now - self._faults_since < _OUTAGE_SECONDS
        if is_outage or self._faults < max(_MAX, 2 * self._most_under_way):
            return None
        told, self._faults = self._faults, 0
        return told

    def judge(self, item: Hashable, suspected_at: int | None) -> ErrorScope:
        """Note that an item was refused, and return what that concerns. The refused call is still under way.

        Args:
            item: the one, among those of all jobs.
            suspected_at: the latest call when it was refused before, None when it was not.
        """
        if suspected_at is not None and suspected_at < self._latest_passed:
            return ErrorScope.ITEM
        if not self._in_a_row:
            self._first = self.latest_call
        self._in_a_row += 1
        _, taken_before = self._suspects.setdefault(item, (self.latest_call, self.accepted_count))
        all_answered = next(iter(self._under_way)) > self._first
        if self._in_a_row < (_FEWEST if all_answered else _MAX):
            return ErrorScope.NOT_KNOWN
        is_the_only_one = len(self._suspects) == 1 and self.accepted_count > taken_before
        # The item fails or the job pauses, and what is drawn after that is told anew.
        self._in_a_row = 0
        self._suspects.clear()
        return ErrorScope.ITEM if is_the_only_one else ErrorScope.ALL
