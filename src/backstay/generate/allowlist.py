"""Processors of a program that works for others, as a server does: those of its own settings, and no other."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from backstay.batch.processor import Processor, ProcessorSource
from backstay.batch.recipe import FrozenRecipe
from backstay.batch.recipe import JobRecipe as AnyRecipe
from backstay.errors import ProcessorNotAllowed
from backstay.generate.recipe import Recipe


@dataclass(frozen=True, slots=True)
class AllowedEntry:
    """What may be run."""

    processors: Collection[str] = ()
    """`scripted` or `module:function`, each exactly as a job names it."""
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    """By the names that requests call them by."""


class Allowlist:
    """Finds only what is allowed, whoever asks for something else: a request, or a job's row. Implements
    `ProcessorSource`.
    """

    def __init__(self, source: ProcessorSource, allowed: AllowedEntry) -> None:
        self._source = source
        self._processors = frozenset(allowed.processors)
        self._fingerprints = frozenset(recipe.fingerprint for recipe in allowed.recipes.values())

    def recipe(self, frozen: FrozenRecipe, *, base_url: str | None = None) -> AnyRecipe:
        return self._source.recipe(frozen, base_url=base_url)

    async def writer(self, recipe: AnyRecipe) -> Processor:
        """Return the writer that follows a recipe. Raises ProcessorNotAllowed, and as the source does."""
        # By all that is in it: a job's row may say another address than the recipe of the same name in the settings.
        if not isinstance(recipe, Recipe) or recipe.fingerprint not in self._fingerprints:
            raise ProcessorNotAllowed(
                "This server does not run the job's recipe: it is none of those in its settings. Add it there, or use "
                "`backstay resume`",
                model=recipe.model,
            )
        return await self._source.writer(recipe)

    def resolve(self, name: str) -> Processor:
        """Return the processor of that name. Raises ProcessorNotAllowed, and as the source does."""
        if name not in self._processors:
            raise ProcessorNotAllowed(
                f"This server does not run {name!r}: it is none of the processors in its settings. Add it there, or "
                "use `backstay resume`",
                processor=name,
            )
        return self._source.resolve(name)
