"""Which conversations, as requests say it."""

from typing import Annotated

from pydantic import Field

from backstay.library.selection import Selection
from backstay.server.api.common import ApiInput, MomentIn, Text

MOST_IDS = 10_000
Id = Annotated[Text, Field(min_length=1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Ids = Annotated[
    list[Id],
    Field(
        min_length=1,
        max_length=MOST_IDS,
        description=f"{MOST_IDS:,} at most; select more by what they have in common, or in several requests.",
        examples=[["conv-1", "conv-2"]],
    ),
]


class SelectionIn(ApiInput):
    """Conversations that meet every condition given. Without any, `all` must be true."""

    conversation_ids: Ids | None = None
    job_id: Id | None = None
    search: Annotated[Text, Field(min_length=1, max_length=1_000)] | None = None
    """Part of the topic, the persona or a turn, upper and lower case alike."""
    persona: Annotated[Text, Field(max_length=10_000)] | None = None
    created_before: MomentIn | None = None
    all: bool = False

    def selection(self) -> Selection:
        """Return what is selected. Raises EmptySelection: nothing is."""
        return Selection(
            ids=tuple(dict.fromkeys(self.conversation_ids or ())),
            job_id=self.job_id,
            everything=self.all,
            search=self.search,
            persona=self.persona,
            created_before=self.created_before,
        ).check()
