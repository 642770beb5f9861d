"""Checks of a server's settings, for `backstay doctor`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from backstay.doctor import Check, CheckLevel
from backstay.errors import ApiKeyNotAllowed, RecipeError, SettingsError
from backstay.generate.key_permission import allowed_endpoint
from backstay.generate.key_source import KeySources
from backstay.generate.recipe import Recipe
from backstay.server.auth.token_file import TokenFile
from backstay.server.settings import VARIABLES, load
from backstay.settings import SERVER, Settings, read_table
from backstay.settings import load as load_settings


def examine_server(environ: Mapping[str, str], *, here: Path | None = None) -> Iterator[Check]:
    """Check the settings that `backstay serve` would use here, if any, without opening a connection."""
    try:
        is_configured = bool(read_table(SERVER, here or Path.cwd())[0]) or any(environ.get(name) for name in VARIABLES)
    except SettingsError:
        return  # an unreadable file is reported elsewhere
    if not is_configured:
        return
    try:
        settings = load(here=here, environ=environ)
    except SettingsError as error:
        yield Check.from_error("serve", error)
        return
    try:
        library_settings = load_settings(here=here, environ=environ)
    except SettingsError:
        return  # also reported elsewhere
    for name, path in settings.recipes.items():
        yield _check_recipe(name, Path(path), library_settings, environ)
    yield Check(
        "serve",
        CheckLevel.OK,
        f"would listen at {settings.host}:{settings.port}, with {_SIGN_IN_METHODS[settings.effective_auth]}",
    )


def examine_token(environ: Mapping[str, str], *, database_url: str | None, here: Path | None = None) -> Iterator[Check]:
    """Check the file of the local token, if there is one and `backstay serve` would use it."""
    try:
        file = TokenFile(load_settings(database_url=database_url, here=here, environ=environ), environ)
        if load(here=here, environ=environ).effective_auth == "jwt":
            return
    except SettingsError:
        return  # reported elsewhere, or `backstay serve` reports that there is no state folder
    try:
        reason = file.reason_to_replace()
    except SettingsError as error:
        yield Check.from_error("token", error)
        return
    if reason is not None:
        message = f"{file.path} keeps the server's token, but {reason}"
        yield Check("token", CheckLevel.WARNING, message, "the next `backstay serve` replaces it")
    elif file.path.exists():
        yield Check("token", CheckLevel.OK, f"{file.path} keeps the server's token, for this user only")


_SIGN_IN_METHODS = {"token": "a local token", "jwt": "JSON Web Tokens"}


def _check_recipe(name: str, path: Path, settings: Settings, environ: Mapping[str, str]) -> Check:
    """Check that a recipe can be read, that its API key may be sent to its address, and that the key is set."""
    keys = KeySources(settings.keys, directory=settings.file_directory, environ=environ)
    try:
        recipe = Recipe.load(path)
        endpoint = allowed_endpoint(recipe, settings.allowed_keys, keys.environment)
    except RecipeError as error:
        remedy = "correct the file, or recipes in [server] of backstay.toml"
        return Check("serve", CheckLevel.PROBLEM, f"recipe {name}: {error.message}", remedy)
    except ApiKeyNotAllowed as error:
        return Check.from_error("serve", error.with_message(f"recipe {name}: {error.message}", **error.context))
    variable = endpoint.key_variable
    fact = f"recipe {name}: {recipe.model} at {endpoint.host}"
    if keys.environment.get(variable, "").strip():
        return Check("serve", CheckLevel.OK, f"{fact}, {keys.source_of(variable).describe(variable)}")
    if not endpoint.key_required:
        return Check("serve", CheckLevel.OK, f"{fact}, without a key")
    remedy = f"set {variable} where the server is started, or name a file or command under [keys.{variable}]"
    return Check("serve", CheckLevel.WARNING, f"{fact}: no API key: {variable} is not set here", remedy)
