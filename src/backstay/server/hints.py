"""Hints for clients without a terminal: they replace the commands that error messages name."""

import re
from collections.abc import Mapping

from backstay import errors
from backstay.errors import BackstayError

# The nearest class of an error decides. Each is said to programs and to people: it names no address and no button.
HINTS: Mapping[type[BaseException], str] = {
    errors.JobNotFound: "the list of batches shows those there are",
    errors.ConversationNotFound: "the list of conversations shows those there are",
    errors.BackupNotFound: "the list of backups shows those there are",
    errors.BackupUnusable: "put back a copy of its file, then have it verified",
    errors.EmptySelection: "the list of conversations shows those there are",
    errors.InvalidTransition: "look at it again: its state has changed, and says what is possible",
    errors.JobHasWorkers: "pause or cancel it first",
    errors.NothingToRun: "the list of batches shows all there are",
    errors.JobDiffers: "choose another name, or discard the batch that has this one",
    errors.ItemsDiffer: "choose another name",
    errors.ProcessorNotAllowed: "the operator of the server can add it there",
    errors.ApiKeyNotAllowed: "the operator of the server can allow it in `allowed_keys` of its settings",
    errors.InputTooLarge: (
        "split it, or ask the server's operator to raise `import_rows` and `import_bytes`, or for items `upload_items` "
        "and `items_bytes`"
    ),
    errors.UnknownColumn: "say which column the topic is",
    errors.ConversationExists: "onConflict can be `skip`, which leaves it out, or `new`, which gives it another id",
    errors.RestoreConflict: "onConflict can be `skip`, which restores the others, or `replace`, which restores all",
}
_COMMAND = re.compile(r"`backstay | --[a-z]|accept_new_items")
_ENDS = ("; ", ". ")


def message_of(error: BackstayError) -> str:
    """Return the message of an error, with a hint instead of the commands that it ends with."""
    for found in _COMMAND.finditer(error.message):
        end = max(error.message.rfind(mark, 0, found.end()) for mark in _ENDS)
        if end > 0:
            hint = next((HINTS[kind] for kind in type(error).__mro__ if kind in HINTS), "")
            return f"{error.message[:end]}{'; ' if hint else ''}{hint}"
    return error.message
