"""What turns an item into a conversation, and how it is called."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from backstay.batch.checkpoint import ProviderWait
from backstay.batch.item import Item
from backstay.batch.outcome import (
    NOTHING_USED,
    RAW_CAP,
    AttemptUsage,
    Outcome,
    Retry,
    outcome_from_exception,
    outcome_from_result,
    truncate_text,
)
from backstay.batch.recipe import FrozenRecipe, JobRecipe
from backstay.errors import ProcessorUnusable, SettingsError, kind_of
from backstay.library.conversation import Conversation

CALLER = "caller"
"""Names the processor of a job that was started with a callable of some program."""

_MOST_TOKENS = 10**12  # of one report; sums of such numbers stay whole numbers in every database

Result = Conversation | Outcome | None
Processor = Callable[..., Awaitable[Result]] | Callable[..., Result]


class Work:
    """One attempt, as a processor sees it through its second argument."""

    __slots__ = ("_on_timeout", "_raw", "_tokens_in", "_tokens_out", "_waits", "attempt")

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        """Number of this try of the item, from 1."""
        self._tokens_in = 0
        self._tokens_out = 0
        self._raw: str | None = None
        self._waits = False
        self._on_timeout: Callable[[], Outcome] | None = None

    def usage(self, *, tokens_in: int = 0, tokens_out: int = 0) -> None:
        """Add tokens that were used; they are kept whatever the attempt comes to.

        Raises ValueError for a number that cannot be right.
        """
        self._tokens_in += _whole(tokens_in)
        self._tokens_out += _whole(tokens_out)

    def raw(self, answer: str) -> None:
        """Keep the answer as it came, up to 64,000 characters, so that a failure can be understood."""
        self._raw = truncate_text(answer, RAW_CAP)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for permission to begin, for instance from a rate limiter, before anything is sent.

        The item's deadline counts from the end of the wait. A run that is asked to stop does not wait for it to end:
        an async processor is cancelled there, and its item stays pending.
        """
        self._set_waits(True)
        try:
            yield
        finally:
            self._set_waits(False)

    def on_timeout(self, outcome: Callable[[], Outcome]) -> None:
        """Have `outcome` return the attempt's outcome when its time is up; by default that is `Retry`.

        It is called on the event loop, and must not block.
        """
        self._on_timeout = outcome

    def _set_waits(self, waits: bool) -> None:
        self._waits = waits

    def _recorded_usage(self) -> AttemptUsage:
        if not (self._tokens_in or self._tokens_out) and self._raw is None:
            return NOTHING_USED
        return AttemptUsage(self._tokens_in, self._tokens_out, self._raw)


def recorded_usage(work: Work) -> AttemptUsage:
    """Return what was reported through `work` so far."""
    return work._recorded_usage()


def timeout_outcome(work: Work, seconds: float) -> Outcome:
    """Return the outcome of an attempt that took longer than the given seconds."""
    if work._on_timeout is not None:
        try:
            return outcome_from_result(work._on_timeout())
        except Exception as error:
            return outcome_from_exception(error)
    return Retry(f"no answer within {seconds:g} s", code="timeout")


def is_waiting(work: Work) -> bool:
    """Return whether the processor waits for permission to begin just now."""
    return work._waits


@runtime_checkable
class CanWait(Protocol):
    """A processor all of whose calls may have to wait, for instance for a provider's limit."""

    def waiting_for_provider(self) -> ProviderWait | None:
        """Return what they all wait for just now; None while they do not."""
        ...


@runtime_checkable
class RateLimitable(Protocol):
    """A processor whose requests can be limited, in addition to the limits of its provider account."""

    def bound_rate(self, *, rpm: int | None, tpm: int | None) -> None:
        """Limit the requests and tokens of a minute; None means no limit."""
        ...


class ProcessorSource(Protocol):
    """Turns what a job keeps (a name as `scripted` or `module:function`, or a recipe) into a processor."""

    def resolve(self, name: str) -> Processor:
        """Return the processor of that name.

        Raises:
            ProcessorUnusable: there is none, or it cannot be called with an item.
        """
        ...

    def recipe(self, frozen: FrozenRecipe, *, base_url: str | None = None) -> JobRecipe:
        """Return the recipe that a job keeps, its model asked at `base_url` where that is given.

        Raises:
            RecipeError: this version does not understand it, or the base URL is not valid.
        """
        ...

    async def writer(self, recipe: JobRecipe) -> Processor:
        """Return the processor that follows a recipe; nothing is called by it yet.

        It may wait for what the recipe needs, such as a command that prints a key.

        Raises:
            SettingsError: what the recipe needs of the environment, such as a key, is not there.
        """
        ...


@dataclass(frozen=True, slots=True)
class CallableProcessor:
    """A processor, and how it wants to be called."""

    function: Processor
    is_async: bool
    takes_work: bool
    retry_on: tuple[type[Exception], ...] = ()
    """Exceptions of these classes may pass: the item is tried again."""

    @classmethod
    def from_processor(cls, processor: Processor, *, retry_on: tuple[type[Exception], ...] = ()) -> "CallableProcessor":
        """Inspect a processor once, before the first item.

        Raises:
            SettingsError: `retry_on` is not a tuple of exception classes.
            ProcessorUnusable: it is not callable, or takes neither `(item)` nor `(item, work)`.
        """
        if not callable(processor):
            raise ProcessorUnusable(f"A processor must be callable; this is {kind_of(processor)}")
        _check_retry_on(retry_on)
        name = getattr(processor, "__qualname__", type(processor).__name__)
        try:
            parameters = inspect.signature(processor).parameters.values()
        except (TypeError, ValueError):
            return cls(processor, _is_async(processor), takes_work=False, retry_on=retry_on)
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        needed = [p for p in positional if p.default is p.empty]
        keyword_needed = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
        many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        if len(needed) > 2 or keyword_needed or not (positional or many):
            raise ProcessorUnusable(f"{name} must take (item) or (item, work)")
        # A second parameter with a default of its own is the processor's affair, unless it is called `work`.
        takes_work = len(needed) == 2 or (len(positional) > 1 and positional[1].name == "work")
        return cls(processor, _is_async(processor), takes_work, retry_on)

    def call(self, item: Item, work: Work) -> Any:
        """Return what the processor returns: what is to be awaited, if it is asynchronous."""
        return self.function(item, work) if self.takes_work else self.function(item)


def _check_retry_on(retry_on: Any) -> None:
    if not isinstance(retry_on, tuple) or not all(isinstance(c, type) and issubclass(c, Exception) for c in retry_on):
        raise SettingsError(
            "retry_on must be a tuple of exception classes, such as (MyError,), not "
            f"{truncate_text(repr(retry_on), 200)}",
            setting="retry_on",
        )


def _whole(tokens: int) -> int:
    number = int(tokens)  # client libraries have other kinds of numbers
    if not 0 <= number <= _MOST_TOKENS:
        raise ValueError(f"tokens must be from 0 to {_MOST_TOKENS:,}, not {number}")
    return number


def _is_async(processor: Processor) -> bool:
    while isinstance(processor, functools.partial):
        processor = processor.func
    return inspect.iscoroutinefunction(processor) or inspect.iscoroutinefunction(type(processor).__call__)
