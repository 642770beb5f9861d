"""Secrets: known by where they come from, kept out of everything that is written."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from backstay.errors import RecipeError

_SHORTEST_SECRET = 16  # characters; those of providers have twice as many and more
_HIDDEN = b"[key]"

_VARIABLES = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET)$", re.IGNORECASE)
_PARAMETERS = re.compile(
    r"(api[-_ ]?key|x-api-key|authorization|auth|bearer|access[-_]?token|auth[-_]?token|token|secret|password|passwd)",
    re.IGNORECASE,
)
_LOOKS = re.compile(r"\b(sk|pk|rk|gsk|hf|xai|key)[-_][A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{20,}|\bBearer\s+\S{12,}")
_TEXTS = ("system", "prompt", "language", "roles")
"""Fields that a person writes for a model: they may speak of keys, and show what one looks like."""


class Secrets:
    """The secret values that go to one endpoint, to be found in what comes back.

    A value that is short, or has only letters, is not one: people give their own servers any word for a key.
    """

    def __init__(self, values: Iterable[str | None]) -> None:
        secrets = list(dict.fromkeys(value for value in values if value and is_secret(value)))
        self._texts = tuple(secrets)
        self._plain = tuple(secret.encode() for secret in secrets)
        self._escaped = re.compile(b"|".join(map(_in_any_form, self._plain))) if secrets else None

    def are_in(self, body: bytes) -> bool:
        """Return whether a body holds one of them, however its JSON is written."""
        return any(plain in body for plain in self._plain) or bool(
            self._escaped and _has_escapes(body) and self._escaped.search(body)
        )

    def are_in_texts(self, texts: Iterable[str]) -> bool:
        """Return whether a text that was read out of a body holds one of them."""
        return bool(self._texts) and any(secret in text for text in texts for secret in self._texts)

    def redact(self, body: bytes) -> bytes:
        """Return a body with each of them replaced: for evidence of a failure, never for text of a conversation."""
        for plain in self._plain:
            body = body.replace(plain, _HIDDEN)
        return self._escaped.sub(_HIDDEN, body) if self._escaped and _has_escapes(body) else body

    def redact_text(self, text: str) -> str:
        """Return a text likewise."""
        return self.redact(text.encode("utf-8", "replace")).decode() if self._texts else text


def is_secret(value: str) -> bool:
    """Return whether a value can be a real key: long enough, and not only letters."""
    return len(value) >= _SHORTEST_SECRET and not value.isalpha()


def check_no_credentials(recipe: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> None:
    """Check that no value of a recipe is a credential: it is stored with the job, and shown.

    Raises:
        RecipeError: one is. The message names the field, never the value.
    """
    environ = os.environ if environ is None else environ
    named = recipe.get("api_key_env")
    keys = [value.strip() for name, value in environ.items() if name == named or _VARIABLES.search(name)]
    keys = [key for key in keys if is_secret(key)]
    for place, name, value in _leaves(recipe, ""):
        field = place.partition(".")[0].partition("[")[0]
        looks = isinstance(value, str) and field not in _TEXTS and _LOOKS.search(value)
        is_key = isinstance(value, str) and any(key in value for key in keys)
        if looks or is_key or (field == "parameters" and _PARAMETERS.fullmatch(name)):
            raise _refusal(place)


def _refusal(place: str) -> RecipeError:
    return RecipeError(
        f"The recipe's {place} carries a credential; leave it out. The key goes into the environment (OPENAI_API_KEY, "
        "ANTHROPIC_API_KEY, or the variable that api_key_env names) and is sent in the header that key_header names; "
        "any other secret header goes into [headers] of backstay.toml",
        field=place,
    )


def _has_escapes(body: bytes) -> bool:
    return b"\\u00" in body or b"\\/" in body


def _in_any_form(secret: bytes) -> bytes:
    """Return a pattern of a secret in JSON, or in JSON that is a text of JSON, where each character may be escaped."""
    # The number of backslashes has a bound, so that a body full of them costs no more than another.
    return b"".join(rb"(?:\\{0,7}%b|\\{1,7}u00(?i:%02x))" % (re.escape(bytes([code])), code) for code in secret)


def _leaves(value: Any, place: str, name: str = "") -> Iterator[tuple[str, str, Any]]:
    match value:
        case Mapping():
            for key, inner in value.items():
                # A name can be one as well; then only where it stands may be shown.
                yield place or "table", str(key), key
                yield from _leaves(inner, f"{place}.{key}".lstrip("."), str(key))
        case list() | tuple():
            for number, inner in enumerate(value):
                yield from _leaves(inner, f"{place}[{number}]", name)
        case _:
            yield place, name, value
