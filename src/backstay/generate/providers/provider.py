"""What a provider is: how to ask it, and how to read its answer. Nothing here goes over a network.

A new provider is one file with a class like this, its entry in `PROVIDERS`, and one test. Everything else (keys,
limits, retries, errors by their status, the turns found in an answer) is the same for all and done elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Protocol

from backstay.generate.prompt import Prompt


class Structure(StrEnum):
    """How an answer's structure is asked for, from the strictest to the plainest."""

    SCHEMA = "schema"
    JSON = "json"
    TEXT = "text"


class End(StrEnum):
    """Why a model stopped."""

    COMPLETE = "complete"
    LENGTH = "length"
    REFUSAL = "refusal"
    FILTER = "filter"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, before it has a provider's shape."""

    model: str
    prompt: Prompt
    turns: int
    structure: Structure
    temperature: float | None
    max_tokens: int | None
    parameters: Mapping[str, Any]
    """What the user wants sent besides; it wins."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said, whoever's it is."""

    end: End
    reason: str
    """The provider's own word for why it stopped."""
    text: str | None = None
    data: Any = None
    """Where the provider gives structure as structure."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens, as the provider counts them."""

    tokens_in: int = 0
    tokens_out: int = 0


class Unreadable(Exception):
    """The body is JSON, but not what this provider answers with. The message says what is missing, quoting nothing."""


class Provider(Protocol):
    """One way of speaking to models. All methods are pure."""

    name: str
    """What comes before the colon of a model's name."""
    base_url: str
    path: str
    """Of the request, after the base URL."""
    key_variable: str
    """Environment variable of the key."""
    needs_key: bool
    """Whether nothing works at `base_url` without one."""
    structures: tuple[Structure, ...]
    """What can be asked for, in the order in which it is tried."""

    def headers(self, key: str | None) -> dict[str, str]:
        """Return the headers of a request."""
        ...

    def body(self, ask: Ask, *, own_address: bool) -> dict[str, Any]:
        """Return the body of a request; `own_address` says that the user gave a base URL."""
        ...

    def spent(self, body: Mapping[str, Any]) -> Spent:
        """Return the tokens that an answer, of whatever use, says it took; what is missing counts as 0."""
        ...

    def answer(self, body: Mapping[str, Any]) -> Answer:
        """Read the body of an answer with status 200. Raises Unreadable."""
        ...


def whole(value: object) -> int:
    """Return a number of tokens; 0 for anything that cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**9 else 0


@cache
def schema(keys: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the JSON schema of a conversation: one required text for each key, and nothing else. The same for all."""
    return {
        "type": "object",
        "properties": {key: {"type": "string"} for key in keys},
        "required": list(keys),
        "additionalProperties": False,
    }
