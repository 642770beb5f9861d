"""Settings, in order of precedence: defaults < `backstay.toml` < environment < arguments."""

import getpass
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from backstay import database_parameters
from backstay.errors import SettingsError
from backstay.file_trust import SAFE_FOLDERS_VARIABLE, foreign_owner
from backstay.former_name import refuse_library, refuse_settings_file, refuse_variables
from backstay.limits import MAX_ID, MAX_NAME, MAX_RPM, MAX_SECONDS, MAX_TPM
from backstay.remedy import Remedy
from backstay.suggestions import did_you_mean
from backstay.validation_reasons import reason_of

FILE = "backstay.toml"
FOLDER = ".backstay"
SERVER = "server"
ADOPT = "adopt"

_NOT_IN_FILES = frozenset({"here", "file_directory"})
_SERVER_SCHEME = re.compile(r"postgres(ql)?(\+\w+)?://")  # SQLAlchemy names a driver behind the +
_ENVIRONMENT = {
    "database_url": "BACKSTAY_DATABASE_URL",
    "database_schema": "BACKSTAY_SCHEMA",
    "owner": "BACKSTAY_OWNER",
    "reviewer": "BACKSTAY_REVIEWER",
    "rpm": "BACKSTAY_RPM",
    "tpm": "BACKSTAY_TPM",
    "patience_seconds": "BACKSTAY_PATIENCE_SECONDS",
    "allowed_keys": "BACKSTAY_ALLOWED_KEYS",
    "backup_directory": "BACKUP_DIRECTORY",
    "backup_retention_days": "BACKUP_RETENTION_DAYS",
    "backup_keep_newest": "BACKUP_KEEP_NEWEST",
}
VARIABLES = tuple(_ENVIRONMENT.values())


class KeySetting(BaseModel):
    """Source of an API key, for when its environment variable is not set: a command or a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str | None = Field(default=None, min_length=1, repr=False)
    """Command line for the shell; what it prints is the key."""
    file: str | None = Field(default=None, min_length=1)
    """Path of a file whose first line is the key."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.command is None) == (self.file is None):
            raise ValueError("it needs either `command` or `file`")
        return self


_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")


class Settings(BaseModel):
    """All settings, as `load` returns them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str | None = Field(default=None, repr=False)
    """A path, `sqlite:///path` or `postgresql://…`; without it, `backstay.db` in the nearest `.backstay` folder."""
    database_schema: str = "backstay"
    """On PostgreSQL, the schema of Backstay's tables."""
    owner: str = Field(default="local", min_length=1, max_length=MAX_ID)
    reviewer: str | None = Field(default=None, min_length=1, max_length=MAX_NAME)
    """Who reviews conversations; by default the user of this machine."""
    lease_seconds: float = Field(default=15.0, ge=0.2, le=3600)
    """How long a worker may send no heartbeat before its lease is reclaimed. If it is known to be dead: at once."""
    rpm: int | None = Field(default=None, ge=1, le=MAX_RPM)
    """Maximum requests per minute, for each account with a provider in this process."""
    tpm: int | None = Field(default=None, ge=1, le=MAX_TPM)
    """Maximum tokens per minute, for each account with a provider in this process."""
    patience_seconds: float = Field(default=600.0, ge=1, le=MAX_SECONDS)
    """How long a run waits without a good answer of the provider before its job pauses."""
    allowed_keys: list[str] = Field(default_factory=list)
    """Hosts to which recipe files and stored jobs may send a key, each as `HOST VARIABLE`; see `key_permission`."""
    backup_directory: str | None = Field(default=None, min_length=1)
    """Folder of backups; by default next to the database."""
    backup_retention_days: float = Field(default=7.0, gt=0, le=36_500)
    """Days that a backup is kept, counted from its completion or from the end of the delete that needed it."""
    backup_keep_newest: int = Field(default=0, ge=0)
    """How many of each owner's newest verified backups a cleanup keeps, whatever their age."""
    keys: dict[str, KeySetting] = Field(default_factory=dict)
    """Environment variable of a key -> source of the key, for when the variable is not set."""
    headers: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Host of an endpoint, as `host:port` if its address has a port -> header -> variable of the header's value."""
    here: Path = Field(default_factory=Path.cwd, exclude=True)
    """Base of relative paths."""
    file_directory: Path = Field(default_factory=Path.cwd, exclude=True)
    """Directory of the settings file: key files are relative to it, and key commands run in it."""

    @field_validator("owner")
    @classmethod
    def _lower_uuid(cls, owner: str) -> str:
        # A Supabase user id names the same owner in upper and lower case.
        return owner.lower() if _UUID.fullmatch(owner) else owner

    @field_validator("database_schema")
    @classmethod
    def _check_schema(cls, name: str) -> str:
        if not _SCHEMA_NAME.fullmatch(name):
            raise ValueError("it may have 40 lower-case letters, digits and underscores at most, and no digit first")
        if name == "information_schema" or name.startswith("pg_"):
            raise ValueError("PostgreSQL reserves this name")
        return name

    @field_validator("allowed_keys", mode="before")
    @classmethod
    def _split_entries(cls, entries: Any) -> Any:
        if isinstance(entries, str):
            return [entry.strip() for entry in entries.split(",") if entry.strip()]
        return entries

    @field_validator("allowed_keys")
    @classmethod
    def _check_entries(cls, entries: list[str]) -> list[str]:
        for entry in entries:
            if not re.fullmatch(r"(https?://)?[^\s/]+\s+[A-Za-z_][A-Za-z0-9_]*", entry):
                raise ValueError("each entry is a host and a variable, as in 'models.example OPENAI_API_KEY'")
        return entries

    @property
    def effective_reviewer(self) -> str | None:
        """Who reviews conversations; None if neither the setting nor this machine names anyone."""
        return user_name() if self.reviewer is None else self.reviewer

    @property
    def postgres_url(self) -> str | None:
        """The URL of a PostgreSQL database for libpq; None for a SQLite file."""
        url = self.database_url or ""
        return _SERVER_SCHEME.sub("postgresql://", url, count=1) if _SERVER_SCHEME.match(url) else None

    @property
    def database(self) -> Path:
        """Absolute path of the SQLite file, if no server is named.

        Raises:
            SettingsError: Backstay does not support the kind of database in the address; or there is no address and
                the nearest library has the project's former name or belongs to another user.
        """
        if self.database_url is None:
            return _nearest_folder(self.here) / "backstay.db"
        return (self.here / Path(_parse_file_address(self.database_url)[0]).expanduser()).absolute()

    @property
    def folder(self) -> Path:
        """Absolute path of the nearest `.backstay`, which may be missing. Raises like `database`."""
        return _nearest_folder(self.here)

    @property
    def ignored_parameters(self) -> tuple[str, ...]:
        """Names of parameters in the address of a SQLite file that are for other drivers. Raises like `database`."""
        return _parse_file_address(self.database_url)[1] if self.database_url is not None else ()

    @property
    def backup_folder(self) -> Path | None:
        """Absolute path of the folder for backups; None without the setting."""
        if self.backup_directory is None:
            return None
        return (self.here / Path(self.backup_directory).expanduser()).absolute()

    @property
    def backup_retention(self) -> timedelta:
        return timedelta(days=self.backup_retention_days)


def user_name() -> str | None:
    """Return the name of the user of this machine; None for a user without a name, as containers may have."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # ImportError on Windows before Python 3.13
        return None


def _parse_file_address(address: str) -> tuple[str, tuple[str, ...]]:
    """Return the path in the address of an SQLite file, and the names of parameters that are ignored."""
    kind, mark, rest = address.partition("://")
    if not mark and not address.startswith("file:"):
        return address, ()
    path, _, query = rest.partition("?")
    if not mark or kind.partition("+")[0] != "sqlite" or not path.startswith("/") or path == "/":
        raise SettingsError(
            f"The database address starts with {kind if mark else 'file'}{mark or ':'}; give the path of a SQLite "
            "file, sqlite:///path, or postgresql://USER:PASSWORD@HOST/DATABASE",
            setting="database_url",
        )
    return path[1:], database_parameters.for_file(query)


def load(
    *,
    database_url: str | None = None,
    owner: str | None = None,
    rpm: int | None = None,
    tpm: int | None = None,
    patience_seconds: float | None = None,
    here: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Load the settings for the folder `here`; arguments take precedence.

    Raises:
        SettingsError: a value or name is wrong; the message names it and its source.
    """
    here = here or Path.cwd()
    environ = os.environ if environ is None else environ
    refuse_variables(environ, VARIABLES)
    values: dict[str, Any] = {"here": here, "file_directory": here}
    arguments: dict[str, str | float | None] = {
        "database_url": database_url,
        "owner": owner,
        "rpm": rpm,
        "tpm": tpm,
        "patience_seconds": patience_seconds,
    }
    arguments = {name: value for name, value in arguments.items() if value is not None}
    variables = {name: variable for name, variable in _ENVIRONMENT.items() if environ.get(variable)}
    overrides = {name: environ[variable] for name, variable in variables.items()} | arguments
    path = settings_file(here, environ)
    if path is not None:
        values |= {name: value for name, value in _read_file(path).items() if name not in (SERVER, ADOPT)}
        values["file_directory"] = path.parent
        if "database_url" in values and "database_url" not in overrides:
            values["here"] = path.parent
    try:
        return Settings(**(values | overrides))
    except ValidationError as error:
        subjects = variables | {name: f"The setting {name!r}" for name in arguments}
        raise _settings_error(error, subjects, path) from error


def read_table(name: str, here: Path) -> tuple[Any, Path]:
    """Return the table SERVER or ADOPT of the settings file, unchecked, and the base of relative paths in it.

    Raises:
        SettingsError: the file cannot be read.
    """
    path = settings_file(here, os.environ)
    if path is None:
        return {}, here
    return _read_file(path).get(name, {}), path.parent


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", path=str(path)) from error
    for name in _NOT_IN_FILES & values.keys():
        raise _unknown_setting(name, path)
    return values


def settings_file(here: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the settings file of a folder or of the nearest parent that has one; None if there is none.

    Raises:
        SettingsError: the file belongs to another user, or a settings file with the project's former name is nearer.
    """
    for folder in (here, *here.parents):
        file = folder / FILE
        if file.is_file():
            otherwise = "" if folder == here else f", put a {FILE} of your own, which may be empty, into {here}"
            _refuse_foreign(file, environ, f"Make it yours with chown{otherwise}")
            return file
        refuse_settings_file(folder, FILE)
    return None


def _nearest_folder(here: Path) -> Path:
    for folder in (here, *here.parents):
        library = folder / FOLDER
        if library.is_dir():
            _refuse_foreign(library, os.environ, "Make it yours with chown", Remedy.NAME_DATABASE)
            return library
        refuse_library(folder)
    return here / FOLDER


def _refuse_foreign(path: Path, environ: Mapping[str, str], advice: str, remedy: Remedy | None = None) -> None:
    owner = foreign_owner(path, environ)
    if owner is not None:
        raise SettingsError(
            f"{path} belongs to another user (uid {owner}), and is not used: its content could run commands as you. "
            f"{advice}, or trust the folder with {SAFE_FOLDERS_VARIABLE}={path.parent}",
            remedy=remedy,
            path=str(path),
        )


def _settings_error(error: ValidationError, subjects: Mapping[str, str], path: Path | None) -> SettingsError:
    """Return the error of a wrong value; `subjects` names the settings that do not come from the file."""
    first = error.errors()[0]
    name = ".".join(str(step) for step in first["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown_setting(name, path)
    reason = reason_of(first)
    if first["type"] == "model_type":  # only a key's source is a nested model
        reason += " with `command` or `file`"
    subject = subjects.get(str(first["loc"][0]), f"The setting {name!r} in {path}")
    return SettingsError(f"{subject} is wrong: {reason}", setting=name)


def _unknown_setting(name: str, path: Path | None) -> SettingsError:
    fields = KeySetting.model_fields if name.startswith("keys.") else Settings.model_fields
    known = [name for name in fields if name not in _NOT_IN_FILES]
    hint = did_you_mean(name.rpartition(".")[2], [*known, SERVER, ADOPT])
    where = f" in {path}" if path else ""
    known_settings = f"{' Known' if hint else '; known'} settings: {', '.join(known)}"
    return SettingsError(f"Unknown setting {name!r}{where}{hint}{known_settings}", setting=name)
