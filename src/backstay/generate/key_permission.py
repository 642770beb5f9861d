"""Where a key may go. A recipe file or a stored job may come from elsewhere, and so may the host that it names.

`--base-url`, the environment and what a program says itself are the user's own choice, and servers on this machine need
no permission. Anything else that would send a key to a host other than its provider's has to be allowed once.
"""

import re
from collections.abc import Iterable, Mapping
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
"""Fields that decide where a key goes."""
_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"(\[[^\]/]*\]|[^:/]*)(?::(\d*))?(?=/|$)")


@dataclass(frozen=True, slots=True, order=True)
class KeyUse:
    """A host, and the environment variable whose key is sent to it."""

    host: str
    """As `host_in` returns it."""
    variable: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read `HOST VARIABLE`; None for anything else."""
        found = re.fullmatch(r"\s*(\S+)\s+([A-Za-z_][A-Za-z0-9_]*)\s*", text)
        return cls(host_in(found[1]), found[2]) if found is not None else None

    def __str__(self) -> str:
        return f"{self.host} {self.variable}"


def host_in(text: str) -> str:
    """Return the host of an address as a permission names it: `models.example`, `models.example:8443`, `http://…`.

    https is not said, and neither is the port that belongs to the scheme: what is allowed for one is not for another.
    """
    scheme, separator, rest = text.strip().lower().rpartition("://")
    scheme = scheme if separator else "https"
    host, port = found.groups("") if (found := _HOST.match(rest)) is not None else (rest, "")
    host = host.rstrip(".")
    shown = f"{host}:{port}" if port and int(port) != _PORTS.get(scheme) else host
    return shown if scheme == "https" else f"{scheme}://{shown}"


def key_use(endpoint: Endpoint, outside: Iterable[str], environ: Mapping[str, str]) -> KeyUse | None:
    """Return the use of a key that has to be allowed; None if none has.

    Args:
        endpoint: Where the key would go, after `in_environment`.
        outside: Fields of the recipe that come from a file or a stored job.
        environ: The environment, with the keys that the settings name; a variable that is not set sends nothing.
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
    """Return where a recipe's model is asked, once the environment was read.

    Args:
        recipe: What is asked.
        listed: What the settings allow.
        environ: The environment, with the keys that the settings name.

    Raises:
        ApiKeyNotAllowed: a file or a job names where its key goes, and nobody has allowed that.
        RecipeError: an environment variable names an address that is not valid.
    """
    endpoint = recipe.endpoint.in_environment(environ)
    allowed = AllowedKeys(listed=listed, file=user_file(environ))
    allowed.check(endpoint, recipe.outside_fields, recipe.where, environ)
    return endpoint


class AllowedKeys:
    """The uses of keys that were allowed: in the settings, and in a file in the user's own folder."""

    def __init__(self, *, listed: Iterable[str] = (), file: Path | None = None) -> None:
        self._listed = frozenset(filter(None, map(KeyUse.parse, listed)))
        self._file = file

    def check(self, endpoint: Endpoint, outside: Iterable[str], whose: str, environ: Mapping[str, str]) -> None:
        """See that a key may go where an endpoint is.

        Raises:
            ApiKeyNotAllowed: nobody allowed it yet.
        """
        use = key_use(endpoint, outside, environ)
        if use is not None and use not in self:
            subject = f"{whose[0].upper()}{whose[1:]}"
            raise ApiKeyNotAllowed(
                f"{subject} sends the key in {use.variable} to {use.host}, which has not been allowed yet. If you want "
                f'that, use --allow-key {use.host}, or set allowed_keys = ["{use}"] in backstay.toml',
                host=use.host,
                variable=use.variable,
                whose=subject,
            )

    def __contains__(self, use: object) -> bool:
        return use in self._listed or use in self._remembered()

    def remember(self, use: KeyUse) -> None:
        """Allow a use from now on.

        Raises:
            OutputUnwritable: the user has no folder for it, or it cannot be written.
        """
        if self._file is None:
            raise OutputUnwritable(
                "There is no home folder in which to remember that a key is allowed; set BACKSTAY_ALLOWED_KEYS instead"
            )
        remembered = self._remembered()
        if use in remembered:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise OutputUnwritable(f"{self._file.parent} cannot be made: {error.strerror}") from error
        with write_atomically(self._file) as out:
            out.write("".join(f"{each}\n" for each in sorted({*remembered, use})).encode())

    def _remembered(self) -> frozenset[KeyUse]:
        try:
            lines = self._file.read_text(encoding="utf-8").splitlines() if self._file is not None else []
        except (OSError, UnicodeDecodeError):
            return frozenset()
        return frozenset(filter(None, map(KeyUse.parse, lines)))


def user_file(environ: Mapping[str, str]) -> Path | None:
    """Return the path of the file in the user's own folder; a project's folder may come from elsewhere, as it does."""
    folder = environ.get("XDG_CONFIG_HOME", "")
    home = environ.get("HOME", "")
    if folder.startswith("/"):
        return Path(folder) / "backstay" / FILE
    return Path(home) / ".config" / "backstay" / FILE if home.startswith("/") else None
