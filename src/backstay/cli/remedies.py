"""The remedies of errors as commands that can be pasted."""

from collections.abc import Mapping
from typing import Any

from backstay.cli.invocation import Invocation
from backstay.errors import BackstayError
from backstay.library.id_text import shell_id
from backstay.remedy import Remedy, join_remedy

# `{name}` is the value in the error's `context`, quoted for a shell, and `{raw[name]}` the same without quotes.
PHRASES: Mapping[Remedy, str] = {
    Remedy.LIST_JOBS: "`backstay jobs` lists all",
    Remedy.SHOW_JOB: "`backstay status {job_id}` shows its state",
    Remedy.RESUME_JOB: "`backstay resume {job_id}` continues it",
    Remedy.PAUSE_JOB: "`backstay pause {job_id}` pauses its job",
    Remedy.CANCEL_JOB: "`backstay cancel {job_id}` stops it",
    Remedy.DISCARD_JOB: "`backstay discard {job_id}` frees its name; its conversations stay",
    Remedy.CHOOSE_JOB_NAME: "choose another name with --job",
    Remedy.FREE_JOB_NAME: "choose another name with --job, or free this one with `backstay discard {job_id}`",
    Remedy.USE_STORED_RECIPE: (
        "`backstay resume {job_id}` continues with its own recipe; --recipe FILE revises it; choose another name with "
        "--job for a new job"
    ),
    Remedy.CHANGE_BASE_URL: (
        "`backstay resume {job_id}` continues with its own recipe, and with --base-url at another address; --recipe "
        "FILE revises it; choose another name with --job for a new job"
    ),
    Remedy.ACCEPT_NEW_ITEMS: "--accept-new-items adds the new ones",
    Remedy.PROVIDE_ALL_ITEMS: "--accept-new-items continues without the missing ones",
    Remedy.RUN_IMPORTED_JOB: (
        "run it with all its items, finished ones included, under their original ids: "
        "`backstay run FILE --job {job_id}`"
    ),
    Remedy.NAME_TOPIC_COLUMN: "name it with --topic-column",
    Remedy.NAME_ONLY_COLUMN: "if that holds the topics, add --topic-column {column_name}",
    Remedy.NAME_ENCODING: "name its encoding, as in --encoding {encoding}, or save it as UTF-8",
    Remedy.NAME_ENCODING_OR_SKIP: (
        "name its encoding, as in --encoding {encoding}, or save it as UTF-8; or --on-bad-row skip leaves such rows "
        "out, --quarantine FILE keeps them in a file"
    ),
    Remedy.CORRECT_ENCODING: "leave --encoding out for UTF-8, and read files in different encodings separately",
    Remedy.SPLIT_INPUT: "split it",
    Remedy.SKIP_BAD_ROWS: "--on-bad-row skip leaves such rows out, --quarantine FILE keeps them in a file",
    Remedy.NAME_QUARANTINE: "name one with --quarantine FILE",
    Remedy.SKIP_OR_RENAME: (
        "--on-conflict skip leaves it out, --on-conflict new gives it another id, --id-prefix PREFIX puts a prefix "
        "before all ids"
    ),
    Remedy.ACCEPT_WARNINGS: "without --strict these are warnings",
    Remedy.NAME_MODEL: (
        "name one as in --model openai:gpt-4o-mini, or give the address of your own endpoint with --base-url"
    ),
    Remedy.SET_BASE_URL: "set yours with --base-url",
    Remedy.WRITE_RECIPE: "`backstay init` writes one to begin with",
    Remedy.ALLOW_KEY: 'if you want that, use --allow-key {host}, or set allowed_keys = ["{raw[use]}"] in backstay.toml',
    Remedy.PROBE: "`backstay probe --recipe FILE` runs the command",
    Remedy.ALLOW_PROCESSOR: "add it to the server's settings",
    Remedy.LIST_CONVERSATIONS: "`backstay conversations list` shows all",
    Remedy.READ_AGAIN: "`backstay conversations show {conversation_id}` prints it as it is now",
    Remedy.LIST_VERSIONS: "`backstay conversations history {conversation_id}` lists its versions",
    Remedy.SELECT_CONVERSATIONS: "give ids, --job or another condition, or --all",
    Remedy.ALLOW_LOSSES: "--lossy leaves exactly that out, --format native holds everything",
    Remedy.LEAVE_OUT: "--lossy leaves them out",
    Remedy.CHOOSE_FORMAT: "--format native holds everything",
    Remedy.IGNORE_MISSING: "`backstay conversations list` shows all; --ignore-missing ignores unknown ids",
    Remedy.LIST_BACKUPS: "`backstay backups list` shows all",
    Remedy.REPLACE_BACKUP_FILE: "replace its file with an intact copy, then `backstay backups verify {backup_id}`",
    Remedy.SKIP_OR_REPLACE: "--on-conflict skip restores the others, --on-conflict replace restores all",
    Remedy.RESUME_DELETE: "`backstay conversations delete --continue {backup_id}` finishes its delete",
    Remedy.RESUME_OR_UNDO_DELETE: (
        "`backstay conversations delete --continue {backup_id}` continues it, `backstay backups restore {backup_id}` "
        "undoes it"
    ),
    Remedy.REPLACE_OR_ABANDON: (
        "replace its file with an intact copy, then `backstay backups verify {backup_id}`; "
        "`backstay backups delete {backup_id}` abandons the delete"
    ),
    Remedy.UNPIN_BACKUP: "`backstay backups unpin {backup_id}` unpins it",
    Remedy.VERIFY_BACKUP: "`backstay backups verify {backup_id}` marks it verified again",
    Remedy.RETURN_BACKUP_FILES: (
        "return them to their folder, or run `backstay backups delete BACKUP` for each that is gone for good"
    ),
    Remedy.MOUNT_BACKUP_FOLDER: (
        "mount it, or set BACKUP_DIRECTORY; if the folder is lost, `backstay backups use-folder` starts a new one"
    ),
    Remedy.MOUNT_EARLIER_FOLDER: (
        "mount it; if it is lost, `backstay backups use-folder` with BACKUP_DIRECTORY={directory} starts a new one "
        "there"
    ),
    Remedy.FIND_BACKUP_FOLDER: "mount its disk, or set BACKUP_DIRECTORY to the folder that holds it now",
    Remedy.CHOOSE_BACKUP_FOLDER: (
        "set BACKUP_DIRECTORY to another folder; if the other database is gone, `backstay backups use-folder` gives "
        "the folder to this database"
    ),
    Remedy.MARK_BACKUP_FOLDER: "if the folder is this library's, `backstay backups use-folder` writes a new marker",
    Remedy.SET_CLOCK: (
        "set the clock; if it was wrong when that backup was made, `backstay backups cleanup --now` removes expired "
        "backups anyway, and `backstay backups delete {backup_id}` removes the one from the future"
    ),
    Remedy.NAME_DATABASE: "name another database with --database or BACKSTAY_DATABASE_URL",
    Remedy.CHANGE_PERMISSIONS: (
        "change its permissions, or name another database with --database or BACKSTAY_DATABASE_URL"
    ),
    Remedy.CREATE_DATABASE: "`backstay run` creates one; --database or BACKSTAY_DATABASE_URL names another",
    Remedy.MIGRATE: "run `backstay migrate` (`backstay migrate --check` shows what it would do)",
    Remedy.MIGRATE_OTHER_SCHEMA: "or choose another schema with BACKSTAY_SCHEMA, and run `backstay migrate`",
    Remedy.EXAMINE: "`backstay doctor` says more",
    Remedy.EXAMINE_DEEPLY: "`backstay doctor --deep` checks it",
    Remedy.NAME_OWNER: "name another owner with --owner or BACKSTAY_OWNER",
    Remedy.NAME_SOURCE: "name the schema that holds them with --source",
    Remedy.NAME_TABLES: (
        "for instance --conversations public.chats --turns public.messages --map id=chat_id,turns.content=body"
    ),
    Remedy.MAP_COLUMN: "name a column with --map {map}=COLUMN",
    Remedy.ADOPT_AGAIN: "run `backstay adopt` again, with the present names",
    Remedy.CORRECT_AND_ADOPT: "correct that, then run `backstay adopt` again",
    Remedy.UNDO_ADOPTION: "run `backstay adopt --undo`, then adopt what is there now",
    Remedy.RENEW_TOKEN: "`backstay serve --new-token` replaces it",
    Remedy.CHOOSE_ADDRESS: "choose another with --host and --port",
}

_COMMAND = "`backstay "


def full_message(invocation: Invocation, error: BackstayError) -> str:
    """Return the message of an error with its remedy."""
    return join_remedy(error.message, phrase(invocation, error.remedy, error.context))


def phrase(invocation: Invocation, remedy: Remedy | None, context: Mapping[str, Any]) -> str | None:
    """Return a remedy with commands for the same database and owner; None without a remedy."""
    if remedy is None:
        return None
    values = {name: shell_id(value) for name, value in context.items() if isinstance(value, str)}
    command = invocation.command().replace("{", "{{").replace("}", "}}")
    return PHRASES[remedy].replace(_COMMAND, f"`{command} ").format(raw=context, **values)
