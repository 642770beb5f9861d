"""What turns an item into a conversation, and how it is called."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from backstay.batch.item import Item
from backstay.batch.outcome import NOTHING_USED, RAW_CAP, Outcome, Usage, kept_text
from backstay.batch.recipe import FrozenRecipe, Recipe
from backstay.errors import ProcessorUnusable, kind_of
from backstay.library.conversation import Conversation

CALLER = "caller"
"""Names the processor of a job that was started with a callable of some program."""

_MOST_TOKENS = 10**12  # of one report; sums of such numbers stay whole numbers in every database

Result = Conversation | Outcome | None
Processor = Callable[..., Awaitable[Result]] | Callable[..., Result]


class Work:
    """One attempt, as a processor sees it through its second argument."""

    __slots__ = ("_raw", "_tokens_in", "_tokens_out", "_waits", "attempt")

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        """Number of this try of the item, from 1."""
        self._tokens_in = 0
        self._tokens_out = 0
        self._raw: str | None = None
        self._waits = False

    def usage(self, *, tokens_in: int = 0, tokens_out: int = 0) -> None:
        """Add tokens that were used; they are kept whatever the attempt comes to.

        Raises ValueError for a number that cannot be right.
        """
        self._tokens_in += _whole(tokens_in)
        self._tokens_out += _whole(tokens_out)

    def raw(self, answer: str) -> None:
        """Keep the answer as it came, up to 64,000 characters, so that a failure can be understood."""
        self._raw = kept_text(answer, RAW_CAP)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for leave to begin, for instance of a rate limit, before anything was asked of anybody.

        The item's deadline counts from the end of the wait. A run that is asked to stop does not wait for it to end:
        an async processor is cancelled there, and its item stays pending.
        """
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
            self._resumed()

    def _resumed(self) -> None:
        """Hear that a wait has ended; for whoever keeps the time."""

    def _used(self) -> Usage:
        if not (self._tokens_in or self._tokens_out or self._raw):
            return NOTHING_USED
        return Usage(self._tokens_in, self._tokens_out, self._raw)


def used(work: Work) -> Usage:
    """Return what was reported through `work` so far."""
    return work._used()


def waits(work: Work) -> bool:
    """Whether the processor waits for leave to begin just now."""
    return work._waits


class ProcessorSource(Protocol):
    """Turns what a job keeps (a name as `scripted` or `module:function`, or a recipe) into a processor."""

    def resolve(self, name: str) -> Processor:
        """Return the processor of that name.

        Raises:
            ProcessorUnusable: there is none, or it cannot be called with an item.
        """
        ...

    def recipe(self, frozen: FrozenRecipe) -> Recipe:
        """Return the recipe that a job keeps. Raises RecipeError when this version does not understand it."""
        ...

    def writer(self, recipe: Recipe) -> Processor:
        """Return the processor that follows a recipe; nothing is called by it yet.

        Raises:
            SettingsError: what the recipe needs of the environment, such as a key, is not there.
        """
        ...


@dataclass(frozen=True, slots=True)
class Callee:
    """A processor, and how it wants to be called."""

    function: Processor
    is_async: bool
    takes_work: bool

    @classmethod
    def of(cls, processor: Processor) -> "Callee":
        """Inspect a processor once, before the first item.

        Raises:
            ProcessorUnusable: it is not callable, or takes neither `(item)` nor `(item, work)`.
        """
        if not callable(processor):
            raise ProcessorUnusable(f"A processor must be callable; this is {kind_of(processor)}")
        name = getattr(processor, "__qualname__", type(processor).__name__)
        try:
            parameters = inspect.signature(processor).parameters.values()
        except (TypeError, ValueError):
            return cls(processor, _is_async(processor), takes_work=False)
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        needed = [p for p in positional if p.default is p.empty]
        keyword_needed = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
        many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        if len(needed) > 2 or keyword_needed or not (positional or many):
            raise ProcessorUnusable(f"{name} must take (item) or (item, work)")
        # A second parameter with a default of its own is the processor's affair, unless it is called `work`.
        takes_work = len(needed) == 2 or (len(positional) > 1 and positional[1].name == "work")
        return cls(processor, _is_async(processor), takes_work)

    def call(self, item: Item, work: Work) -> Any:
        """Return what the processor returns: what is to be awaited, if it is asynchronous."""
        return self.function(item, work) if self.takes_work else self.function(item)


def _whole(tokens: int) -> int:
    number = int(tokens)  # client libraries have other kinds of numbers
    if not 0 <= number <= _MOST_TOKENS:
        raise ValueError(f"tokens must be from 0 to {_MOST_TOKENS:,}, not {number}")
    return number


def _is_async(processor: Processor) -> bool:
    while isinstance(processor, functools.partial):
        processor = processor.func
    return inspect.iscoroutinefunction(processor) or inspect.iscoroutinefunction(type(processor).__call__)
