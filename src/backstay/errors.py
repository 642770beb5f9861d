"""Every error Backstay raises.

    BackstayError
      InputError             InputNotFound, InputEmpty, InputUnreadable, InputTooLarge, InvalidRow, DuplicateItem,
                             UnknownColumn
      NotFound               JobNotFound, ItemNotFound, ConversationNotFound, BackupNotFound, StoreNotFound
      Conflict               JobDiffers, ItemsDiffer, InvalidTransition, LeaseLost, JobHasWorkers, ConversationExists,
                             RestoreConflict, PlanOutdated, DeleteBlocked, BackupInUse,
                             IdempotencyKeyReused, IdempotencyKeyInFlight
      Refused                JobNameNeeded, ConfirmationNeeded, ProcessorNotPortable, ItemsNeeded, EmptySelection,
                             NothingToRun, CannotAdopt, AdoptedTableNotWritable, ProcessorNotAllowed
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

Each class has a stable `code`; each instance a message for people that names the thing and the next step, and a
`context` of plain values for machines. Errors know nothing of HTTP or of exit statuses: the edges hold one table each.
"""

from typing import Any, ClassVar


def kind_of(value: object) -> str:
    """Return what a value is, for a message: `an int`, `a list`."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


class BackstayError(Exception):
    """Base of all errors raised on purpose.

    `message` is one line for people. `context` holds JSON-compatible values: never a prompt, an answer or a key.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **context: Any) -> None:
        super().__init__(message)
        self.message = message
        self.context = context


class InputError(BackstayError):
    """The input of a batch cannot be used as it is; `context` says `path` and `line` where known."""

    code = "input_error"


class InputNotFound(InputError):
    code = "input_not_found"


class InputEmpty(InputError):
    code = "input_empty"


class InputUnreadable(InputError):
    """The file as a whole is of no use: unknown kind, not UTF-8, broken JSON."""

    code = "input_unreadable"


class InputTooLarge(InputError):
    """A file expands to more rows or text than a server takes at once."""

    code = "input_too_large"


class InvalidRow(InputError):
    """One row is of no use: ragged, not an object, without a topic."""

    code = "invalid_row"


class DuplicateItem(InputError):
    """One id stands for two different contents."""

    code = "duplicate_item"


class UnknownColumn(InputError):
    code = "unknown_column"


class NotFound(BackstayError):
    """Nothing of that name is there for this owner; another owner's answers the same."""

    code = "not_found"


class JobNotFound(NotFound):
    code = "job_not_found"


class ItemNotFound(NotFound):
    code = "item_not_found"


class ConversationNotFound(NotFound):
    code = "conversation_not_found"


class BackupNotFound(NotFound):
    code = "backup_not_found"


class StoreNotFound(NotFound):
    """A reading command found no database; reading never makes one."""

    code = "store_not_found"


class Conflict(BackstayError):
    """What is stored and what is asked for contradict each other."""

    code = "conflict"


class JobDiffers(Conflict):
    """The job exists with another processor or recipe."""

    code = "job_differs"


class ItemsDiffer(Conflict):
    """The job exists with other items."""

    code = "items_differ"


class InvalidTransition(Conflict):
    """The job's state does not allow what was asked."""

    code = "invalid_transition"


class LeaseLost(Conflict):
    """This worker was taken over: its token is no longer current, nothing it holds may be written."""

    code = "lease_lost"


class JobHasWorkers(Conflict):
    """A live worker is on the job, so it cannot be removed under it."""

    code = "job_has_workers"


class ConversationExists(Conflict):
    """An import brings a conversation whose id another one has."""

    code = "conversation_exists"


class RestoreConflict(Conflict):
    """What is to be restored meets other content under the same id, or another result of the same item."""

    code = "restore_conflict"


class PlanOutdated(Conflict):
    """What is selected is no longer what the plan showed."""

    code = "plan_outdated"


class DeleteBlocked(Conflict):
    """Rows of other tables keep these conversations from being deleted; `context` names them."""

    code = "delete_blocked"


class BackupInUse(Conflict):
    """The backup is pinned, being written, or needed by a delete that has not come to its end."""

    code = "backup_in_use"


class IdempotencyKeyReused(Conflict):
    """The key of a request was used for another one."""

    code = "idempotency_key_reused"


class IdempotencyKeyInFlight(Conflict):
    """A request of the same key is being worked on."""

    code = "idempotency_key_in_flight"


class Refused(BackstayError):
    """Possible, but not without being said more clearly."""

    code = "refused"


class JobNameNeeded(Refused):
    code = "job_name_needed"


class ConfirmationNeeded(Refused):
    code = "confirmation_needed"


class ProcessorNotPortable(Refused):
    """The job's processor is a callable of some program: only that program can go on with it."""

    code = "processor_not_portable"


class ItemsNeeded(Refused):
    """The job was taken over from another program, and does not know its items: only a run with all of them goes on."""

    code = "items_needed"


class EmptySelection(Refused):
    code = "empty_selection"


class NothingToRun(Refused):
    code = "nothing_to_run"


class CannotAdopt(Refused):
    """Tables of a user's own cannot be put in the place of ours as they are, or not be given back."""

    code = "cannot_adopt"


class AdoptedTableNotWritable(Refused):
    """The tables that were adopted take no new conversations; what is in them can be backed up, deleted, restored."""

    code = "adopted_table_not_writable"


class ProcessorNotAllowed(Refused):
    """A server works with the recipes and functions of its own settings only, and this is none of them."""

    code = "processor_not_allowed"


class SettingsError(BackstayError):
    """A setting, flag or settings file is wrong."""

    code = "settings_error"


class ApiKeyMissing(SettingsError):
    """The API key that a provider needs is not set, or its command or file gives none."""

    code = "api_key_missing"


class ApiKeyNotAllowed(SettingsError):
    """A recipe file or a stored job would send a key to a host that has not been allowed."""

    code = "api_key_not_allowed"


class RecipeError(BackstayError):
    """The recipe cannot be followed as it is: a field, a template, a model's name, an address."""

    code = "recipe_error"


class UnknownVariable(RecipeError):
    """A template uses a variable that a row of the input does not have."""

    code = "unknown_variable"


class Stopped(BackstayError):
    """A stop was asked for before the job was made: nothing was called, nothing is left behind."""

    code = "stopped"


class OutputUnwritable(BackstayError):
    """What was to be written for the user cannot be written where they said."""

    code = "output_unwritable"


class ProcessorUnusable(BackstayError):
    """The processor cannot be called as a processor."""

    code = "processor_unusable"


class ProcessorNotFound(ProcessorUnusable):
    """`module:function` cannot be imported."""

    code = "processor_not_found"


class InvalidConversation(BackstayError):
    """A conversation that may not be stored: no turns, an empty turn, text that is not valid Unicode."""

    code = "invalid_conversation"


class BackupError(BackstayError):
    """A backup could not be made, read or restored. What it was to protect is untouched."""

    code = "backup_error"


class BackupFailed(BackupError):
    """The backup could not be written or failed its verification; nothing was deleted."""

    code = "backup_failed"


class BackupDiskFull(BackupError):
    """No space is left where backups are kept; nothing was deleted."""

    code = "backup_disk_full"


class BackupFolderUnrecognized(BackupError):
    """The folder of backups is not known to be this library's: a disk is not mounted, or the database is a copy.

    Nothing was written or deleted.
    """

    code = "backup_folder_unrecognized"


class BackupUnreachable(BackupError):
    """The file of a backup, or the folder of all, cannot be opened."""

    code = "backup_unreachable"


class BackupUnusable(BackupError):
    """The state of the backup does not allow it: it is not verified, is damaged, or has expired."""

    code = "backup_unusable"


class BackupDamaged(BackupError):
    """The file is not what was verified."""

    code = "backup_damaged"


class BackupTooNew(BackupError):
    """A newer Backstay wrote this file."""

    code = "backup_too_new"


class NotABackup(BackupError):
    """The file is something else, or was written anew by another program."""

    code = "not_a_backup"


class ColumnsDiffer(BackupError):
    """The backup has columns that the database lacks."""

    code = "columns_differ"


class RestoreDiffers(BackupError):
    """What was restored did not read back as what is in the backup; everything was rolled back."""

    code = "restore_differs"


class ClockBehind(BackupError):
    """The clock shows a time before the newest backup was made, so nobody can say what has expired."""

    code = "clock_behind"


class StorageError(BackstayError):
    """The database could not do it."""

    code = "storage_error"


class StoreBusy(StorageError):
    """Another program holds the database's write lock for longer than we wait."""

    code = "store_busy"


class ReadTooLong(StorageError):
    """A read took longer than the server allows and was stopped; nothing was changed."""

    code = "read_too_long"


class StoreUnavailable(StorageError):
    """The database's server cannot be reached, or went away; nothing is known to be wrong with what is in it."""

    code = "store_unavailable"


class CommitUnknown(StorageError):
    """The answer to a commit was lost, and the server does not come back to say whether it was made."""

    code = "commit_unknown"


class StoreDenied(StorageError):
    """The database's server does not let this user in, or not do this."""

    code = "store_denied"


class StoreFull(StorageError):
    """No space left for the database. Work stays resumable."""

    code = "store_full"


class StoreReadOnly(StorageError):
    code = "store_read_only"


class StoreGone(StorageError):
    """The database's file was deleted, moved or replaced under us. What was committed since is nowhere to be found."""

    code = "store_gone"


class StoreCorrupt(StorageError):
    code = "store_corrupt"


class NotADatabase(StorageError):
    code = "not_a_database"


class SchemaTooNew(StorageError):
    """A newer Backstay wrote this database."""

    code = "schema_too_new"


class SchemaOutdated(StorageError):
    """The database needs a migration that cannot happen now."""

    code = "schema_outdated"


class UnsafeSQLite(StorageError):
    """The SQLite library in use can lose commits."""

    code = "unsafe_sqlite"


class OutcomeRefused(StorageError):
    """The database refuses the outcome of one item, whoever writes it: that item fails, its neighbours do not."""

    code = "outcome_refused"


class StoreClosed(StorageError):
    """The store was used before it was opened or after it was closed."""

    code = "store_closed"
