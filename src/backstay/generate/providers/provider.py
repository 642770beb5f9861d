"""The base class of providers: how to build a request, and how to parse its response, without any I/O.

A new provider with OpenAI's API is a row in `hosted_providers.py`; any other is one file with a subclass of `Provider`,
an entry in `PROVIDERS` in `__init__.py`, and one test. Keys, limits, retries, error responses and the parsing of turns
are the same for all providers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from backstay.generate.prompt import Prompt


class Structure(StrEnum):
    """The kind of structured output to request, from the strictest to the simplest."""

    SCHEMA = "schema"
    JSON = "json"
    TEXT = "text"


class FinishReason(StrEnum):
    """The reason why a model stopped."""

    COMPLETE = "complete"
    LENGTH = "length"
    REFUSAL = "refusal"
    FILTER = "filter"
    NOT_GIVEN = "not given"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request, independent of the provider."""

    model: str
    prompt: Prompt
    turns: int
    structure: Structure
    temperature: float | None
    max_tokens: int | None
    parameters: Mapping[str, Any]
    """Other parameters set by the user, which override all others."""
    stream: bool = False


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A model's answer, independent of the provider."""

    end: FinishReason
    reason: str
    """The provider's own word for the finish reason."""
    text: str | None = None
    data: Any = None
    """Structured output, as a value or as JSON text."""
    reasoning: str | None = None
    """The model's reasoning, if the provider sends it separately."""
    reasoning_signature: str | None = None
    earlier: Sequence[Any] = ()
    """Structured output from earlier calls of the same tool, in order. The last output that fits counts."""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Token counts reported by the provider; None for those it does not report."""

    tokens_in: int | None = None
    tokens_out: int | None = None

    @property
    def total(self) -> int | None:
        """The sum of both counts; None if either is unknown."""
        return None if self.tokens_in is None or self.tokens_out is None else self.tokens_in + self.tokens_out


class UnreadableResponse(Exception):
    """A JSON body without an answer of this provider. The message says what is missing, and quotes nothing."""


class Quirk(StrEnum):
    """A deviation of an endpoint from OpenAI's API."""

    NO_STREAM_OPTIONS = "no_stream_options"
    """The endpoint rejects `stream_options`, and always reports usage in a stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider(ABC):
    """A provider of models, with its API and its hosts. All methods are pure."""

    name: str
    """The prefix of model names, before the colon."""
    base_url: str | None
    """The default base URL; None if each customer has an address of their own, like `example_url`."""
    key_variable: str
    """Environment variable of the key."""
    path: str
    """The path of requests, after the base URL."""
    structures: tuple[Structure, ...]
    """Structures that can be requested, in the order in which they are tried."""
    needs_key: bool = True
    """Whether `base_url` requires a key."""
    key_header: str | None = None
    """Header that carries the bare key; None for `Authorization: Bearer`."""
    hosts: tuple[str, ...] = ()
    """The provider's hosts, in addition to that of `base_url`; a leading dot includes all subdomains."""
    base_url_variable: str | None = None
    """Environment variable that sets another address."""
    normalize_url: Callable[[str], str] = str
    """Turns the value of that variable into a base URL."""
    unread_variable: str | None = None
    """A variable that other programs read instead, and Backstay does not."""
    example_url: str | None = None
    """The form of customers' addresses, for messages."""
    is_api_style: bool = False
    """Whether other servers offer the same API, so that the provider's name may prefix a model at any address."""

    def owns(self, host: str) -> bool:
        """Return whether a host belongs to this provider."""
        if self.base_url is not None and host == urlsplit(self.base_url).hostname:
            return True
        return any(host.endswith(name) if name.startswith(".") else host == name for name in self.hosts)

    def headers(self, key: str | None) -> dict[str, str]:
        """Return the headers that carry the key."""
        if not key:
            return {}
        return {self.key_header: key} if self.key_header is not None else {"Authorization": f"Bearer {key}"}

    @abstractmethod
    def body(self, request: ModelRequest) -> dict[str, Any]:
        """Return the body of a request."""

    @abstractmethod
    def usage(self, body: Mapping[str, Any]) -> TokenUsage:
        """Return the token counts in the body of any response."""

    @abstractmethod
    def parse_answer(self, body: Mapping[str, Any]) -> ModelAnswer:
        """Parse the body of a successful response. Raises UnreadableResponse."""


@cache
def conversation_schema(keys: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the JSON schema of a conversation: one required text per key, and nothing else."""
    return {
        "type": "object",
        "properties": {key: {"type": "string"} for key in keys},
        "required": list(keys),
        "additionalProperties": False,
    }
