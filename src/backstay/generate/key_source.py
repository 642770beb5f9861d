"""Sources of keys and secret headers: the environment, or a command or file named in the settings."""

import asyncio
import os
import re
import stat
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import Self

from backstay.errors import ApiKeyMissing, SettingsError
from backstay.generate.key_command import MAX_OUTPUT_BYTES, KeyCommandFailed, run_key_command
from backstay.generate.query_and_headers import check_header_name, merge_headers
from backstay.logs import get_logger
from backstay.settings import KeySetting, Settings

_log = get_logger("backstay.keys")

_COMMAND_SECONDS = 30.0
_NAMED_IN_SETTINGS = "(named in backstay.toml)"
_QUOTES = ("'", '"')
_SHELL_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*[^\s=]")
_HOST = re.compile(r"[^\s/@]+")
_LAST_DOT = re.compile(r"\.(?=(:\d*)?$)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY_NAME = re.compile(r".*_(KEY|TOKEN|SECRET)")


class KeySource(StrEnum):
    """The origin of a key."""

    VARIABLE = "variable"
    SERVER_VARIABLE = "server_variable"
    """A server's environment variable: it keeps its value until a restart."""
    COMMAND = "command"
    FILE = "file"

    def describe(self, variable: str) -> str:
        """Return a description such as `the key in X`, without the command line or the path of the file."""
        match self:
            case KeySource.COMMAND:
                return f"the key from the command for {variable} in backstay.toml"
            case KeySource.FILE:
                return f"the key from the file for {variable} named in backstay.toml"
            case _:
                return f"the key in {variable}"


class KeySources:
    """The keys of a process by their environment variables.

    A variable that is set takes precedence. Otherwise, the settings may name a command or a file, which is read on
    first use, and again by `obtain` with `refresh`.
    """

    def __init__(
        self,
        keys: Mapping[str, KeySetting] | None = None,
        headers: Mapping[str, Mapping[str, str]] | None = None,
        *,
        directory: Path | None = None,
        environ: Mapping[str, str] | None = None,
        command_seconds: float = _COMMAND_SECONDS,
        is_server: bool = False,
    ) -> None:
        """Check the settings. Raises SettingsError if the name of a host, a header or a variable is invalid."""
        self._keys = keys or {}
        self._headers = _normalize_hosts(headers or {})
        self._directory = directory or Path()
        self._environ = os.environ if environ is None else environ
        self._command_seconds = command_seconds
        self._variable_source = KeySource.SERVER_VARIABLE if is_server else KeySource.VARIABLE
        self._keys_read: dict[str, str] = {}
        self._warned: set[tuple[str, str]] = set()

    @classmethod
    def from_settings(cls, settings: Settings, *, is_server: bool = False) -> Self:
        return cls(settings.keys, settings.headers, directory=settings.file_directory, is_server=is_server)

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment, in which each variable whose key the settings provide counts as set."""
        return {
            **dict.fromkeys(self._keys, _NAMED_IN_SETTINGS),
            **{name: value for name, value in self._environ.items() if value.strip()},
        }

    def is_renewable(self, variable: str) -> bool:
        """Return whether a key comes from a command or a file, so that it may change while the process runs."""
        return variable in self._keys and not self._environ.get(variable, "").strip()

    def source_of(self, variable: str) -> KeySource:
        """Return the source of the key of a variable, even if no key is set."""
        if not self.is_renewable(variable):
            return self._variable_source
        return KeySource.FILE if self._keys[variable].command is None else KeySource.COMMAND

    def read(self, variable: str) -> str | None:
        """Return a key; None if its variable is not set and the settings name no source.

        Raises:
            ApiKeyMissing: the value cannot be a key, or the command or file provides none.
        """
        if not self.is_renewable(variable):
            return self._check_key(self._environ.get(variable, ""), variable, label=f"The value of {variable}")
        return self._keys_read.get(variable) or self._read_source(variable, Event())

    async def obtain(self, variable: str, *, refresh: bool = False) -> str | None:
        """Return a key like `read`, without blocking the loop; with `refresh`, read its command or file again.

        A cancelled call ends its command.
        """
        if not self.is_renewable(variable) or (variable in self._keys_read and not refresh):
            return self.read(variable)
        stop = Event()
        try:
            return await asyncio.to_thread(self._read_source, variable, stop)
        finally:
            stop.set()

    def _read_source(self, variable: str, stop: Event) -> str:
        """Return the current key by running its command or reading its file, within the time limit."""
        setting = self._keys[variable]
        if setting.command is not None:
            text, label = self._run(setting.command, variable, stop), f"The output of the command for {variable}"
        else:
            text, label = self._read_file(str(setting.file), variable), f"The content of the key file for {variable}"
        key = self._check_key(text, variable, label=label)
        if key is None:
            raise ApiKeyMissing(f"{label} is empty ([keys.{variable}] in backstay.toml)", variable=variable)
        self._keys_read[variable] = key
        return key

    def headers(self, host: str) -> dict[str, str]:
        """Return the headers that the settings define for a host, with their values from the environment.

        Raises:
            SettingsError: a variable is not set, or its value cannot be sent as a header.
        """
        headers: dict[str, str] = {}
        for name, variable in self._headers.get(_normalize_host(host), {}).items():
            value = self._environ.get(variable, "").strip()
            if not value:
                raise SettingsError(
                    f"The header {name} for {host} takes its value from {variable}, which is not set; set it, or "
                    f"remove the header from [headers] in backstay.toml",
                    setting="headers",
                )
            if not (value.isascii() and value.isprintable()):
                raise SettingsError(
                    f"The value of {variable} cannot be sent as the header {name}: it has line breaks or characters "
                    "beyond ASCII",
                    setting="headers",
                )
            headers[name] = value
        return headers

    def _check_key(self, text: str, variable: str, *, label: str) -> str | None:
        key = text.strip()
        if len(key) >= 2 and key[0] in _QUOTES and key[0] == key[-1]:
            key = key[1:-1].strip()
            self._warn("key_has_quotes", variable, advice="they are not sent; remove them")
        if not key:
            return None
        line = _SHELL_ASSIGNMENT.match(key)
        if line is not None and (line[1] == variable or _KEY_NAME.fullmatch(line[1].upper())):
            raise ApiKeyMissing(f"{label} begins with {line[1]}=; leave the key alone there", variable=variable)
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ApiKeyMissing(f"{label} cannot be an API key: it has spaces or odd characters", variable=variable)
        return key

    def _run(self, command: str, variable: str, stop: Event) -> str:
        try:
            output = run_key_command(command, self._directory, seconds=self._command_seconds, stop=stop)
        except KeyCommandFailed as error:
            where = f"The command for {variable} ([keys.{variable}] in backstay.toml)"
            raise ApiKeyMissing(f"{where} {error}", variable=variable) from None  # the cause may show the command
        return output.decode("utf-8-sig", "replace")

    def _read_file(self, name: str, variable: str) -> str:
        path = self._directory / name
        try:
            path = self._directory / Path(name).expanduser()
            line, mode = _first_line(path)
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error).rstrip(".")
            raise ApiKeyMissing(
                f"The key file {path} for {variable} ([keys.{variable}] in backstay.toml) cannot be read: {reason}",
                variable=variable,
            ) from error
        if mode & 0o044:
            self._warn("key_file_readable_by_others", variable, path=str(path), advice="chmod 600")
        return line.decode("utf-8-sig", "replace")

    def _warn(self, event: str, variable: str, **context: str) -> None:
        if (event, variable) not in self._warned:
            self._warned.add((event, variable))
            _log.warning(event, variable=variable, **context)


def _normalize_hosts(tables: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
    """Return the headers of the settings by normalised host. Errors never quote their values."""
    by_host: dict[str, dict[str, str]] = {}
    for host, headers in tables.items():
        if not _HOST.fullmatch(host):
            reason = "name the host alone, and its port where the address has one"
            raise _invalid_setting(f"[headers.{host[:60]!r}]", reason)
        for name, variable in headers.items():
            try:
                check_header_name(name)
            except ValueError as error:
                raise _invalid_setting(f"[headers.{host!r}]", str(error)) from None
            if not _VARIABLE.fullmatch(variable):
                reason = "name the environment variable that holds its value"
                raise _invalid_setting(f"The header {name} for {host}", reason)
        by_host[_normalize_host(host)] = merge_headers(by_host.get(_normalize_host(host), {}), headers)
    return by_host


def _normalize_host(text: str) -> str:
    """Return a host, with its port, in lower case and without a trailing dot."""
    return _LAST_DOT.sub("", text.lower())


def _invalid_setting(where: str, reason: str) -> SettingsError:
    return SettingsError(f"{where} in backstay.toml is wrong: {reason}", setting="headers")


def _first_line(path: Path) -> tuple[bytes, int]:
    """Return the first line of a file, and its mode. Raises OSError, or ValueError if it is not a regular file."""
    # Reading a pipe or a device may never end. Check before opening, since opening a pipe wakes its writer.
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is not a regular file; a pipe can be read by a `command`, as in cat")
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.readline(MAX_OUTPUT_BYTES), os.fstat(file.fileno()).st_mode
