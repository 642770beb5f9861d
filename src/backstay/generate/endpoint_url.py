"""Parsing of base URLs as users paste them: with the path of a request, a query, or a trailing slash."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self
from urllib.parse import SplitResult, parse_qsl, urlsplit

from backstay.errors import RecipeError
from backstay.generate.credential_names import is_credential_name
from backstay.limits import MAX_HOST

_REQUEST_PATHS = ("/chat/completions", "/completions", "/messages", "/responses", "/embeddings")
_LIST_PATHS = ("/models",)
AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_DEPLOYMENTS = "/openai/deployments/"
_MAX_LABEL_CHARACTERS = 63  # between dots, in the domain name system
_LABEL = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_BRACKETED = re.compile(r"\[[^\[\]]*\](:[0-9]*)?")


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """A parsed and validated base URL."""

    scheme: str
    netloc: str
    """Host and port, as the user wrote them."""
    host: str
    """The host alone, in lower case."""
    path: str
    """The path without that of a request, and without a trailing slash."""
    is_bare: bool = False
    """Whether the URL had no path."""
    query: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, label: str = "The base URL") -> Self:
        """Parse a base URL; `label` names it in messages. Raises RecipeError if it is invalid or has a credential."""
        split = _split_url(text, label)
        if split.scheme not in {"http", "https"} or not split.hostname:
            raise _invalid_url(label, text, "it must begin with http:// or https://, as in http://localhost:8000/v1")
        if split.username is not None or split.password is not None or split.fragment:
            raise RecipeError(
                f"{label} carries a user name or a fragment, which may be a credential; leave it out. "
                "A key goes into the environment",
                field="base_url",
            )
        if (reason := _explain_invalid_host(split)) is not None:
            raise _invalid_url(label, text, reason)
        host = split.hostname.rstrip(".")
        full_path = split.path.rstrip("/")
        path = _without_request(full_path, is_azure=host.endswith(AZURE_HOSTS))
        query = _parse_query(split.query, label)
        return cls(split.scheme, split.netloc, host, path, is_bare=not full_path, query=query)

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine."""
        address = parse_ip(self.host)
        return self.host == "localhost" or (address is not None and (address.is_loopback or address.is_unspecified))

    @property
    def is_azure(self) -> bool:
        return self.host.endswith(AZURE_HOSTS)

    @property
    def has_deployment(self) -> bool:
        """Whether the path names an Azure deployment, at Azure or at a gateway in front of it."""
        return _DEPLOYMENTS in f"{self.path}/"


def check_deployment(address: BaseUrl, query: Mapping[str, str]) -> None:
    """Reject the address of a deployment without its api-version, to which Azure would only reply "not found"."""
    if address.has_deployment and "api-version" not in query:
        other = f", or give https://{address.netloc}/openai/v1" if address.is_azure else ""
        raise RecipeError(
            f"The base URL is that of the Azure deployment {address.path.rpartition('/')[2]!r}, and lacks its "
            f"api-version: add it to the address, as in ?api-version=2024-10-21{other}",
            field="base_url",
        )


def explain_invalid_name(host: str) -> str | None:
    """Return why a host name or IPv4 address is invalid, as a clause; None if it is valid."""
    if not host.isascii():
        return "its host has letters beyond ASCII; write it in the form that begins with xn--"
    labels = host.removesuffix(".").split(".")
    if "" in labels:
        return "its host begins with a dot, or has two in a row"
    if max(map(len, labels)) > _MAX_LABEL_CHARACTERS or len(host) > MAX_HOST:
        return f"no host has so long a name: {_MAX_LABEL_CHARACTERS} characters between dots at most, {MAX_HOST} in all"
    if not all(map(_LABEL.fullmatch, labels)):
        return "its host has characters that no name of a host has"
    # Some programs read 127.1 as an address, others as a name.
    if _NUMBER.fullmatch(labels[-1]) and not isinstance(parse_ip(host), IPv4Address):
        return "its host ends in a number and is no IPv4 address, which has four of them, as in 127.0.0.1"
    return None


def parse_ip(host: str) -> IPv4Address | IPv6Address | None:
    """Return a host as an IP address; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def from_ollama_host(text: str) -> str:
    """Return the base URL for an OLLAMA_HOST: a host, with or without scheme and port, as Ollama reads it."""
    scheme, separator, rest = text.strip().rpartition("://")
    if not separator:
        scheme = "http"
    authority, slash, path = rest.partition("/")
    if authority.startswith(":") and authority.count(":") == 1:
        authority = f"127.0.0.1{authority}"
    if authority.count(":") > 1 and not authority.startswith("["):
        authority = f"[{authority}]"
    if not authority.rpartition("]")[2].count(":") and not separator:
        authority += ":11434"
    for wildcard in ("0.0.0.0", "[::]"):  # noqa: S104 - nothing listens there, it is only replaced
        # A server can listen on a wildcard address; a client needs a specific one.
        if authority == wildcard or authority.startswith(f"{wildcard}:"):
            authority = f"127.0.0.1{authority.removeprefix(wildcard)}"
    path = f"{slash}{path}".rstrip("/")
    return f"{scheme}://{authority}{path if path.endswith('/v1') else f'{path}/v1'}"


def from_anthropic_base_url(text: str) -> str:
    """Return the base URL for an ANTHROPIC_BASE_URL, to which Anthropic's own libraries add /v1."""
    base_url = text.strip().rstrip("/")
    return base_url if base_url.endswith("/v1") else f"{base_url}/v1"


def _explain_invalid_host(split: SplitResult) -> str | None:
    if "[" not in split.netloc:
        return explain_invalid_name(split.hostname or "")
    if not isinstance(parse_ip(split.hostname or ""), IPv6Address):
        return "the text in brackets is not an IPv6 address"
    return None if _BRACKETED.fullmatch(split.netloc) else "only a port may follow the brackets of an IPv6 address"


def _without_request(path: str, *, is_azure: bool) -> str:
    # Base URLs of Azure's AI services may end in /models.
    for ending in _REQUEST_PATHS if is_azure else (*_REQUEST_PATHS, *_LIST_PATHS):
        if path.endswith(ending):
            return path.removesuffix(ending).rstrip("/")
    return path


def _parse_query(text: str, label: str) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if is_credential_name(name):
            raise RecipeError(
                f"{label} carries a credential in its query: {name[:40]!r}. Leave it out; a key goes into the "
                "environment, and key_header in the recipe names a header for it",
                field="base_url",
            )
        query[name] = value
    return query


def _split_url(text: str, label: str) -> SplitResult:
    try:
        split = urlsplit(text)
        _ = split.port  # raises for a port that is no number
    except ValueError as error:
        # Python's message about brackets differs between versions.
        reason = "brackets hold an IPv6 address, and only a port may follow them" if "[" in text else str(error)
        raise _invalid_url(label, "", f"it is not an address: {reason}") from error
    if any(character.isspace() or not character.isprintable() or character == "\\" for character in text):
        raise _invalid_url(label, "", "it has spaces, backslashes or characters that cannot be printed")
    return split


def _invalid_url(label: str, text: str, reason: str) -> RecipeError:
    quoted = f" {text!r}" if text and "@" not in text and "?" not in text else ""
    return RecipeError(f"{label}{quoted} cannot be used: {reason}", field="base_url")
