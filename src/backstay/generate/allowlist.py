"""Restriction of a server to the processors and recipes in its settings."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from backstay.batch.job_recipe import FrozenRecipe, JobRecipe
from backstay.batch.processor import Processor
from backstay.batch.processor_lookup import ProcessorSource
from backstay.errors import ProcessorNotAllowed
from backstay.generate.recipe import Recipe


@dataclass(frozen=True, slots=True)
class AllowedEntry:
    """The processors and recipes that may be run."""

    processors: Collection[str] = ()
    """`scripted` or `module:function`, exactly as a job names them."""
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    """Recipes by the names that requests use."""


class Allowlist:
    """A `ProcessorSource` that returns only allowed processors, for requests and for stored jobs alike."""

    def __init__(self, source: ProcessorSource, allowed: AllowedEntry) -> None:
        self._source = source
        self._processors = frozenset(allowed.processors)
        self._fingerprints = frozenset(recipe.fingerprint for recipe in allowed.recipes.values())

    def recipe(self, frozen: FrozenRecipe, *, base_url: str | None = None) -> JobRecipe:
        return self._source.recipe(frozen, base_url=base_url)

    async def writer(self, recipe: JobRecipe) -> Processor:
        """Return the writer for a recipe. Raises ProcessorNotAllowed, and all that the wrapped source raises."""
        # Compare all fields: a stored job may name another address than the recipe of the same name in the settings.
        if not isinstance(recipe, Recipe) or recipe.fingerprint not in self._fingerprints:
            message = "This server does not run the job's recipe, which is not in its settings"
            raise ProcessorNotAllowed(message, model=recipe.model)
        return await self._source.writer(recipe)

    def resolve(self, name: str) -> Processor:
        """Return the processor of that name. Raises ProcessorNotAllowed, and all that the wrapped source raises."""
        if name not in self._processors:
            message = f"This server does not run {name!r}, which is not among the processors in its settings"
            raise ProcessorNotAllowed(message, processor=name)
        return self._source.resolve(name)
