"""Keys: taken from the environment alone, kept out of everything that is written."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from backstay.errors import KeyMissing, RecipeError

_NAMES = re.compile(
    r"(api[-_ ]?key|x-api-key|authorization|auth|bearer|access[-_]?token|auth[-_]?token|token|secret|password|passwd)",
    re.IGNORECASE,
)
_LOOKS = re.compile(r"\b(sk|pk|rk|gsk|hf|xai|key)[-_][A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{20,}|\bBearer\s+\S{12,}")
_HIDDEN = b"[key]"
_SHORTEST_SECRET = 16  # characters; those of providers have twice as many and more


def key_from(variable: str, *, required: bool, model: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the key that an environment variable holds.

    Raises:
        KeyMissing: it holds none, and the provider needs one; or what it holds cannot be a key.
    """
    key = (os.environ if environ is None else environ).get(variable, "").strip()
    if not key:
        if required:
            raise KeyMissing(
                f"{model} needs an API key: put it into the environment variable {variable}", variable=variable
            )
        return None
    if not key.isascii() or not key.isprintable() or " " in key:
        raise KeyMissing(
            f"What {variable} holds cannot be an API key: it has spaces or odd characters", variable=variable
        )
    return key


def hidden_bytes(body: bytes, key: str | None) -> bytes:
    """Return an answer of a provider's with our key taken out, should it have been sent back.

    Servers of one's own take any word for a key: one that is no secret is left where it stands, in texts above all.
    """
    return body.replace(key.encode(), _HIDDEN) if key and len(key) >= _SHORTEST_SECRET else body


def refuse_in(recipe: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> None:
    """See that no value of a recipe is a credential: it is stored with the job, and shown.

    Raises:
        RecipeError: one is, or looks like one. The message names the field, never the value.
    """
    environ = os.environ if environ is None else environ
    keys = [value.strip() for name, value in environ.items() if name.endswith("_API_KEY") and len(value.strip()) >= 8]
    for place, name, value in _leaves(recipe, ""):
        named = place.startswith("parameters") and _NAMES.fullmatch(name)
        looks = isinstance(value, str) and (_LOOKS.search(value) or any(key in value for key in keys))
        if named or looks:
            raise RecipeError(
                f"The recipe's {place} carries a credential; leave it out, and put the key into the environment "
                "(OPENAI_API_KEY, ANTHROPIC_API_KEY, or the variable that api_key_env names)",
                field=place,
            )


def _leaves(value: Any, place: str, name: str = "") -> Iterator[tuple[str, str, Any]]:
    match value:
        case Mapping():
            for key, inner in value.items():
                # A name can be one as well; then only where it stands may be told.
                yield place or "table", str(key), key
                yield from _leaves(inner, f"{place}.{key}".lstrip("."), str(key))
        case list() | tuple():
            for number, inner in enumerate(value):
                yield from _leaves(inner, f"{place}[{number}]", name)
        case _:
            yield place, name, value
