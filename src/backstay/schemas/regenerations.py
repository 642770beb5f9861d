"""Conversations that are made again."""

from typing import Self

from pydantic import AliasPath, Field

from backstay.regeneration.plan import RegenerationPlan, RegenerationStart
from backstay.schemas.base import ApiObject
from backstay.schemas.conversations import RelatedRowsOut, SampleOut, TriggerOut
from backstay.schemas.jobs import RunOut


class RegenerationJobOut(ApiObject):
    """The conversations of one job that would be made again, each with at least one call, and by which processor."""

    job_id: str = Field(validation_alias=AliasPath("source", "id"))
    processor: str
    conversations: int
    tokens_in: int = Field(validation_alias=AliasPath("tokens", "tokens_in"))
    tokens_out: int = Field(validation_alias=AliasPath("tokens", "tokens_out"))


class RegenerationProblemOut(ApiObject):
    """Conversations that cannot be made again for one reason, with the first ids; `phrase` is the reason in words."""

    reason: str
    phrase: str
    count: int
    examples: list[str]


class RegenerationPlanOut(ApiObject):
    """The plan of making conversations again. `digest` changes whenever the conversations or related rows change.

    `tokensIn` and `tokensOut` are estimated from lengths. With any `problems`, nothing can be made again. Replacing the
    conversations also deletes or changes `related` rows, and fires `triggers`.
    """

    conversations: int
    jobs: list[RegenerationJobOut]
    tokens_in: int = Field(validation_alias=AliasPath("tokens", "tokens_in"))
    tokens_out: int = Field(validation_alias=AliasPath("tokens", "tokens_out"))
    estimated_bytes: int = Field(validation_alias=AliasPath("deletion", "estimated_bytes"))
    digest: str
    sample: list[SampleOut] = Field(validation_alias=AliasPath("deletion", "sample"))
    problems: list[RegenerationProblemOut] = Field(validation_alias="refusals")
    related: list[RelatedRowsOut] = Field(validation_alias=AliasPath("deletion", "related"))
    triggers: list[TriggerOut] = Field(validation_alias=AliasPath("deletion", "triggers"))

    @classmethod
    def from_plan(cls, plan: RegenerationPlan) -> Self:
        return cls.model_validate(plan)


class RegenerationStartOut(ApiObject):
    """The backup of the old conversations, and the jobs that make the new ones."""

    backup_id: str
    job_ids: list[str]

    @classmethod
    def from_start(cls, start: RegenerationStart) -> Self:
        return cls.model_validate(start)


class RegenerationOut(ApiObject):
    """The result of making conversations again: one run for each job that made them. `undo` is the command for that.

    Without any selected conversation, `backupId` and `undo` are null.
    """

    backup_id: str | None
    undo: str | None
    runs: list[RunOut]
