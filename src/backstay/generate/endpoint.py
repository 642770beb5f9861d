"""From a model's name and a base URL to where it is asked, and with whose key."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from backstay.errors import RecipeError
from backstay.generate.providers import PROVIDERS
from backstay.generate.providers.provider import Provider

_ENDPOINTS = ("/chat/completions", "/messages", "/completions", "/responses", "/models")
_BARE = "openai"  # what endpoints of one's own speak


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is asked."""

    provider: Provider
    model: str
    """As the provider calls it."""
    base_url: str
    key_variable: str
    key_required: bool

    @property
    def url(self) -> str:
        return self.base_url + self.provider.path

    @property
    def host(self) -> str:
        """For people: where the model is."""
        return urlsplit(self.base_url).netloc


def endpoint_of(
    model: str, base_url: str | None, api_key_env: str | None, providers: Mapping[str, Provider] = PROVIDERS
) -> Endpoint:
    """Read `openai:gpt-…`, `anthropic:claude-…`, `ollama:…`, or any name with a base URL.

    Raises:
        RecipeError: nobody can tell whose model that is, or the base URL is none.
    """
    prefix, colon, rest = model.partition(":")
    provider, name = providers.get(prefix), rest
    if provider is None and base_url is not None:
        provider, name = providers[_BARE], model
    if provider is None:
        known = ", ".join(f"{name}:…" for name in providers)
        what = f"There is no provider {prefix!r}" if colon else f"Nobody can tell whose model {model!r} is"
        raise RecipeError(f"{what}; name it as {known}, or give the address of your own with --base-url", field="model")
    if not name.strip():
        raise RecipeError(f"The model {model!r} has no name after the colon", field="model")
    return Endpoint(
        provider=provider,
        model=name,
        base_url=_checked(base_url) if base_url is not None else provider.base_url,
        key_variable=api_key_env or provider.key_variable,
        # With an address of one's own nobody knows whether a key is needed, unless it is named.
        key_required=api_key_env is not None or (base_url is None and provider.needs_key),
    )


def _checked(base_url: str) -> str:
    parts = _split(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _wrong(base_url, "it must begin with http:// or https://, as in http://localhost:8000/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise RecipeError(
            "The base URL carries a user name, a query or a fragment, where credentials hide; leave it out. "
            "A key goes into the environment",
            field="base_url",
        )
    path = parts.path.rstrip("/")
    for ending in _ENDPOINTS:
        if path.endswith(ending):
            shorter = f"{parts.scheme}://{parts.netloc}{path.removesuffix(ending)}"
            raise _wrong(base_url, f"it has the path of one request at its end; give what comes before: {shorter}")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def _split(base_url: str) -> SplitResult:
    try:
        parts = urlsplit(base_url)
        _ = parts.port  # raises for a port that is no number
    except ValueError as error:
        raise _wrong("", f"it is no address: {error}") from error
    if any(character.isspace() or not character.isprintable() for character in base_url):
        raise _wrong("", "it has spaces or characters that cannot be printed")
    return parts


def _wrong(base_url: str, why: str) -> RecipeError:
    shown = f" {base_url!r}" if base_url and "@" not in base_url and "?" not in base_url else ""
    return RecipeError(f"The base URL{shown} cannot be used: {why}", field="base_url")
