"""Endpoints: resolution of a model's name and a base URL to an address, a provider and a key."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

from backstay.errors import RecipeError
from backstay.generate.endpoint_url import BaseUrl, check_deployment
from backstay.generate.providers import PROVIDERS
from backstay.generate.providers.anthropic import Anthropic
from backstay.generate.providers.openai import OLDER_TOKEN_FIELD, OpenAICompatible
from backstay.generate.providers.provider import Provider
from backstay.remedy import Remedy
from backstay.suggestions import did_you_mean

_DEFAULT_API = "openai"  # the API of users' own endpoints


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a model, with its provider, key and request options."""

    provider: Provider
    """The provider as configured for this address: its key header, version and field names."""
    model: str
    """The provider's name for the model."""
    address: BaseUrl
    key_variable: str
    key_required: bool
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the recipe."""
    stream: bool = False
    is_default: bool = False
    """Whether the address follows from the provider's name alone."""
    variable: str | None = None
    """Environment variable that sets the address, if any."""

    @property
    def base_url(self) -> str:
        return self.address.base_url

    @property
    def url(self) -> str:
        query = f"?{urlencode(self.query, quote_via=quote)}" if self.query else ""
        return f"{self.base_url}{self.provider.path}{query}"

    @property
    def name(self) -> str:
        """The model with its provider or host, for messages."""
        is_owned = self.provider.owns(self.address.host)
        return f"{self.provider.name}:{self.model}" if is_owned else f"{self.model} at {self.host}"

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return self.address.netloc

    @property
    def key_header(self) -> str | None:
        return self.provider.key_header

    def request_headers(self, key: str | None) -> dict[str, str]:
        """Return the headers that this endpoint adds to each request."""
        return {**self.headers, **self.provider.headers(key)}

    def in_environment(self, environ: Mapping[str, str]) -> "Endpoint":
        """Return the endpoint at the address of the provider's environment variable, unless the recipe sets one.

        Raises:
            RecipeError: the variable is not a valid address.
        """
        variable = self.provider.base_url_variable
        if not self.is_default or variable is None or not (text := environ.get(variable, "").strip()):
            return self
        address = BaseUrl.parse(self.provider.normalize_url(text), f"The base URL in {variable}")
        address = _complete_path(address, self.provider)
        query = {**address.query, **self.query}
        check_deployment(address, query)
        return replace(
            self,
            provider=_configure_for(self.provider, address),
            address=address,
            query=query,
            # A key that the recipe names is needed at any address.
            key_required=self.key_required
            and (self.provider.owns(address.host) or self.key_variable != self.provider.key_variable),
            is_default=False,
            variable=variable,
        )


def resolve_endpoint(
    model: str,
    base_url: str | None,
    api_key_env: str | None,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    key_header: str | None = None,
    stream: bool = False,
    anthropic_version: str | None = None,
) -> Endpoint:
    """Resolve `openai:gpt-…`, `anthropic:claude-…`, `ollama:…`, or any name with a base URL.

    Raises:
        RecipeError: the model names no provider, the base URL is invalid, or a required option is missing.
    """
    address = BaseUrl.parse(base_url) if base_url is not None else None
    provider, name = _choose_provider(model, address)
    if not name.strip():
        raise RecipeError(f"The model {model!r} has no name after the colon", field="model")
    if address is None and provider.base_url is None:
        message = f"{provider.name} has a separate address for each customer, such as {provider.example_url}"
        raise RecipeError(message, remedy=Remedy.SET_BASE_URL, field="base_url")
    if anthropic_version is not None and not isinstance(provider, Anthropic):
        message = f"anthropic_version is for anthropic:… models, and {model} is not one; leave it out"
        raise RecipeError(message, field="anthropic_version")
    url = _complete_path(address or BaseUrl.parse(str(provider.base_url)), provider)
    full_query = {**url.query, **(query or {})}
    check_deployment(url, full_query)
    if address is not None:
        provider = _configure_for(provider, url)
    owner = _owner_at(url)
    options: dict[str, Any] = {"key_header": key_header} if key_header is not None else {}
    if anthropic_version is not None:
        options["version"] = anthropic_version
    return Endpoint(
        provider=replace(provider, **options),
        model=name,
        address=url,
        # A host gets only its owner's key, whatever its API.
        key_variable=api_key_env or (owner or provider).key_variable,
        # Unless the recipe names a key, it is unknown whether a user's own endpoint needs one.
        key_required=api_key_env is not None or (provider.needs_key and (address is None or provider.owns(url.host))),
        query=full_query,
        headers=headers or {},
        stream=stream,
        is_default=address is None,
    )


def _choose_provider(model: str, address: BaseUrl | None) -> tuple[Provider, str]:
    prefix, colon, rest = model.partition(":")
    by_prefix = PROVIDERS.get(prefix) if colon else None
    if address is None:
        if by_prefix is not None:
            return by_prefix, rest
        raise RecipeError(_explain_unknown_provider(model), remedy=Remedy.NAME_MODEL, field="model")
    # At other hosts the prefix is part of the name: Ollama and others have models such as mistral:7b.
    if by_prefix is not None and not (by_prefix.is_api_style or by_prefix.owns(address.host)):
        by_prefix = None
    name = model if by_prefix is None else rest
    owner = _owner_at(address)
    if isinstance(owner, OpenAICompatible) and (by_prefix is None or by_prefix.name == _DEFAULT_API):
        return owner, name
    return by_prefix or PROVIDERS[_DEFAULT_API], name


def _explain_unknown_provider(model: str) -> str:
    prefix, colon, _ = model.partition(":")
    if prefix in PROVIDERS:
        return f"The model {model!r} is only the name of a provider; write {prefix}: and the name of the model"
    known = "; the known providers are " + ", ".join(f"{name}:…" for name in PROVIDERS)
    if not colon:
        return f"The model {model!r} names no provider{known}"
    return f"Provider {prefix!r} not found{did_you_mean(prefix, PROVIDERS) or known}"


def _owner_at(address: BaseUrl) -> Provider | None:
    """Return the provider that owns an address; None for this machine, where any server may listen."""
    if address.is_loopback:
        return None
    return next((provider for provider in PROVIDERS.values() if provider.owns(address.host)), None)


def _complete_path(address: BaseUrl, provider: Provider) -> BaseUrl:
    """Return an address with the default path, if it has none."""
    if not address.is_bare:
        return address
    if provider.base_url is not None and provider.owns(address.host):
        return replace(address, path=BaseUrl.parse(provider.base_url).path)
    return replace(address, path="/openai/v1" if address.is_azure else "/v1")


def _configure_for(provider: Provider, address: BaseUrl) -> Provider:
    """Return a provider as configured for an address that the user has set."""
    if not isinstance(provider, OpenAICompatible) or provider.owns(address.host):
        return provider
    if provider.name == _DEFAULT_API:
        provider = replace(provider, token_field=OLDER_TOKEN_FIELD)
    if address.has_deployment and provider.key_header is None:
        provider = replace(provider, key_header="api-key")
    return provider
