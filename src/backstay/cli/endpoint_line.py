"""The endpoint of a recipe in one line, printed before anything is sent to it."""

from typing import TYPE_CHECKING

from backstay.cli.text import printable

if TYPE_CHECKING:
    from backstay.generate.endpoint import Endpoint
    from backstay.generate.key_source import KeySources
    from backstay.generate.recipe import Recipe


def describe_endpoint(recipe: "Recipe", keys: "KeySources") -> str:
    """Return the provider, its base URL, and the source of the key.

    Raises:
        RecipeError: an environment variable holds an invalid address.
    """
    environ = keys.environment
    endpoint = recipe.endpoint.in_environment(environ)
    origin = f" ({endpoint.variable})" if endpoint.variable is not None else ""
    line = f"{endpoint.provider.name}, at {printable(endpoint.base_url)}{origin}; {_describe_key(endpoint, keys)}"
    unread = endpoint.provider.unread_variable
    if endpoint.is_default and unread is not None and environ.get(unread):
        line += f". {unread} is set but not read: set {endpoint.provider.base_url_variable} instead"
    return line


def _describe_key(endpoint: "Endpoint", keys: "KeySources") -> str:
    variable = endpoint.key_variable
    if not keys.environment.get(variable, "").strip():
        return f"{variable} is not set" if endpoint.key_required else f"no key, as {variable} is not set"
    header = endpoint.key_header
    source = keys.source_of(variable)
    text = (
        f"key from {variable}"
        if source == "variable"
        else f"key of {variable}, from the {source} that backstay.toml names"
    )
    return text + (f", in the header {header}" if header is not None else "")
