"""What may be wrong with the settings of a server, for `backstay doctor`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from backstay.doctor import Check, Level
from backstay.errors import BackstayError, SettingsError
from backstay.server.settings import VARIABLES, load
from backstay.settings import server_table


def examine_server(environ: Mapping[str, str], *, here: Path | None = None) -> Iterator[Check]:
    """Check what `backstay serve` would be told here, where anything is said of it. Nothing is opened."""
    try:
        is_said = bool(server_table(here or Path.cwd())[0]) or any(environ.get(name) for name in VARIABLES)
    except SettingsError:
        return  # the file as a whole cannot be read, which is said elsewhere
    if not is_said:
        return
    try:
        settings = load(here=here, environ=environ)
    except SettingsError as error:
        yield Check("serve", Level.PROBLEM, error.message)
        return
    try:
        settings.allowed()
    except BackstayError as error:
        yield Check("serve", Level.PROBLEM, error.message, "correct the file, or recipes in [server] of backstay.toml")
        return
    yield Check(
        "serve", Level.OK, f"would listen at {settings.host}:{settings.port}, and ask for {_asked[settings.mode]}"
    )


_asked = {"token": "its local token", "jwt": "JSON Web Tokens"}
