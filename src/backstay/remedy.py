"""What users can do about an error or a finding of `doctor`: a stable value, which each edge phrases for its own users.

An error's message states the fact. The command line adds a command that can be pasted (`cli/remedies.py`), the server
a hint (`server/remedies.py`), and `str(error)` the argument of the Python API, if there is one.
"""

from collections.abc import Mapping
from enum import StrEnum


class Remedy(StrEnum):
    """A next step. Its arguments, such as `job_id`, are in the error's `context`."""

    # -- jobs
    LIST_JOBS = "list_jobs"
    SHOW_JOB = "show_job"
    RESUME_JOB = "resume_job"
    PAUSE_JOB = "pause_job"
    CANCEL_JOB = "cancel_job"
    DISCARD_JOB = "discard_job"
    CHOOSE_JOB_NAME = "choose_job_name"
    FREE_JOB_NAME = "free_job_name"
    """Choose another name, or discard the job that has this one."""
    USE_STORED_RECIPE = "use_stored_recipe"
    """Resume the job with its own recipe, revise it, or choose another name."""
    CHANGE_BASE_URL = "change_base_url"
    """Like `USE_STORED_RECIPE`; a resumed job may use another base URL."""
    ACCEPT_NEW_ITEMS = "accept_new_items"
    PROVIDE_ALL_ITEMS = "provide_all_items"
    RUN_IMPORTED_JOB = "run_imported_job"
    # -- input and recipes
    NAME_TOPIC_COLUMN = "name_topic_column"
    NAME_ONLY_COLUMN = "name_only_column"
    """Name the only column of a file as that of the topics."""
    NAME_ENCODING = "name_encoding"
    NAME_ENCODING_OR_SKIP = "name_encoding_or_skip"
    CORRECT_ENCODING = "correct_encoding"
    """Read a file without the encoding that was named, or with another."""
    SPLIT_INPUT = "split_input"
    SKIP_BAD_ROWS = "skip_bad_rows"
    NAME_QUARANTINE = "name_quarantine"
    SKIP_OR_RENAME = "skip_or_rename"
    """Resolve the conflicts of an import."""
    ACCEPT_WARNINGS = "accept_warnings"
    """Repeat a `strict` request without it."""
    NAME_MODEL = "name_model"
    SET_BASE_URL = "set_base_url"
    WRITE_RECIPE = "write_recipe"
    ALLOW_KEY = "allow_key"
    PROBE = "probe"
    ALLOW_PROCESSOR = "allow_processor"
    # -- conversations and backups
    LIST_CONVERSATIONS = "list_conversations"
    READ_AGAIN = "read_again"
    LIST_VERSIONS = "list_versions"
    SELECT_CONVERSATIONS = "select_conversations"
    ALLOW_LOSSES = "allow_losses"
    """Export without what the format cannot hold, or in a format that holds it."""
    LEAVE_OUT = "leave_out"
    """Export without what no format could hold either."""
    CHOOSE_FORMAT = "choose_format"
    IGNORE_MISSING = "ignore_missing"
    LIST_BACKUPS = "list_backups"
    REPLACE_BACKUP_FILE = "replace_backup_file"
    """Replace the file with an intact copy, then verify the backup."""
    SKIP_OR_REPLACE = "skip_or_replace"
    """Resolve the conflicts of a restore."""
    RESUME_DELETE = "resume_delete"
    MOUNT_BACKUP_FOLDER = "mount_backup_folder"
    MOUNT_EARLIER_FOLDER = "mount_earlier_folder"
    """Like `MOUNT_BACKUP_FOLDER`, for a folder that new backups no longer use."""
    RESUME_OR_UNDO_DELETE = "resume_or_undo_delete"
    REPLACE_OR_ABANDON = "replace_or_abandon"
    """Replace the file as in `REPLACE_BACKUP_FILE`, or abandon the delete that needs the backup."""
    VERIFY_BACKUP = "verify_backup"
    UNPIN_BACKUP = "unpin_backup"
    RETURN_BACKUP_FILES = "return_backup_files"
    FIND_BACKUP_FOLDER = "find_backup_folder"
    CHOOSE_BACKUP_FOLDER = "choose_backup_folder"
    MARK_BACKUP_FOLDER = "mark_backup_folder"
    SET_CLOCK = "set_clock"
    # -- the database and its tables
    NAME_DATABASE = "name_database"
    CHANGE_PERMISSIONS = "change_permissions"
    """Change the permissions of a folder, or name a database elsewhere."""
    CREATE_DATABASE = "create_database"
    MIGRATE = "migrate"
    MIGRATE_OTHER_SCHEMA = "migrate_other_schema"
    EXAMINE = "examine"
    EXAMINE_DEEPLY = "examine_deeply"
    NAME_OWNER = "name_owner"
    NAME_SOURCE = "name_source"
    NAME_TABLES = "name_tables"
    MAP_COLUMN = "map_column"
    ADOPT_AGAIN = "adopt_again"
    CORRECT_AND_ADOPT = "correct_and_adopt"
    UNDO_ADOPTION = "undo_adoption"
    # -- the server
    CHOOSE_ADDRESS = "choose_address"
    RENEW_TOKEN = "renew_token"  # noqa: S105 - not a secret
    """Replace the file of the local token."""


IN_PYTHON: Mapping[Remedy, str] = {
    Remedy.ACCEPT_NEW_ITEMS: "pass accept_new_items=True to add the new ones",
    Remedy.PROVIDE_ALL_ITEMS: "provide the others too, or pass accept_new_items=True to continue without them",
    Remedy.NAME_TOPIC_COLUMN: "name it with columns=ColumnMapping(topic=…)",
    Remedy.SKIP_BAD_ROWS: "pass on_bad_row='skip' to leave such rows out, or quarantine=… to keep them in a file",
    Remedy.NAME_QUARANTINE: "name it with quarantine=…",
    Remedy.NAME_ONLY_COLUMN: "name it with columns=ColumnMapping(topic=…)",
    Remedy.NAME_ENCODING: "name its encoding with read=ReadOptions(encoding=…), or save it as UTF-8",
    Remedy.NAME_ENCODING_OR_SKIP: (
        "name its encoding with read=ReadOptions(encoding=…), or save it as UTF-8; or pass on_bad_row='skip' to leave "
        "such rows out, or quarantine=… to keep them in a file"
    ),
    Remedy.CORRECT_ENCODING: "leave the encoding out for UTF-8, and read files in different encodings separately",
    Remedy.SKIP_OR_RENAME: (
        "pass on_conflict='skip' to leave it out, 'new' to give it another id, or id_prefix=… to put a prefix before "
        "all ids"
    ),
    Remedy.ACCEPT_WARNINGS: "without strict=True these are warnings",
    Remedy.NAME_MODEL: "name it as in model='openai:gpt-4o-mini', or give the address of your own endpoint as base_url",
    Remedy.SET_BASE_URL: "set yours as base_url",
    Remedy.ALLOW_KEY: "allow it in allowed_keys, in the settings",
    Remedy.SELECT_CONVERSATIONS: "give ids, a job or another condition, or select all",
    Remedy.ALLOW_LOSSES: "pass lossy=True to leave exactly that out, or another format",
    Remedy.LEAVE_OUT: "pass lossy=True to leave them out",
    Remedy.CHOOSE_FORMAT: "choose another format",
    Remedy.IGNORE_MISSING: "pass ignore_missing=True to ignore unknown ids",
    Remedy.SKIP_OR_REPLACE: "pass on_conflict='skip' to restore the others, or 'replace' to restore all",
    Remedy.NAME_OWNER: "name another owner with owner=…",
}
"""Remedies that are arguments of the Python API. Others are methods, which the reference of the Python API lists."""


def join_remedy(message: str, remedy: str | None) -> str:
    """Return a message with its remedy: after a semicolon or, if the message has several parts, as a sentence."""
    if remedy is None:
        return message
    if "; " in message or ". " in message:
        return f"{message.removesuffix('.')}{'' if message.endswith('?') else '.'} {remedy[0].upper()}{remedy[1:]}"
    return f"{message}; {remedy}"
