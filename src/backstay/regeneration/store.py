"""The storage that making again needs. Each method takes an owner, or what belongs to one, and sees only that data."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from backstay.backup.backup import Backup, BackupItem
from backstay.backup.key_set import KeySet
from backstay.batch.item import NewItem
from backstay.batch.job import Job
from backstay.batch.store import StagedJob
from backstay.library.selection import Selection
from backstay.regeneration.plan import ConversationHistory


class Candidate(NamedTuple):
    """A conversation that is to be made again, with its job and item as far as they exist."""

    key: int
    conversation_id: str
    job_id: str | None
    item_id: str | None
    job_key: int | None
    position: int | None
    is_result: bool
    """Whether the item is completed and the conversation is its result."""
    other_job_id: str | None
    """An unfinished job that is to replace it already."""
    item: NewItem | None
    """The item as it was given; None if its input is no longer stored."""


class PlannedReplacement(NamedTuple):
    """Which conversation an item replaces, and where the backup holds it."""

    item_id: str
    old_id: str
    row_version: bytes
    backup_position: int


class RegenerationStore(Protocol):
    """The store for making conversations again."""

    async def selected_keys(self, owner: str, selection: Selection) -> KeySet:
        """Return the keys of the selected conversations."""
        ...

    async def selected_jobs(self, owner: str, selection: Selection) -> Sequence[str]:
        """Return the ids of the existing jobs that made the selected conversations."""
        ...

    async def candidates(self, owner: str, keys: Sequence[int]) -> Sequence[Candidate]:
        """Return the conversations with these keys that exist, in storage order."""
        ...

    async def backup_items(self, backup: Backup, *, first: int, limit: int) -> Sequence[BackupItem]:
        """Return what a backup's snapshot recorded, from a position on."""
        ...

    async def record_regeneration(self, staged: StagedJob, source: Job, backup_id: str) -> None:
        """Record which job a staged one makes conversations of again. Raises LeaseLost."""
        ...

    async def plan_replacements(self, staged: StagedJob, replacements: Sequence[PlannedReplacement]) -> None:
        """Record which conversations the staged items replace. Raises LeaseLost."""
        ...

    async def backup_id(self, job: Job) -> str:
        """Return the backup that holds what a job is still to replace."""
        ...

    async def unreplaced_keys(self, job: Job) -> KeySet:
        """Return the keys of the conversations that a job is still to replace."""
        ...

    async def set_backup(self, job: Job, backup: Backup) -> None:
        """Let another backup hold what a job is still to replace."""
        ...

    async def history(self, owner: str, conversation_id: str) -> ConversationHistory:
        """Return how a conversation replaced another one and was replaced, the last time each."""
        ...

    async def replaced_ids(self, owner: str, backup_id: str) -> Sequence[str]:
        """Return the conversations in a backup that were replaced and whose replacement is in the library."""
        ...
