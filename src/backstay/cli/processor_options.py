"""The options that choose what makes conversations: the scripted writer, a function, or a recipe's model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.options import AllowKey, RateOptions
from backstay.errors import SettingsError
from backstay.limits import MAX_TEMPERATURE

if TYPE_CHECKING:
    from backstay.generate.key_source import KeySources
    from backstay.generate.recipe import Recipe

_SCRIPTED = "scripted"
_RECIPE_FIELDS = ("base_url", "turns", "language", "temperature", "max_tokens")
_CHOICE = (
    "--model PROVIDER:NAME, --recipe FILE, --processor module:function, or --model scripted (the built-in writer, no "
    "model is called). The providers are "
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorOptions:
    """Options of `backstay run` that choose the processor."""

    model: Annotated[
        str | None,
        typer.Option(
            metavar="M",
            # `RunCommand` fills in the providers; other commands need not load them.
            help="Model: PROVIDER:NAME, any name with --base-url, or scripted. The providers are {providers}.",
        ),
    ] = None
    recipe: Annotated[
        str | None, typer.Option(metavar="FILE", help="Recipe, in TOML or YAML; `backstay init` writes one.")
    ] = None
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Base URL of an OpenAI-compatible endpoint, up to /v1.")
    ] = None
    allow_key: AllowKey = None
    turns: Annotated[int | None, typer.Option(metavar="N", help="Turns per conversation [default: 4].")] = None
    language: Annotated[str | None, typer.Option(metavar="L", help="Language of the conversations.")] = None
    temperature: Annotated[
        float | None, typer.Option(metavar="T", help=f"Sampling temperature (0–{MAX_TEMPERATURE}).")
    ] = None
    max_tokens: Annotated[int | None, typer.Option(metavar="N", help="Maximum tokens of one answer.")] = None
    processor: Annotated[
        str | None,
        typer.Option(
            metavar="MOD:FUNC", help="Python function, sync or async, that makes the conversation of an item."
        ),
    ] = None

    @property
    def is_scripted(self) -> bool:
        return self.model is not None and self.model.partition(":")[0] == _SCRIPTED

    def resolve(self, rates: RateOptions) -> "Recipe | str":
        """Return the recipe, or the name of the processor.

        Raises:
            SettingsError: the options contradict each other, or none chooses a processor.
            RecipeError: the recipe cannot be used.
        """
        fields = {name: getattr(self, name) for name in _RECIPE_FIELDS}
        recipe_options = {"recipe": self.recipe, **fields, "rpm": rates.rpm, "tpm": rates.tpm}
        if self.processor is not None:
            _refuse_combination("--processor", {"model": self.model, **recipe_options})
            return self.processor
        if self.model is None and self.recipe is None:
            from backstay.generate.providers import PROVIDERS

            raise SettingsError(
                f"Choose what makes the conversations: {_CHOICE}{', '.join(PROVIDERS)}", setting="model"
            )
        if self.model is not None and self.is_scripted:
            _refuse_combination("--model scripted, which calls no model,", recipe_options)
            return self.model
        from backstay.generate.recipe import Recipe

        path = Path(self.recipe) if self.recipe is not None else None
        return Recipe.load(path, {"model": self.model, **fields})


def check_usable(processor: "Recipe | str", keys: "KeySources", allowed_keys: Iterable[str]) -> None:
    """Check that a processor can be used. Called first, so that a mistyped name creates no database.

    Raises:
        ProcessorUnusable: the processor does not exist.
        ApiKeyMissing: the model's provider needs a key, and none is set.
        ApiKeyNotAllowed: the recipe would send a key to an endpoint that has not been allowed.
        SettingsError: the proxy, the certificates or a header of the settings cannot be used.
    """
    from backstay.cli.invocation import run_async
    from backstay.generate.processor_loader import ProcessorLoader
    from backstay.generate.provider_account import Accounts

    processors = ProcessorLoader(Accounts(keys=keys), allowed_keys=allowed_keys)
    if isinstance(processor, str):
        processors.resolve(processor)
    else:
        run_async(processors.writer(processor))


def _refuse_combination(option: str, others: Mapping[str, object]) -> None:
    conflicting = [f"--{name.replace('_', '-')}" for name, value in others.items() if value is not None]
    if conflicting:
        raise SettingsError(f"{option} cannot be combined with {', '.join(conflicting)}", setting=conflicting[0])
