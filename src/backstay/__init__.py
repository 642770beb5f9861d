"""Backstay: large batches of training conversations, without losing one or paying for one twice.

async with Backstay.open() as backstay:
    result = await backstay.batches.run("my-batch", items, generate)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backstay import errors
from backstay.errors import BackstayError

if TYPE_CHECKING:
    from backstay.app import Backstay
    from backstay.backup.backup import Backup, BackupProgress, BackupState
    from backstay.backup.restore_plan import RestorePlan, RestoreResult
    from backstay.batch.attempt import Work
    from backstay.batch.item import FailedItem, Item
    from backstay.batch.item_columns import ColumnMapping
    from backstay.batch.item_edit import ItemContent, ItemEdit
    from backstay.batch.job import Job, JobState
    from backstay.batch.outcome import Done, Fail, Halt, Retry, Skip
    from backstay.batch.progress import ItemCounts, JobProgress, TokenCounts
    from backstay.batch.recipe_revision import RecipeRevision, RevisionPlan, RevisionResult
    from backstay.batch.runner import BatchResult
    from backstay.batch.stop_signal import StopSignal
    from backstay.generate.recipe import Recipe
    from backstay.library.conversation import Conversation
    from backstay.library.deletion import DeletePlan, DeleteResult
    from backstay.library.difference import Difference, Segment, TurnDifference
    from backstay.library.edits import Version, VersionDifference
    from backstay.library.exports.losses import LossCount
    from backstay.library.exports.request import ExportChoices, ExportedFile, ExportResult
    from backstay.library.imports.imported_conversation import ImportResult
    from backstay.library.review import Review, ReviewStatus
    from backstay.library.review_change import ReviewChange, ReviewChangeResult
    from backstay.library.selection import Selection
    from backstay.library.turn import ToolCall, Turn
    from backstay.readers.bad_rows import BadRow, BadRowsReport
    from backstay.readers.read_options import ReadOptions
    from backstay.regeneration.plan import RegenerationPlan, RegenerationStart

__all__ = [
    "Backstay",
    "BackstayError",
    "Backup",
    "BackupProgress",
    "BackupState",
    "BadRow",
    "BadRowsReport",
    "BatchResult",
    "ColumnMapping",
    "Conversation",
    "DeletePlan",
    "DeleteResult",
    "Difference",
    "Done",
    "ExportChoices",
    "ExportResult",
    "ExportedFile",
    "Fail",
    "FailedItem",
    "Halt",
    "ImportResult",
    "Item",
    "ItemContent",
    "ItemCounts",
    "ItemEdit",
    "Job",
    "JobProgress",
    "JobState",
    "LossCount",
    "ReadOptions",
    "Recipe",
    "RecipeRevision",
    "RegenerationPlan",
    "RegenerationStart",
    "RestorePlan",
    "RestoreResult",
    "Retry",
    "Review",
    "ReviewChange",
    "ReviewChangeResult",
    "ReviewStatus",
    "RevisionPlan",
    "RevisionResult",
    "Segment",
    "Selection",
    "Skip",
    "StopSignal",
    "TokenCounts",
    "ToolCall",
    "Turn",
    "TurnDifference",
    "Version",
    "VersionDifference",
    "Work",
    "errors",
]

# The public names of each module. They are imported on first use: `backstay --help` needs none of them.
_NAMES = {
    "app": ("Backstay",),
    "backup.backup": ("Backup", "BackupProgress", "BackupState"),
    "backup.restore_plan": ("RestorePlan", "RestoreResult"),
    "batch.attempt": ("Work",),
    "batch.item": ("FailedItem", "Item"),
    "batch.item_columns": ("ColumnMapping",),
    "batch.item_edit": ("ItemContent", "ItemEdit"),
    "batch.job": ("Job", "JobState"),
    "batch.outcome": ("Done", "Fail", "Halt", "Retry", "Skip"),
    "batch.progress": ("ItemCounts", "JobProgress", "TokenCounts"),
    "batch.recipe_revision": ("RecipeRevision", "RevisionPlan", "RevisionResult"),
    "batch.runner": ("BatchResult",),
    "batch.stop_signal": ("StopSignal",),
    "generate.recipe": ("Recipe",),
    "library.conversation": ("Conversation",),
    "library.deletion": ("DeletePlan", "DeleteResult"),
    "library.difference": ("Difference", "Segment", "TurnDifference"),
    "library.edits": ("Version", "VersionDifference"),
    "library.exports.losses": ("LossCount",),
    "library.exports.request": ("ExportChoices", "ExportResult", "ExportedFile"),
    "library.imports.imported_conversation": ("ImportResult",),
    "library.review": ("Review", "ReviewStatus"),
    "library.review_change": ("ReviewChange", "ReviewChangeResult"),
    "library.selection": ("Selection",),
    "library.turn": ("ToolCall", "Turn"),
    "readers.bad_rows": ("BadRow", "BadRowsReport"),
    "readers.read_options": ("ReadOptions",),
    "regeneration.plan": ("RegenerationPlan", "RegenerationStart"),
}
_MODULES = {name: f"backstay.{module}" for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'backstay' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
