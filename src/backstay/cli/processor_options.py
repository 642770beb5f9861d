"""What makes the conversations of a run: the scripted writer, a function, or a model after a recipe."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstay.errors import SettingsError

if TYPE_CHECKING:
    from backstay.generate.key_source import KeySources
    from backstay.generate.recipe import Recipe

_SCRIPTED = "scripted"
_CHOICE = (
    "--model PROVIDER:NAME, --recipe FILE, --processor module:function, or --model scripted (the built-in writer, no "
    "model is called). The providers are "
)


@dataclass(frozen=True, slots=True)
class ProcessorOptions:
    """What the options of a run say about it."""

    model: str | None
    processor: str | None
    recipe: str | None
    fields: dict[str, Any]
    """Fields of the recipe that were given as options; None for those that were not."""
    bounds: dict[str, Any] = field(default_factory=dict)
    """Options that limit the requests of a recipe."""

    @property
    def is_scripted(self) -> bool:
        return self.model is not None and self.model.partition(":")[0] == _SCRIPTED

    def chosen(self) -> "Recipe | str":
        """Return the recipe, or the name of the processor.

        Raises:
            SettingsError: the options contradict each other, or none of them says it.
            RecipeError: the recipe cannot be used.
        """
        options = {**self.fields, **self.bounds}
        given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
        if self.processor is not None:
            _refuse_beside("--processor", [*(["--model"] if self.model else []), *self._recipe_option(), *given])
            return self.processor
        if self.model is None and self.recipe is None:
            from backstay.generate.providers import PROVIDERS

            raise SettingsError(f"Say what makes the conversations: {_CHOICE}{', '.join(PROVIDERS)}", setting="model")
        if self.model is not None and self.is_scripted:
            _refuse_beside("--model scripted, which follows no recipe,", [*self._recipe_option(), *given])
            return self.model
        from backstay.generate.recipe import Recipe

        path = Path(self.recipe) if self.recipe is not None else None
        return Recipe.load(path, {"model": self.model, **self.fields})

    def check(self, chosen: "Recipe | str", keys: "KeySources", allowed_keys: Iterable[str]) -> None:
        """See that it can be used, before a database is made: a mistyped name must not leave one behind.

        Raises:
            ProcessorUnusable: there is no such processor.
            ApiKeyMissing: there is no key for the model's provider, which needs one.
            ApiKeyNotAllowed: the recipe says where a key goes, and that has not been allowed.
            SettingsError: the proxy, the certificates or a header of the settings cannot be used.
        """
        from backstay.cli.invocation import run_async
        from backstay.generate.account import Accounts
        from backstay.generate.processor_registry import ProcessorRegistry

        processors = ProcessorRegistry(Accounts(keys=keys), allowed_keys=allowed_keys)
        if isinstance(chosen, str):
            processors.resolve(chosen)
        else:
            run_async(processors.writer(chosen))

    def _recipe_option(self) -> list[str]:
        return ["--recipe"] if self.recipe is not None else []


def _refuse_beside(one: str, others: list[str]) -> None:
    if others:
        raise SettingsError(f"{one} cannot go with {', '.join(others)}; give one of them", setting=others[0])
