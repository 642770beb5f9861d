"""The plan of making conversations again, and the reasons why some cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from backstay.batch.job import Job
from backstay.batch.job_recipe import JobRecipe
from backstay.batch.progress import TokenCounts
from backstay.errors import CannotRegenerate
from backstay.library.archived_recipe import ArchivedRecipe
from backstay.library.deletion import DeletePlan
from backstay.library.id_text import quoted_id

_MAX_EXAMPLES = 3


class RefusalReason(StrEnum):
    """A reason why a conversation cannot be made again."""

    NO_JOB = "no_job"
    JOB_DISCARDED = "job_discarded"
    NOT_ITS_RESULT = "not_its_result"
    UNDER_WAY = "under_way"
    INPUT_GONE = "input_gone"
    PROCESSOR = "processor"
    RECIPE = "recipe"


_PHRASES = {
    RefusalReason.NO_JOB: "made by no job",
    RefusalReason.JOB_DISCARDED: "made by a job that was discarded",
    RefusalReason.NOT_ITS_RESULT: "no longer the result of an item",
    RefusalReason.UNDER_WAY: "being made again already",
    RefusalReason.INPUT_GONE: "made from an input that is no longer stored",
    RefusalReason.PROCESSOR: "made by a function that is not here",
    RefusalReason.RECIPE: "made from an input that the recipe cannot use",
}


@dataclass(slots=True)
class Refusal:
    """The conversations that cannot be made again for one reason."""

    reason: RefusalReason
    count: int = 0
    examples: list[str] = field(default_factory=list)
    """The first ids, each with what prevents it, such as its job."""

    def add(self, conversation_id: str, detail: str | None) -> None:
        """Count one more conversation."""
        self.count += 1
        if len(self.examples) < _MAX_EXAMPLES:
            self.examples.append(quoted_id(conversation_id) + (f": {detail}" if detail is not None else ""))

    @property
    def phrase(self) -> str:
        """The reason in words, after the number of conversations."""
        return _PHRASES[self.reason]

    def __str__(self) -> str:
        more = f", and {self.count - len(self.examples):,} more" if self.count > len(self.examples) else ""
        return f"{self.count:,} {self.phrase} ({', '.join(self.examples)}{more})"


@dataclass(slots=True)
class JobPlan:
    """The conversations of one job that are to be made again."""

    source: Job
    """The job that made them."""
    recipe: JobRecipe | None
    """The recipe by which they are made again; None for another processor."""
    processor: str
    """The model, `scripted` or `module:function` that makes them again."""
    conversations: int = 0
    """The number of conversations, each of which takes at least one call."""
    tokens: TokenCounts = field(default_factory=lambda: TokenCounts(0, 0))
    """Estimated from lengths; 0 without a recipe."""


@dataclass(frozen=True, slots=True)
class RegenerationPlan:
    """The plan of making conversations again. Planning changes nothing."""

    deletion: DeletePlan
    """What replacing the conversations deletes: them, and related rows of other tables."""
    jobs: Sequence[JobPlan]
    refusals: Sequence[Refusal]
    """If there is one, nothing can be made again."""

    @property
    def digest(self) -> str:
        """Changes whenever the selected conversations or their related rows do."""
        return self.deletion.digest

    @property
    def conversations(self) -> int:
        return self.deletion.conversations

    @property
    def tokens(self) -> TokenCounts:
        """The tokens to expect, estimated from lengths."""
        return TokenCounts(
            sum(job.tokens.tokens_in for job in self.jobs), sum(job.tokens.tokens_out for job in self.jobs)
        )

    def check(self) -> "RegenerationPlan":
        """Return itself. Raises CannotRegenerate if any conversation cannot be made again."""
        if not self.refusals:
            return self
        refused = sum(refusal.count for refusal in self.refusals)
        raise CannotRegenerate(
            f"Nothing is made again, since {refused:,} of {self.conversations:,} selected conversations cannot be: "
            + "; ".join(map(str, self.refusals)),
            problems=[
                {"reason": str(each.reason), "count": each.count, "examples": each.examples} for each in self.refusals
            ],
        )


@dataclass(frozen=True, slots=True)
class RegenerationStart:
    """What a start created: the backup of the old conversations, and the jobs that make the new ones."""

    backup_id: str
    job_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Replacement:
    """A conversation that took the place of another."""

    old_id: str
    new_id: str
    backup_id: str | None
    """The backup that holds the old one; None if it had been deleted before."""
    replaced_at: datetime


@dataclass(frozen=True, slots=True)
class ConversationHistory:
    """How a conversation came to be, and what became of it."""

    made_again_from: Replacement | None = None
    replaced_by: Replacement | None = None
    """What replaced it the last time. It may have been restored since."""
    recipes: Sequence[ArchivedRecipe] = ()
    """The recipe that made it; several, if a backup brought another one for the same job and revision."""
