"""The remedies of errors as hints for clients, who have no terminal on the server."""

from collections.abc import Mapping

from backstay.errors import BackstayError
from backstay.remedy import Remedy, join_remedy

# A hint is for programs and people, so it names no address and no button. Remedies for operators only have no hint.
HINTS: Mapping[Remedy, str] = {
    Remedy.LIST_JOBS: "the list of batches shows all",
    Remedy.SHOW_JOB: "look at it again: its state has changed, and says what is possible",
    Remedy.RESUME_JOB: "it can be resumed",
    Remedy.PAUSE_JOB: "pause its batch first",
    Remedy.CANCEL_JOB: "pause or cancel it first",
    Remedy.DISCARD_JOB: "discard it to free its name; its conversations stay",
    Remedy.CHOOSE_JOB_NAME: "choose another name",
    Remedy.FREE_JOB_NAME: "choose another name, or discard the batch that has this one",
    Remedy.USE_STORED_RECIPE: "resume it with its own recipe, revise that, or choose another name for a new batch",
    Remedy.CHANGE_BASE_URL: "resume it with its own recipe, revise that, or choose another name for a new batch",
    Remedy.ACCEPT_NEW_ITEMS: "choose another name",
    Remedy.PROVIDE_ALL_ITEMS: "create it with all its items, finished ones included",
    Remedy.RUN_IMPORTED_JOB: "create it with all its items, finished ones included, under their original ids",
    Remedy.NAME_TOPIC_COLUMN: "say which column the topic is",
    Remedy.NAME_ONLY_COLUMN: "say which column the topic is",
    Remedy.NAME_ENCODING: "name its encoding in `encoding`, or save it as UTF-8",
    Remedy.NAME_ENCODING_OR_SKIP: (
        "name its encoding in `encoding`, or save it as UTF-8; or leave such rows out (`onBadRow`: `skip`)"
    ),
    Remedy.CORRECT_ENCODING: "leave `encoding` out for UTF-8",
    Remedy.SPLIT_INPUT: (
        "split it, or ask the server's operator to raise `import_rows` and `import_bytes`, or for items `upload_items` "
        "and `items_bytes`"
    ),
    Remedy.SKIP_BAD_ROWS: "leave such rows out (`onBadRow`: `skip`)",
    Remedy.SKIP_OR_RENAME: (
        "leave it out (`onConflict`: `skip`), give it another id (`onConflict`: `new`), or put a prefix before all ids "
        "(`idPrefix`)"
    ),
    Remedy.ACCEPT_WARNINGS: "without `strict` these are warnings",
    Remedy.NAME_MODEL: "name a model, as in openai:gpt-4o-mini",
    Remedy.ALLOW_KEY: "the operator of the server can allow it in `allowed_keys` of its settings",
    Remedy.ALLOW_PROCESSOR: "the operator of the server can add it there",
    Remedy.LIST_CONVERSATIONS: "the list of conversations shows all",
    Remedy.READ_AGAIN: "read it again, and compare",
    Remedy.LIST_VERSIONS: "the list of its versions shows all",
    Remedy.SELECT_CONVERSATIONS: "give ids, a job or another condition, or select all",
    Remedy.ALLOW_LOSSES: "with `lossy` the export leaves exactly that out; the format `native` holds everything",
    Remedy.LEAVE_OUT: "with `lossy` the export leaves them out",
    Remedy.CHOOSE_FORMAT: "the format `native` holds everything",
    Remedy.IGNORE_MISSING: "the list of conversations shows all; `ignoreMissing` ignores unknown ids",
    Remedy.LIST_BACKUPS: "the list of backups shows all",
    Remedy.REPLACE_BACKUP_FILE: "replace its file with an intact copy, then have it verified",
    Remedy.SKIP_OR_REPLACE: "restore only the others (`onConflict`: `skip`), or all (`onConflict`: `replace`)",
    Remedy.UNPIN_BACKUP: "unpin it first",
    Remedy.RESUME_DELETE: "finish its delete first",
}


def full_message(error: BackstayError) -> str:
    """Return the message of an error with a hint."""
    return join_remedy(error.message, HINTS.get(error.remedy) if error.remedy is not None else None)
