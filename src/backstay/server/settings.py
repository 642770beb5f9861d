"""Settings of a server. Arguments override the environment, which overrides `[server]` in `backstay.toml`.

Secrets come from the environment only.
"""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from itertools import chain
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from backstay.errors import SettingsError
from backstay.former_name import refuse_variables
from backstay.generate import scripted
from backstay.generate.allowlist import AllowedEntry
from backstay.generate.recipe import Recipe
from backstay.limits import MAX_CONCURRENCY, MAX_HOST, MAX_PORT
from backstay.readers.input_ceiling import InputCeiling
from backstay.settings import FILE, SERVER, read_table
from backstay.suggestions import did_you_mean
from backstay.validation_reasons import reason_of

SameSite = Literal["strict", "lax"]
"""Which links of other sites may send a cookie: none, or those that the user follows."""
_ENVIRONMENT = {
    "host": ("BACKSTAY_HOST",),
    "port": ("BACKSTAY_PORT",),
    "auth": ("BACKSTAY_AUTH",),
    "jwt_secret": ("BACKSTAY_JWT_SECRET", "SUPABASE_JWT_SECRET"),
    "jwks_url": ("BACKSTAY_JWKS_URL",),
    "issuer": ("BACKSTAY_JWT_ISSUER",),
    "audience": ("BACKSTAY_JWT_AUDIENCE",),
    "supabase_url": ("SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL"),
    "metrics_token": ("BACKSTAY_METRICS_TOKEN",),
    "allowed_hosts": ("BACKSTAY_ALLOWED_HOSTS",),
    "cors_origins": ("BACKSTAY_CORS_ORIGINS",),
    "cookie_same_site": ("BACKSTAY_COOKIE_SAME_SITE",),
    "sign_in_url": ("BACKSTAY_SIGN_IN_URL",),
}
VARIABLES = tuple(chain.from_iterable(_ENVIRONMENT.values()))
_LIST_SETTINGS = ("allowed_hosts", "cors_origins")
_SECRET_SETTINGS = ("jwt_secret", "metrics_token")
_MIN_SECRET_BYTES = 32  # as HS256 requires


class ServerSettings(BaseModel):
    """All settings of a server. `load` creates them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", min_length=1, max_length=MAX_HOST)
    port: int = Field(default=8717, ge=0, le=MAX_PORT)
    """0 picks any free port."""
    auth: Literal["token", "jwt"] | None = None
    """A local token or JSON Web Tokens; by default JSON Web Tokens, if they are configured."""
    jwt_secret: str | None = Field(default=None, repr=False)
    """The secret that verifies tokens signed with HS256."""
    jwks_url: str | None = None
    """Address of the issuer's public keys."""
    issuer: str | None = None
    audience: str = "authenticated"
    supabase_url: str | None = None
    """Address of a Supabase project, from which `issuer` and `jwks_url` follow by default."""
    metrics_token: str | None = Field(default=None, min_length=16, repr=False)
    """The token that may read `/metrics`."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that requests may use; with a local token, loopback names are always allowed."""
    cors_origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may call the API, and sign users in to the pages."""
    cookie_same_site: SameSite = "strict"
    """With JSON Web Tokens, whether links of other sites open the pages signed in (`lax`) or not (`strict`)."""
    sign_in_url: str | None = None
    """Address of the app's own page for signing in, to which the pages link when a user is signed out."""
    processors: tuple[str, ...] = ("scripted",)
    """Processors that requests may name: `scripted` or `module:function`."""
    recipes: dict[str, str] = Field(default_factory=dict)
    """Paths of recipes, by the names that requests may use."""
    automatic_resume: bool = False
    """Resume interrupted jobs when the server starts, and when their worker dies."""
    concurrency: int = Field(default=16, ge=1, le=MAX_CONCURRENCY)
    """Default limit of calls in flight per job."""
    max_connections: int = Field(default=4_000, ge=10, le=1_000_000)
    """Maximum concurrent connections."""
    max_waiting: int = Field(default=500, ge=5, le=1_000_000)
    """Maximum connections that wait for the head of a request; beyond that number, one of them is closed."""
    head_seconds: float = Field(default=15.0, ge=0.1, le=600)
    """Maximum wait of a connection for the head of a request."""
    max_jobs: int = Field(default=8, ge=1, le=1_000)
    """Maximum jobs that this server works on at once."""
    max_listeners: int = Field(default=1_000, ge=1, le=100_000)
    """Maximum concurrent event streams."""
    max_downloads: int = Field(default=32, ge=1, le=10_000)
    """Maximum concurrent downloads and exports."""
    max_uploads: int = Field(default=4, ge=1, le=1_000)
    """Maximum concurrent uploads."""
    owner_share: float = Field(default=0.5, gt=0, le=1)
    """With JSON Web Tokens, the share of `bodies_bytes` and of the maximum jobs, event streams, downloads and uploads
    that one owner may take."""
    bodies_bytes: int = Field(default=64_000_000, ge=1_000, le=100_000_000_000)
    """Maximum bytes of all bodies in memory at once; uploads go to disk and do not count."""
    body_bytes: int = Field(default=8_000_000, ge=1_000, le=1_000_000_000)
    upload_bytes: int = Field(default=200_000_000, ge=1_000, le=100_000_000_000)
    import_rows: int = Field(default=250_000, ge=1, le=1_000_000_000)
    """Maximum conversations plus turns in one imported file, because other writers wait while it is written."""
    import_bytes: int = Field(default=200_000_000, ge=1_000, le=100_000_000_000)
    """Maximum bytes of decompressed text in one imported file."""
    upload_items: int = Field(default=1_000_000, ge=1, le=1_000_000_000)
    """Maximum items in one uploaded file."""
    items_bytes: int = Field(default=1_000_000_000, ge=1_000, le=100_000_000_000)
    """Maximum bytes of text in one uploaded file of items; each value counts together with its column's name."""
    read_seconds: float = Field(default=120.0, ge=0.1, le=86_400)
    """Maximum duration of one database read."""
    idle_seconds: float = Field(default=60.0, ge=0.1, le=3_600)
    """A connection is closed when its client has neither sent nor read anything for so long."""
    poll_seconds: float = Field(default=0.5, ge=0.02, le=60)
    """Interval at which a job with listeners is polled."""
    heartbeat_seconds: float = Field(default=15.0, ge=0.05, le=600)
    """Interval of the comments that keep an idle event stream open."""
    async_above: int = Field(default=5_000, ge=0)
    """Number of conversations above which a backup request is answered with 202 before the backup is complete."""
    cleanup: str = "0 2 * * *"
    """Schedule for removing expired backups: a cron expression, in UTC."""
    grace_seconds: float = Field(default=10.0, ge=0, le=600)
    """Time that calls in flight may take to finish when the server stops."""

    @field_validator("cleanup")
    @classmethod
    def _check_cron(cls, expression: str) -> str:
        CronTrigger.from_crontab(expression, timezone=ZoneInfo("UTC"))  # raises ValueError
        return expression

    @field_validator("jwt_secret")
    @classmethod
    def _check_secret(cls, secret: str | None) -> str | None:
        if secret is not None and len(secret.encode()) < _MIN_SECRET_BYTES:
            raise ValueError(f"it must have {_MIN_SECRET_BYTES} bytes or more")
        return secret

    @field_validator("supabase_url", "jwks_url", "issuer", "sign_in_url")
    @classmethod
    def _check_address(cls, address: str | None) -> str | None:
        if address is not None and not re.match("https?://[^/]", address):
            raise ValueError("it must be an address such as https://login.example.org")
        return address

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not origin.startswith(("https://", "http://")) or "*" in origin or origin.count("/") != 2:
                raise ValueError(f"{origin!r} is not an origin such as https://app.example.org; * is not allowed")
        return origins

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def effective_jwks_url(self) -> str | None:
        """The address of the JWKS."""
        if self.jwks_url is not None or self.supabase_url is None:
            return self.jwks_url
        return f"{self.supabase_url.rstrip('/')}/auth/v1/.well-known/jwks.json"

    @property
    def effective_issuer(self) -> str | None:
        """The required issuer of tokens."""
        if self.issuer is not None or self.supabase_url is None:
            return self.issuer
        return f"{self.supabase_url.rstrip('/')}/auth/v1"

    @property
    def effective_auth(self) -> Literal["token", "jwt"]:
        """The way in which users sign in."""
        if self.auth is not None:
            return self.auth
        return "jwt" if self.jwt_secret is not None or self.effective_jwks_url is not None else "token"

    @property
    def is_scripted_only(self) -> bool:
        """Whether only the built-in scripted writer is available, which calls no model."""
        return not self.recipes and all(name.partition(":")[0] == scripted.NAME for name in self.processors)

    @property
    def limit_share(self) -> float:
        """The share that one owner may take: `owner_share`, or all with a local token."""
        return self.owner_share if self.effective_auth == "jwt" else 1.0

    @property
    def import_ceiling(self) -> InputCeiling:
        return InputCeiling(self.import_rows, self.import_bytes)

    @property
    def item_ceiling(self) -> InputCeiling:
        return InputCeiling(self.upload_items, self.items_bytes)

    def check(self) -> "ServerSettings":
        """Check that the settings are consistent; return them.

        Raises:
            SettingsError: no user could sign in; other machines could use the local token; tokens of any issuer would
                be accepted; or a body could never be read.
        """
        if self.effective_auth == "token" and not self.is_loopback:
            raise SettingsError(
                f"The local token is for this machine only, but other machines can reach {self.host}. Set "
                "SUPABASE_URL, or BACKSTAY_JWT_SECRET with BACKSTAY_JWT_ISSUER, or listen on this machine only",
                setting="host",
            )
        if self.effective_auth == "jwt" and self.jwt_secret is None and self.effective_jwks_url is None:
            raise SettingsError(
                "No key to verify tokens is configured: set SUPABASE_URL, BACKSTAY_JWKS_URL or BACKSTAY_JWT_SECRET",
                setting="auth",
            )
        if self.effective_auth == "jwt" and self.effective_issuer is None:
            raise SettingsError(
                "No issuer of tokens is configured: set BACKSTAY_JWT_ISSUER, or SUPABASE_URL", setting="issuer"
            )
        if self.body_bytes > self.bodies_bytes * self.limit_share:
            raise SettingsError(
                f"A body of {self.body_bytes:,} bytes (body_bytes) could never be read, because one owner may send "
                f"at most {int(self.bodies_bytes * self.limit_share):,} bytes at once. Raise bodies_bytes "
                "or lower body_bytes",
                setting="bodies_bytes",
            )
        return self

    def allowlist(self) -> AllowedEntry:
        """Return the server's allowlist. Raises RecipeError if a recipe file is wrong."""
        return AllowedEntry(self.processors, {name: Recipe.load(Path(path)) for name, path in self.recipes.items()})


def load(
    *,
    host: str | None = None,
    port: int | None = None,
    here: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> ServerSettings:
    """Load the settings of a server that apply in the directory `here`; arguments take precedence.

    Raises:
        SettingsError: a value or name is wrong.
    """
    environ = os.environ if environ is None else environ
    refuse_variables(environ, VARIABLES)
    table, folder = read_table(SERVER, here or Path.cwd())
    if not isinstance(table, dict):
        raise SettingsError("[server] must be a table of settings", setting="server")
    if secret := next((name for name in _SECRET_SETTINGS if name in table), None):
        raise SettingsError(
            f"[server] must not contain {secret}: set it in the environment, as {_ENVIRONMENT[secret][0]}",
            setting=secret,
        )
    arguments = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    values: dict[str, Any] = {**table, **_from_environment(environ), **arguments}
    if isinstance(recipes := values.get("recipes"), dict):
        values["recipes"] = {
            name: str(folder / path) if isinstance(path, str) else path for name, path in recipes.items()
        }
    try:
        return ServerSettings(**values).check()
    except ValidationError as error:
        variables = {name: _variable(name, environ) for name in _ENVIRONMENT if name not in arguments}
        raise _validation_error(error, folder / FILE, variables) from error


def _variable(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the variable that sets a setting."""
    return next((variable for variable in _ENVIRONMENT[name] if environ.get(variable)), None)


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in _ENVIRONMENT:
        if (variable := _variable(name, environ)) is not None:
            value = environ[variable]
            values[name] = (
                [entry.strip() for entry in value.split(",") if entry.strip()] if name in _LIST_SETTINGS else value
            )
    return values


def _validation_error(error: ValidationError, path: Path, variables: Mapping[str, str | None]) -> SettingsError:
    first = error.errors(include_input=False, include_url=False)[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        known = [field for field in ServerSettings.model_fields if field not in _SECRET_SETTINGS]
        hint = did_you_mean(name, known)
        known_settings = f"{' Known' if hint else '; known'} settings: {', '.join(known)}"
        return SettingsError(f"[server] in {path} has no setting {name!r}{hint}{known_settings}", setting=name)
    subject = variables.get(str(first["loc"][0])) or f"The server's setting {name!r}"
    return SettingsError(f"{subject} is wrong: {reason_of(first)}", setting=name)
