"""Checks of what the settings name: keys, headers, and tables to adopt."""

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from backstay.doctor.check import Check, CheckLevel
from backstay.errors import BackstayError, SettingsError
from backstay.generate.key_source import KeySource, KeySources
from backstay.library.adoption_settings import adoption_from_settings
from backstay.remedy import Remedy
from backstay.settings import ADOPT, Settings, read_table

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_SHELL_SYNTAX = re.compile(r"[$`(){}<>|&;*?!~#\[\]]")


def check_settings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    """Check that the keys, headers and tables exist, without running a command or printing a part of a key."""
    try:
        sources = KeySources(settings.keys, settings.headers, directory=settings.file_directory, environ=environ)
    except SettingsError as error:
        yield Check("headers", CheckLevel.PROBLEM, error.message, "correct it in backstay.toml")
        return
    for variable in settings.keys:
        yield _check_key(sources, settings, variable, environ)
    for host in settings.headers:
        try:
            sources.headers(host)
        except SettingsError as error:
            yield Check.from_error("headers", error)
    try:
        if read_table(ADOPT, settings.here)[0]:
            adoption_from_settings(settings.here, conversations="any", turns="any")  # the command line may name them
    except SettingsError as error:
        yield Check("adopt", CheckLevel.PROBLEM, error.message, "correct [adopt] in backstay.toml")


def _check_key(sources: KeySources, settings: Settings, variable: str, environ: Mapping[str, str]) -> Check:
    match sources.source_of(variable):
        case KeySource.COMMAND:
            return _check_command(variable, str(settings.keys[variable].command), settings.file_directory, environ)
        case KeySource.FILE:
            return _check_file(sources, variable, settings.file_directory / Path(str(settings.keys[variable].file)))
        case _:
            return Check("keys", CheckLevel.OK, f"{variable} is set, so [keys.{variable}] in backstay.toml is not used")


def _check_file(sources: KeySources, variable: str, path: Path) -> Check:
    try:
        sources.read(variable)
    except BackstayError as error:
        return Check("keys", CheckLevel.PROBLEM, error.message, "correct the file, or its name in backstay.toml")
    path = path.expanduser()
    if path.stat().st_mode & 0o044:
        return Check("keys", CheckLevel.WARNING, f"others can read {path}, the key of {variable}", f"chmod 600 {path}")
    return Check("keys", CheckLevel.OK, f"{KeySource.FILE.describe(variable)} can be read")


def _check_command(variable: str, command: str, directory: Path, environ: Mapping[str, str]) -> Check:
    """Check the program that a command starts; the rest of the line may be secret."""
    unchecked = Check("keys", CheckLevel.OK, f"{KeySource.COMMAND.describe(variable)} was not checked", Remedy.PROBE)
    try:
        words = [word for word in shlex.split(command) if not _ASSIGNMENT.match(word)]
    except ValueError:
        words = []
    program = words[0] if words else ""
    if not program or _SHELL_SYNTAX.search(program):
        return unchecked
    if "/" in program:
        is_found = os.access(directory / program, os.X_OK)
    else:
        is_found = shutil.which(program, path=environ.get("PATH")) is not None
    if is_found:
        return unchecked
    level = CheckLevel.PROBLEM if "/" in program else CheckLevel.WARNING  # it may be a shell builtin
    message = f"{program}, the command for {variable} in [keys.{variable}], is missing or cannot be run"
    return Check("keys", level, message, "install it, correct its path, or chmod +x it")
