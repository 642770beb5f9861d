"""Revisions of recipes, and the contents of items."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

from pydantic import AliasPath, Field

from backstay.batch.item_edit import ItemContent
from backstay.batch.recipe_revision import RecipeRevision, RevisionPlan, RevisionResult
from backstay.schemas.base import ApiObject, Moment
from backstay.schemas.jobs import JobOut


class RecipeRevisionOut(ApiObject):
    """A revision of a job's recipe. `differences` are those from the revision before, one text per field.

    That of a prompt has the lines that differ, too, each after `-` or `+`.
    """

    number: int
    fingerprint: str
    recipe: dict[str, Any]
    differences: list[str] = Field(default_factory=list)
    created_at: Moment


class RecipeRevisionsOut(ApiObject):
    """The revisions of a job's recipe, the latest last; none if the job has no recipe."""

    revisions: list[RecipeRevisionOut]

    @classmethod
    def from_revisions(cls, revisions: Sequence[RecipeRevision]) -> Self:
        from backstay.generate.recipe_diff import differences

        shown = [RecipeRevisionOut.model_validate(each) for each in revisions]
        for before, after in pairwise(shown):
            after.differences.extend(differences(before.recipe, after.recipe, with_texts=True))
        return cls(revisions=shown)


class RevisionPlanOut(ApiObject):
    """What a new revision of a job's recipe would change: `items` are not settled, `failed` would be retried.

    `leftFailed` are the failed items that stay failed, because they are not to be retried.

    `revision` is the number that it would get; without `differences`, that of the current one. The tokens are estimates
    for one call per item.
    """

    job_id: str
    revision: int
    differences: list[str]
    items: int
    failed: int
    left_failed: int
    calls: int
    tokens_in: int = Field(validation_alias=AliasPath("tokens", "tokens_in"))
    tokens_out: int = Field(validation_alias=AliasPath("tokens", "tokens_out"))
    has_workers: bool
    digest: str

    @classmethod
    def from_plan(cls, plan: RevisionPlan) -> Self:
        return cls.model_validate(plan)


class RevisionOut(ApiObject):
    """The result of revising a recipe. `isNew` is false if it did not differ from the current one."""

    job: JobOut
    revision: int
    is_new: bool
    differences: list[str]

    @classmethod
    def from_result(cls, result: RevisionResult) -> Self:
        plan = result.plan
        return cls(
            job=JobOut.from_job(result.job),
            revision=plan.revision,
            is_new=result.is_new,
            differences=list(plan.differences),
        )


class ItemContentOut(ApiObject):
    """An item with its content. `digest` is the SHA-256 of the content, and `edited` says whether the input differs.

    `topic` is null if an earlier version of Backstay removed the input of a completed job.
    """

    id: str
    position: int
    state: str
    topic: str | None
    persona: str | None
    parameters: dict[str, Any]
    edited: bool
    digest: str

    @classmethod
    def from_content(cls, content: ItemContent) -> Self:
        return cls(
            id=content.id,
            position=content.position,
            state=content.state,
            topic=content.topic,
            persona=content.persona,
            parameters=dict(content.parameters),
            edited=content.is_edited,
            digest=content.digest.hex(),
        )
