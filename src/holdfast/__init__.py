"""Holdfast: large batches of training conversations, never losing one and never paying for one twice.

async with Holdfast.open() as hold:
    result = await hold.batches.run("my-batch", items, generate)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from holdfast import errors

if TYPE_CHECKING:
    from holdfast.app import Holdfast
    from holdfast.backup.backup import Backup, BackupProgress, BackupState
    from holdfast.backup.restoring import Restored, RestorePlan
    from holdfast.batch.checkpoint import Counts, Progress, Tokens
    from holdfast.batch.intake import Columns
    from holdfast.batch.item import Failure, Item
    from holdfast.batch.job import Job, JobState
    from holdfast.batch.outcome import Done, Doom, Fail, Retry, Skip
    from holdfast.batch.processor import Work
    from holdfast.batch.result import BatchResult
    from holdfast.batch.stop import Stop
    from holdfast.errors import HoldfastError
    from holdfast.generate.recipe import Recipe
    from holdfast.library.conversation import Conversation, Turn
    from holdfast.library.imports.incoming import Imported
    from holdfast.library.removal import DeletePlan, Deletion
    from holdfast.library.selection import Selection

__all__ = [
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
    "Holdfast",
    "HoldfastError",
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

# Where each public name is. They are loaded when they are asked for: `holdfast --help` needs none of them.
_HOMES = {
    "Backup": "holdfast.backup.backup",
    "BackupProgress": "holdfast.backup.backup",
    "BackupState": "holdfast.backup.backup",
    "BatchResult": "holdfast.batch.result",
    "Columns": "holdfast.batch.intake",
    "Conversation": "holdfast.library.conversation",
    "Counts": "holdfast.batch.checkpoint",
    "DeletePlan": "holdfast.library.removal",
    "Deletion": "holdfast.library.removal",
    "Done": "holdfast.batch.outcome",
    "Doom": "holdfast.batch.outcome",
    "Fail": "holdfast.batch.outcome",
    "Failure": "holdfast.batch.item",
    "Holdfast": "holdfast.app",
    "HoldfastError": "holdfast.errors",
    "Imported": "holdfast.library.imports.incoming",
    "Item": "holdfast.batch.item",
    "Job": "holdfast.batch.job",
    "JobState": "holdfast.batch.job",
    "Progress": "holdfast.batch.checkpoint",
    "Recipe": "holdfast.generate.recipe",
    "RestorePlan": "holdfast.backup.restoring",
    "Restored": "holdfast.backup.restoring",
    "Retry": "holdfast.batch.outcome",
    "Selection": "holdfast.library.selection",
    "Skip": "holdfast.batch.outcome",
    "Stop": "holdfast.batch.stop",
    "Tokens": "holdfast.batch.checkpoint",
    "Turn": "holdfast.library.conversation",
    "Work": "holdfast.batch.processor",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return __all__
