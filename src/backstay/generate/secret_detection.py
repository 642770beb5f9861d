"""Detection of secrets, to keep them out of everything that is stored."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from backstay.errors import RecipeError

_MIN_SECRET_CHARACTERS = 16  # providers' keys are at least twice as long
_REDACTED = b"[key]"

_SECRET_VARIABLE = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET)$", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(
    r"(api[-_ ]?key|x-api-key|authorization|auth|bearer|access[-_]?token|auth[-_]?token|token|secret|password|passwd)",
    re.IGNORECASE,
)
_LOOKS_LIKE_KEY = re.compile(
    r"\b(sk|pk|rk|gsk|hf|xai|key)[-_][A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{20,}|\bBearer\s+\S{12,}"
)
_PROMPT_FIELDS = ("system", "prompt", "language", "roles")
"""Fields that hold prompts, which may contain examples of keys."""


class Secrets:
    """The secret values sent to one endpoint, to be detected in its responses.

    Values that are short or only letters do not count, because the key of a user's own server may be an ordinary word,
    which would be found everywhere.
    """

    def __init__(self, values: Iterable[str | None]) -> None:
        # The longest first: of two that begin alike, the shorter one would leave the rest of the longer one.
        secrets = sorted({value for value in values if value and is_secret(value)}, key=len, reverse=True)
        self._texts = tuple(secrets)
        self._plain = tuple(secret.encode() for secret in secrets)
        # JSON always escapes quotes and backslashes. If no secret has one, bodies with `\n` or `\"` need no search.
        is_always_escaped = any('"' in secret or "\\" in secret for secret in secrets)
        self._escapes = (b"\\",) if is_always_escaped else (b"\\u00", b"\\/")
        self._escaped = re.compile(b"|".join(map(_escaped_pattern, self._plain))) if secrets else None

    def are_in(self, body: bytes) -> bool:
        """Return whether a body contains a secret, in any JSON spelling."""
        return any(plain in body for plain in self._plain) or bool(
            self._escaped and self._has_escapes(body) and self._escaped.search(body)
        )

    def are_in_texts(self, texts: Iterable[str]) -> bool:
        """Return whether a text parsed from a body contains a secret."""
        return bool(self._texts) and any(secret in text for text in texts for secret in self._texts)

    def redact(self, body: bytes) -> bytes:
        """Return a body with all secrets replaced. It may be stored with a failure, but never as a conversation."""
        if self._escaped and self._has_escapes(body):
            return self._escaped.sub(_REDACTED, body)
        for plain in self._plain:
            body = body.replace(plain, _REDACTED)
        return body

    def redact_text(self, text: str) -> str:
        """Return a text with all secrets replaced."""
        return self.redact(text.encode("utf-8", "replace")).decode() if self._texts else text

    def _has_escapes(self, body: bytes) -> bool:
        """Return whether a body may spell a character of a secret as an escape. Few do, and this is a fast check."""
        return any(escape in body for escape in self._escapes)


def is_secret(value: str) -> bool:
    """Return whether a value can be a real key: long enough, and not only letters."""
    return len(value) >= _MIN_SECRET_CHARACTERS and not value.isalpha()


def check_no_credentials(recipe: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> None:
    """Check that no value of a recipe is a credential, since recipes are stored with their job and displayed.

    Raises:
        RecipeError: a value is a credential. The message names the field, never the value.
    """
    environ = os.environ if environ is None else environ
    variable = recipe.get("api_key_env")
    values = (value.strip() for name, value in environ.items() if name == variable or _SECRET_VARIABLE.search(name))
    secrets = [value for value in values if is_secret(value)]
    for path, key, value in _keys_and_values(recipe, path=""):
        field = path.partition(".")[0].partition("[")[0]
        looks_like_key = isinstance(value, str) and field not in _PROMPT_FIELDS and _LOOKS_LIKE_KEY.search(value)
        is_secret_value = isinstance(value, str) and any(secret in value for secret in secrets)
        if looks_like_key or is_secret_value:
            raise _credential_error(path)
        if field == "parameters" and _SECRET_PARAMETER.fullmatch(key):
            raise _credential_error(f"{path}.{key}")


def _credential_error(path: str) -> RecipeError:
    return RecipeError(
        f"The recipe's {path} carries a credential; leave it out. The key goes into the environment (the "
        "provider's variable, or the one that api_key_env names) and is sent in the header that key_header names; "
        "any other secret header goes into [headers] of backstay.toml",
        field=path,
    )


def _escaped_pattern(secret: bytes) -> bytes:
    """Return a pattern that matches a secret in JSON, or in JSON inside a JSON string, with any character escaped."""
    # The number of backslashes is bounded, so that a body full of them takes no longer than others.
    return b"".join(rb"(?:\\{0,7}%b|\\{1,7}u00(?i:%02x))" % (re.escape(bytes([code])), code) for code in secret)


def _keys_and_values(value: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    """Yield each key with the path of its table as (path, key, key), and each value as (path, "", value)."""
    match value:
        case Mapping():
            for key, inner in value.items():
                # A key of a table can itself be a credential, so only the path of the table is shown.
                yield path or "table", str(key), key
                yield from _keys_and_values(inner, f"{path}.{key}".lstrip("."))
        case list() | tuple():
            for number, inner in enumerate(value):
                yield from _keys_and_values(inner, f"{path}[{number}]")
        case _:
            yield path, "", value
