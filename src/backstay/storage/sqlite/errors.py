"""Translates SQLite's errors to Backstay's."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from backstay.errors import (
    BackstayError,
    NotADatabase,
    OutcomeRefused,
    StorageError,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreReadOnly,
)
from backstay.remedy import Remedy

# The database refuses a value. Only the outcome that holds this value fails.
_VALUE_ERRORS = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, UnicodeEncodeError, OverflowError)


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Translate errors of SQLite within the context to errors that name the database and the next step."""
    try:
        yield
    except BackstayError:
        raise
    except _VALUE_ERRORS as error:
        raise OutcomeRefused(f"The database refused it: {_value_problem(error)}", path=str(path)) from error
    except apsw.BusyError as error:
        raise StoreBusy(
            f"{path} is locked by another program; close that program, then try again", path=str(path)
        ) from error
    except apsw.FullError as error:
        raise StoreFull(f"No space is left for {path}; free some, then try again", path=str(path)) from error
    except apsw.ReadOnlyError as error:
        raise StoreReadOnly(
            f"{path} cannot be written; check the permissions of file and folder", path=str(path)
        ) from error
    except apsw.NotADBError as error:
        raise NotADatabase(f"{path} is not a SQLite database; name another file", path=str(path)) from error
    except (apsw.CorruptError, UnicodeDecodeError) as error:
        raise _corrupt(path, error) from error
    except apsw.CantOpenError as error:
        raise StorageError(
            f"{path} cannot be opened; check the permissions of file and folder", path=str(path)
        ) from error
    except apsw.IOError as error:
        raise _io_error(path, error) from error
    except apsw.Error as error:
        raise StorageError(f"{path}: {error}", path=str(path)) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(f"No space is left for {path}; free some, then try again", path=str(path)) from error
        raise StorageError(f"{path}: {error.strerror}", path=str(path)) from error


def _value_problem(error: Exception) -> str:
    if getattr(error, "extendedresult", None) == apsw.SQLITE_CONSTRAINT_TRIGGER:
        # The trigger's message may quote the content, so it is not repeated.
        return "a user's trigger raised an error"
    is_id = str(error).endswith(": conversations.owner, conversations.id")
    return "a conversation with this id exists already" if is_id else str(error)


def _corrupt(path: Path, error: Exception) -> StoreCorrupt:
    if isinstance(error, UnicodeDecodeError):
        fault = "holds text that is not UTF-8, written by another program; CAST it to BLOB, or correct it"
        return StoreCorrupt(f"{path} {fault}", path=str(path))
    return StoreCorrupt(f"{path} is damaged ({error})", remedy=Remedy.EXAMINE, path=str(path))


def _io_error(path: Path, error: apsw.IOError) -> StorageError:
    # The log's index grows by 32 KiB at a time. If they do not fit on the disk, SQLite reports an I/O error.
    with suppress(OSError):
        if shutil.disk_usage(path.parent).free < 64 * 1024:
            return StoreFull(f"No space is left for {path}; free some, then try again", path=str(path))
    # An I/O error is never retried here, because after a failed fsync the disk's state is unknown. Reopening is safe.
    return StorageError(f"The disk failed while using {path}: {error}", path=str(path))
