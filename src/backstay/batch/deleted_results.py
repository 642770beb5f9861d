"""Items whose conversations were deleted, and what the storage has to offer to make these again."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DeletedResults:
    """How many completed items of a job have lost their conversation to a delete."""

    items: int
    with_input: int
    """How many of them can be made again: they have their input, which earlier versions removed from completed jobs."""

    @property
    def without_input(self) -> int:
        return self.items - self.with_input


@dataclass(frozen=True, slots=True)
class DeletedRetryResult:
    """The result of requeuing items whose conversations were deleted."""

    retried: int
    without_input: int
    """How many others cannot be made again, since an earlier version removed their inputs."""


class DeletedResultStore(Protocol):
    """The store of completed items whose conversations were deleted."""

    async def count(self, owner: str, job_id: str) -> DeletedResults:
        """Count such items of a job. Raises JobNotFound."""

    async def unpack_step(self, owner: str, job_id: str) -> bool:
        """Make some of their compressed inputs rows again; return True while more may be left. Idempotent.

        Raises JobNotFound, InvalidTransition.
        """

    async def retry(self, owner: str, job_id: str) -> DeletedRetryResult:
        """Return all such items that have an input to pending, and reopen the job. Raises like `unpack_step`."""
