"""Imported jobs. Only their completed and failed items are known, so each starts with a run that has all its items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from backstay.batch.items_difference import ItemsDifference
from backstay.errors import ItemsDiffer, JobNotFound
from backstay.library.id_text import quoted_id
from backstay.remedy import Remedy


@dataclass(frozen=True, slots=True)
class WaitingImport:
    """An imported job that waits for a run with all its items."""

    job_id: str
    completed: int
    failed: int
    imported_at: datetime

    @property
    def settled(self) -> int:
        return self.completed + self.failed


class WaitingImportStore(Protocol):
    """The store of imported jobs. Each method is one transaction."""

    async def is_name_used(self, owner: str, job_id: str) -> bool:
        """Return whether a job has this name, or an imported one waits under it."""
        ...

    async def add(self, owner: str, job_id: str, settled: Mapping[str, str | None]) -> bool:
        """Store an imported job with its settled items; if the name is used, change nothing and return False.

        Idempotent, even in several processes at once.

        Args:
            settled: The ids of the items, each with the reason why it failed, or None if it was completed.
        """
        ...

    async def waiting(self, owner: str) -> Sequence[WaitingImport]:
        """Return the imported jobs that wait, the latest first."""
        ...


class WaitingImports:
    """The imported jobs of one owner that wait for a run with all their items."""

    def __init__(self, *, store: WaitingImportStore, owner: str) -> None:
        self._store = store
        self._owner = owner

    async def list(self) -> Sequence[WaitingImport]:
        """Return the imported jobs that wait, the latest first."""
        return await self._store.waiting(self._owner)


def job_waits_error(job_id: str) -> JobNotFound:
    """Return the error of a request for a job that still waits."""
    message = f"Job {quoted_id(job_id)} was imported and waits for all its items"
    return JobNotFound(message, remedy=Remedy.RUN_IMPORTED_JOB, job_id=job_id)


def items_missing_error(job_id: str, count: int, examples: Sequence[str]) -> ItemsDiffer:
    """Return the error of a run without all imported items.

    The input then probably has other ids than the original library, and every item would be processed again.
    """
    missing = ItemsDifference(missing=count, examples=tuple(f"missing: {item_id}" for item_id in examples))
    return ItemsDiffer(
        f"Job {quoted_id(job_id)} was imported, and some of its settled items are missing from the input: "
        f"{missing}. Pass all items under their original ids",
        remedy=Remedy.PROVIDE_ALL_ITEMS,
        job_id=job_id,
        missing=count,
    )
