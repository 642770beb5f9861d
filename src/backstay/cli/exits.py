"""Exit statuses: which there are, and which error or result leads to which. The one table."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

from backstay import errors

if TYPE_CHECKING:
    from backstay.batch.result import BatchResult


class Status(IntEnum):
    DONE = 0
    ERROR = 1
    USAGE = 2
    WITH_FAILURES = 3
    LIMIT = 4
    PAUSED = 5
    INTERRUPTED = 130


READER_GONE = 141
"""Whoever read standard output left before its end: what a shell says of a program that SIGPIPE has ended."""

MEANINGS: Mapping[Status, str] = {
    Status.DONE: "all done",
    Status.ERROR: "error",
    Status.USAGE: "wrong usage",
    Status.WITH_FAILURES: "completed with failures",
    Status.LIMIT: "stopped by a limit you set",
    Status.PAUSED: "paused, needs you",
    Status.INTERRUPTED: "interrupted, resumable",
}

EPILOG = "Exit status: " + ", ".join(f"{int(status)} {meaning}" for status, meaning in MEANINGS.items()) + "."

# The nearest class of an error decides; every other error is Status.ERROR.
_ERRORS: Mapping[type[BaseException], Status] = {
    errors.BackstayError: Status.ERROR,
    errors.SettingsError: Status.USAGE,
    errors.RecipeError: Status.USAGE,
    errors.Refused: Status.USAGE,
    errors.InputNotFound: Status.USAGE,
    errors.UnknownColumn: Status.USAGE,
    errors.ProcessorUnusable: Status.USAGE,
    errors.StoreFull: Status.PAUSED,
    errors.BackupDiskFull: Status.PAUSED,
    errors.Stopped: Status.INTERRUPTED,
}

_ENDINGS: Mapping[str, Status] = {
    "limit": Status.LIMIT,
    "paused": Status.PAUSED,
    "cancelled": Status.ERROR,
    "stopped": Status.INTERRUPTED,
}


def of_error(error: BaseException) -> Status:
    """Return the status that an error ends the command with."""
    return next((_ERRORS[kind] for kind in type(error).__mro__ if kind in _ERRORS), Status.ERROR)


def of_result(result: "BatchResult") -> Status:
    """Return the status that a run ends the command with."""
    finished = Status.WITH_FAILURES if result.failed else Status.DONE
    return _ENDINGS.get(result.ending, finished)
