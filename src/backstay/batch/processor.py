"""Processors, which turn an item into a conversation, and how they are called."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from backstay.batch.attempt import Work
from backstay.batch.item import Item
from backstay.batch.outcome import Outcome, truncate_text
from backstay.batch.progress import ProviderWait
from backstay.errors import ProcessorUnusable, SettingsError, kind_of
from backstay.library.conversation import Conversation

CALLER = "caller"
"""The processor name of a job that was started with a program's own callable."""

Result = Conversation | Outcome | None
Processor = Callable[..., Awaitable[Result]] | Callable[..., Result]


@runtime_checkable
class CanWait(Protocol):
    """A processor whose calls may all have to wait at the same time, for instance for a provider's limit."""

    def waiting_for_provider(self) -> ProviderWait | None:
        """Return what all calls currently wait for; None if some do not wait."""


@runtime_checkable
class RateLimitable(Protocol):
    """A processor whose rate of requests can be limited, in addition to the limits of its provider account."""

    def bound_rate(self, *, rpm: int | None, tpm: int | None) -> None:
        """Limit the requests and tokens per minute; None means no limit."""


@dataclass(frozen=True, slots=True)
class CallableProcessor:
    """A processor, and the way in which it has to be called."""

    function: Processor
    is_async: bool
    takes_work: bool
    retry_on: tuple[type[Exception], ...] = ()
    """Exception classes after which the item is tried again."""
    revision: int | None = None
    """The revision of the job's recipe that it follows; None if it follows none."""

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


def _is_async(processor: Processor) -> bool:
    while isinstance(processor, functools.partial):
        processor = processor.func
    return inspect.iscoroutinefunction(processor) or inspect.iscoroutinefunction(type(processor).__call__)
