"""The options that choose what makes conversations: the scripted writer, a function, or a recipe's model."""

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
    """Options of `backstay run` that choose the processor."""

    model: str | None
    processor: str | None
    recipe: str | None
    fields: dict[str, Any]
    """Options that set fields of the recipe; None for options that are not used."""
    bounds: dict[str, Any] = field(default_factory=dict)
    """Options that limit the request rate."""

    @property
    def is_scripted(self) -> bool:
        return self.model is not None and self.model.partition(":")[0] == _SCRIPTED

    def resolve(self) -> "Recipe | str":
        """Return the recipe, or the name of the processor.

        Raises:
            SettingsError: the options contradict each other, or none chooses a processor.
            RecipeError: the recipe cannot be used.
        """
        options = {**self.fields, **self.bounds}
        names = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
        if self.processor is not None:
            _refuse_combination("--processor", [*(["--model"] if self.model else []), *self._recipe_option(), *names])
            return self.processor
        if self.model is None and self.recipe is None:
            from backstay.generate.providers import PROVIDERS

            raise SettingsError(
                f"Choose what makes the conversations: {_CHOICE}{', '.join(PROVIDERS)}", setting="model"
            )
        if self.model is not None and self.is_scripted:
            _refuse_combination("--model scripted, which follows no recipe,", [*self._recipe_option(), *names])
            return self.model
        from backstay.generate.recipe import Recipe

        path = Path(self.recipe) if self.recipe is not None else None
        return Recipe.load(path, {"model": self.model, **self.fields})

    def check(self, source: "Recipe | str", keys: "KeySources", allowed_keys: Iterable[str]) -> None:
        """Check that it can be used before a database is created: a mistyped name must not create one.

        Raises:
            ProcessorUnusable: the processor does not exist.
            ApiKeyMissing: the model's provider needs a key, and none is set.
            ApiKeyNotAllowed: the recipe names the endpoint that gets a key, and that has not been allowed.
            SettingsError: the proxy, the certificates or a header of the settings cannot be used.
        """
        from backstay.cli.invocation import run_async
        from backstay.generate.account import Accounts
        from backstay.generate.processor_registry import ProcessorRegistry

        processors = ProcessorRegistry(Accounts(keys=keys), allowed_keys=allowed_keys)
        if isinstance(source, str):
            processors.resolve(source)
        else:
            run_async(processors.writer(source))

    def _recipe_option(self) -> list[str]:
        return ["--recipe"] if self.recipe is not None else []


def _refuse_combination(option: str, others: list[str]) -> None:
    if others:
        raise SettingsError(f"{option} cannot be combined with {', '.join(others)}", setting=others[0])
