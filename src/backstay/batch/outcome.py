"""What a try of an item can come to, and what is then written.

A processor returns an outcome (or a Conversation, or None, which mean `Done`); `decide` turns it into the verdict that
the committer writes. Surprises, that is exceptions, are turned into outcomes by `outcome_of_exception`.
"""

from dataclasses import dataclass, replace
from typing import Any

from backstay.batch.backoff import Backoff
from backstay.batch.item import ClaimedItem, ItemState
from backstay.batch.transient_errors import retry_after_seconds, transient_error
from backstay.clock import SystemClock
from backstay.errors import InvalidConversation, kind_of
from backstay.library.conversation import Conversation, validate

_MESSAGE_CAP = 2_000  # characters of an error message that are kept
_CODE_CAP = 100  # characters of a code
RAW_CAP = 64_000  # characters of an unparsed answer that are kept


@dataclass(frozen=True, slots=True)
class Done:
    """The item is finished: with a conversation, or with an effect of the processor's own (None)."""

    conversation: Conversation | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """The item needs no work, and that is no failure."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """It may work later: try again after `after` seconds (by default an exponential back-off), up to max_attempts.

    With `counts=False` the try does not count towards max_attempts, because it says nothing about the item: a rate
    limit, for instance, or a service that is down. The processor that returns it has to bound such waiting.
    """

    reason: str = ""
    after: float | None = None
    code: str = "transient"
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Fail:
    """It will not work, however often it is tried."""

    reason: str = ""
    code: str = "failed"


@dataclass(frozen=True, slots=True)
class Halt:
    """No item of this job can work until the user mends something: the job pauses, the item stays pending."""

    reason: str
    code: str = "doom"


Outcome = Done | Skip | Retry | Fail | Halt

_USUAL_CODES: dict[type, str] = {type(usual): usual.code for usual in (Retry(), Fail(), Halt(""))}


@dataclass(frozen=True, slots=True)
class AttemptUsage:
    """Tokens of one attempt, the answer before it was parsed, and where the processor raised."""

    tokens_in: int = 0
    tokens_out: int = 0
    raw: str | None = None
    traceback: str | None = None
    """One frame a line, the innermost last; None when it did not raise."""


NOTHING_USED = AttemptUsage()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is written for one attempt: the item's next state, and its result or the error."""

    claimed: ClaimedItem
    state: ItemState
    result: str
    """How the attempt ended: completed, skipped, failed, retried or doomed."""
    conversation: Conversation | None = None
    code: str | None = None
    message: str | None = None
    delay: float = 0.0
    """Seconds until a pending item may be tried again."""
    counts: bool = False
    """Whether this try counts towards `max_attempts`."""
    usage: AttemptUsage = NOTHING_USED
    evidence: tuple[tuple[int, int], ...] = ()
    """Of a doomed attempt: earlier ones that led to it, the newest first, each as position and attempt number."""

    @classmethod
    def from_refused(cls, verdict: "Verdict", code: str, message: str) -> "Verdict":
        """Fail an item whose own outcome the database would not take; raw answer and traceback may be why: they go."""
        usage = replace(verdict.usage, raw=None, traceback=None)
        return cls(verdict.claimed, ItemState.FAILED, "failed", None, code, message[:_MESSAGE_CAP], 0.0, True, usage)


def decide(
    claimed: ClaimedItem, outcome: Outcome, *, usage: AttemptUsage, max_attempts: int, backoff: Backoff
) -> Verdict:
    """Say what becomes of an item after a try. Pure but for the back-off's jitter."""
    match outcome:
        case Done(conversation):
            return Verdict(claimed, ItemState.COMPLETED, "completed", conversation, usage=usage)
        case Skip(reason):
            return Verdict(claimed, ItemState.SKIPPED, "skipped", None, "skipped", reason[:_MESSAGE_CAP], usage=usage)
        case Retry(reason, after, code, counts) if not counts or claimed.tries + 1 < max_attempts:
            delay = backoff.delay(claimed.tries + 1, retry_after=after)
            message = reason[:_MESSAGE_CAP]
            return Verdict(claimed, ItemState.PENDING, "retried", None, code, message, delay, counts, usage)
        case Retry(reason, _, code) | Fail(reason, code):
            return Verdict(claimed, ItemState.FAILED, "failed", None, code, reason[:_MESSAGE_CAP], 0.0, True, usage)
        case Halt(reason, code):
            return Verdict(claimed, ItemState.PENDING, "doomed", None, code, reason[:_MESSAGE_CAP], usage=usage)


def outcome_from_result(returned: Any) -> Outcome:
    """Read what a processor returned.

    A conversation that may not be stored, or something that is no outcome at all, is a failure of that item.
    """
    if isinstance(returned, Conversation):
        returned = Done(returned)
    if returned is None:
        return Done()
    if isinstance(returned, Done):
        return _checked(returned)
    if isinstance(returned, Skip | Retry | Fail | Halt):
        return _error_text(returned)
    return Fail(
        f"the processor returned {kind_of(returned)}; it must return a Conversation, an outcome or None",
        code="processor_returned",
    )


def outcome_from_exception(error: BaseException, *, retry_on: tuple[type[Exception], ...] = ()) -> Outcome:
    """Read what a processor raised: a lost connection, a timeout or a class in `retry_on` may pass, others do not."""
    text = truncate_text(error, _MESSAGE_CAP)
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, TimeoutError):
        return Retry(named, code="timeout")
    if isinstance(error, ConnectionError):
        return Retry(named, code="connection")
    now = SystemClock().now()
    if (passing := transient_error(error, now)) is not None:
        return Retry(named, passing.after_seconds, passing.code)
    if isinstance(error, retry_on):
        return Retry(named, retry_after_seconds(error, now), f"processor_error.{type(error).__name__}")
    if isinstance(error, InvalidConversation):
        return Fail(error.message, code=error.code)
    return Fail(named, code=f"processor_error.{type(error).__name__}")


def truncate_text(value: object, cap: int) -> str:
    """Return the start of what a processor said, as text that may be stored whatever it is."""
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:
        text = ""  # some errors fail at saying what they are
    return text[:cap].encode(errors="backslashreplace").decode()


def _error_text(outcome: Skip | Retry | Fail | Halt) -> Outcome:
    """Make text of reason and code: what is given is often the exception itself, or a status."""
    reason = "" if outcome.reason is None else truncate_text(outcome.reason, _MESSAGE_CAP)
    if isinstance(outcome, Skip):
        return Skip(reason)
    if isinstance(outcome, Retry) and not isinstance(outcome.after, int | float | None):
        return Fail(f"Retry holds {kind_of(outcome.after)}; `after` must be seconds or None", code="processor_returned")
    if isinstance(outcome, Retry) and not isinstance(outcome.counts, bool):
        return Fail(f"Retry holds {kind_of(outcome.counts)}; `counts` must be true or false", code="processor_returned")
    return replace(outcome, reason=reason, code=_code(outcome))


def _code(outcome: Retry | Fail | Halt) -> str:
    """Make a code of what was given: one short line, or the usual one where nothing was."""
    given = "" if outcome.code is None else truncate_text(outcome.code, _CODE_CAP)
    one_line = "".join(character if character.isprintable() else " " for character in given).strip()
    return one_line or _USUAL_CODES[type(outcome)]


def _checked(done: Done) -> Outcome:
    if done.conversation is None:
        return done
    if not isinstance(done.conversation, Conversation):
        return Fail(
            f"Done holds {kind_of(done.conversation)}; it must hold a Conversation or None",
            code="processor_returned",
        )
    try:
        validate(done.conversation)
    except InvalidConversation as error:
        return Fail(error.message, code=error.code)
    return done
