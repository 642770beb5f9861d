"""Objects of the JSON interface take each field from an attribute that the value has."""

from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from pydantic import AliasPath

from backstay import schemas
from backstay.backup.backup import Backup, BackupProgress
from backstay.backup.cleanup import CleanupResult
from backstay.backup.restore_plan import ConflictingConversation, RestorePlan, RestoreResult
from backstay.backup.retention import RetentionDecision
from backstay.batch.item import FailedItem, FailureEvent, ItemSummary
from backstay.batch.job import Job, Pause
from backstay.batch.progress import ProviderWait
from backstay.library.adoption import AdoptedTable
from backstay.library.deletion import DeletePlan, DeleteSample, FiringTrigger, RelatedRowCount
from backstay.library.imports.imported_conversation import ImportResult
from backstay.library.store import ConversationSummary
from backstay.schemas import adoption, backups, conversations, jobs


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
        (jobs.JobStateOut, Job),
        (jobs.PauseEvidenceOut, FailedItem),
        (jobs.PauseOut, Pause),
        (jobs.WaitingOut, ProviderWait),
    ],
)
def test_each_field_is_an_attribute_of_the_value(shape: type[schemas.ApiObject], source: Any) -> None:
    """Each field of an object that is read from a value names one of its attributes."""
    assert is_dataclass(source)
    attributes = {field.name for field in fields(source)} | set(vars(source))

    for name, field in shape.model_fields.items():
        alias = field.validation_alias
        path = [alias.path[0]] if isinstance(alias, AliasPath) else [alias, name]
        assert attributes & set(path), name
