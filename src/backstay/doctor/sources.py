"""What the settings take from elsewhere: keys, headers, and the tables that are to be adopted."""

from collections.abc import Iterator, Mapping

from backstay.doctor.check import Check, Level
from backstay.errors import BackstayError, SettingsError
from backstay.generate.key_source import KeySource, KeySources
from backstay.library.adoption_file import adoption_from_settings
from backstay.settings import Settings, adopt_table


def check_sources(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    """Check that each can be had. No command is run, and nothing of a key is shown."""
    try:
        sources = KeySources(settings.keys, settings.headers, directory=settings.file_directory, environ=environ)
    except SettingsError as error:
        yield Check("headers", Level.PROBLEM, error.message, "correct it in backstay.toml")
        return
    for variable in settings.keys:
        yield _key(sources, variable)
    for host in settings.headers:
        try:
            sources.headers(host)
        except SettingsError as error:
            yield Check("headers", Level.PROBLEM, error.message)
    try:
        if adopt_table(settings.here)[0]:
            adoption_from_settings(settings.here, conversations="any", turns="any")  # the command may name them
    except SettingsError as error:
        yield Check("adopt", Level.PROBLEM, error.message, "correct [adopt] in backstay.toml")


def _key(sources: KeySources, variable: str) -> Check:
    match sources.source_of(variable):
        case KeySource.VARIABLE:
            text = f"{variable} is set, so [keys.{variable}] in backstay.toml is not used"
        case KeySource.COMMAND:
            text = f"{KeySource.COMMAND.describe(variable)} is not asked for here; `backstay probe` does"
        case KeySource.FILE:
            try:
                sources.read(variable)
            except BackstayError as error:
                return Check("keys", Level.PROBLEM, error.message, "correct the file, or its name in backstay.toml")
            text = f"{KeySource.FILE.describe(variable)} can be read"
    return Check("keys", Level.OK, text)
