"""Every error Backstay raises.

    BackstayError
      InputError             InputNotFound, InputEmpty, InputUnreadable, InputTooLarge, InvalidRow, DuplicateItem,
                             UnknownColumn
      NotFound               JobNotFound, ItemNotFound, ConversationNotFound, BackupNotFound, StoreNotFound
      Conflict               JobDiffers, ItemsDiffer, InvalidTransition, LeaseLost, JobHasWorkers, ConversationExists,
                             RestoreConflict, PlanOutdated, DeleteBlocked, BackupInUse,
                             IdempotencyKeyReused, IdempotencyKeyInFlight
      Refused                JobNameNeeded, ConfirmationNeeded, ProcessorNotPortable, EmptySelection, NothingToRun,
                             CannotAdopt, AdoptedTableNotWritable, ProcessorNotAllowed
      SettingsError          ApiKeyMissing, ApiKeyNotAllowed
      RecipeError            UnknownVariable
      Stopped
      OutputUnwritable
      ProcessorUnusable      ProcessorNotFound
      InvalidConversation
      BackupError            BackupFailed, BackupDiskFull, BackupFolderUnrecognized, BackupUnreachable,
                             BackupUnusable, BackupDamaged, BackupTooNew, NotABackup, ColumnsDiffer,
                             RestoreDiffers, ClockBehind
      StorageError           StoreBusy, ReadTooLong, StoreUnavailable, CommitUnknown, StoreDenied, StoreFull,
                             StoreReadOnly, StoreGone, StoreCorrupt, NotADatabase, SchemaTooNew, SchemaOutdated,
                             UnsafeSQLite, OutcomeRefused, StoreClosed

Each class has a stable `code`. Each instance has a `message` for people, which states the fact, a `context` of plain
values for programs, and a `remedy` if users can take a next step. The server and the command line each have tables that
map errors to statuses and phrase the remedies.
"""

from types import EllipsisType
from typing import Any, ClassVar, Self

from backstay.remedy import IN_PYTHON, Remedy, join_remedy


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

    code = "input_error"


class InputNotFound(InputError):
    code = "input_not_found"


class InputEmpty(InputError):
    code = "input_empty"


class InputUnreadable(InputError):
    """The whole file is unusable: unknown format, not UTF-8, or invalid JSON."""

    code = "input_unreadable"


class InputTooLarge(InputError):
    """A file expands to more rows or text than a server accepts at once."""

    code = "input_too_large"
    remedy = Remedy.SPLIT_INPUT


class InvalidRow(InputError):
    """One row is unusable: ragged, not an object, or without a topic."""

    code = "invalid_row"


class DuplicateItem(InputError):
    """Two rows have the same id and different content."""

    code = "duplicate_item"


class UnknownColumn(InputError):
    code = "unknown_column"


class NotFound(BackstayError):
    """The owner has nothing of that name; another owner's objects raise the same error."""

    code = "not_found"


class JobNotFound(NotFound):
    code = "job_not_found"
    remedy = Remedy.LIST_JOBS


class ItemNotFound(NotFound):
    code = "item_not_found"


class ConversationNotFound(NotFound):
    code = "conversation_not_found"
    remedy = Remedy.LIST_CONVERSATIONS


class BackupNotFound(NotFound):
    code = "backup_not_found"
    remedy = Remedy.LIST_BACKUPS


class StoreNotFound(NotFound):
    """The database does not exist, and this operation does not create one."""

    code = "store_not_found"


class Conflict(BackstayError):
    """The request contradicts what is stored."""

    code = "conflict"


class JobDiffers(Conflict):
    """The job exists with another processor or recipe."""

    code = "job_differs"
    remedy = Remedy.FREE_JOB_NAME


class ItemsDiffer(Conflict):
    """The job exists with other items."""

    code = "items_differ"
    remedy = Remedy.CHOOSE_JOB_NAME


class InvalidTransition(Conflict):
    """The job's state does not allow the request."""

    code = "invalid_transition"


class LeaseLost(Conflict):
    """The worker's lease was reclaimed, so its token is no longer current and it can write nothing."""

    code = "lease_lost"


class JobHasWorkers(Conflict):
    """The job has a live worker, so it cannot be discarded."""

    code = "job_has_workers"
    remedy = Remedy.CANCEL_JOB


class ConversationExists(Conflict):
    """An import contains a conversation whose id is already taken."""

    code = "conversation_exists"
    remedy = Remedy.SKIP_OR_RENAME


class RestoreConflict(Conflict):
    """A restore found other content under the same id, or another result of the same item."""

    code = "restore_conflict"
    remedy = Remedy.SKIP_OR_REPLACE


class PlanOutdated(Conflict):
    """The selection is no longer what the plan showed."""

    code = "plan_outdated"


class DeleteBlocked(Conflict):
    """Rows of other tables prevent the delete of these conversations; `context` names them."""

    code = "delete_blocked"


class BackupInUse(Conflict):
    """The backup is pinned, being written, or needed by an unfinished delete."""

    code = "backup_in_use"


class IdempotencyKeyReused(Conflict):
    """The idempotency key was used for another request."""

    code = "idempotency_key_reused"


class IdempotencyKeyInFlight(Conflict):
    """A request with the same idempotency key is in progress."""

    code = "idempotency_key_in_flight"


class Refused(BackstayError):
    """The request is incomplete or needs a confirmation."""

    code = "refused"


class JobNameNeeded(Refused):
    code = "job_name_needed"


class ConfirmationNeeded(Refused):
    code = "confirmation_needed"


class ProcessorNotPortable(Refused):
    """The job's processor is a callable of a program, so only that program can continue the job."""

    code = "processor_not_portable"


class EmptySelection(Refused):
    code = "empty_selection"
    remedy = Remedy.LIST_CONVERSATIONS


class NothingToRun(Refused):
    code = "nothing_to_run"
    remedy = Remedy.LIST_JOBS


class CannotAdopt(Refused):
    """The user's tables cannot be adopted as they are, or an adoption cannot be undone now."""

    code = "cannot_adopt"


class AdoptedTableNotWritable(Refused):
    """The adopted tables accept no new conversations; their rows can be backed up, deleted and restored."""

    code = "adopted_table_not_writable"


class ProcessorNotAllowed(Refused):
    """The server's settings do not name this recipe or function, and it runs no other."""

    code = "processor_not_allowed"
    remedy = Remedy.ALLOW_PROCESSOR


class SettingsError(BackstayError):
    """A setting, flag or settings file is wrong."""

    code = "settings_error"


class ApiKeyMissing(SettingsError):
    """The API key that a provider needs is not set, or its command or file gives none."""

    code = "api_key_missing"


class ApiKeyNotAllowed(SettingsError):
    """A recipe file or a stored job would send a key to a host that has not been allowed."""

    code = "api_key_not_allowed"
    remedy = Remedy.ALLOW_KEY


class RecipeError(BackstayError):
    """The recipe is invalid: a field, a template, a model's name or an address."""

    code = "recipe_error"


class UnknownVariable(RecipeError):
    """A template uses a variable that a row of the input does not have."""

    code = "unknown_variable"


class Stopped(BackstayError):
    """A stop was requested before the job was created, so nothing was called or stored."""

    code = "stopped"


class OutputUnwritable(BackstayError):
    """The output cannot be written where the user asked for it."""

    code = "output_unwritable"


class ProcessorUnusable(BackstayError):
    """The object is not callable as a processor."""

    code = "processor_unusable"


class ProcessorNotFound(ProcessorUnusable):
    """`module:function` cannot be imported."""

    code = "processor_not_found"


class InvalidConversation(BackstayError):
    """The conversation cannot be stored: it has no turns, an empty turn, or invalid Unicode."""

    code = "invalid_conversation"


class BackupError(BackstayError):
    """A backup could not be created, read or restored; the conversations are unchanged."""

    code = "backup_error"


class BackupFailed(BackupError):
    """The backup could not be written or failed its verification; nothing was deleted."""

    code = "backup_failed"


class BackupDiskFull(BackupError):
    """The disk of the backups is full; nothing was deleted."""

    code = "backup_disk_full"


class BackupFolderUnrecognized(BackupError):
    """The backup folder is not recognized as this library's, because a disk is not mounted or the database is a copy.

    Nothing was written or deleted.
    """

    code = "backup_folder_unrecognized"


class BackupUnreachable(BackupError):
    """The file of a backup, or the backup folder, cannot be opened."""

    code = "backup_unreachable"


class BackupUnusable(BackupError):
    """The backup is not verified, is damaged, or has expired."""

    code = "backup_unusable"


class BackupDamaged(BackupError):
    """The file differs from what was verified."""

    code = "backup_damaged"


class BackupTooNew(BackupError):
    """A newer Backstay wrote this file."""

    code = "backup_too_new"


class NotABackup(BackupError):
    """The file is not a backup, or another program has rewritten it."""

    code = "not_a_backup"


class ColumnsDiffer(BackupError):
    """The backup has columns that the database lacks."""

    code = "columns_differ"


class RestoreDiffers(BackupError):
    """The restored conversations differ from the backup; everything was rolled back."""

    code = "restore_differs"


class ClockBehind(BackupError):
    """The clock is behind the newest backup, so that expiry cannot be decided."""

    code = "clock_behind"
    remedy = Remedy.SET_CLOCK


class StorageError(BackstayError):
    """The database operation failed."""

    code = "storage_error"


class StoreBusy(StorageError):
    """Another program holds the database's write lock for too long."""

    code = "store_busy"


class ReadTooLong(StorageError):
    """A read took longer than the server allows and was stopped; nothing was changed."""

    code = "read_too_long"


class StoreUnavailable(StorageError):
    """The database server cannot be reached, or the connection was lost."""

    code = "store_unavailable"


class CommitUnknown(StorageError):
    """The reply to a COMMIT was lost, and the server cannot be asked whether it succeeded."""

    code = "commit_unknown"


class StoreDenied(StorageError):
    """The database server rejects this user, or the user lacks a privilege."""

    code = "store_denied"


class StoreFull(StorageError):
    """The disk of the database is full. Jobs stay resumable."""

    code = "store_full"


class StoreReadOnly(StorageError):
    code = "store_read_only"


class StoreGone(StorageError):
    """The database file was deleted, moved or replaced while it was open; later commits are lost."""

    code = "store_gone"


class StoreCorrupt(StorageError):
    code = "store_corrupt"


class NotADatabase(StorageError):
    code = "not_a_database"


class SchemaTooNew(StorageError):
    """A newer Backstay wrote this database."""

    code = "schema_too_new"


class SchemaOutdated(StorageError):
    """The database needs a migration that is not possible now."""

    code = "schema_outdated"


class UnsafeSQLite(StorageError):
    """The SQLite library in use can lose commits."""

    code = "unsafe_sqlite"


class OutcomeRefused(StorageError):
    """The database rejects one item's outcome, so only that item fails."""

    code = "outcome_refused"


class StoreClosed(StorageError):
    """The store was used before it was opened or after it was closed."""

    code = "store_closed"
