"""Permission to send a key to a host, because recipe files, stored jobs and the hosts they name may be untrusted.

`--base-url`, the environment and values set by the program itself are the user's choice, and servers on this machine
need no permission. Anything else that would send a key to a host other than its provider's must be allowed once.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from backstay.errors import ApiKeyNotAllowed, OutputUnwritable
from backstay.files import write_atomically
from backstay.generate.endpoint import Endpoint
from backstay.generate.providers import PROVIDERS
from backstay.generate.recipe import Recipe

FILE = "allowed-keys"
KEY_FIELDS = frozenset({"base_url", "api_key_env"})
"""Fields that decide which key is sent where."""
_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"(\[[^\]/]*\]|[^:/]*)(?::(\d*))?(?=/|$)")


@dataclass(frozen=True, slots=True, order=True)
class KeyUse:
    """A host, and the environment variable whose key is sent to it."""

    host: str
    """The host as returned by `host_in`."""
    variable: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse `HOST VARIABLE`; return None for anything else."""
        match = re.fullmatch(r"\s*(\S+)\s+([A-Za-z_][A-Za-z0-9_]*)\s*", text)
        return cls(host_in(match[1]), match[2]) if match is not None else None

    def __str__(self) -> str:
        return f"{self.host} {self.variable}"


def host_in(text: str) -> str:
    """Return the host of an address as permissions write it: `models.example`, `models.example:8443`, `http://…`.

    https and the default port of the scheme are omitted. A permission covers one scheme and one port only.
    """
    scheme, separator, rest = text.strip().lower().rpartition("://")
    scheme = scheme if separator else "https"
    host, port = match.groups("") if (match := _HOST.match(rest)) is not None else (rest, "")
    host = host.rstrip(".")
    netloc = f"{host}:{port}" if port and int(port) != _PORTS.get(scheme) else host
    return netloc if scheme == "https" else f"{scheme}://{netloc}"


def key_use(endpoint: Endpoint, outside: Iterable[str], environ: Mapping[str, str]) -> KeyUse | None:
    """Return the use of a key that needs permission; None if none does.

    Args:
        endpoint: The destination of the key, as returned by `Endpoint.in_environment`.
        outside: Fields of the recipe that come from a file or a stored job.
        environ: The environment, including keys from the settings; if the variable is not set, no key is sent.
    """
    address, variable = endpoint.address, endpoint.key_variable
    if address.is_loopback or not environ.get(variable, "").strip():
        return None
    owners = [provider for provider in PROVIDERS.values() if provider.owns(address.host)]
    if address.scheme == "https" and any(owner.key_variable == variable for owner in owners):
        return None
    is_host_named = "base_url" in outside and not endpoint.is_default and endpoint.variable is None
    is_variable_named = "api_key_env" in outside and variable != endpoint.provider.key_variable
    use = KeyUse(host_in(f"{address.scheme}://{address.netloc}"), variable)
    return use if is_host_named or is_variable_named else None


def allowed_endpoint(recipe: Recipe, listed: Iterable[str], environ: Mapping[str, str]) -> Endpoint:
    """Return the endpoint of a recipe in this environment, after checking that its key may be sent there.

    `listed` are the uses of keys that the settings allow. The environment includes keys from the settings.

    Raises:
        ApiKeyNotAllowed: a file or a stored job names the host, and the user has not allowed to send the key there.
        RecipeError: an environment variable holds an invalid address.
    """
    endpoint = recipe.endpoint.in_environment(environ)
    allowed = AllowedKeys(listed=listed, file=user_file(environ))
    allowed.check(endpoint, recipe.outside_fields, recipe.where, environ)
    return endpoint


class AllowedKeys:
    """The allowed uses of keys: those in the settings, and those in a file in the user's home folder."""

    def __init__(self, *, listed: Iterable[str] = (), file: Path | None = None) -> None:
        self._listed = _parse_all(listed)
        self._file = file

    def check(self, endpoint: Endpoint, outside: Iterable[str], origin: str, environ: Mapping[str, str]) -> None:
        """Check that the key of an endpoint may be sent to it.

        Raises:
            ApiKeyNotAllowed: the use of the key is not allowed yet.
        """
        use = key_use(endpoint, outside, environ)
        if use is not None and use not in self:
            subject = f"{origin[0].upper()}{origin[1:]}"
            raise ApiKeyNotAllowed(
                f"{subject} sends the key in {use.variable} to {use.host}, which has not been allowed yet",
                host=use.host,
                variable=use.variable,
                use=str(use),
                subject=subject,
            )

    def __contains__(self, use: object) -> bool:
        with suppress(OSError, UnicodeDecodeError):  # what cannot be read allows nothing
            return use in self._listed or use in _parse_all(self._read_file().splitlines())
        return False

    def remember(self, use: KeyUse) -> None:
        """Allow a use permanently.

        Raises:
            OutputUnwritable: the user has no home folder, or the file cannot be written.
        """
        if self._file is None:
            reason = "No home folder found in which to remember that a key is allowed"
            raise OutputUnwritable(f"{reason}; set BACKSTAY_ALLOWED_KEYS instead")
        try:
            text = self._read_file()
        except (OSError, UnicodeDecodeError) as error:
            raise OutputUnwritable(f"{self._file}, which holds the allowed keys, cannot be read: {error}") from error
        if use in _parse_all(text.splitlines()):
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise OutputUnwritable(f"{self._file.parent} cannot be created: {error.strerror}") from error
        with write_atomically(self._file) as out:
            # The user may have edited the file, so every line is kept.
            out.write("".join(f"{line}\n" for line in (*text.splitlines(), use)).encode())

    def _read_file(self) -> str:
        return self._file.read_text(encoding="utf-8") if self._file is not None and self._file.exists() else ""


def user_file(environ: Mapping[str, str]) -> Path | None:
    """Return the path of the file in the user's home folder. A project's folder would be as untrusted as its recipe."""
    folder = environ.get("XDG_CONFIG_HOME", "")
    home = environ.get("HOME", "")
    if folder.startswith("/"):
        return Path(folder) / "backstay" / FILE
    return Path(home) / ".config" / "backstay" / FILE if home.startswith("/") else None


def _parse_all(lines: Iterable[str]) -> frozenset[KeyUse]:
    """Return the uses in these lines. An invalid line allows nothing."""
    return frozenset(filter(None, map(KeyUse.parse, lines)))
