"""Decision whether an error concerns one item or all, made by trying other items. Pure: callers pass the time."""

from collections.abc import Hashable
from enum import StrEnum

_MIN_REJECTIONS = 3  # in a row, which implicate the account once all calls in flight before them have ended
_MAX_REJECTIONS = 50  # in a row, which implicate the account regardless of calls in flight
_OUTAGE_SECONDS = 90.0  # server errors in a row over a longer time are no short outage


class ErrorScope(StrEnum):
    """The scope of an error: one item, or all."""

    NOT_KNOWN = "not known"
    ITEM = "item"
    ALL = "all"


class SuspectedErrors:
    """The errors of one model of an account that may concern one item or all of them.

    A rejected item is requeued while others are tried. If a call that started after the rejection succeeds and the item
    is rejected again, the error concerns the item; the success of an earlier call proves nothing about the account's
    current state. If several calls in a row are rejected, the error concerns all items, but only after the calls that
    were in flight at the first rejection have ended, because good answers take longer than rejections. If only this
    item was rejected and other calls were accepted meanwhile, the error concerns the item after all.
    """

    def __init__(self) -> None:
        self.latest_call = 0
        """The number of the latest call."""
        self.accepted_count = 0
        """Number of responses so far that show that the model accepted the call."""
        self._in_flight: dict[int, None] = {}
        self._suspects: dict[Hashable, tuple[int, int]] = {}
        """Rejected item → the latest call and `accepted_count` at its first rejection, if no later call succeeded."""
        self._latest_success = 0
        self._rejections_in_a_row = 0
        self._server_errors = 0
        self._server_errors_since = 0.0
        self._latest_server_error = 0.0
        self._max_in_flight = 0
        """Maximum calls in flight at once since the first server error in a row."""
        self._first_rejected_call = 0

    def begin(self) -> int:
        """Record the start of a call, and return its number for `end`."""
        self.latest_call += 1
        self._in_flight[self.latest_call] = None
        return self.latest_call

    def end(self, call: int) -> None:
        """Record the end of a call with any outcome."""
        del self._in_flight[call]

    def record_accepted(self) -> None:
        """Record a response, good or not, that shows that the model accepted the call."""
        self.accepted_count += 1

    def record_success(self, call: int) -> None:
        """Record a good answer to a call."""
        self.record_accepted()
        self._latest_success = max(self._latest_success, call)
        self._rejections_in_a_row = 0
        if self._suspects:
            self._suspects = {item: first for item, first in self._suspects.items() if first[0] >= call}
        self._server_errors = self._max_in_flight = 0

    def record_server_error(self, now: float) -> int | None:
        """Record a server error of a call that is still in flight.

        Return the number of server errors in a row once they no longer look like an outage, otherwise None. An outage
        lasts less than `_OUTAGE_SECONDS`, or causes fewer than `_MAX_REJECTIONS` errors, or fewer than twice as many as
        calls were in flight at once, all of which fail at its start. The count restarts when a job pauses or stops.
        """
        if now - self._latest_server_error > _OUTAGE_SECONDS:
            self._server_errors = self._max_in_flight = 0
        if not self._server_errors:
            self._server_errors_since = now
        self._latest_server_error = now
        self._server_errors += 1
        self._max_in_flight = max(self._max_in_flight, len(self._in_flight))
        is_outage = now - self._server_errors_since < _OUTAGE_SECONDS
        if is_outage or self._server_errors < max(_MAX_REJECTIONS, 2 * self._max_in_flight):
            return None
        count, self._server_errors = self._server_errors, 0
        return count

    def judge(self, item: Hashable, suspected_at: int | None) -> ErrorScope:
        """Record that an item was rejected, and return the scope of the error. The call is still in flight.

        Args:
            item: Identifies the item among those of all jobs.
            suspected_at: The latest call at the previous rejection of the item, or None.
        """
        if suspected_at is not None and suspected_at < self._latest_success:
            return ErrorScope.ITEM
        if not self._rejections_in_a_row:
            self._first_rejected_call = self.latest_call
        self._rejections_in_a_row += 1
        _, accepted_before = self._suspects.setdefault(item, (self.latest_call, self.accepted_count))
        all_answered = next(iter(self._in_flight)) > self._first_rejected_call
        if self._rejections_in_a_row < (_MIN_REJECTIONS if all_answered else _MAX_REJECTIONS):
            return ErrorScope.NOT_KNOWN
        is_only_suspect = len(self._suspects) == 1 and self.accepted_count > accepted_before
        # The item fails or the job pauses, so later rejections are counted anew.
        self._rejections_in_a_row = 0
        self._suspects.clear()
        return ErrorScope.ITEM if is_only_suspect else ErrorScope.ALL
