"""Processors, which turn an item into a conversation, and how they are called."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from backstay.batch.item import Item
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
from backstay.batch.progress import ProviderWait
from backstay.batch.recipe import FrozenRecipe, JobRecipe
from backstay.errors import ProcessorUnusable, SettingsError, kind_of
from backstay.library.conversation import Conversation

CALLER = "caller"
"""The processor name of a job that was started with a program's own callable."""

_MAX_TOKENS = 10**12  # in one report, so that sums remain integers in every database

Result = Conversation | Outcome | None
Processor = Callable[..., Awaitable[Result]] | Callable[..., Result]


class Work:
    """One attempt, passed to a processor as its second argument."""

    __slots__ = ("_is_waiting", "_on_timeout", "_raw", "_tokens_in", "_tokens_out", "attempt")

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        """Number of this attempt of the item, from 1."""
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


@runtime_checkable
class CanWait(Protocol):
    """A processor whose calls may all have to wait, for instance for a provider's limit."""

    def waiting_for_provider(self) -> ProviderWait | None:
        """Return what all calls currently wait for; None if they do not wait."""


@runtime_checkable
class RateLimitable(Protocol):
    """A processor whose rate of requests can be limited, in addition to the limits of its provider account."""

    def bound_rate(self, *, rpm: int | None, tpm: int | None) -> None:
        """Limit the requests and tokens per minute; None means no limit."""


class ProcessorSource(Protocol):
    """A source of processors, by a job's stored name (such as `scripted` or `module:function`) or its recipe."""

    def resolve(self, name: str) -> Processor:
        """Return the processor of that name.

        Raises:
            ProcessorUnusable: no processor has that name, or it cannot be called with an item.
        """

    def recipe(self, frozen: FrozenRecipe, *, base_url: str | None = None) -> JobRecipe:
        """Return a job's stored recipe, with the base URL of its model replaced by `base_url` if that is set.

        Raises:
            RecipeError: this version does not support the recipe, or the base URL is not valid.
        """

    async def writer(self, recipe: JobRecipe) -> Processor:
        """Return the processor that follows a recipe, without calling the provider yet.

        It may wait for something that the recipe needs, such as a command that prints a key.

        Raises:
            SettingsError: something that the recipe needs from the environment, such as a key, is missing.
        """


@dataclass(frozen=True, slots=True)
class CallableProcessor:
    """A processor, and the way in which it has to be called."""

    function: Processor
    is_async: bool
    takes_work: bool
    retry_on: tuple[type[Exception], ...] = ()
    """Exception classes after which the item is tried again."""

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
        required = [p for p in positional if p.default is p.empty]
        required_keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
        has_varargs = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        if len(required) > 2 or required_keywords or not (positional or has_varargs):
            raise ProcessorUnusable(f"{name} must take (item) or (item, work)")
        # A second parameter with a default is not meant for the attempt, unless it is called `work`.
        takes_work = len(required) == 2 or (len(positional) > 1 and positional[1].name == "work")
        return cls(processor, _is_async(processor), takes_work, retry_on)

    def call(self, item: Item, work: Work) -> Any:
        """Call the processor and return its result; for an async one, the awaitable."""
        return self.function(item, work) if self.takes_work else self.function(item)


def _check_retry_on(retry_on: Any) -> None:
    if not isinstance(retry_on, tuple) or not all(isinstance(c, type) and issubclass(c, Exception) for c in retry_on):
        raise SettingsError(
            "retry_on must be a tuple of exception classes, such as (MyError,), not "
            f"{truncate_text(repr(retry_on), 200)}",
            setting="retry_on",
        )


def _token_count(tokens: int) -> int:
    number = int(tokens)  # client libraries use their own number types
    if not 0 <= number <= _MAX_TOKENS:
        raise ValueError(f"tokens must be from 0 to {_MAX_TOKENS:,}, not {number}")
    return number


def _is_async(processor: Processor) -> bool:
    while isinstance(processor, functools.partial):
        processor = processor.func
    return inspect.iscoroutinefunction(processor) or inspect.iscoroutinefunction(type(processor).__call__)
