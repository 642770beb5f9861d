"""Where to store, for whom, and how fast to ask: defaults < `backstay.toml` < environment < what the caller says."""

import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from backstay.errors import SettingsError
from backstay.former_name import refuse_library, refuse_settings_file, refuse_variables

FILE = "backstay.toml"
FOLDER = ".backstay"
SERVER = "server"
ADOPT = "adopt"

_SERVERS = ("postgresql://", "postgres://")
_ENVIRONMENT = {
    "database_url": "BACKSTAY_DATABASE_URL",
    "database_schema": "BACKSTAY_SCHEMA",
    "owner": "BACKSTAY_OWNER",
    "rpm": "BACKSTAY_RPM",
    "tpm": "BACKSTAY_TPM",
    "backup_directory": "BACKUP_DIRECTORY",
    "backup_retention_days": "BACKUP_RETENTION_DAYS",
}


class Settings(BaseModel):
    """All settings. `load` makes one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str | None = Field(default=None, repr=False)
    """A path, `sqlite:///path` or `postgresql://…`; without it, `backstay.db` in the nearest `.backstay` folder."""
    database_schema: str = Field(default="backstay", pattern=r"^[a-z_][a-z0-9_]{0,39}$")
    """On PostgreSQL, the schema that holds our tables."""
    owner: str = Field(default="local", min_length=1, max_length=512)
    lease_seconds: float = Field(default=15.0, ge=0.2, le=3600)
    """How long a worker on another host may be silent before its items are taken over."""
    rpm: int | None = Field(default=None, ge=1, le=10_000_000)
    """Requests a minute at most, of each account with a provider in this process."""
    tpm: int | None = Field(default=None, ge=1, le=10_000_000_000)
    """Tokens a minute at most, likewise."""
    backup_directory: str | None = Field(default=None, min_length=1)
    """Where backups are kept; without it, beside the database."""
    backup_retention_days: float = Field(default=7.0, gt=0, le=36_500)
    """How long a backup is kept, from its end or from that of the delete it was made for."""
    here: Path = Field(default_factory=Path.cwd, exclude=True)
    """What relative paths are relative to."""

    @field_validator("database_schema")
    @classmethod
    def _not_of_the_server(cls, name: str) -> str:
        if name == "information_schema" or name.startswith("pg_"):
            raise ValueError("PostgreSQL keeps this name for itself")
        return name

    @property
    def server(self) -> str | None:
        """The URL of a PostgreSQL database, where one is named."""
        url = self.database_url
        return url if url is not None and url.startswith(_SERVERS) else None

    @property
    def database(self) -> Path:
        """Absolute path of the SQLite file, where no server is named.

        Raises:
            SettingsError: the address names a kind of database that Backstay does not support, or no database is named
                and the nearest library has the former name.
        """
        if self.database_url is None:
            return _nearest_folder(self.here) / "backstay.db"
        text = self.database_url
        if "://" in text:
            kind, _, rest = text.partition("://")
            if kind != "sqlite" or not rest.startswith("/") or rest == "/":
                raise SettingsError(
                    f"The database address starts with {kind}://; give the path of a SQLite file, sqlite:///path, or "
                    "postgresql://USER:PASSWORD@HOST/DATABASE",
                    setting="database_url",
                )
            text = rest[1:]
        return (self.here / Path(text).expanduser()).absolute()

    @property
    def backup_place(self) -> Path | None:
        """Absolute path of the folder for backups, None when it was not chosen."""
        if self.backup_directory is None:
            return None
        return (self.here / Path(self.backup_directory).expanduser()).absolute()

    @property
    def backup_keep(self) -> timedelta:
        return timedelta(days=self.backup_retention_days)


def load(
    *,
    database_url: str | None = None,
    owner: str | None = None,
    rpm: int | None = None,
    tpm: int | None = None,
    here: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Gather the settings that hold in the folder `here`; arguments win.

    Raises:
        SettingsError: a value or name is wrong; the message says which, and where it stands.
    """
    here = here or Path.cwd()
    environ = os.environ if environ is None else environ
    refuse_variables(environ, _ENVIRONMENT.values())
    values: dict[str, Any] = {"here": here}
    said: dict[str, Any] = {name: environ[variable] for name, variable in _ENVIRONMENT.items() if environ.get(variable)}
    given: dict[str, str | int | None] = {"database_url": database_url, "owner": owner, "rpm": rpm, "tpm": tpm}
    said |= {name: value for name, value in given.items() if value is not None}
    path = _nearest_file(here)
    if path is not None:
        values |= {name: value for name, value in _read(path).items() if name not in (SERVER, ADOPT)}
        if "database_url" in values and "database_url" not in said:
            values["here"] = path.parent
    try:
        return Settings(**(values | said))
    except ValidationError as error:
        raise _wrong(error, path) from error


def server_table(here: Path) -> tuple[Any, Path]:
    """Return the table `[server]` of the settings file, and what relative paths in it are relative to.

    What may stand in it, the server says.

    Raises:
        SettingsError: the file cannot be read.
    """
    return _table(SERVER, here)


def adopt_table(here: Path) -> tuple[Any, Path]:
    """Return the table `[adopt]` likewise; what may stand in it, `library.adoption_file` says. Raises SettingsError."""
    return _table(ADOPT, here)


def _table(name: str, here: Path) -> tuple[Any, Path]:
    path = _nearest_file(here)
    if path is None:
        return {}, here
    return _read(path).get(name, {}), path.parent


def _read(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", path=str(path)) from error
    if "here" in values:
        raise _unknown("here", path)
    return values


def _nearest_file(here: Path) -> Path | None:
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            return folder / FILE
        refuse_settings_file(folder, FILE)
    return None


def _nearest_folder(here: Path) -> Path:
    for folder in (here, *here.parents):
        if (folder / FOLDER).is_dir():
            return folder / FOLDER
        refuse_library(folder)
    return here / FOLDER


def _wrong(error: ValidationError, path: Path | None) -> SettingsError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown(name, path)
    reason = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    return SettingsError(f"The setting {name!r}{_place(path)} is wrong: {reason}", setting=name)


def _unknown(name: str, path: Path | None) -> SettingsError:
    known = ", ".join(name for name in Settings.model_fields if name != "here")
    return SettingsError(f"There is no setting {name!r}{_place(path)}; there are: {known}", setting=name)


def _place(path: Path | None) -> str:
    return f" (in {path}, the environment or the command)" if path else ""
