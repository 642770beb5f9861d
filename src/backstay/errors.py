"""Every error Backstay raises.

    BackstayError
      InputError             InputNotFound, InputEmpty, InputUnreadable, InputTooLarge, InvalidRow, DuplicateItem,
                             UnknownColumn
      NotFound               JobNotFound, ItemNotFound, ConversationNotFound, VersionNotFound, BackupNotFound,
                             ImportNotFound, StoreNotFound
      Conflict               JobDiffers, ItemsDiffer, RecipeRevised, InvalidTransition, LeaseLost, JobHasWorkers,
                             ConversationExists, ConversationChanged, ReviewChanged, EditBlocked, RestoreConflict,
                             ReplacementRefused, PlanOutdated, DeleteBlocked, BackupInUse, IdempotencyKeyReused,
                             IdempotencyKeyInFlight
      Refused                JobNameNeeded, ConfirmationNeeded, ProcessorNotPortable, EmptySelection, NothingToRun,
                             CannotAdopt, CannotRegenerate, AdoptedTableNotWritable, ProcessorNotAllowed, LossyExport,
                             ConversationUnwritable
      SettingsError          ApiKeyMissing, ApiKeyNotAllowed
      RecipeError            UnknownVariable
      Stopped
      OutputUnwritable
      ProcessorUnusable      ProcessorNotFound
      InvalidConversation
      RefusedByTrainers
      BackupError            BackupFailed, BackupDiskFull, BackupFolderUnrecognized, BackupUnreachable,
                             BackupUnusable, BackupDamaged, BackupTooNew, NotABackup, ColumnsDiffer,
                             RestoreDiffers, ClockBehind
      StorageError           StoreBusy, ReadTooLong, StoreUnavailable, CommitUnknown, StoreDenied, StoreFull,
                             StoreReadOnly, StoreGone, StoreCorrupt, NotADatabase, SchemaTooNew, SchemaOutdated,
                             UnsafeSQLite, OutcomeRefused, StoreClosed

Each class has a stable `code` for programs: its name in lower case with underscores. Each instance has a `message` for
people, which states the fact, a `context` of plain values for programs, and a `remedy` if users can take a next step.
The server and the command line each have tables that map errors to statuses and phrase the remedies.
"""

import re
from types import EllipsisType
from typing import Any, ClassVar, Self

from backstay.remedy import IN_PYTHON, Remedy, join_remedy

_WORD_STARTS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def kind_of(value: object) -> str:
    """Return the type of a value for a message: `an int`, `a list`."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


class BackstayError(Exception):
    """Base of all errors raised on purpose.

    `message` is one line for people. `context` holds JSON-compatible values: never a prompt, an answer or a key.
    An instance may replace the class's `remedy` by another one, or by None for no remedy.
    """

    code: ClassVar[str] = "error"
    remedy: Remedy | None = None

    def __init_subclass__(cls) -> None:
        if "code" not in vars(cls):
            cls.code = _WORD_STARTS.sub("_", cls.__name__).lower()

    def __init__(self, message: str, *, remedy: Remedy | EllipsisType | None = ..., **context: Any) -> None:
        super().__init__(message)
        self.message = message
        self.context = context
        if remedy is not ...:
            self.remedy = remedy

    def __str__(self) -> str:
        return join_remedy(self.message, IN_PYTHON.get(self.remedy) if self.remedy is not None else None)

    def with_message(self, message: str, **context: Any) -> Self:
        """Return this error with another message and context."""
        return type(self)(message, remedy=self.remedy, **context)


class InputError(BackstayError):
    """The input of a batch is unusable; `context` has `path` and `line` if known."""


class InputNotFound(InputError):
    """The input file does not exist."""


class InputEmpty(InputError):
    """The input has no rows."""


class InputUnreadable(InputError):
    """The whole file is unusable: unknown format, not UTF-8, or invalid JSON."""


class InputTooLarge(InputError):
    """A file expands to more rows or text than a server accepts at once."""

    remedy = Remedy.SPLIT_INPUT


class InvalidRow(InputError):
    """One row is unusable: ragged, not an object, or without a topic."""


class DuplicateItem(InputError):
    """Two rows have the same id and different content."""


class UnknownColumn(InputError):
    """The input lacks a column that was named."""


class NotFound(BackstayError):
    """The owner has nothing of that name; another owner's objects raise the same error."""


class JobNotFound(NotFound):
    remedy = Remedy.LIST_JOBS


class ItemNotFound(NotFound):
    """The job has no item of that id."""


class ConversationNotFound(NotFound):
    remedy = Remedy.LIST_CONVERSATIONS


class VersionNotFound(NotFound):
    """The conversation has no version of that number, or has never been edited."""

    remedy = Remedy.LIST_VERSIONS


class BackupNotFound(NotFound):
    remedy = Remedy.LIST_BACKUPS


class ImportNotFound(NotFound):
    """No import of this owner has this id, or nothing was imported yet."""


class StoreNotFound(NotFound):
    """The database does not exist, and this operation does not create one."""


class Conflict(BackstayError):
    """The request contradicts what is stored."""


class JobDiffers(Conflict):
    """The job exists with another processor or recipe."""

    remedy = Remedy.FREE_JOB_NAME


class ItemsDiffer(Conflict):
    """The job exists with other items."""

    remedy = Remedy.CHOOSE_JOB_NAME


class RecipeRevised(Conflict):
    """The job's recipe was revised after this run had read it, so the run processes nothing more."""

    remedy = Remedy.RESUME_JOB


class InvalidTransition(Conflict):
    """The job's state does not allow the request."""


class LeaseLost(Conflict):
    """The worker's lease was reclaimed, so its token is no longer current and it can write nothing."""


class JobHasWorkers(Conflict):
    """The job has a live worker, so it cannot be discarded, and its recipe cannot be revised."""

    remedy = Remedy.CANCEL_JOB


class ConversationExists(Conflict):
    """An import contains a conversation whose id is already taken."""

    remedy = Remedy.SKIP_OR_RENAME


class ConversationChanged(Conflict):
    """The conversation was changed since the editor read it, so the edit was not stored."""

    remedy = Remedy.READ_AGAIN


class ReviewChanged(Conflict):
    """The review of a conversation was changed since the reviewer read it, so the new one was not stored."""

    remedy = Remedy.READ_AGAIN


class EditBlocked(Conflict):
    """Rows of other tables refer to turns that an edit would remove or renumber; or no more versions can be kept."""


class RestoreConflict(Conflict):
    """A restore found other content under the same id, or another result of the same item."""

    remedy = Remedy.SKIP_OR_REPLACE


class ReplacementRefused(Conflict):
    """The conversation that an item replaces is not as it was backed up, so it stays; only that item fails."""


class PlanOutdated(Conflict):
    """What a plan or a form showed has changed since."""


class DeleteBlocked(Conflict):
    """Rows of other tables prevent the delete of these conversations; `context` names them."""


class BackupInUse(Conflict):
    """The backup is pinned, being written, or needed by an unfinished delete."""


class IdempotencyKeyReused(Conflict):
    """The idempotency key was used for another request."""


class IdempotencyKeyInFlight(Conflict):
    """A request with the same idempotency key is in progress."""


class Refused(BackstayError):
    """The request is incomplete or needs a confirmation."""


class JobNameNeeded(Refused):
    """Several jobs may be meant, or the input gives a new job no name."""


class ConfirmationNeeded(Refused):
    """The request cannot be taken back, and was not confirmed."""


class ProcessorNotPortable(Refused):
    """The job's processor is a callable of a program, so only that program can continue the job."""


class EmptySelection(Refused):
    remedy = Remedy.LIST_CONVERSATIONS


class NothingToRun(Refused):
    remedy = Remedy.LIST_JOBS


class CannotAdopt(Refused):
    """The user's tables cannot be adopted as they are, or an adoption cannot be undone now."""


class CannotRegenerate(Refused):
    """Some of the selected conversations cannot be made again, so none is; `context` counts them by reason."""


class AdoptedTableNotWritable(Refused):
    """The adopted tables accept no new conversations; their rows can be backed up, deleted and restored."""


class ProcessorNotAllowed(Refused):
    """The server's settings do not name this recipe or function, and it runs no other."""

    remedy = Remedy.ALLOW_PROCESSOR


class LossyExport(Refused):
    """The export format cannot hold everything in the selected conversations; `context` has the losses with counts."""

    remedy = Remedy.ALLOW_LOSSES


class ConversationUnwritable(Refused):
    """The export format cannot hold a conversation at all, for example because its text would be read as markers."""

    remedy = Remedy.CHOOSE_FORMAT


class SettingsError(BackstayError):
    """A setting, flag or settings file is wrong."""


class ApiKeyMissing(SettingsError):
    """The API key that a provider needs is not set, or its command or file gives none."""


class ApiKeyNotAllowed(SettingsError):
    """A recipe file or a stored job would send a key to a host that has not been allowed."""

    remedy = Remedy.ALLOW_KEY


class RecipeError(BackstayError):
    """The recipe is invalid: a field, a template, a model's name or an address."""


class UnknownVariable(RecipeError):
    """A template uses a variable that a row of the input does not have."""


class Stopped(BackstayError):
    """A stop was requested before the job was created, so nothing was called or stored."""


class OutputUnwritable(BackstayError):
    """The output cannot be written to the requested target."""


class ProcessorUnusable(BackstayError):
    """The object is not callable as a processor."""


class ProcessorNotFound(ProcessorUnusable):
    """`module:function` cannot be imported."""


class InvalidConversation(BackstayError):
    """The conversation cannot be stored: it has no turns, an empty turn, or invalid Unicode."""


class RefusedByTrainers(BackstayError):
    """Trainers would refuse some of the conversations, and the request was `strict`; `context` has the counts."""

    remedy = Remedy.ACCEPT_WARNINGS


class BackupError(BackstayError):
    """A backup could not be created, read or restored; the conversations are unchanged."""


class BackupFailed(BackupError):
    """The backup could not be written or failed its verification; nothing was deleted."""


class BackupDiskFull(BackupError):
    """The disk of the backups is full; nothing was deleted."""


class BackupFolderUnrecognized(BackupError):
    """The backup folder is not recognized as this library's, because a disk is not mounted or the database is a copy.

    Nothing was written or deleted.
    """


class BackupUnreachable(BackupError):
    """The file of a backup, or the backup folder, cannot be opened."""


class BackupUnusable(BackupError):
    """The backup is not verified, is damaged, or has expired."""


class BackupDamaged(BackupError):
    """The file differs from what was verified."""


class BackupTooNew(BackupError):
    """A newer Backstay wrote this file."""


class NotABackup(BackupError):
    """The file is not a backup, or another program has rewritten it."""


class ColumnsDiffer(BackupError):
    """The backup has columns that the database lacks."""


class RestoreDiffers(BackupError):
    """The restored conversations differ from the backup; everything was rolled back."""


class ClockBehind(BackupError):
    """The clock is behind the newest backup, so that expiry cannot be decided."""

    remedy = Remedy.SET_CLOCK


class StorageError(BackstayError):
    """The database operation failed."""


class StoreBusy(StorageError):
    """Another program holds the database's write lock for too long."""


class ReadTooLong(StorageError):
    """A read took longer than the server allows and was stopped; nothing was changed."""


class StoreUnavailable(StorageError):
    """The database server cannot be reached, or the connection was lost."""


class CommitUnknown(StorageError):
    """The reply to a COMMIT was lost, and the server cannot be asked whether it succeeded."""


class StoreDenied(StorageError):
    """The database server rejects this user, or the user lacks a privilege."""


class StoreFull(StorageError):
    """The disk of the database is full. Jobs stay resumable."""


class StoreReadOnly(StorageError):
    """The database cannot be written."""


class StoreGone(StorageError):
    """The database file was deleted, moved or replaced while it was open; later commits are lost."""


class StoreCorrupt(StorageError):
    """The database is damaged."""


class NotADatabase(StorageError):
    """The file is not a SQLite database."""


class SchemaTooNew(StorageError):
    """A newer Backstay wrote this database."""


class SchemaOutdated(StorageError):
    """The database needs a migration that is not possible now."""


class UnsafeSQLite(StorageError):
    """The SQLite library in use can lose commits."""

    code = "unsafe_sqlite"


class OutcomeRefused(StorageError):
    """The database rejects one item's outcome, so only that item fails."""


class StoreClosed(StorageError):
    """The store was used before it was opened or after it was closed."""
