"""Outcomes of an item's try, and the verdicts that are written for them.

A processor returns an outcome (or a Conversation or None, which mean `Done`). `decide` turns it into the verdict that
the committer writes. `outcome_from_exception` turns exceptions into outcomes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from backstay.batch.backoff import Backoff
from backstay.batch.item import ClaimedItem, ItemState
from backstay.batch.transient_errors import retry_after_seconds, transient_error
from backstay.clock import SystemClock
from backstay.errors import InvalidConversation, OutcomeRefused, ReplacementRefused, kind_of
from backstay.library.canonical_json import canonical_json
from backstay.library.conversation import Conversation, validate

_MAX_MESSAGE_CHARACTERS = 2_000
_MAX_CODE_CHARACTERS = 100
MAX_RAW_CHARACTERS = 64_000


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome of a finished item: a conversation or, if None, an effect of the processor's own."""

    conversation: Conversation | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """The outcome of an item that needs no work, which is not a failure."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """A failure that may be temporary: another try follows after `after_seconds` (default: exponential backoff).

    An item has at most `max_attempts` tries. With `counts=False` this one does not count, because its failure says
    nothing about the item: a rate limit, for instance, or a service that is down. The processor itself has to limit
    such retries.
    """

    reason: str = ""
    after_seconds: float | None = None
    code: str = "transient"
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Fail:
    """A permanent failure of the item; another try would not help."""

    reason: str = ""
    code: str = "failed"


@dataclass(frozen=True, slots=True)
class Halt:
    """A failure that every item would share until the user fixes something: the job pauses, the item stays pending."""

    reason: str
    code: str = "doom"


Outcome = Done | Skip | Retry | Fail | Halt

_DEFAULT_CODES: dict[type, str] = {type(outcome): outcome.code for outcome in (Retry(), Fail(), Halt(""))}


@dataclass(frozen=True, slots=True)
class AttemptUsage:
    """Tokens of one attempt, its raw answer before parsing, and the traceback of its exception."""

    tokens_in: int = 0
    tokens_out: int = 0
    raw: str | None = None
    traceback: str | None = None
    """One frame per line, the innermost last; None if the processor did not raise."""


NOTHING_USED = AttemptUsage()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The record to be written for one attempt: the item's next state, and its result or error."""

    claimed: ClaimedItem
    state: ItemState
    result: str
    """How the attempt ended: completed, skipped, failed, retried, or doomed (the job is halted)."""
    conversation: Conversation | None = None
    code: str | None = None
    message: str | None = None
    delay_seconds: float = 0.0
    """How long a pending item waits until it may be tried again."""
    uses_up_try: bool = False
    """Whether this try counts towards `max_attempts`."""
    usage: AttemptUsage = NOTHING_USED
    evidence: tuple[tuple[int, int], ...] = ()
    """If this verdict halts the job, the tries that led to it, newest first, as position and attempt number."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What the metadata of the conversation says of its origin, except for keys that it has already."""

    @property
    def halts_job(self) -> bool:
        return self.result == "doomed"

    @classmethod
    def failed(cls, claimed: ClaimedItem, code: str, message: str, usage: AttemptUsage) -> "Verdict":
        """Return the verdict that fails an item."""
        message = message[:_MAX_MESSAGE_CHARACTERS]
        return cls(claimed, ItemState.FAILED, "failed", None, code, message, 0.0, True, usage)

    @classmethod
    def from_refused(cls, verdict: "Verdict", error: OutcomeRefused | ReplacementRefused) -> "Verdict":
        """Return the verdict that fails an item whose outcome the database refused.

        Raw answer and traceback are dropped, since they may be what was refused. A conversation that is only not
        allowed to replace another one is kept as the raw answer.
        """
        usage = replace(verdict.usage, raw=None, traceback=None)
        if isinstance(error, ReplacementRefused) and verdict.conversation is not None:
            answer = canonical_json(verdict.conversation.to_dict()).decode()
            usage = replace(usage, raw=verdict.usage.raw or truncate_text(answer, MAX_RAW_CHARACTERS))
        return cls.failed(verdict.claimed, error.code, error.message, usage)


def decide(
    claimed: ClaimedItem, outcome: Outcome, *, usage: AttemptUsage, max_attempts: int, backoff: Backoff
) -> Verdict:
    """Return the verdict on an item after a try. Pure except for the jitter of the back-off."""
    match outcome:
        case Done(conversation):
            return Verdict(claimed, ItemState.COMPLETED, "completed", conversation, usage=usage)
        case Skip(reason):
            return Verdict(
                claimed, ItemState.SKIPPED, "skipped", None, "skipped", reason[:_MAX_MESSAGE_CHARACTERS], usage=usage
            )
        case Retry(reason, after_seconds, code, counts) if not counts or claimed.tries + 1 < max_attempts:
            delay = backoff.delay(claimed.tries + 1, retry_after_seconds=after_seconds)
            message = reason[:_MAX_MESSAGE_CHARACTERS]
            return Verdict(claimed, ItemState.PENDING, "retried", None, code, message, delay, counts, usage)
        case Retry(reason, _, code) | Fail(reason, code):
            return Verdict.failed(claimed, code, reason, usage)
        case Halt(reason, code):
            return Verdict(
                claimed, ItemState.PENDING, "doomed", None, code, reason[:_MAX_MESSAGE_CHARACTERS], usage=usage
            )


def outcome_from_result(returned: Any) -> Outcome:
    """Return the outcome that a processor's return value stands for.

    A conversation that must not be stored, or a value that is not an outcome, fails the item.
    """
    if isinstance(returned, Conversation):
        returned = Done(returned)
    if returned is None:
        return Done()
    if isinstance(returned, Done):
        return _check_conversation(returned)
    if isinstance(returned, Skip | Retry | Fail | Halt):
        return _with_text_reason(returned)
    return Fail(
        f"the processor returned {kind_of(returned)}; it must return a Conversation, an outcome or None",
        code="processor_returned",
    )


def outcome_from_exception(error: BaseException, *, retry_on: tuple[type[Exception], ...] = ()) -> Outcome:
    """Return the outcome of an exception: retry a lost connection, a time-out or a class in `retry_on`, else fail."""
    text = truncate_text(error, _MAX_MESSAGE_CHARACTERS)
    description = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, TimeoutError):
        return Retry(description, code="timeout")
    if isinstance(error, ConnectionError):
        return Retry(description, code="connection")
    now = SystemClock().now()
    if (transient := transient_error(error, now)) is not None:
        return Retry(description, transient.after_seconds, transient.code)
    if isinstance(error, retry_on):
        return Retry(description, retry_after_seconds(error, now), f"processor_error.{type(error).__name__}")
    if isinstance(error, InvalidConversation):
        return Fail(error.message, code=error.code)
    return Fail(description, code=f"processor_error.{type(error).__name__}")


def truncate_text(value: object, max_characters: int) -> str:
    """Return the first `max_characters` characters of a value as text that any database can store."""
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:
        text = ""  # the `__str__` of some errors raises
    return text[:max_characters].encode(errors="backslashreplace").decode()


def _with_text_reason(outcome: Skip | Retry | Fail | Halt) -> Outcome:
    """Convert reason and code to text: processors often pass the exception itself, or a status."""
    reason = "" if outcome.reason is None else truncate_text(outcome.reason, _MAX_MESSAGE_CHARACTERS)
    if isinstance(outcome, Skip):
        return Skip(reason)
    if isinstance(outcome, Retry) and not isinstance(outcome.after_seconds, int | float | None):
        message = f"Retry holds {kind_of(outcome.after_seconds)}; `after_seconds` must be a number or None"
        return Fail(message, code="processor_returned")
    if isinstance(outcome, Retry) and not isinstance(outcome.counts, bool):
        return Fail(f"Retry holds {kind_of(outcome.counts)}; `counts` must be true or false", code="processor_returned")
    return replace(outcome, reason=reason, code=_code(outcome))


def _code(outcome: Retry | Fail | Halt) -> str:
    """Return the code as one short line, or the default code if it is empty."""
    code = "" if outcome.code is None else truncate_text(outcome.code, _MAX_CODE_CHARACTERS)
    one_line = "".join(character if character.isprintable() else " " for character in code).strip()
    return one_line or _DEFAULT_CODES[type(outcome)]


def _check_conversation(outcome: Done) -> Outcome:
    if outcome.conversation is None:
        return outcome
    if not isinstance(outcome.conversation, Conversation):
        return Fail(
            f"Done holds {kind_of(outcome.conversation)}; it must hold a Conversation or None",
            code="processor_returned",
        )
    try:
        validate(outcome.conversation)
    except InvalidConversation as error:
        return Fail(error.message, code=error.code)
    return outcome
