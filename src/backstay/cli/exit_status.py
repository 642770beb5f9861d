"""Exit statuses, the table that maps errors to them, and the function that maps results."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

from backstay import errors

if TYPE_CHECKING:
    from backstay.batch.runner import BatchResult


class ExitStatus(IntEnum):
    DONE = 0
    ERROR = 1
    USAGE = 2
    WITH_FAILURES = 3
    LIMIT = 4
    PAUSED = 5
    INTERRUPTED = 130


READER_GONE = 141
"""Exit status if the reader of standard output closed it; a shell reports the same for a program that SIGPIPE ended."""

MEANINGS: Mapping[ExitStatus, str] = {
    ExitStatus.DONE: "all done",
    ExitStatus.ERROR: "error",
    ExitStatus.USAGE: "wrong usage",
    ExitStatus.WITH_FAILURES: "completed with failures",
    ExitStatus.LIMIT: "stopped by a limit you set",
    ExitStatus.PAUSED: "paused, needs you",
    ExitStatus.INTERRUPTED: "interrupted, resumable",
}

EPILOG = "Exit status: " + ", ".join(f"{int(status)} {meaning}" for status, meaning in MEANINGS.items()) + "."

# The nearest class of an error decides; every other error is ExitStatus.ERROR.
_ERRORS: Mapping[type[BaseException], ExitStatus] = {
    errors.BackstayError: ExitStatus.ERROR,
    errors.SettingsError: ExitStatus.USAGE,
    errors.RecipeError: ExitStatus.USAGE,
    errors.Refused: ExitStatus.USAGE,
    errors.InputNotFound: ExitStatus.USAGE,
    errors.UnknownColumn: ExitStatus.USAGE,
    errors.ProcessorUnusable: ExitStatus.USAGE,
    errors.StoreFull: ExitStatus.PAUSED,
    errors.BackupDiskFull: ExitStatus.PAUSED,
    errors.Stopped: ExitStatus.INTERRUPTED,
}


def status_of_error(error: BaseException) -> ExitStatus:
    """Return the exit status for an error."""
    return next((_ERRORS[kind] for kind in type(error).__mro__ if kind in _ERRORS), ExitStatus.ERROR)


def status_of_result(result: "BatchResult") -> ExitStatus:
    """Return the exit status for the result of a run."""
    from backstay.batch.worker import EndReason

    match result.ending:
        case EndReason.LIMIT:
            return ExitStatus.LIMIT
        case EndReason.PAUSED:
            return ExitStatus.PAUSED
        case EndReason.CANCELLED:
            return ExitStatus.ERROR
        case EndReason.STOPPED:
            return ExitStatus.INTERRUPTED
        case EndReason.FINISHED:
            return ExitStatus.WITH_FAILURES if result.failed else ExitStatus.DONE
