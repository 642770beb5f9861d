"""What a provider is: how to ask it, and how to read its answer. Nothing here goes over a network.

A new provider that speaks as OpenAI does is a row in `hosted.py`; any other is one file with a class like this, its
entry in `PROVIDERS`, and one test. Everything else (keys, limits, retries, refusals, the turns found in an answer) is
the same for all and done elsewhere.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from backstay.generate.prompt import Prompt


class Structure(StrEnum):
    """How an answer's structure is asked for, from the strictest to the plainest."""

    SCHEMA = "schema"
    JSON = "json"
    TEXT = "text"


class FinishReason(StrEnum):
    """Why a model stopped."""

    COMPLETE = "complete"
    LENGTH = "length"
    REFUSAL = "refusal"
    FILTER = "filter"
    NOT_GIVEN = "not given"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request, before it has a provider's shape."""

    model: str
    prompt: Prompt
    turns: int
    structure: Structure
    temperature: float | None
    max_tokens: int | None
    parameters: Mapping[str, Any]
    """What the user wants sent besides; it wins."""
    stream: bool = False


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model said, whoever's it is."""

    end: FinishReason
    reason: str
    """The provider's own word for why it stopped."""
    text: str | None = None
    data: Any = None
    """Where the provider gives structure as structure; as JSON text, where it gives that."""
    reasoning: str | None = None
    """What the model thought aloud, where the provider tells it apart."""
    reasoning_signature: str | None = None
    earlier: Sequence[Any] = ()
    """What was given before `data`, in order: calls of the same tool. The last that fits counts."""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens, as the provider counts them; None where it does not say."""

    tokens_in: int | None = None
    tokens_out: int | None = None

    @property
    def total(self) -> int | None:
        """Both together, where both are known."""
        return None if self.tokens_in is None or self.tokens_out is None else self.tokens_in + self.tokens_out


class UnreadableResponse(Exception):
    """The body is JSON, but not what this provider answers with. The message says what is missing, quoting nothing."""


class Quirk(StrEnum):
    """What an endpoint does differently from OpenAI's."""

    NO_STREAM_OPTIONS = "no_stream_options"
    """It refuses `stream_options`, and reports usage in a stream without being asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider(ABC):
    """One way of speaking to models, and whose they are. All methods are pure."""

    name: str
    """What comes before the colon of a model's name."""
    base_url: str | None
    """None where everybody has an address of their own."""
    key_variable: str
    """Environment variable of the key."""
    path: str
    """Of the request, after the base URL."""
    structures: tuple[Structure, ...]
    """What can be asked for, in the order in which it is tried."""
    needs_key: bool = True
    """Whether nothing works at `base_url` without one."""
    key_header: str | None = None
    """Header that has the key as it is; None for `Authorization: Bearer`."""
    hosts: tuple[str, ...] = ()
    """Its hosts besides that of `base_url`; with a dot in front, every host below."""
    base_url_variable: str | None = None
    """Environment variable that names another address."""
    is_api_style: bool = False
    """Whether others speak as it does, so that its name may stand before a model at any address."""

    def owns(self, host: str) -> bool:
        """Return whether a host is this provider's."""
        if self.base_url is not None and host == urlsplit(self.base_url).hostname:
            return True
        return any(host.endswith(name) if name.startswith(".") else host == name for name in self.hosts)

    def headers(self, key: str | None) -> dict[str, str]:
        """Return the headers of a request."""
        if not key:
            return {}
        return {self.key_header: key} if self.key_header is not None else {"Authorization": f"Bearer {key}"}

    @abstractmethod
    def body(self, request: ModelRequest) -> dict[str, Any]:
        """Return the body of a request."""

    @abstractmethod
    def usage(self, body: Mapping[str, Any]) -> TokenUsage:
        """Return the tokens that an answer, of whatever use, says it took; what it does not say is unknown."""

    @abstractmethod
    def parse_answer(self, body: Mapping[str, Any]) -> ModelAnswer:
        """Read the body of an answer with a status of success. Raises Unreadable."""


def tokens(value: object) -> int | None:
    """Return a number of tokens, which some servers write as text or with a decimal point; None for anything else."""
    if type(value) is int and 0 <= value <= 10**9:
        return value
    if isinstance(value, str) and len(value) <= 20:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10**9 or value % 1:
        return None
    return int(value)


def joined(texts: Sequence[str]) -> str | None:
    """Return texts as one, by paragraphs; None where there is nothing in them."""
    return "\n\n".join(text for text in texts if text.strip()) or None


@cache
def schema(keys: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the JSON schema of a conversation: one required text for each key, and nothing else. The same for all."""
    return {
        "type": "object",
        "properties": {key: {"type": "string"} for key in keys},
        "required": list(keys),
        "additionalProperties": False,
    }
