"""Backstay: large batches of training conversations, never losing one and never paying for one twice.

async with Backstay.open() as backstay:
    result = await backstay.batches.run("my-batch", items, generate)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backstay import errors

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.backup.backup import Backup, BackupProgress, BackupState
    from backstay.backup.restore_plan import Restored, RestorePlan
    from backstay.batch.checkpoint import Counts, Progress, Tokens
    from backstay.batch.intake import Columns
    from backstay.batch.item import Failure, Item
    from backstay.batch.job import Job, JobState
    from backstay.batch.outcome import Done, Doom, Fail, Retry, Skip
    from backstay.batch.processor import Work
    from backstay.batch.result import BatchResult
    from backstay.batch.stop import Stop
    from backstay.errors import BackstayError
    from backstay.generate.recipe import Recipe
    from backstay.library.conversation import Conversation, Turn
    from backstay.library.deletion import DeletePlan, Deletion
    from backstay.library.imports.incoming import Imported
    from backstay.library.selection import Selection

__all__ = [
    "Backstay",
    "BackstayError",
    "Backup",
    "BackupProgress",
    "BackupState",
    "BatchResult",
    "Columns",
    "Conversation",
    "Counts",
    "DeletePlan",
    "Deletion",
    "Done",
    "Doom",
    "Fail",
    "Failure",
    "Imported",
    "Item",
    "Job",
    "JobState",
    "Progress",
    "Recipe",
    "RestorePlan",
    "Restored",
    "Retry",
    "Selection",
    "Skip",
    "Stop",
    "Tokens",
    "Turn",
    "Work",
    "errors",
]

# Where each public name is. They are loaded when they are asked for: `backstay --help` needs none of them.
_HOMES = {
    "Backstay": "backstay.app",
    "BackstayError": "backstay.errors",
    "Backup": "backstay.backup.backup",
    "BackupProgress": "backstay.backup.backup",
    "BackupState": "backstay.backup.backup",
    "BatchResult": "backstay.batch.result",
    "Columns": "backstay.batch.intake",
    "Conversation": "backstay.library.conversation",
    "Counts": "backstay.batch.checkpoint",
    "DeletePlan": "backstay.library.deletion",
    "Deletion": "backstay.library.deletion",
    "Done": "backstay.batch.outcome",
    "Doom": "backstay.batch.outcome",
    "Fail": "backstay.batch.outcome",
    "Failure": "backstay.batch.item",
    "Imported": "backstay.library.imports.incoming",
    "Item": "backstay.batch.item",
    "Job": "backstay.batch.job",
    "JobState": "backstay.batch.job",
    "Progress": "backstay.batch.checkpoint",
    "Recipe": "backstay.generate.recipe",
    "RestorePlan": "backstay.backup.restore_plan",
    "Restored": "backstay.backup.restore_plan",
    "Retry": "backstay.batch.outcome",
    "Selection": "backstay.library.selection",
    "Skip": "backstay.batch.outcome",
    "Stop": "backstay.batch.stop",
    "Tokens": "backstay.batch.checkpoint",
    "Turn": "backstay.library.conversation",
    "Work": "backstay.batch.processor",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'backstay' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return __all__
