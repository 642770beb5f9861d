"""One attempt, passed to a processor, which reports through it: used tokens, the raw answer, waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from backstay.batch.outcome import (
    MAX_RAW_CHARACTERS,
    NOTHING_USED,
    AttemptUsage,
    Outcome,
    Retry,
    outcome_from_exception,
    outcome_from_result,
    truncate_text,
)

_MAX_TOKENS = 10**12  # in one report, so that sums remain integers in every database


class Work:
    """One attempt, passed to a processor as its second argument."""

    __slots__ = ("_is_waiting", "_on_timeout", "_raw", "_tokens_in", "_tokens_out", "attempt", "revision")

    def __init__(self, attempt: int, revision: int | None = None) -> None:
        self.attempt = attempt
        """Number of this attempt of the item, from 1."""
        self.revision = revision
        """Number of the revision of the job's recipe that this attempt follows, from 1; None without a recipe."""
        self._tokens_in = 0
        self._tokens_out = 0
        self._raw: str | None = None
        self._is_waiting = False
        self._on_timeout: Callable[[], Outcome] | None = None

    def usage(self, *, tokens_in: int = 0, tokens_out: int = 0) -> None:
        """Add used tokens, which are stored whatever the outcome of the attempt.

        Raises ValueError if a number is negative or absurdly large.
        """
        self._tokens_in += _token_count(tokens_in)
        self._tokens_out += _token_count(tokens_out)

    def raw(self, answer: str) -> None:
        """Record the raw answer, up to 64,000 characters, so that a failure can be understood."""
        self._raw = truncate_text(answer, MAX_RAW_CHARACTERS)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Mark a wait for a permit, for instance from a rate limiter, before anything is sent.

        The item's deadline counts from the end of the wait. A run that is asked to stop does not await the permit:
        an async processor is cancelled during the wait, and its item stays pending.
        """
        self._set_waiting(True)
        try:
            yield
        finally:
            self._set_waiting(False)

    def on_timeout(self, outcome: Callable[[], Outcome]) -> None:
        """Use the return value of `outcome` as the attempt's outcome on a time-out; the default is `Retry`.

        It is called on the event loop, and must not block.
        """
        self._on_timeout = outcome

    def _set_waiting(self, is_waiting: bool) -> None:
        self._is_waiting = is_waiting


def recorded_usage(work: Work) -> AttemptUsage:
    """Return the usage reported through `work` so far."""
    if not (work._tokens_in or work._tokens_out) and work._raw is None:
        return NOTHING_USED
    return AttemptUsage(work._tokens_in, work._tokens_out, work._raw)


def timeout_outcome(work: Work, seconds: float) -> Outcome:
    """Return the outcome of an attempt that exceeded its time-out of `seconds`."""
    if work._on_timeout is not None:
        try:
            return outcome_from_result(work._on_timeout())
        except Exception as error:
            return outcome_from_exception(error)
    return Retry(f"no answer within {seconds:g} s", code="timeout")


def is_waiting(work: Work) -> bool:
    """Return whether the processor currently waits for a permit."""
    return work._is_waiting


def _token_count(tokens: int) -> int:
    number = int(tokens)  # client libraries use their own number types
    if not 0 <= number <= _MAX_TOKENS:
        raise ValueError(f"tokens must be from 0 to {_MAX_TOKENS:,}, not {number}")
    return number
