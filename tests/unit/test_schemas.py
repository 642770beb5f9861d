"""Objects of the JSON interface take each field from an attribute that the value has."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import pytest
from pydantic import AliasPath
from pydantic.alias_generators import to_camel

from backstay import schemas
from backstay.backup.backup import Backup, BackupProgress
from backstay.backup.cleanup import CleanupResult
from backstay.backup.restore_plan import ConflictingConversation, RestorePlan, RestoreResult
from backstay.backup.retention import RetentionDecision
from backstay.batch.item import FailedItem, FailureEvent, ItemSummary
from backstay.batch.job import Job, Pause
from backstay.batch.progress import ProviderWait
from backstay.generate.prompt_preview import PromptSample
from backstay.legacy.imported_jobs import WaitingImport
from backstay.legacy.report import ImportedBackup, ImportedJob, SkippedEntry
from backstay.library.adoption_request import AdoptedTable
from backstay.library.deletion import DeletePlan, DeleteSample, FiringTrigger, RelatedRowCount
from backstay.library.imports.imported_conversation import ImportResult
from backstay.library.lists import ConversationSummary
from backstay.schemas import adoption, backups, conversations, jobs, legacy_import, recipes


@pytest.mark.parametrize(
    ("shape", "source"),
    [
        (adoption.AdoptedTableOut, AdoptedTable),
        (backups.BackupDeleteOut, Backup),
        (backups.CleanupResultOut, CleanupResult),
        (backups.ConflictOut, ConflictingConversation),
        (backups.DecisionOut, RetentionDecision),
        (backups.DeleteProgressOut, BackupProgress),
        (backups.RestorePlanOut, RestorePlan),
        (backups.RestoreResultOut, RestoreResult),
        (conversations.ConversationSummaryOut, ConversationSummary),
        (conversations.DeletePlanOut, DeletePlan),
        (conversations.ImportOut, ImportResult),
        (conversations.RelatedRowsOut, RelatedRowCount),
        (conversations.SampleOut, DeleteSample),
        (conversations.TriggerOut, FiringTrigger),
        (jobs.FailedItemOut, FailedItem),
        (jobs.FailureOut, FailedItem),
        (jobs.ItemFailedOut, FailureEvent),
        (jobs.ItemOut, ItemSummary),
        (jobs.JobOut, Job),
        (jobs.JobStateOut, Job),
        (jobs.PauseEvidenceOut, FailedItem),
        (jobs.PauseOut, Pause),
        (jobs.WaitingImportOut, WaitingImport),
        (jobs.WaitingOut, ProviderWait),
        (legacy_import.ImportedBackupOut, ImportedBackup),
        (legacy_import.ImportedJobOut, ImportedJob),
        (legacy_import.SkippedEntryOut, SkippedEntry),
        (recipes.PromptOut, PromptSample),
    ],
)
def test_each_field_is_an_attribute_of_the_value(shape: type[schemas.ApiObject], source: Any) -> None:
    """Each field of an object that is read from a value names one of its attributes."""
    for name, field in shape.model_fields.items():
        if (shape, name) == (conversations.ImportOut, "notes"):  # they come from the reader of the file
            continue
        alias = field.validation_alias
        paths = [alias.path] if isinstance(alias, AliasPath) else [[alias], [name]]
        assert any(_has(source, path) for path in paths), name


def test_descriptions_name_fields_as_the_json_does() -> None:
    """A description, which OpenAPI shows, names a field in camelCase, as it is in JSON."""
    shapes = list(_descendants(schemas.ApiObject))
    names = {name for shape in shapes for name in shape.model_fields if name != to_camel(name)}

    assert "next_cursor" in names
    assert [shape.__name__ for shape in shapes for name in names if f"`{name}`" in (shape.__doc__ or "")] == []


def _descendants(shape: type[schemas.ApiObject]) -> Iterator[type[schemas.ApiObject]]:
    for each in shape.__subclasses__():
        yield each
        yield from _descendants(each)


def _has(source: Any, path: Sequence[Any]) -> bool:
    """Return whether a dataclass has an attribute, which has an attribute …, of these names."""
    assert is_dataclass(source)
    name, *rest = path
    is_there = name in {field.name for field in fields(source)} | set(vars(source))
    return is_there and (not rest or _has(get_type_hints(source)[name], rest))
