"""Recipes: the model, the prompts and the options for the items of a job."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator

from backstay.batch.item import Item
from backstay.batch.job_recipe import FrozenRecipe
from backstay.batch.progress import TokenCounts
from backstay.errors import RecipeError, kind_of
from backstay.generate import secret_detection
from backstay.generate.endpoint import Endpoint, resolve_endpoint
from backstay.generate.prompt import PROMPT, PromptTemplates, estimate_tokens_in, estimate_tokens_out
from backstay.generate.providers.anthropic import rejected_parameters
from backstay.generate.query_and_headers import check_header_name, check_headers, check_query
from backstay.generate.recipe_diff import differences
from backstay.generate.recipe_file import read, unknown_field
from backstay.library.canonical_json import digest_of, is_encodable
from backstay.limits import MAX_ANSWER_TOKENS, MAX_ID, MAX_TEMPERATURE, MAX_TURNS
from backstay.readers.json_depth import TOO_DEEP, is_too_deep
from backstay.remedy import Remedy
from backstay.validation_reasons import reason_of

_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
STORED_RECIPE = "the job's recipe"
"""The origin of a stored recipe, for messages."""
_OPTIONAL_FIELDS = frozenset({"query", "headers", "key_header", "stream", "anthropic_version"})
"""Fields that are frozen only if they are set."""


def _check_variable_name(name: str) -> str:
    if not _VARIABLE_NAME.fullmatch(name):
        raise ValueError(
            "it should be the name of the environment variable that holds the key, such as MODELS_KEY, and never "
            "the key itself"
        )
    return name


def _check_roles(roles: dict[str, str]) -> dict[str, str]:
    if unknown := [name for name in roles if name not in {"user", "assistant"}]:
        raise ValueError(f"there is no role {unknown[0]!r}; there are: user, assistant")
    _check_json(roles)
    return roles


def _check_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    if is_too_deep(parameters):
        raise ValueError(f"it is {TOO_DEEP}")
    _check_json(parameters)
    if parameters.get("stream"):
        raise ValueError("it has stream, which is a field of its own; set stream = true in the recipe itself")
    return parameters


def _check_json(value: Any) -> None:
    match value:
        case None | bool():
            return
        case str():
            if not is_encodable(value):
                raise ValueError("a text has half of a surrogate pair, which is not a character")
        case int():
            if abs(value) >= 2**63:
                raise ValueError("a number is too large")
        case float():
            if not math.isfinite(value):
                raise ValueError("a number is infinite or NaN")
        case list():
            for inner in value:
                _check_json(inner)
        case dict():
            if not all(isinstance(name, str) for name in value):
                raise ValueError("a name is not text")
            _check_json([*value, *value.values()])
        case _:
            raise ValueError(f"{kind_of(value)} cannot be sent as JSON")


class Recipe(BaseModel):
    """A recipe, which is frozen into its job. Implements `batch.job_recipe.JobRecipe`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: str = Field(min_length=1, max_length=MAX_ID)
    """`openai:…`, `anthropic:…`, `ollama:…`, or the name used by the server at `base_url`."""
    base_url: str | None = Field(default=None, max_length=2_048)
    """Address of an endpoint with the provider's API, without the path of a request."""
    api_key_env: Annotated[str, AfterValidator(_check_variable_name)] | None = None
    """Environment variable that holds the key, if it is not the provider's usual one."""
    system: str | None = None
    """System prompt, a template."""
    prompt: str = Field(default=PROMPT, min_length=1)
    """User prompt, a template over the item's columns."""
    turns: int = Field(default=4, ge=1, le=MAX_TURNS)
    language: str | None = Field(default=None, min_length=1, max_length=100)
    roles: Annotated[dict[str, str], AfterValidator(_check_roles)] = Field(default_factory=dict)
    """Descriptions of the user and the assistant, templates."""
    temperature: float | None = Field(default=None, ge=0, le=MAX_TEMPERATURE)
    max_tokens: int | None = Field(default=None, ge=1, le=MAX_ANSWER_TOKENS)
    structured: Literal["auto", "schema", "json", "text"] = "auto"
    """The structured output to request; `auto` begins with the strictest that the provider supports."""
    parameters: Annotated[dict[str, Any], AfterValidator(_check_parameters)] = Field(default_factory=dict)
    """Other parameters of the provider's API, sent unchanged."""
    query: Annotated[dict[str, str], AfterValidator(check_query)] = Field(default_factory=dict)
    """Parameters added to the address of every request."""
    headers: Annotated[dict[str, str], AfterValidator(check_headers)] = Field(default_factory=dict)
    """Headers added to every request, none of which may carry a credential."""
    key_header: Annotated[str, Field(min_length=1, max_length=128), AfterValidator(check_header_name)] | None = None
    """Header that carries the bare key, if it is not the provider's usual one."""
    stream: bool = False
    """Request streamed answers, for endpoints that require it; each is collected before it is parsed."""
    anthropic_version: str | None = Field(default=None, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    """Version of Anthropic's API."""

    _outside_fields: frozenset[str] = PrivateAttr(default=frozenset())
    _where: str = PrivateAttr(default="the recipe")

    @field_validator("model", "system", "prompt", "language", "base_url")
    @classmethod
    def _check_texts(cls, text: str | None) -> str | None:
        if text is not None and ("\x00" in text or not text.strip()):
            raise ValueError("it must not be empty, or have NUL characters")
        _check_json(text)
        return text

    @classmethod
    def load(cls, path: Path | None, changes: Mapping[str, Any] | None = None) -> Self:
        """Read a recipe from a TOML or YAML file, if any, and replace fields by the changes that are not None.

        Raises:
            RecipeError: the file, a field, a template or the model's name is invalid; the message says which and where.
        """
        fields = dict(read(path)) if path is not None else {}
        changed = {name: value for name, value in (changes or {}).items() if value is not None}
        where = str(path) if path is not None else "the recipe"
        return cls.from_fields({**fields, **changed}, where, outside=fields.keys() - changed.keys())

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], where: str = "the recipe", *, outside: Iterable[str] = ()) -> Self:
        """Create a recipe from fields. Raises like `load`.

        `outside` are the fields from a file or a stored job. To a host that they name, a key is sent only if allowed.
        """
        if unknown := [name for name in fields if name not in cls.model_fields]:
            raise unknown_field(unknown[0], where, cls.model_fields)
        if "model" not in fields:
            raise RecipeError(f"{where} names no model", remedy=Remedy.NAME_MODEL, field="model")
        try:
            recipe = cls(**fields)
        except ValidationError as error:
            raise _invalid_recipe(error, where) from error
        except RecipeError as error:
            # A template does not know its file.
            if "template" in error.context:
                raise error.with_message(f"{where}: {error.message}", **error.context) from error
            raise
        recipe._outside_fields, recipe._where = frozenset(outside), where
        return recipe

    @classmethod
    def revise(cls, stored: FrozenRecipe, changes: Mapping[str, Any]) -> Self:
        """Return the recipe of a job with the changes that are not None. Raises like `load`."""
        changed = {name: value for name, value in changes.items() if value is not None}
        return cls.from_fields({**stored, **changed}, STORED_RECIPE, outside=stored.keys() - changed.keys())

    def model_post_init(self, _: Any) -> None:
        """Check that the recipe holds no credential, and that address and templates are valid. Raises RecipeError."""
        secret_detection.check_no_credentials(self.frozen())
        _ = self.endpoint, self.prompts
        self._check_anthropic_parameters()

    @property
    def outside_fields(self) -> frozenset[str]:
        """Fields that come from a file or a stored job, and not from the program or the user; see `key_permission`."""
        return self._outside_fields

    @property
    def where(self) -> str:
        """The origin of the recipe, for messages."""
        return self._where if self._where.startswith("the ") else f"the recipe {self._where}"

    @property
    def caution(self) -> str | None:
        """A warning about a valid but unlikely recipe, or None."""
        if self.turns % 2 == 0:
            return None
        turns = "1 turn" if self.turns == 1 else f"{self.turns} turns"
        return f"With {turns} each conversation ends with the user, unanswered; an even number ends with the assistant"

    @cached_property
    def endpoint(self) -> Endpoint:
        """The endpoint, before the environment is read."""
        return resolve_endpoint(
            self.model,
            self.base_url,
            self.api_key_env,
            query=self.query,
            headers=self.headers,
            key_header=self.key_header,
            stream=self.stream,
            anthropic_version=self.anthropic_version,
        )

    @cached_property
    def prompts(self) -> PromptTemplates:
        return PromptTemplates(
            system=self.system, user=self.prompt, roles=self.roles, turns=self.turns, language=self.language
        )

    def frozen(self) -> FrozenRecipe:
        fields = self.model_dump(mode="json")
        # Recipes that were stored before these fields existed must keep their fingerprint.
        return {name: value for name, value in fields.items() if name not in _OPTIONAL_FIELDS or value}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the frozen recipe."""
        return fingerprint(self.frozen())

    def check(self, item: Item, where: str) -> None:
        self.prompts.render(item, where)

    def estimate(self, item: Item, where: str) -> TokenCounts:
        prompt = self.prompts.render(item, where)
        return TokenCounts(estimate_tokens_in(prompt), estimate_tokens_out(self.turns, self.max_tokens))

    def differences(self, stored: FrozenRecipe, *, with_texts: bool = False) -> Sequence[str]:
        return differences(stored, self.frozen(), with_texts=with_texts)

    def _check_anthropic_parameters(self) -> None:
        if self.anthropic_version is None:
            return
        names = [*(["temperature"] if self.temperature is not None else []), *self.parameters]
        if rejected := rejected_parameters(self.anthropic_version, names):
            raise RecipeError(
                f"anthropic_version {self.anthropic_version} does not accept {', '.join(rejected)}; leave it out, or "
                "set an earlier version",
                field=rejected[0],
            )


def fingerprint(frozen: FrozenRecipe) -> str:
    """Return the SHA-256 of a recipe's canonical JSON."""
    return digest_of(dict(frozen))


def _invalid_recipe(error: ValidationError, where: str) -> RecipeError:
    first = error.errors()[0]
    name = ".".join(str(step) for step in first["loc"] if step != "[key]")
    if first["type"] == "extra_forbidden":
        return unknown_field(name, where, Recipe.model_fields)
    reason = reason_of(first)
    return RecipeError(f"{where}: {name} is wrong: {reason}", field=name)
