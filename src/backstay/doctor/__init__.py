"""The checks of `backstay doctor`.

They change nothing, with one exception: a backup whose file is damaged is recorded as damaged.

Checks are independent: one that fails hides no other.
"""

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version

from backstay import former_name
from backstay.doctor.check import Check, CheckLevel
from backstay.doctor.settings import check_settings
from backstay.doctor.sqlite import check_database, check_sqlite_version
from backstay.errors import SettingsError
from backstay.optional_packages import installation
from backstay.settings import FILE, VARIABLES, Settings, load, settings_file
from backstay.unused_variables import NAME_SUPABASE, supabase_unused

__all__ = ["Check", "CheckLevel", "examine"]


def examine(
    *, database_url: str | None, owner: str | None, environ: Mapping[str, str], deep: bool = False
) -> Iterator[Check]:
    """Yield the result of each check. Write nothing except the records of damaged backups.

    Args:
        database_url: As in `settings.load`.
        owner: As in `settings.load`.
        environ: The environment to check.
        deep: Search the whole database and each backup file for damage, whatever their size.
    """
    yield Check("backstay", CheckLevel.OK, version("backstay"))
    yield Check("python", CheckLevel.OK, f"{platform.python_version()} ({platform.python_implementation()})")
    yield Check("platform", CheckLevel.OK, platform.platform())
    yield from _check_environment(environ)
    try:
        settings = load(database_url=database_url, owner=owner, environ=environ)
        location = settings.postgres_url or settings.database
        ignored = () if settings.postgres_url else settings.ignored_parameters
    except SettingsError as error:
        yield Check.from_error("settings", error)
        return
    path = settings_file(settings.here, environ)
    yield Check("settings", CheckLevel.OK, f"from {path}" if path else f"no {FILE} in {settings.here} or above it")
    yield from check_settings(settings, environ)
    if isinstance(location, str):
        yield from _check_server(location, settings, deep=deep)
    else:
        if settings.database_url is None and (reason := supabase_unused(environ, settings.here, location)):
            yield Check("settings", CheckLevel.WARNING, reason, NAME_SUPABASE)
        if ignored:
            message = f"ignored in the address, because they are for other drivers: {', '.join(ignored)}"
            yield Check("settings", CheckLevel.OK, message)
        yield check_sqlite_version()
        yield from check_database(location, settings, deep=deep)


def _check_environment(environ: Mapping[str, str]) -> Iterator[Check]:
    names = [name for name in VARIABLES if environ.get(name)]
    # Names only: an address may contain a password.
    yield Check("environment", CheckLevel.OK, f"{' and '.join(names) or 'no variable of Backstay'} set")
    for name in former_name.former_variables(environ):
        yield Check(
            "environment", CheckLevel.WARNING, f"{name} is a variable of {former_name.FORMER_PROJECT}, and is not read"
        )
    if environ.get("SUPABASE_SERVICE_ROLE_KEY"):
        yield Check("environment", CheckLevel.OK, "SUPABASE_SERVICE_ROLE_KEY is set; it is not used")


def _check_server(url: str, settings: Settings, *, deep: bool) -> Iterator[Check]:
    try:
        from backstay.doctor.postgres import check_database
    except ImportError:
        message = "the packages for PostgreSQL are not installed"
        yield Check("postgres", CheckLevel.PROBLEM, message, f"add them with {installation('postgres')}")
        return
    yield from check_database(url, settings, deep=deep)
