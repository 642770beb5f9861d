"""Revisions of a job's recipe: what each one is, what a new one would change, and its result."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from backstay.batch.job_recipe import FrozenRecipe
from backstay.batch.progress import TokenCounts
from backstay.errors import RecipeRevised
from backstay.library.canonical_json import digest_of
from backstay.library.id_text import quoted_id

if TYPE_CHECKING:
    from backstay.batch.job import Job


@dataclass(frozen=True, slots=True)
class RecipeRevision:
    """One revision of a job's recipe. The latest one applies to all items that are not completed."""

    number: int
    """From 1, the recipe with which the job was created."""
    recipe: FrozenRecipe = field(repr=False)
    fingerprint: str
    """SHA-256 of the recipe's canonical JSON, as 64 hexadecimal digits."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RevisionPlan:
    """What a new revision of a job's recipe would change, and for which items."""

    job_id: str
    revision: int
    """The number of the planned revision; that of the current one if nothing differs."""
    differences: Sequence[str]
    """One text per field that differs, of prompts with the lines that do; empty if the recipe is the current one."""
    items: int
    """Number of items that are not settled."""
    failed: int
    """Number of failed items that are retried with the revision."""
    left_failed: int
    """Number of failed items that stay failed."""
    tokens: TokenCounts
    """Tokens of one call per item, estimated from lengths."""
    has_workers: bool
    """Whether workers hold a lease. While one of them is alive, the recipe cannot be revised."""
    digest: str
    """SHA-256 of the recipe, the current revision and the items: `revise_recipe` computes it again and compares."""
    retry_failed: bool
    recipe: FrozenRecipe = field(repr=False)

    @property
    def calls(self) -> int:
        """Number of calls to expect, if each item needs one."""
        return self.items + self.failed


@dataclass(frozen=True, slots=True)
class RevisionResult:
    """The result of revising a recipe."""

    job: "Job"
    plan: RevisionPlan
    is_new: bool
    """Whether the recipe differs from that of the job before."""


class PlanDigest:
    """The digest of a plan, computed item by item in the order of their positions."""

    def __init__(self, job: "Job", recipe: FrozenRecipe, *, retry_failed: bool) -> None:
        self._hash = hashlib.sha256(f"{job.key} {job.revision} {digest_of(dict(recipe))} {retry_failed}".encode())

    def add(self, position: int, digest: bytes) -> None:
        self._hash.update(position.to_bytes(8, "big") + digest)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def recipe_revised_error(job: "Job", followed: int) -> RecipeRevised:
    """Return the error of a run that follows an earlier revision than the current one."""
    return RecipeRevised(
        f"The recipe of job {quoted_id(job.id)} was revised: this run follows revision {followed}, and the job has "
        f"revision {job.revision}",
        job_id=job.id,
        followed=followed,
        revision=job.revision,
    )
