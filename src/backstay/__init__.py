"""Backstay: large batches of training conversations, without losing one or paying for one twice.

async with Backstay.open() as backstay:
    result = await backstay.batches.run("my-batch", items, generate)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backstay import errors

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.backup.backup import Backup, BackupProgress, BackupState
    from backstay.backup.restore_plan import RestorePlan, RestoreResult
    from backstay.batch.intake import ColumnMapping
    from backstay.batch.item import FailedItem, Item
    from backstay.batch.job import Job, JobState
    from backstay.batch.outcome import Done, Fail, Halt, Retry, Skip
    from backstay.batch.processor import Work
    from backstay.batch.progress import ItemCounts, JobProgress, TokenCounts
    from backstay.batch.result import BatchResult
    from backstay.batch.stop import StopSignal
    from backstay.errors import BackstayError
    from backstay.generate.recipe import Recipe
    from backstay.library.conversation import Conversation, Turn
    from backstay.library.deletion import DeletePlan, DeleteResult
    from backstay.library.imports.imported_conversation import ImportResult
    from backstay.library.selection import Selection

__all__ = [
    "Backstay",
    "BackstayError",
    "Backup",
    "BackupProgress",
    "BackupState",
    "BatchResult",
    "ColumnMapping",
    "Conversation",
    "DeletePlan",
    "DeleteResult",
    "Done",
    "Fail",
    "FailedItem",
    "Halt",
    "ImportResult",
    "Item",
    "ItemCounts",
    "Job",
    "JobProgress",
    "JobState",
    "Recipe",
    "RestorePlan",
    "RestoreResult",
    "Retry",
    "Selection",
    "Skip",
    "StopSignal",
    "TokenCounts",
    "Turn",
    "Work",
    "errors",
]

# The module of each public name. They are imported on first use: `backstay --help` needs none of them.
_MODULES = {
    "Backstay": "backstay.app",
    "BackstayError": "backstay.errors",
    "Backup": "backstay.backup.backup",
    "BackupProgress": "backstay.backup.backup",
    "BackupState": "backstay.backup.backup",
    "BatchResult": "backstay.batch.result",
    "ColumnMapping": "backstay.batch.intake",
    "Conversation": "backstay.library.conversation",
    "DeletePlan": "backstay.library.deletion",
    "DeleteResult": "backstay.library.deletion",
    "Done": "backstay.batch.outcome",
    "Fail": "backstay.batch.outcome",
    "FailedItem": "backstay.batch.item",
    "Halt": "backstay.batch.outcome",
    "ImportResult": "backstay.library.imports.imported_conversation",
    "Item": "backstay.batch.item",
    "ItemCounts": "backstay.batch.progress",
    "Job": "backstay.batch.job",
    "JobProgress": "backstay.batch.progress",
    "JobState": "backstay.batch.job",
    "Recipe": "backstay.generate.recipe",
    "RestorePlan": "backstay.backup.restore_plan",
    "RestoreResult": "backstay.backup.restore_plan",
    "Retry": "backstay.batch.outcome",
    "Selection": "backstay.library.selection",
    "Skip": "backstay.batch.outcome",
    "StopSignal": "backstay.batch.stop",
    "TokenCounts": "backstay.batch.progress",
    "Turn": "backstay.library.conversation",
    "Work": "backstay.batch.processor",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'backstay' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
