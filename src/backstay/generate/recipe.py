"""A recipe: what a model is asked for each item of a job."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from backstay.batch.item import Item
from backstay.batch.recipe import FrozenRecipe
from backstay.errors import RecipeError, kind_of
from backstay.generate import credentials
from backstay.generate.difference import differences
from backstay.generate.endpoint import Endpoint, endpoint_of
from backstay.generate.prompt import PROMPT, Prompts
from backstay.generate.recipe_file import read, unknown_field
from backstay.library.canonical import canonical_json


class Recipe(BaseModel):
    """All fields of a recipe. Frozen into its job; implements `batch.recipe.Recipe`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: str = Field(min_length=1, max_length=512)
    """`openai:…`, `anthropic:…`, `ollama:…`, or the name that the server at `base_url` knows."""
    base_url: str | None = Field(default=None, max_length=2_048)
    """Address of an endpoint that speaks as the provider does, up to and without the path of a request."""
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)
    """Environment variable that holds the key, where it is not the provider's usual one."""
    system: str | None = None
    """System prompt, a template."""
    prompt: str = Field(default=PROMPT, min_length=1)
    """User prompt, a template over the item's columns."""
    turns: int = Field(default=4, ge=1, le=200)
    language: str | None = Field(default=None, min_length=1, max_length=100)
    roles: dict[str, str] = Field(default_factory=dict)
    """Who the user and the assistant are, templates."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    structured: Literal["auto", "schema", "json", "text"] = "auto"
    """How the answer's structure is asked for; `auto` begins with the strictest that the provider has."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Anything else the provider takes; sent as it is."""

    @field_validator("parameters")
    @classmethod
    def _is_json(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        _check_json(parameters)
        return parameters

    @field_validator("roles")
    @classmethod
    def _are_known(cls, roles: dict[str, str]) -> dict[str, str]:
        if unknown := [name for name in roles if name not in {"user", "assistant"}]:
            raise ValueError(f"there is no role {unknown[0]!r}; there are: user, assistant")
        return roles

    @field_validator("model", "system", "prompt", "language", "base_url")
    @classmethod
    def _is_text(cls, text: str | None) -> str | None:
        if text is not None and ("\x00" in text or not text.strip()):
            raise ValueError("it must not be empty, or have NUL characters")
        return text

    @classmethod
    def load(cls, path: Path | None, changes: Mapping[str, Any] | None = None) -> Self:
        """Read a recipe from a TOML or YAML file, or from nothing, with some fields changed.

        Raises:
            RecipeError: the file, a field, a template or the model's name is wrong; the message says which and where.
        """
        fields = dict(read(path)) if path is not None else {}
        fields |= {name: value for name, value in (changes or {}).items() if value is not None}
        return cls.of(fields, str(path) if path is not None else "the recipe")

    @classmethod
    def of(cls, fields: Mapping[str, Any], where: str = "the recipe") -> Self:
        """Make a recipe of its fields. Errors as of `load`."""
        if "model" not in fields:
            raise RecipeError(
                f"{where} names no model; say one with --model, as in --model openai:gpt-4o-mini",
                field="model",
            )
        try:
            return cls(**fields)
        except ValidationError as error:
            raise _wrong(error, where) from error

    def model_post_init(self, _: Any) -> None:
        """See that it can be followed: no credential in it, an address, templates that compile. Raises RecipeError."""
        credentials.refuse_in(self.frozen())
        _ = self.endpoint, self.prompts

    @cached_property
    def endpoint(self) -> Endpoint:
        return endpoint_of(self.model, self.base_url, self.api_key_env)

    @cached_property
    def prompts(self) -> Prompts:
        return Prompts(system=self.system, user=self.prompt, roles=self.roles, turns=self.turns, language=self.language)

    def frozen(self) -> FrozenRecipe:
        return self.model_dump(mode="json")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the frozen recipe."""
        return fingerprint(self.frozen())

    def check(self, item: Item, where: str) -> None:
        self.prompts.of(item, where)

    def differences(self, stored: FrozenRecipe) -> Sequence[str]:
        return differences(stored, self.frozen())


def fingerprint(frozen: FrozenRecipe) -> str:
    """Return the SHA-256 of a recipe's canonical JSON."""
    return hashlib.sha256(canonical_json(dict(frozen))).hexdigest()


def _check_json(value: Any) -> None:
    match value:
        case None | bool() | str():
            return
        case int():
            if abs(value) >= 2**63:
                raise ValueError("a number is too large")
        case float():
            if not math.isfinite(value):
                raise ValueError("a number is infinite, or none at all")
        case list():
            for inner in value:
                _check_json(inner)
        case dict():
            for name, inner in value.items():
                if not isinstance(name, str):
                    raise ValueError("a name is no text")  # noqa: TRY004 - pydantic tells ValueErrors
                _check_json(inner)
        case _:
            raise ValueError(f"{kind_of(value)} cannot be sent as JSON")


def _wrong(error: ValidationError, where: str) -> RecipeError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "extra_forbidden":
        return unknown_field(name, where, Recipe.model_fields)
    reason = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    return RecipeError(f"{where}: {name} is wrong: {reason}", field=name)
